"""The paper's tables and figures beside ours: campaigns over robots, friction families and methods, and their page."""

"""A paper's tables and figures beside ours: campaigns of parts, and their page; a package for each paper."""

"""A cell in operation: a process that people talk to through a control socket, one verb at a time."""

"""Standard output of every command."""

from __future__ import annotations

from rich.console import Console

# Paths and figures must not be wrapped by a guess at a pipe's width.
PIPE_WIDTH = 200


def console() -> Console:
    """Standard output, wide where it is not a terminal."""
    plain = Console()
    return plain if plain.is_terminal else Console(width=PIPE_WIDTH, soft_wrap=True)

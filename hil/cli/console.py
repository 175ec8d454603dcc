"""Standard output of every command."""

from __future__ import annotations

import os

from rich.console import Console

_PIPE_WIDTH = 200
"""Paths and figures must not be wrapped by a guess at a pipe's width."""


def console() -> Console:
    """Standard output, wide where it is not a terminal."""
    plain = Console()
    return plain if plain.is_terminal else Console(width=pipe_width(), soft_wrap=True)


def pipe_width() -> int:
    """Width of what is no terminal: ``COLUMNS`` where somebody has set it."""
    asked = os.environ.get("COLUMNS", "")
    return int(asked) if asked.isdecimal() and int(asked) else _PIPE_WIDTH

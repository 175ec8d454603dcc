"""Standard output of every command."""

from __future__ import annotations

import os

from rich.console import Console

PIPE_WIDTH = 200
"""Paths and figures must not be wrapped by a guess at a pipe's width."""


def pipe_width() -> int:
    """Columns where there is no terminal: ``COLUMNS`` if somebody has set it."""
    asked = os.environ.get("COLUMNS", "")
    return int(asked) if asked.isdecimal() and int(asked) else PIPE_WIDTH


def console() -> Console:
    """Standard output, wide where it is not a terminal."""
    plain = Console()
    return plain if plain.is_terminal else Console(width=pipe_width(), soft_wrap=True)

"""``hil``: one command line for cells, runs, mocks and logs.

The verbs that talk to a running cell need next to nothing of the toolkit, and whoever types ``hil stop`` is in a hurry:
they are run without importing the rest, which takes over a second.
"""

from __future__ import annotations

import signal
import sys
import types
from typing import Any

import typer

QUICK = frozenset(
    ("status", "enable", "start", "stop", "ack", "home", "jog", "grip", "tare", "mark", "record", "down", "guide")
)
"""Commands that are clients of a running cell."""


def new_app() -> typer.Typer:
    """An application without commands."""
    return typer.Typer(
        help="Drive a torque-controlled arm safely from Python, on mocks or (later) for real.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )


def quick_app() -> typer.Typer:
    """The application with the commands of :data:`QUICK` only."""
    from hil.cli import guide, operate

    app = new_app()
    operate.add_to(app)
    app.command("guide")(guide.guide)
    return app


def __getattr__(name: str) -> Any:
    if name == "app":
        from hil.cli.every import app

        return app
    raise AttributeError(f"module 'hil.cli' has no attribute {name!r}")


def _interrupt(number: int, frame: types.FrameType | None) -> None:
    """Whatever ends this program ends it like Ctrl-C: what it started is stopped in order."""
    raise KeyboardInterrupt


def main() -> None:
    """Entry point of the console script."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        if sys.argv[1:2] and sys.argv[1] in QUICK:
            quick_app()()
        else:
            from hil.cli.every import app

            app()
    except KeyboardInterrupt:
        sys.exit(130)

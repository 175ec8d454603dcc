"""``hil``: one command line for cells, runs, mocks and logs."""

from __future__ import annotations

import sys

import typer

from hil.cli import cells, log, mock, operate, run

app = typer.Typer(
    help="Drive a torque-controlled arm safely from Python, on mocks or (later) for real.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("demo")(run.demo)
app.command("run")(run.run)
app.command("mock")(mock.mock)
app.command("cells")(cells.cells)
app.command("check")(cells.check)
operate.add_to(app)
app.add_typer(log.app, name="log")


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)

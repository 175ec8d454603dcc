"""``hil``: one command line for cells, runs, mocks and logs."""

from __future__ import annotations

import signal
import sys
import types

import typer

from hil.cli import can, cells, guide, log, mock, monitor, operate, run, train

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
app.command("monitor")(monitor.monitor)
app.command("guide")(guide.guide)
app.add_typer(log.app, name="log")
app.add_typer(can.app, name="can")
app.add_typer(train.app, name="train")


def _interrupt(number: int, frame: types.FrameType | None) -> None:
    """Whatever ends this program ends it like Ctrl-C: what it started is stopped in order."""
    raise KeyboardInterrupt


def main() -> None:
    """Entry point of the console script."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)

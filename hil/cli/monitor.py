"""``hil monitor``: what a running cell does, on the terminal."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from hil.cli.operate import fail
from hil.operation.place import PlaceError, SeveralCellsError, find


def monitor(
    name: Annotated[str | None, typer.Argument(help="which running cell; the only one by default")] = None,
    cell: Annotated[str | None, typer.Option("--cell", help="the same, as the other verbs have it")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="where no such cell runs yet, wait for it")] = False,
) -> None:
    """Watch a running cell: safety state, joints, wrench, cycle time, devices, events. Space stops it, q detaches."""
    if name is not None and cell is not None and name != cell:
        fail(f"two cells are named: {name!r} and {cell!r}; the monitor watches one", 2)
    wanted = name or cell
    if not on_terminal():
        fail(
            "hil monitor needs a terminal; `hil status` tells where the cell is once, `hil status --json` to scripts", 2
        )
    try:
        wanted = find(wanted).name
    except PlaceError as error:
        if isinstance(error, SeveralCellsError):
            fail(str(error), 2)  # none of them is chosen by waiting
        if not wait:
            fail(f"{error}; `hil monitor --wait` waits for it", 2)
    # Only here, because it takes longer to load than the other verbs take in all.
    from hil.monitor.app import watch
    from hil.monitor.live import LiveSource

    watch(LiveSource(wanted))


def on_terminal() -> bool:
    """Whether input and output are a terminal that can do more than print lines."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"

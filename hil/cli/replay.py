"""``hil replay``: a recorded session through today's supervisor."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from estimators.errors import EstimatorError
from hil.cell import CellError, load_cell
from hil.cli.cells import show_faults
from hil.cli.console import console
from hil.operation.messages import plain
from hil.replay import Replay, ReplayError, replay, write_test
from hil.telemetry.log import LogError, read_log
from safety.limits import LimitsError

_MOST = 40


def replay_command(
    log: Annotated[Path, typer.Argument(help="log of a run, of a session, or of the flight recorder")],
    cell: Annotated[
        str | None, typer.Option(help="what another cell file would have done; by default the log's")
    ] = None,
    to_test: Annotated[
        Path | None, typer.Option(help="make a regression test of a recorded fault, in this folder")
    ] = None,
    fault: Annotated[int, typer.Option(min=1, help="with --to-test: which fault of the log, counted from 1")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="everything, for scripts")] = False,
) -> None:
    """Send a log through today's checks and show each decision that differs from the recorded one.

    Ends with 0 where nothing differs, 1 where something does, 2 where the log cannot be replayed.
    """
    try:
        read = read_log(log)
        chosen = None if cell is None else load_cell(cell)
        if to_test is not None:
            made = write_test(read, to_test, chosen, fault)
            console().print(f"{made.test}: {made.rows} rows in {made.log.name}; run it with pytest", markup=False)
            return
        columns = (TextColumn("{task.description}"), BarColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("replaying", total=len(read.cycle))
            done = replay(read, chosen, lambda rows: progress.advance(task, rows))
    except CellError as error:
        show_faults(error)
        raise typer.Exit(2) from None
    except (LogError, ReplayError, EstimatorError, LimitsError, OSError) as error:
        _fail(str(error))
    if as_json:
        typer.echo(json.dumps(plain(dataclasses.asdict(done)), ensure_ascii=False, indent=1))
    else:
        _tell(done)
    raise typer.Exit(0 if done.same else 1)


def _tell(done: Replay) -> None:
    out = console()
    for note in done.notes:
        out.print(f"note: {note}", style="yellow", markup=False, highlight=False)
    rest = (
        ""
        if done.judged == done.rows
        else f", {done.rows - done.judged} not judged (warming up, or in a stop taken over)"
    )
    out.print(f"{done.judged} of {done.rows} cycles judged{rest}", markup=False, highlight=False)
    if done.same:
        out.print("every decision is what it was, to the last bit")
        return
    table = Table(show_edge=False, pad_edge=False)
    for heading in ("time", "tick", "cycles", "check", "then", "now"):
        table.add_column(heading, overflow="fold")
    for each in done.differences[:_MOST]:
        now = each.now if math.isnan(each.largest) else f"{each.now} (at most {each.largest:.3g} apart)"
        table.add_row(
            f"{each.seconds:.3f} s", str(each.tick), str(each.count), each.check, escape(each.then), escape(now)
        )
    out.print(table)
    if len(done.differences) > _MOST:
        out.print(f"… {len(done.differences) - _MOST} more; --json has all", markup=False)


def _fail(message: str) -> NoReturn:
    Console(stderr=True).print(f"error: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(2)

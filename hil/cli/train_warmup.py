"""``hil train warmup``: the friction's level of today."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from estimators.errors import EstimatorError
from hil.cell import CellError, load_cell
from hil.cli.cells import show_faults
from hil.cli.console import console
from hil.store import StoreError, store_of
from hil.telemetry.log import LogError


def warmup(
    log: Annotated[Path, typer.Argument(help="log of a free run of 20 s in which every joint goes to and fro")],
    cell: Annotated[str, typer.Option("--cell", help="the cell that it is of: a shipped name or a path")],
    model: Annotated[
        str | None, typer.Option(help="number of a stored version, or a file (default: the model that the cell runs)")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="write the model to this file, and not to the store")] = None,
    use: Annotated[bool, typer.Option("--use", help="accept it at once: the cell runs it from its next start")] = False,
    by: Annotated[str | None, typer.Option(help="who accepts it (default: who is logged in)")] = None,
) -> None:
    """Adapt the model to the friction of today, one factor a joint: a new version in the cell's store."""
    from estimators.kvark.artefact import save
    from hil.learning.chosen import KIND, chosen
    from hil.learning.warmup import WarmUpError, about, keep, rows, warm_up

    if out is not None and use:
        _fail("--use accepts a version of the store, --out writes a file instead: name one of them")
    try:
        loaded = load_cell(cell)
        store = store_of(loaded)
        if out is None:
            store.require_writable()
        chose = chosen(loaded, model)
        warmed = warm_up(loaded, log, chose)
    except CellError as error:
        show_faults(error)
        raise typer.Exit(2) from error
    except (StoreError, WarmUpError, LogError, EstimatorError, OSError) as error:
        _fail(str(error))
    table = Table(title=f"friction today, from {warmed.seconds:.0f} s of free motion")
    for title in ("joint", "factor", "left before, N·m RMS", "left after"):
        table.add_column(title, justify="left" if title == "factor" else "right")
    for row in rows(warmed.found):
        table.add_row(*row)
    out_console = console()
    out_console.print(table)
    if out is not None:
        try:
            save(warmed.model, out)
        except OSError as error:
            _fail(f"{out} cannot be written: {error.strerror}; name another place with --out")
        out_console.print(f"model: {out}", markup=False, highlight=False)
        return
    try:
        stored = keep(store, warmed, about(warmed, loaded, chose))
        if use:
            stored = store.use(KIND, stored.page.version, by)
    except StoreError as error:
        _fail(str(error))
    name, number = store.cell.argument, stored.page.version
    then = "in use from the next start on" if use else f"`hil models use {name} {KIND} {number}` takes it"
    out_console.print(
        f"stored as {KIND} version {number} in {stored.folder}; {then}", markup=False, highlight=False, soft_wrap=True
    )


def _fail(sentence: str) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(sentence, style="red", markup=False, highlight=False)
    raise typer.Exit(2)

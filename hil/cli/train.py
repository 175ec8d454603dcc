"""``hil train``: models from recorded runs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from estimators.errors import EstimatorError
from hil.cell import CellError, load_cell
from hil.cli.cells import show_faults
from hil.cli.console import console
from hil.cli.train_warmup import warmup
from hil.store import StoreError, store_of
from hil.telemetry.log import LogError

if TYPE_CHECKING:
    from hil.learning.residual import Trained


class Method(StrEnum):
    """What is learnt."""

    KVARK = "kvark"
    SEMI = "semi"


app = typer.Typer(help="Learn models from recorded runs.", no_args_is_help=True)


app.command()(warmup)


@app.command()
def residual(
    logs: Annotated[list[Path], typer.Argument(help="logs of the cell, several motions without contact")],
    cell: Annotated[str, typer.Option("--cell", help="the cell that they are of: a shipped name or a path")],
    out: Annotated[Path | None, typer.Option(help="also write the model to this file")] = None,
    use: Annotated[bool, typer.Option("--use", help="accept it at once: the cell runs it from its next start")] = False,
    by: Annotated[str | None, typer.Option(help="who accepts it (default: who is logged in)")] = None,
    valid_days: Annotated[
        float | None, typer.Option(min=0.01, max=36500, help="refuse the model when it is older")
    ] = None,
    method: Annotated[
        Method | None,
        typer.Option(help="kvark: friction by velocity; semi: with memory, inertias corrected; default: the better"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="of mixtures and virtual contacts")] = 0,
) -> None:
    """Train the residual model of the K-VARK observer: a new version in the cell's store (docs/models.md)."""
    try:
        from estimators.kvark.artefact import save
        from hil.learning.candidates import METHODS
        from hil.learning.chosen import KIND
        from hil.learning.keep import about, keep
        from hil.learning.residual import TrainingError, train_residual
    except ImportError as error:
        _fail(f"{error}. Training needs scikit-learn: pip install 'hil-lab[kvark]'")
    try:
        loaded = load_cell(cell)
        store = store_of(loaded)
        store.require_writable()
    except CellError as error:
        show_faults(error)
        raise typer.Exit(2) from error
    except StoreError as error:
        _fail(str(error))
    out_console = console()
    bars = Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=out_console)
    with bars:
        task = bars.add_task("", total=1.0)
        try:
            trained = train_residual(
                loaded,
                logs,
                lambda what, share: bars.update(task, description=what, completed=share),
                seed,
                tuple(METHODS) if method is None else (method.value,),
            )
            bars.update(task, description="done", completed=1.0)
        except (TrainingError, LogError, EstimatorError, ImportError, OSError) as error:
            bars.stop()
            _fail(str(error))
    if out is not None:
        try:
            save(trained.model, out)
        except OSError as error:
            _fail(f"{out} cannot be written: {error.strerror}; name another place with --out")
    judges = len(trained.held_out)
    pieces = "one piece that was" if judges == 1 else f"{judges} pieces that were"
    table = Table(title=f"residual torque, N·m RMS on {pieces} not trained on")
    for title in ("joint", "rigid-body model alone", "with the learnt mean", "error under virtual contacts"):
        table.add_column(title, justify="right")
    for j, row in enumerate(zip(trained.before, trained.after, trained.injected, strict=True)):
        table.add_row(f"A{j + 1}", *(f"{value:.2f}" for value in row))
    out_console.print(table)
    if len(trained.tried) > 1:
        tried = ", ".join(f"{name} {error:.2f}" for name, error in trained.tried.items())
        out_console.print(
            f"chosen: {trained.model.method}, by its error under virtual contacts (mean over the joints, N·m: {tried})",
            highlight=False,
        )
    out_console.print(f"trained on {trained.seconds:.0f} s; {_how_sure(trained)}", highlight=False)
    if out is not None:
        out_console.print(f"model: {out}", markup=False, highlight=False)
    try:
        stored = keep(store, trained, about(trained, loaded, valid_days))
        if use:
            stored = store.use(KIND, stored.page.version, by)
    except StoreError as error:
        _fail(str(error))
    said = f"stored as {KIND} version {stored.page.version} in {stored.folder}"
    name = store.cell.argument
    then = "in use from the next start on" if use else f"`hil models use {name} {KIND} {stored.page.version}` takes it"
    out_console.print(f"{said}; {then}", markup=False, highlight=False, soft_wrap=True)


def _how_sure(trained: Trained) -> str:
    """Where the reported uncertainty comes from, and what it is worth."""
    sure = trained.sure
    if sure is None:
        return (
            f"{trained.coverage:.0%} of errors lie in the 95 % band, on the pieces that set its factor "
            f"{trained.model.scale:.2f} on the standard deviation. The plain band, without detection of contact: "
            f"{trained.why_plain}; record more motions"
        )
    return (
        f"{sure.coverage:.0%} of errors lie in the 95 % band and contact detection has {sure.alarms:.1f} false alarms "
        f"a minute ({sure.alarms * sure.minutes:.0f} in {sure.minutes:.1f} min), each half of what was held out tried "
        f"by what the other made, under virtual contacts and drift"
    )


def _fail(sentence: str) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(sentence, style="red", markup=False, highlight=False)
    raise typer.Exit(2)

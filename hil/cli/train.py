"""``hil train``: models from recorded runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from estimators.errors import EstimatorError
from hil.cell import CellError, load_cell
from hil.cli.cells import show_faults
from hil.cli.console import console
from hil.telemetry.log import LogError

app = typer.Typer(help="Learn models from recorded runs.", no_args_is_help=True)


@app.command()
def residual(
    logs: Annotated[list[Path], typer.Argument(help="logs of the cell, several motions without contact")],
    cell: Annotated[str, typer.Option("--cell", help="the cell that they are of: a shipped name or a path")],
    out: Annotated[Path, typer.Option(help="where the model goes")] = Path("kvark.npz"),
    seed: Annotated[int, typer.Option(min=0, help="of mixtures and virtual contacts")] = 0,
) -> None:
    """Train the residual model of the K-VARK observer; then name it in the cell file (docs/kvark.md)."""
    try:
        from estimators.kvark.artefact import save
        from hil.learning.residual import TrainingError, train_residual
    except ImportError as error:
        _fail(f"{error}. Training needs scikit-learn: pip install 'hil-lab[kvark]'")
    try:
        loaded = load_cell(cell)
    except CellError as error:
        show_faults(error)
        raise typer.Exit(2) from error
    out_console = console()
    bars = Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=out_console)
    with bars:
        task = bars.add_task("", total=1.0)
        try:
            trained = train_residual(
                loaded, logs, lambda what, share: bars.update(task, description=what, completed=share), seed
            )
            bars.update(task, description="done", completed=1.0)
        except (TrainingError, LogError, EstimatorError, ImportError) as error:
            bars.stop()
            _fail(str(error))
    try:
        save(trained.model, out)
    except OSError as error:
        _fail(f"{out} cannot be written: {error.strerror}; name another place with --out")
    table = Table(title=f"residual torque, N·m RMS on {len(trained.held_out)} pieces that were not trained on")
    for title in ("joint", "rigid-body model alone", "with the learnt mean", "error under virtual contacts"):
        table.add_column(title, justify="right")
    for j, row in enumerate(zip(trained.before, trained.after, trained.injected, strict=True)):
        table.add_row(f"A{j + 1}", *(f"{value:.2f}" for value in row))
    out_console.print(table)
    out_console.print(
        f"trained on {trained.seconds:.0f} s; calibrated so that 95 % of errors lie in the band (factor "
        f"{trained.model.scale:.2f} on the standard deviation)",
        highlight=False,
    )
    out_console.print(f"model: {out}", markup=False, highlight=False)


def _fail(sentence: str) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(sentence, style="red", markup=False, highlight=False)
    raise typer.Exit(2)

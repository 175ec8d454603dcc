"""``hil train gains``: what a learnt feed-forward's gains take for known and for unknown, from recorded motion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from estimators.errors import EstimatorError
from hil.build import build_model
from hil.cell import CellError, load_cell
from hil.cli.cells import show_faults
from hil.cli.console import console
from hil.store import StoreError, store_of
from hil.telemetry.log import LogError, read_log


def gains(
    logs: Annotated[list[Path], typer.Argument(help="logs of free motion (.mcap) like that which the cell will make")],
    cell: Annotated[str, typer.Option("--cell", help="the cell with controller.joint.learned: a name or a path")],
    out: Annotated[
        Path | None, typer.Option(help="where the model with its calibration goes; default: the cell's store")
    ] = None,
    use: Annotated[bool, typer.Option("--use", help="accept it at once: the cell runs it from its next start")] = False,
    by: Annotated[str | None, typer.Option(help="who accepts it (default: who is logged in)")] = None,
    seed: Annotated[int, typer.Option(min=0, help="of the motion that is made unknown")] = 0,
) -> None:
    """Calibrate the gains of the learnt feed-forward that the cell runs (docs/dynamics.md): a new version of it."""
    from hil.learning.gains import calibrate
    from hil.learning.gains_keep import about, calibrated_model, keep
    from hil.learning.segments import segments_of

    if out is not None and use:
        _fail("--use accepts a version of the store, --out writes a file instead: name one of them")
    told = console()
    try:
        loaded = load_cell(cell)
        store = store_of(loaded)
        if out is None:
            store.require_writable()
        chose = calibrated_model(loaded)
        pieces = [piece for log in logs for piece in segments_of(read_log(log))]
        bars = Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=told)
        with bars:
            task = bars.add_task("calibrating", total=1.0)
            found = calibrate(
                loaded,
                chose.predictor,
                build_model(loaded),
                pieces,
                seed,
                lambda what, share: bars.update(task, description=what, completed=share),
            )
    except CellError as error:
        show_faults(error)
        raise typer.Exit(2) from error
    except (StoreError, LogError, EstimatorError) as error:
        _fail(str(error))
    figures = found.figures
    table = Table(title=f"gains, from {found.seconds:.0f} s of free motion; C = {figures.sensitivity:g}")
    heads = ("joint", "σ_n, N·m", "σ_f, N·m", "ν_0", "velocity noise, rad/s", "acceleration noise, rad/s²")
    for head in (*heads, "mean kp on known motion, % of kp_max", *(f"{name}" for name in found.unknown)):
        table.add_column(head, justify="right")
    for j in range(figures.baseline.size):
        shares = [f"{found.known[j]:.0%}", *(f"{share[j]:.0%}" for share in found.unknown.values())]
        table.add_row(
            f"A{j + 1}",
            f"{figures.sigma_known[j]:.4f}",
            f"{figures.sigma_unknown[j]:.4f}",
            f"{figures.baseline[j]:.1f}",
            f"{figures.qd_sigma[j]:.4f}",
            f"{figures.qdd_sigma[j]:.3f}",
            *shares,
        )
    told.print(table)
    try:
        if out is not None:
            chose.predictor.provenance["gains"] = figures.to_mapping()
            chose.predictor.save(out)
            told.print(f"model: {out}", markup=False, highlight=False)
            return
        stored = keep(store, chose, found, about(chose, found, loaded, logs))
        if use:
            stored = store.use(stored.page.kind, stored.page.version, by)
    except (StoreError, OSError) as error:
        _fail(str(error))
    kind, number = stored.page.kind, stored.page.version
    take = f"`hil models use {store.cell.argument} {kind} {number}` takes it"
    then = "in use from the next start on" if use else take
    said = f"stored as {kind} version {number} in {stored.folder}; {then}"
    told.print(said, markup=False, highlight=False, soft_wrap=True)


def _fail(sentence: str) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(sentence, style="red", markup=False, highlight=False)
    raise typer.Exit(2)

"""``hil demo --learned``: a load that nobody has announced, as a table on the screen and as pictures in the report."""

from __future__ import annotations

from pathlib import Path

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from drivers.errors import ConnectError
from estimators.errors import EstimatorError
from hil.cell import Cell
from hil.cli.console import console
from hil.grasp_demo import GRASP, MASS, RELEASE, DemoError, Phase, Shown, motion_of, show
from hil.launch import run_folder
from hil.session import SessionError


def grasp_demo(cell: Cell, seed: int | None) -> Shown:
    """Run it and say what came of it. Raises DemoError, SessionError, EstimatorError, ConnectError, OSError."""
    out = console()
    motion_of(cell)  # before a folder is made
    out.print(f"[bold]{cell.name}[/]: {cell.description}. Simulated devices, no hardware moves.")
    out.print(f"{MASS:g} kg are attached {GRASP:g} s into the motion and released at {RELEASE:g} s; nobody tells it.")
    folder = run_folder(Path(cell.recording.dir))
    bar = Progress(
        SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description:<14}"), BarColumn(bar_width=32),
        TimeElapsedColumn(), console=out,
    )  # fmt: skip
    with bar:
        task = bar.add_task("start", total=1.0)
        shown = show(cell, folder, seed, lambda done, what: bar.update(task, completed=done, description=what))
    if shown.fault:
        out.print(f"\n{shown.fault}", markup=False)
    else:
        out.print()
        out.print(table(shown.phases))
    for text in shown.learning:
        out.print(f"· {text}", markup=False, highlight=False)
    out.print(f"folder: {folder}", markup=False)
    if shown.report is not None:
        out.print(f"report: {shown.report}", markup=False)
    return shown


def table(phases: tuple[Phase, ...]) -> Table:
    """One row for each phase."""
    made = Table(box=None, pad_edge=False)
    made.add_column("")
    for title in ("error / mrad", "Kp / Kmax", "highest joint", "load / kg"):
        made.add_column(title, justify="right")
    for phase in phases:
        load = f"{phase.mass:.2f} ± {phase.mass_sd:.2f}" if phase.mass == phase.mass else "not estimated"
        made.add_row(phase.name, f"{phase.error * 1e3:.2f}", f"{phase.share:.0%}", f"{phase.highest:.0%}", load)
    return made


SAYS = (DemoError, SessionError, EstimatorError, ConnectError, OSError)
"""What a demonstration may raise; the message is for the person."""

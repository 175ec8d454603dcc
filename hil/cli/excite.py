"""``hil excite``: motions from which friction and inertia of an arm can be learnt: found or drawn, made, recorded."""

from __future__ import annotations

import signal
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from drivers.errors import ConnectError
from estimators.errors import EstimatorError
from hil.build_safety import build_traits
from hil.cell import Cell
from hil.cli.console import console
from hil.cli.run import CellArgument, FastOption, RunBars, SeedOption, announce, fail, load_or_exit, tell_run
from hil.job import LOG_NAME
from hil.launch import launch, run_folder
from hil.motion import MotionError

if TYPE_CHECKING:
    from estimators.excitation import Arena, Budget, Plan, Rhythm

PLAN_NAME, PICTURE_NAME = "plan.npz", "excitation.png"


def excite(
    cell: CellArgument,
    rhythmic: Annotated[
        int, typer.Option(min=0, max=1000, help="instead of a search: so many random rhythmic motions, for svdkl")
    ] = 0,
    runs: Annotated[int, typer.Option(min=1, max=50, help="Fourier runs, at 100, 60, 90, 35, 80 % of the limits")] = 5,
    seconds: Annotated[
        float | None, typer.Option(min=1.0, max=120.0, help="length of a run, s; default: 20, rhythmic ones 8")
    ] = None,
    moves: Annotated[
        float, typer.Option(min=0.0, max=600.0, help="moves with dwells, of which there are two: at least so long, s")
    ] = 25.0,
    harmonics: Annotated[int, typer.Option(min=3, max=30, help="of a run; below 10 one alone excites too little")] = 10,
    generations: Annotated[int, typer.Option(min=1, max=10_000, help="of the search for each run")] = 60,
    frequency: Annotated[float, typer.Option(min=0.05, max=5.0, help="rhythmic: highest harmonic, Hz")] = 0.5,
    around: Annotated[float, typer.Option(min=0.0, max=3.0, help="rhythmic: middles so far from home, rad")] = 0.6,
    swing: Annotated[float, typer.Option(min=0.05, max=3.0, help="rhythmic: so far from the middle, rad")] = 0.8,
    seed: Annotated[int, typer.Option(min=0, help="of the search, or of what is drawn")] = 0,
    optimise_only: Annotated[bool, typer.Option("--optimise-only", help="write the plan, move nothing")] = False,
    plan: Annotated[Path | None, typer.Option(help="a plan made before, instead of a search")] = None,
    out: Annotated[Path | None, typer.Option(help="where the run's folder goes; the cell file's by default")] = None,
    world_seed: SeedOption = None,
    fast: FastOption = False,
) -> None:
    """Find exciting motions within every limit, make them under full supervision, record them for `hil train`."""
    loaded = load_or_exit(cell, real=False)
    told = console()
    told.print(f"[bold]{loaded.name}[/]: exciting motions. Simulated devices, no hardware moves.", highlight=False)
    try:
        folder = run_folder(Path(loaded.recording.dir) if out is None else out)
    except OSError as error:
        fail(f"the run's folder cannot be made: {error}; name another place with --out")
    try:
        from estimators.excitation import Rhythm
        from hil.exciting import build_arena, load_plan

        arena = build_arena(loaded)
        found: Plan
        finished = True
        if plan is not None:
            found = load_plan(plan, loaded, arena)
        else:
            asked: Budget | Rhythm
            if rhythmic:
                asked = Rhythm(rhythmic, seconds or 8.0, frequency, around=around, swing=swing)
            else:
                asked = _budget(runs, seconds or 20.0, moves, harmonics, generations)
            found, finished = _search(told, loaded, arena, asked, seed)
        path = _keep(told, loaded, arena, found, folder)
        if not finished or optimise_only:
            told.print(f"plan: {path}", markup=False, highlight=False)
            told.print(f"next: hil excite {cell} --plan {path}", markup=False, highlight=False)
            if not finished:
                raise typer.Exit(130)
            return
        _make(told, loaded, found, path, folder, world_seed, fast)
    except (EstimatorError, MotionError) as error:
        _drop(folder)
        fail(str(error))
    except OSError as error:
        _drop(folder)
        where = error.filename or folder
        fail(f"{where}: {error.strerror or error}")
    what = "dynamics" if rhythmic else "residual"
    how = " --physics maxwell-slip" if rhythmic else ""
    told.print(f"next: hil train {what} {folder / LOG_NAME} --cell {cell}{how}", markup=False, highlight=False)


def _budget(runs: int, seconds: float, moves: float, harmonics: int, generations: int) -> Budget:
    from estimators.excitation import Budget

    return Budget(
        runs=runs,
        period=seconds,
        harmonics=harmonics,
        generations=generations,
        points=2 if moves > 0.0 else 0,
        points_seconds=moves,
    )


def _search(told: Console, cell: Cell, arena: Arena, asked: Budget | Rhythm, seed: int) -> tuple[Plan, bool]:
    """The best plan found, or the motions drawn, and whether that came to its end. Raises EstimatorError."""
    from estimators.excitation import Budget
    from hil.exciting import make_plan, make_rhythmic

    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        TextColumn("{task.fields[score]}"),
        TimeElapsedColumn(),
        console=told,
    )
    with _interruption() as asked_to_stop, bars:
        task = bars.add_task("", total=1.0, score="")

        def tell(what: str, share: float, score: float) -> None:
            text = f"log det {score:.1f}" if score == score else ""
            bars.update(task, description=what, completed=share, score=text)

        if isinstance(asked, Budget):
            found = make_plan(cell, arena, asked, seed, tell, lambda: bool(asked_to_stop))
        else:
            found = make_rhythmic(cell, arena, asked, seed, tell, lambda: bool(asked_to_stop))
    if asked_to_stop:
        told.print("The search was interrupted: this is the best until then. Nothing has moved.", style="yellow")
    return found, not asked_to_stop


def _keep(told: Console, cell: Cell, arena: Arena, plan: Plan, folder: Path) -> Path:
    """Plan and picture into the run's folder, and a table of what will be done."""
    from estimators.excitation import save
    from hil.exciting import describe
    from hil.report.excitation import draw

    path = folder / PLAN_NAME
    save(plan, path)
    limits = cell.robot.joint_limits
    draw(plan, limits.q_min, limits.q_max, limits.qd_max, folder / PICTURE_NAME)
    found = "drawn" if "rhythm" in plan.provenance else f"log det {plan.score:.1f} (by chance {plan.before:.1f})"
    table = Table(title=f"{plan.seconds:.0f} s of motion, {found}")
    for title in ("motion", "s", "fastest joint, % of its limit", "least distance, mm", "between"):
        table.add_column(title, justify="left" if title in ("motion", "between") else "right")
    for each in describe(plan, cell, arena):
        row = (each.name, f"{each.seconds:.0f}", f"{each.speed:.0%}", f"{each.clearance * 1e3:.0f}", each.between)
        table.add_row(*row)
    told.print(table)
    return path


def _make(told: Console, cell: Cell, plan: Plan, path: Path, folder: Path, seed: int | None, fast: bool) -> None:
    """Make the motions of ``plan`` and tell how it went; ends with 1 where they were not finished."""
    from hil.exciting import motion_names

    announce(told, cell)
    names = motion_names(plan)
    with RunBars(told, names) as bars:
        try:
            ended = launch(
                cell, names, folder, seed=seed, paced=not fast, progress=bars.update, plan=path, folder=folder
            )
        except ConnectError as error:
            bars.stop()
            fail(str(error))
        bars.finish(ended.outcome is not None and ended.outcome.finished)
    tell_run(told, ended, build_traits(cell).brakes)
    told.print(f"picture: {folder / PICTURE_NAME}", markup=False, highlight=False)
    if not ended.ok:
        done = () if ended.outcome is None else ended.outcome.motions
        told.print(f"made before that, and recorded: {', '.join(done) or 'nothing'}", markup=False, highlight=False)
        raise typer.Exit(1)


@contextmanager
def _interruption() -> Iterator[list[int]]:
    """The first Ctrl-C is written into the list; a second one ends the program as ever."""
    seen: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def take(number: int, frame: types.FrameType | None) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)

    signal.signal(signal.SIGINT, take)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def _drop(folder: Path) -> None:
    """An empty folder of a run that never began is no news."""
    try:
        folder.rmdir()
    except OSError:
        return

"""``hil run`` and ``hil demo``: drive a cell, watch it, leave a report."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from drivers.errors import ConnectError
from estimators.errors import EstimatorError
from hil.build import check_plugins
from hil.build_safety import build_traits
from hil.cell import Cell, CellError, CellRefused, load_cell, require_permission
from hil.cli.cells import on_purpose, show_faults
from hil.cli.console import console
from hil.cli.grasp_demo import SAYS, grasp_demo
from hil.launch import Run, launch, operate
from hil.motion import MotionError
from hil.operation.place import PlaceError, running
from hil.plugins import PluginError
from hil.report import verdict_table

DEMO_CELL = "iiwa14_polish"
LEARNED_CELL = "iiwa14_learned"
_SHORT = ("iiwa",)
"""Names that `hil demo` knows beside those of the cells."""
_FIGURES = re.compile(r"[-0-9.]+")
_MOST_STOPS = 3
"""Stops of one run that are explained at its end; `hil explain` tells of all."""
_BRINGUP = ("connect", "check", "tare", "enable")

CellArgument = Annotated[str, typer.Argument(help="name of a shipped cell (`hil cells`) or path of a cell file")]
SeedOption = Annotated[int | None, typer.Option(min=0, help="seed of the simulated world; the cell file's by default")]
FastOption = Annotated[bool, typer.Option("--fast", help="as fast as the machine allows, not tied to real time")]

RealTimeOption = Annotated[
    bool,
    typer.Option("--realtime", help="by the wall clock, as on a real robot, and with the cell file's realtime section"),
]


def run(
    cell: CellArgument,
    motion: Annotated[
        list[str] | None,
        typer.Option(help="a motion of the cell; again for more, in order; without any the cell stays in operation"),
    ] = None,
    real: Annotated[bool, typer.Option("--real", help="drive the real robot of a cell without mocks")] = False,
    seed: SeedOption = None,
    fast: FastOption = False,
    realtime: RealTimeOption = False,
    record: Annotated[
        bool, typer.Option("--record/--no-record", help="in operation: record from the beginning (some 0.7 MB/s)")
    ] = True,
) -> None:
    """Run motions of a cell, then report; or, without --motion, keep the cell in operation and take verbs."""
    loaded = load_or_exit(cell, real)
    _check_clock(fast, realtime)
    if not motion:
        _operate(loaded, seed, fast, realtime, record)
        return
    unknown = [name for name in motion if name not in loaded.motions]
    if unknown:
        fail(f"cell {loaded.name} has no motion {', '.join(unknown)}; it has: {', '.join(loaded.motions)}")
    try:
        check_plugins(loaded, motion)
    except (PluginError, MotionError, EstimatorError) as error:
        fail(str(error))
    _drive(loaded, motion, seed, fast, realtime)


def demo(
    cell: Annotated[str, typer.Option(help="a cell on mocks: a shipped one or a path; `iiwa` for short")] = DEMO_CELL,
    seed: SeedOption = None,
    fast: FastOption = False,
    realtime: RealTimeOption = False,
    learned: Annotated[
        bool, typer.Option("--learned", help="an arm with learnt torques grasps an unknown load; in lockstep")
    ] = False,
) -> None:
    """Show a whole supervised run on simulated devices: every motion of the cell, in the order of its file."""
    if cell in _SHORT or (learned and cell == DEMO_CELL):
        cell = LEARNED_CELL if learned else DEMO_CELL
    loaded = load_or_exit(cell, real=False)
    _check_clock(fast, realtime)
    if learned:
        if realtime:
            fail("--learned runs in lockstep, as fast as the machine allows: leave --realtime out")
        try:
            shown = grasp_demo(loaded, seed)
        except SAYS as error:
            fail(str(error))
        if shown.fault:
            raise typer.Exit(1)
        return
    _drive(loaded, list(loaded.motions), seed, fast, realtime)


def _check_clock(fast: bool, realtime: bool) -> None:
    if fast and realtime:
        fail("--fast and --realtime exclude each other: as fast as the machine allows, or by the wall clock")


def load_or_exit(cell: str, real: bool) -> Cell:
    """A cell that may be run; mistakes are printed, and the program ends with 2."""
    try:
        loaded = load_cell(cell)
        require_permission(loaded, real)
    except CellError as error:
        show_faults(error)
        raise typer.Exit(2) from error
    except CellRefused as error:
        fail(str(error))
    return loaded


def fail(message: str) -> NoReturn:
    """Say why on standard error and end with 2."""
    Console(stderr=True).print(message, style="red", markup=False, highlight=False)
    raise typer.Exit(2)


def announce(out: Console, cell: Cell) -> None:
    """What the cell's mock does wrong on purpose."""
    if planned := on_purpose(cell):
        out.print(f"On purpose: {planned}.", style="yellow", markup=False, highlight=False)


def _drive(cell: Cell, motions: list[str], seed: int | None, fast: bool, realtime: bool) -> None:
    out = console()
    out.print(f"[bold]{cell.name}[/]: {cell.description or 'no description'}. Simulated devices, no hardware moves.")
    announce(out, cell)
    with RunBars(out, motions) as bars:
        try:
            ended = launch(
                cell,
                motions,
                Path(cell.recording.dir),
                seed=seed,
                paced=not fast,
                realtime=realtime,
                progress=bars.update,
            )
        except ConnectError as error:
            bars.stop()
            fail(str(error))
        except OSError as error:
            bars.stop()
            fail(f"the run's folder cannot be made below recording.dir ({cell.recording.dir}): {error}")
        bars.finish(ended.outcome is not None and ended.outcome.finished)
    tell_run(out, ended, build_traits(cell).brakes)
    if not ended.ok:
        raise typer.Exit(1)


def _operate(cell: Cell, seed: int | None, fast: bool, realtime: bool, record: bool) -> None:
    out = console()
    try:
        if any(other.name == cell.name for other in running()):
            fail(f"cell {cell.name!r} runs already; `hil status` shows it, `hil down` ends it")
        out.print(f"[bold]{cell.name}[/]: in operation on simulated devices, no hardware moves.")
        announce(out, cell)
        out.print("In another terminal: hil status, hil enable, hil start MOTION, hil stop. Ctrl-C or hil down ends.")
        with _Sentence(out) as sentence:
            ended = operate(
                cell,
                Path(cell.recording.dir),
                seed=seed,
                paced=not fast,
                realtime=realtime,
                recording=record,
                progress=lambda said: sentence.update(str(said["sentence"])),
            )
    except (ConnectError, PlaceError, OSError) as error:
        fail(str(error))
    tell_run(out, ended, build_traits(cell).brakes)
    if not ended.ok:
        raise typer.Exit(1)


class _Sentence:
    """What the cell says of itself: one live line on a terminal, one line for each change elsewhere."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._live = out.status("starting") if out.is_terminal else None
        self._last = ""

    def __enter__(self) -> _Sentence:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, sentence: str) -> None:
        if self._live is not None:
            self._live.update(Text(sentence))
        elif _FIGURES.sub("", sentence) != self._last:
            self._last = _FIGURES.sub("", sentence)
            self._out.print(sentence, markup=False, highlight=False)


def tell_run(out: Console, ended: Run, brakes: bool) -> None:
    """How a run ended: verdict, explanation, notes, where its files are."""
    out.print()
    out.print(verdict_table(ended.verdict))
    outcome = ended.outcome
    told = [stop.explanation for stop in ended.stops if stop.explanation is not None]
    for explanation in told[-_MOST_STOPS:]:
        out.print("\n" + "\n".join(explanation.lines()), markup=False, highlight=False)
    if not told and outcome is not None and outcome.explanation:
        out.print(f"\n{outcome.explanation}", markup=False)
    problems = () if outcome is None else outcome.problems
    for note in (*problems, *ended.notes):
        out.print(f"note: {note}", markup=False, highlight=False)
    if ended.mock:
        rest = "braked and at rest" if brakes else "at rest, held by its own control"
        out.print(f"\nthe arm ended {rest if ended.mock.get('standing') else 'NOT at rest'}")
    out.print(f"folder: {ended.folder}", markup=False)
    if ended.stops:
        out.print(f"stops: {ended.stops[0].path.parent} ({len(ended.stops)}; hil explain {ended.folder})", markup=False)
    if ended.report is not None:
        out.print(f"report: {ended.report}", markup=False)


class RunBars:
    """One bar for each step of the run."""

    def __init__(self, out: Console, motions: list[str]) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=32),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=out,
        )
        self._names = ["bring-up", *motions, "stop"]
        self._tasks = [self._progress.add_task(name, total=1.0, start=False, note="") for name in self._names]
        self._at = -1

    def __enter__(self) -> RunBars:
        self._progress.start()
        self._go_to(0)
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def stop(self) -> None:
        self._progress.stop()

    def update(self, said: dict[str, Any]) -> None:
        """Move the bars to what the supervisor says."""
        motion, phase = said["motion"], said["phase"]
        if phase in _BRINGUP:
            self._progress.update(self._tasks[0], completed=(1 + _BRINGUP.index(phase)) / 5, note=phase)
        elif phase == "stop":
            # Only the end of the run tells whether the motions were made: a stop may come in the middle of one.
            if self._at >= 0:
                self._progress.stop_task(self._tasks[self._at])
            self._progress.start_task(self._tasks[-1])
            self._progress.update(self._tasks[-1], note=said["state"])
        elif motion in self._names[1:-1] and said["duration"] > 0:
            # A motion may be asked for twice: the bars only ever go forward.
            places = [i for i, name in enumerate(self._names) if name == motion and i >= self._at]
            if places:
                self._go_to(places[0])
                note = f"{phase}, {said['force']:.1f} N" if said["force"] == said["force"] else phase
                self._progress.update(self._tasks[self._at], completed=said["elapsed"] / said["duration"], note=note)

    def finish(self, finished: bool) -> None:
        """The run has ended; complete all bars if it was finished."""
        if finished:
            self._go_to(len(self._names) - 1)
            self._progress.update(self._tasks[-1], completed=1.0, note="the arm stands")
        elif self._at >= 0:
            self._progress.update(self._tasks[self._at], note="[red]stopped[/]")

    def _go_to(self, index: int) -> None:
        while self._at < index:
            if self._at >= 0:
                self._progress.update(self._tasks[self._at], completed=1.0, note="")
                self._progress.stop_task(self._tasks[self._at])
            self._at += 1
            self._progress.start_task(self._tasks[self._at])

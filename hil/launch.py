"""Starts the processes of a run, follows it, and leaves a folder with log, outcome and report.

The mock cell, the supervisor and the recorder are processes of their own; this one only watches. A signal that ends
it (Ctrl-C, SIGTERM, a closed terminal) becomes an orderly stop of the arm, and so does its death, which supervisor and
mock notice. When the supervisor dies, the robot's own watchdog brakes the arm, here as in a lab.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from hil.cell import Cell
from hil.flight import FlightRecorder, KeptStop
from hil.job import CELL_NAME, LOG_NAME, Job, Outcome
from hil.mocks import ControlError, MockProcess, ending, mock_config
from hil.report import VerdictRow, summarise, verdict_rows
from hil.report.files import read_bounded, report_log, report_name
from hil.telemetry.log import LogError

TRUTH_NAME = "truth.npz"
"""What the mock's physics knows and no sensor tells: for scoring observers."""

REPORTS = 4
"""Logs of one operated cell, beside its last one, that get a report when it goes down; each takes seconds."""
WATCH_MS = 200
"""Longest pause between two looks at the rows of the run, and at the mock of an operated cell."""


@dataclass
class Run:
    """A run that has ended."""

    folder: Path
    outcome: Outcome | None
    """None if the supervisor died."""
    mock: dict[str, Any]
    """The mock cell's own last word: brakes, joint travel, extremes of torque; empty if it died."""
    verdict: list[VerdictRow]
    report: Path | None
    notes: list[str]
    """What else a person should know: processes that died, files that could not be written."""
    operated: bool = False
    """By verbs: a fault that was acknowledged stands in the verdict, and the cell went down in order all the same."""
    stops: list[KeptStop] = field(default_factory=list)
    """What the flight recorder kept: each stop that was not the run's own end."""

    @property
    def ok(self) -> bool:
        """Finished and, unless it was operated, recorded, with nothing in the verdict that failed."""
        if self.outcome is None or not self.outcome.finished:
            return False
        return self.operated or all(r.ok is not False for r in self.verdict)


def run_folder(base: Path) -> Path:
    """A new folder below ``base``, named after the local time."""
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for suffix in ("", *(f"_{i}" for i in range(2, 100))):
        folder = base / (stamp + suffix)
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
    raise FileExistsError(f"{base / stamp} and 98 more exist already; is the clock standing still?")


def launch(
    cell: Cell,
    motions: Sequence[str],
    base: Path,
    *,
    seed: int | None = None,
    paced: bool = True,
    realtime: bool = False,
    faults: Sequence[dict[str, Any]] = (),
    pictures: bool = True,
    progress: Callable[[dict[str, Any]], None] | None = None,
    plan: Path | None = None,
    folder: Path | None = None,
) -> Run:
    """Run ``motions`` of a mocked ``cell`` and return when everything has ended.

    ``paced``: tie the lockstep to real time; otherwise it runs as fast as the machine allows. ``realtime``: no
    lockstep; the mock keeps the wall clock's time, as a robot does, and waits for nobody. ``faults``: on top of
    the cell's own, in ticks of the mock. ``pictures``: write a report, which takes seconds. ``progress`` is called with
    what the supervisor says about ten times a second of its own time. ``plan``: ``motions`` are those of an excitation
    plan in this file. ``folder``: where to, instead of a new one below ``base``. Raises ConnectError, OSError where
    nothing could be started.
    """
    folder = folder or run_folder(base)
    (folder / CELL_NAME).write_text(cell.dump(), encoding="utf-8")
    mock = MockProcess(mock_config(cell, seed=seed, paced=paced, realtime=realtime))
    notes: list[str] = []
    try:
        if faults:
            mock.control.faults_add(faults)
        flight = FlightRecorder(cell.robot.joint_limits.n, cell.robot.period, folder, mock.control_dir)
        job = Job(
            str(cell.path),
            tuple(motions),
            str(folder),
            str(mock.control_dir),
            cell.digest(),
            os.getpid(),
            realtime=realtime,
            plan="" if plan is None else str(plan.resolve()),
            flight=flight.fd,
        )
        with _Patience() as patience, flight:
            outcome = _follow(job, folder, progress, patience, notes, flight.poll)
            notes += flight.finish(outcome is None, outcome is not None and outcome.finished)
            state = _last_word(mock, folder, notes)
            verdict, report = _report(folder / LOG_NAME, outcome, notes, pictures)
    finally:
        mock.close()
    return Run(folder, outcome, state, verdict, report, notes, stops=flight.stops)


def operate(
    cell: Cell,
    base: Path,
    *,
    seed: int | None = None,
    paced: bool = True,
    realtime: bool = False,
    recording: bool = True,
    faults: Sequence[dict[str, Any]] = (),
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> Run:
    """Bring a mocked ``cell`` up and keep it in operation until it is told to go down (``hil down``, Ctrl-C).

    A mock process that dies is started anew; the supervisor finds it again. Other arguments as in :func:`launch`.
    Raises ConnectError, OSError where nothing could be started.
    """
    folder = run_folder(base)
    (folder / CELL_NAME).write_text(cell.dump(), encoding="utf-8")
    mock = MockProcess(mock_config(cell, seed=seed, paced=paced, realtime=realtime))
    notes: list[str] = []

    def watch() -> None:
        flight.poll()
        if mock.process.poll() is not None:
            mock.restart()

    try:
        if faults:
            mock.control.faults_add(faults)
        flight = FlightRecorder(cell.robot.joint_limits.n, cell.robot.period, folder, mock.control_dir)
        job = Job(
            str(cell.path),
            (),
            str(folder),
            str(mock.control_dir),
            cell.digest(),
            os.getpid(),
            operated=True,
            realtime=realtime,
            recording=recording,
            flight=flight.fd,
        )
        with _Patience() as patience, flight:
            outcome = _follow(job, folder, progress, patience, notes, watch)
            notes += flight.finish(outcome is None, planned=False)
            state = _last_word(mock, folder, notes, keep=bool(_logs(folder)))
            verdict, report = _reports(folder, outcome, notes)
    finally:
        mock.close()
    return Run(folder, outcome, state, verdict, report, notes, operated=True, stops=flight.stops)


class _Patience:
    """While it is entered, a signal to end is remembered instead of raised: what was begun is ended in order."""

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Patience:
        if threading.current_thread() is threading.main_thread():
            os.set_blocking(self._write, False)
            self._before = {number: signal.signal(number, self._take) for number in self.NUMBERS}
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._read)
        os.close(self._write)

    def _take(self, number: int, frame: types.FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b"!")

    def fileno(self) -> int:
        """Readable once a signal came."""
        return self._read


def _follow(
    job: Job,
    folder: Path,
    progress: Callable[[dict[str, Any]], None] | None,
    patience: _Patience,
    notes: list[str],
    watch: Callable[[], None],
) -> Outcome | None:
    """Start the supervisor's process and pass on what it says until it ends; its outcome, None if it died.

    ``watch`` is called some ten times a second meanwhile.
    """
    job_path = folder / "job.json"
    job_path.write_text(job.to_json(), encoding="utf-8")
    environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    worker = subprocess.Popen(
        [sys.executable, "-m", "hil.worker", "--job", str(job_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        env=environment,
        pass_fds=() if job.flight < 0 else (job.flight,),
    )
    assert worker.stdout is not None
    assert worker.stderr is not None
    outcome: Outcome | None = None
    said, pending = bytearray(), bytearray()
    poll = select.poll()
    streams = {worker.stdout.fileno(): pending, worker.stderr.fileno(): said}
    for fd in (*streams, patience.fileno()):
        poll.register(fd, select.POLLIN)
    try:
        while streams:
            ready = poll.poll(WATCH_MS)
            watch()
            for fd, _ in ready:
                if fd == patience.fileno():
                    # The person at the terminal wants the arm to stop; the supervisor does it in order.
                    poll.unregister(fd)
                    worker.terminate()
                elif data := os.read(fd, 65536):
                    streams[fd].extend(data)
                else:
                    poll.unregister(fd)
                    del streams[fd]
            *lines, rest = pending.split(b"\n")
            pending[:] = rest
            for message in map(json.loads, lines):
                if "outcome" in message:
                    outcome = Outcome.from_mapping(message["outcome"])
                elif progress is not None:
                    progress(message)
        worker.wait()
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait()
        worker.stdout.close()
        worker.stderr.close()
    if outcome is None:
        notes.append(ending("the supervisor's process", worker.returncode))
    words = said.decode(errors="replace").strip()
    if words:
        notes.append(words)
    return outcome


def _last_word(mock: MockProcess, folder: Path, notes: list[str], keep: bool = True) -> dict[str, Any]:
    """Let the world run until the arm stands, keep its truth (unless there is no log beside it), hear how it ended."""
    try:
        mock.control.run_out()
        state = {**mock.control.state(), **mock.control.truth()}
    except ControlError as error:
        how = mock.ended or f"the mock process does not answer ({error})"
        notes.append(f"{how}; how the arm ended is unknown")
        return {}
    if not keep:
        return state
    try:
        mock.control.truth_save(folder / TRUTH_NAME)
    except ControlError as error:
        notes.append(f"{TRUTH_NAME} could not be written: {error}")
    return state


def _report(
    path: Path, outcome: Outcome | None, notes: list[str], pictures: bool = True
) -> tuple[list[VerdictRow], Path | None]:
    """The verdict on one log, and the report beside it."""
    first = _outcome_row(outcome)
    try:
        log = read_bounded(path)
    except (LogError, OSError) as error:
        return [first, VerdictRow("log", str(error), "readable", False)], None
    if not pictures:
        return [first, *verdict_rows(summarise(log))], None
    out = path.with_name(report_name(path))
    try:
        return report_log(log, out, [first]), out
    except OSError as error:
        notes.append(f"{out.name} could not be written: {error}")
        return [first, *verdict_rows(summarise(log))], None


def _logs(folder: Path) -> list[Path]:
    """``run.mcap``, ``run_2.mcap`` …, as they were begun."""
    return sorted(folder.glob(f"{Path(LOG_NAME).stem}*.mcap"), key=lambda path: (len(path.name), path.name))


def _reports(folder: Path, outcome: Outcome | None, notes: list[str]) -> tuple[list[VerdictRow], Path | None]:
    """The verdict on the last log of an operated cell, and its report; a report of each of the others, up to a few."""
    logs = _logs(folder)
    if not logs:
        recorded = VerdictRow("recorded", "nothing: recording was off; `hil record on` begins a log")
        return [_outcome_row(outcome), recorded], None
    for path in logs[:-1][-REPORTS:]:
        _, report = _report(path, outcome, notes)
        if report is not None:
            notes.append(f"{path.name}: {report.name}")
    if (left := len(logs) - 1 - REPORTS) > 0:
        notes.append(f"{left} earlier logs have no report; `hil log report FILE` makes one")
    return _report(logs[-1], outcome, notes)


def _outcome_row(outcome: Outcome | None) -> VerdictRow:
    if outcome is None:
        return VerdictRow("run", "the supervisor's process died", "finished", False)
    if outcome.finished:
        return VerdictRow("run", "finished", "finished", True)
    value = "; ".join(outcome.faults) or outcome.stopped or f"ended while {outcome.state}"
    return VerdictRow("run", value, "finished", False)

"""Starts the processes of a run, follows it, and leaves a folder with log, outcome and report.

The mock cell, the supervisor and the recorder are processes of their own; this one only watches. When it dies, the
supervisor's progress goes nowhere and the run goes on to its end; when the supervisor dies, the robot's own watchdog
brakes the arm, here as in a lab.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hil.cell import Cell
from hil.job import CELL_NAME, LOG_NAME, OUTCOME_NAME, REPORT_NAME, Job, Outcome
from hil.mocks import ControlError, MockProcess, mock_config
from hil.report import Summary, VerdictRow, summarise, verdict_rows, write_report
from hil.telemetry.log import LogError, read_log

TRUTH_NAME = "truth.npz"
"""What the mock's physics knows and no sensor tells: for scoring observers."""

WATCH_MS = 200
"""Pause between two looks at the mock of an operated cell."""


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
    said: str
    """What the supervisor's process wrote to standard error."""

    @property
    def ok(self) -> bool:
        """Finished, recorded, and nothing in the verdict failed."""
        return self.outcome is not None and self.outcome.finished and all(r.ok is not False for r in self.verdict)


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
    faults: Sequence[dict[str, Any]] = (),
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> Run:
    """Run ``motions`` of a mocked ``cell`` and return when everything has ended.

    ``paced``: tie the lockstep to real time; otherwise it runs as fast as the machine allows. ``faults``: on top of
    the cell's own, in ticks of the mock. ``progress`` is called with what the supervisor says about ten times a
    second of its own time. Raises ConnectError, OSError where nothing could be started.
    """
    folder = run_folder(base)
    (folder / CELL_NAME).write_text(cell.dump(), encoding="utf-8")
    config = mock_config(cell, seed=seed, paced=paced)
    mock = MockProcess(config)
    try:
        if faults:
            mock.control.faults_add(faults)
        job = Job(str(cell.path), tuple(motions), str(folder), str(mock.control_dir), seed)
        said = _follow(job, folder, progress)
        state = _last_word(mock, folder)
    finally:
        mock.close()
    outcome = Outcome.read(folder / OUTCOME_NAME)
    verdict, report = _report(cell, folder, outcome)
    return Run(folder, outcome, state, verdict, report, said)


def operate(
    cell: Cell,
    base: Path,
    *,
    seed: int | None = None,
    paced: bool = True,
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
    mock = MockProcess(mock_config(cell, seed=seed, paced=paced))

    def watch() -> None:
        if mock.process.poll() is not None:
            mock.restart()

    try:
        if faults:
            mock.control.faults_add(faults)
        job = Job(
            str(cell.path),
            (),
            str(folder),
            str(mock.control_dir),
            seed,
            operated=True,
            recording=recording,
            parent=os.getpid(),
        )
        said = _follow(job, folder, progress, watch)
        state = _last_word(mock, folder)
    finally:
        mock.close()
    outcome = Outcome.read(folder / OUTCOME_NAME)
    return Run(folder, outcome, state, [_outcome_row(outcome)], None, said)


def _follow(
    job: Job,
    folder: Path,
    progress: Callable[[dict[str, Any]], None] | None,
    watch: Callable[[], None] | None = None,
) -> str:
    """Start the supervisor's process and pass on what it says until it ends; its last words on standard error.

    ``watch`` is called a few times a second meanwhile.
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
    )
    assert worker.stdout is not None
    assert worker.stderr is not None
    said = bytearray()
    pending = bytearray()
    poll = select.poll()
    open_fds = {worker.stdout.fileno(): pending, worker.stderr.fileno(): said}
    for fd in open_fds:
        poll.register(fd, select.POLLIN)
    try:
        while open_fds:
            ready = poll.poll(None if watch is None else WATCH_MS)
            if watch is not None:
                watch()
            for fd, _ in ready:
                data = os.read(fd, 65536)
                if not data:
                    poll.unregister(fd)
                    del open_fds[fd]
                    continue
                open_fds[fd].extend(data)
            *lines, rest = pending.split(b"\n")
            pending[:] = rest
            if progress is not None:
                for line in lines:
                    progress(json.loads(line))
    except KeyboardInterrupt:
        # The person at the terminal wants the arm to stop; the supervisor does it in order.
        worker.terminate()
        _, rest_said = worker.communicate()
        said.extend(rest_said)
    worker.wait()
    worker.stdout.close()
    worker.stderr.close()
    return said.decode(errors="replace").strip()


def _last_word(mock: MockProcess, folder: Path) -> dict[str, Any]:
    """Let the world run until the arm stands, keep its truth, and hear how things ended."""
    try:
        mock.control.run_out()
        mock.control.truth_save(folder / TRUTH_NAME)
        return {**mock.control.state(), **mock.control.truth()}
    except ControlError:
        return {}


def _report(cell: Cell, folder: Path, outcome: Outcome | None) -> tuple[list[VerdictRow], Path | None]:
    rows = [_outcome_row(outcome)]
    try:
        log = read_log(folder / LOG_NAME)
    except LogError as error:
        return [*rows, VerdictRow("log", str(error), "readable", False)], None
    summary: Summary = summarise(log)
    rows += verdict_rows(summary)
    where = "on mocks" if cell.mocks else ""
    title = f"{cell.name} {where}".strip()
    return rows, write_report(log, folder / REPORT_NAME, title=title, verdict=rows, summary=summary)


def _outcome_row(outcome: Outcome | None) -> VerdictRow:
    if outcome is None:
        return VerdictRow("run", "the supervisor's process died", "finished", False)
    value = "finished" if outcome.finished else "; ".join(outcome.faults) or f"ended while {outcome.state}"
    return VerdictRow("run", value, "finished", outcome.finished)



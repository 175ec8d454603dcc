"""The driving process of the benchmark: the supervisor of a run, with an eye on the clock.

``python -m hil.bench.drive --control DIR --cycles N --out FILE.npz [--recorder] [--stages] [--realtime]``

It ends with 0 when all cycles were measured, and with 1, saying why on standard error, when they were not. By the wall
clock a robot may end the session of a client that was too slow: then what was measured until then counts, with the
reason.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Small matrices are faster on one thread; it must be set before numpy is loaded.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

from drivers.errors import DriverError  # noqa: E402
from hil.bench.clock import CpuTimes  # noqa: E402
from hil.bench.stages import StageClock  # noqa: E402
from hil.build import build_parts  # noqa: E402
from hil.cell import Cell, load_cell  # noqa: E402
from hil.cell.motions import Polish  # noqa: E402
from hil.cycle import CycleView, Decision, RowWriter  # noqa: E402
from hil.job import LOG_NAME  # noqa: E402
from hil.mocks import MockLink, overlay_starter, point_at  # noqa: E402
from hil.motion import Motion  # noqa: E402
from hil.procedure import Procedure, RunResult, check_and_tare, connect, enable, follow, stop  # noqa: E402
from hil.realtime import Placement, describe  # noqa: E402
from hil.realtime.collector import collector_off  # noqa: E402
from hil.recording import TelemetryWriter  # noqa: E402
from hil.supervisor import Supervisor  # noqa: E402
from hil.telemetry.launch import start_recorder, write_meta  # noqa: E402
from hil.telemetry.publisher import Publisher  # noqa: E402

CELL = "iiwa14_polish"
RECORDER_TIMEOUT = 20.0


class Stopwatch:
    """A :class:`hil.cycle.RowWriter` that keeps the durations of ``cycles`` cycles and hands every row on."""

    def __init__(self, inner: RowWriter, cycles: int, clock: StageClock | None) -> None:
        self._inner = inner
        self._clock = clock
        self.measuring = False
        self.used = 0
        """Cycles measured so far."""
        self.answer_ns = np.zeros(cycles, dtype=np.int64)
        """Awake to command sent."""
        self.cycle_ns = np.zeros(cycles, dtype=np.int64)
        """Awake to telemetry sent."""
        self.late_ns = np.zeros(cycles, dtype=np.int64)
        """Packet in the kernel to awake."""
        self.skipped = self.most = 0
        """Ticks of the robot without a cycle of ours, and most in a row, since the measurement began."""
        self._skipped_before = 0

    def watch_motion(self, motion: Motion) -> None:
        """Count the reference to the controller's stage."""
        if self._clock is not None:
            self._clock.watch("controller", motion, "at")

    def begin(self, tick: int, t_ns: int) -> None:
        self._inner.begin(tick, t_ns)

    def write(self, cycle: CycleView, decision: Decision, woke: int, read_ns: int, write_ns: int) -> None:
        begin = time.perf_counter_ns()
        self._inner.write(cycle, decision, woke, read_ns, write_ns)
        end = time.perf_counter_ns()
        skipped, self._skipped_before = cycle.skips.skipped - self._skipped_before, cycle.skips.skipped
        if self.measuring:
            self.skipped += skipped
            self.most = max(self.most, skipped)
        if self.measuring and decision.sent and self.used < len(self.answer_ns):
            self.late_ns[self.used] = cycle.late_ns
            self.answer_ns[self.used] = read_ns + write_ns
            self.cycle_ns[self.used] = read_ns + write_ns + end - begin
            self.used += 1
            if self._clock is not None:
                self._clock.close(read=read_ns, telemetry=end - begin, total=read_ns + write_ns + end - begin)
        elif self._clock is not None:
            self._clock.discard()

    def event(self, kind: str, text: str, **data: Any) -> None:
        self._inner.event(kind, text, **data)


def measure(control_dir: str, cycles: int, out: Path, *, recorder: bool, stages: bool, realtime: bool) -> None:
    """Drive the mock cell through ``cycles`` cycles of polishing and write ``out``. Raises DriverError, OSError."""
    cell = load_cell(CELL)
    link = MockLink(control_dir, realtime=realtime)
    control = link.control
    hello = control.hello()
    parts = build_parts(cell, link.ticks, overlay_starter(control, cell), hello["ft_path"], stamps=True)
    placement = Placement(cell.realtime) if realtime else None
    if placement is not None:
        placement.enter(link.pid)
    with (
        tempfile.TemporaryDirectory(prefix="hil-bench-") as folder,
        _publisher(Path(folder), recorder, lockstep=not realtime) as made,
        collector_off(),
    ):
        publisher, recorder_pid = made
        if placement is not None and recorder:
            placement.place_recorder(recorder_pid)
        clock = StageClock(parts, cycles) if stages else None
        watch = Stopwatch(TelemetryWriter(publisher), cycles, clock)
        supervisor = Supervisor(parts, watch)
        pids = {"supervisor": os.getpid(), "mock": int(hello["pid"])} | (
            {"recorder": recorder_pid} if recorder_pid > 0 else {}
        )
        cpu = CpuTimes(pids)
        used: dict[str, float] = {}
        try:
            assert parts.sensor is not None
            parts.sensor.open()
            parts.arm.open()
            point_at(control, parts.arm)
            follow(supervisor, _procedure(supervisor, cell, watch, cpu, used))
        finally:
            parts.arm.off()
            parts.arm.close()
            if parts.sensor is not None:
                parts.sensor.close()
    ended = ""
    if watch.used < cycles:
        first = supervisor.machine.first
        if not realtime or not used:
            why = "the run ended early" if first is None else first.explain()
            raise DriverError(f"only {watch.used} of {cycles} cycles were measured: {why}")
        ended = "; ".join(fault.headline() for fault in supervisor.machine.faults) or "the run ended early"
    np.savez(
        out,
        allow_pickle=False,
        answer_ns=watch.answer_ns[: watch.used],
        cycle_ns=watch.cycle_ns[: watch.used],
        late_ns=watch.late_ns[: watch.used],
        skipped=np.array((watch.skipped, watch.most)),
        granted=np.array("" if placement is None else describe(placement.grants)),
        ended=np.array(ended),
        **{f"cpu_{name}": np.array(value) for name, value in used.items()},
        **({} if clock is None else {f"stage_{name}": values for name, values in clock.durations().items()}),
    )


def _procedure(
    supervisor: Supervisor, cell: Cell, watch: Stopwatch, cpu: CpuTimes, used: dict[str, float]
) -> Procedure:
    motion = _long_polish(cell, len(watch.answer_ns))
    watch.watch_motion(motion)
    yield from connect(supervisor)
    yield from check_and_tare(supervisor, cell, RunResult())
    yield from enable(supervisor, cell)
    supervisor.start(motion)
    watch.measuring = True
    cpu.begin()
    begin = time.perf_counter()
    try:
        while watch.used < len(watch.answer_ns):
            yield
    finally:  # a fault closes the procedure
        used["wall"] = time.perf_counter() - begin
        if watch.used:
            used.update(cpu.end())
        watch.measuring = False
    yield from stop(supervisor)


def _long_polish(cell: Cell, cycles: int) -> Motion:
    """The cell's polishing motion with so many laps that it outlasts ``cycles``."""
    section = next(motion for motion in cell.motions.values() if isinstance(motion, Polish))
    lap = 4.0 * section.side / section.speed
    laps = 1 + int(cycles * cell.iiwa.fri.send_period_ms * 1e-3 / lap)
    return section.model_copy(update={"laps": laps}).build("polish", cell)


@contextmanager
def _publisher(folder: Path, recorder: bool, lockstep: bool) -> Iterator[tuple[Publisher, int]]:
    """A publisher with a recorder that writes into ``folder``, or with nobody who listens, and the recorder's pid."""
    publisher = Publisher(f"ipc://{folder}/telemetry", 7, lockstep=lockstep)
    process = None
    try:
        if recorder:
            meta = folder / "meta.json"
            write_meta(meta, n=7, lockstep=lockstep, metadata={"run": {"cell": CELL}})
            process = start_recorder(publisher.endpoint, folder / LOG_NAME, meta)
            if not publisher.wait_for_recorder(RECORDER_TIMEOUT):
                raise DriverError(f"the recorder did not start within {RECORDER_TIMEOUT:.0f} s")
        yield publisher, -1 if process is None else process.pid
    finally:
        publisher.close()
        if process is not None:
            process.wait(RECORDER_TIMEOUT)


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m hil.bench.drive", description="Measure the cycle on a mock cell.")
    parser.add_argument("--control", required=True, help="control directory of the mock cell")
    parser.add_argument("--cycles", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="figures as .npz")
    parser.add_argument("--recorder", action="store_true", help="record the run")
    parser.add_argument("--stages", action="store_true", help="measure each stage of the cycle as well")
    parser.add_argument("--realtime", action="store_true", help="the mock cell keeps the wall clock's time")
    given = parser.parse_args(arguments)
    try:
        measure(
            given.control,
            given.cycles,
            given.out,
            recorder=given.recorder,
            stages=given.stages,
            realtime=given.realtime,
        )
    except (DriverError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

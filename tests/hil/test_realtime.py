"""Runs by the wall clock: privileges asked for, and refused in words; ticks skipped and counted; what a log says."""

from __future__ import annotations

import errno
import gc
import os
import resource
import struct
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from operating import Operating
from running import MS, Running, shipped, short_cell
from synthetic_run import write_run
from typer.testing import CliRunner

from drivers.contract import ArmState, RobotSample
from hil.cell import CellError, load_cell
from hil.cell.realtime import Cpus, RealTime
from hil.cli import app
from hil.operation.messages import Status
from hil.realtime import Placement, RealTimeRefused, TickCount, all_granted, describe
from hil.realtime.collector import collector_off
from hil.recording import TelemetryWriter, UndisturbedWriter
from hil.report import summarise, verdict_rows
from hil.telemetry.log import read_log
from hil.telemetry.row import row_layout
from hil.timing import TimedTicks

MOCK, RECORDER = 4711, 4712


class FakeSystem:
    """A Linux that notes what is asked and refuses what it is told to."""

    def __init__(self, *refused: str, limit: int = 0) -> None:
        self.refused = refused
        self.asked: list[tuple[str, int, object]] = []
        self._limit = limit

    def _ask(self, what: str, pid: int, how: object, number: int = errno.EPERM) -> None:
        if what in self.refused:
            raise OSError(number, os.strerror(number))
        self.asked.append((what, pid, how))

    def cpus(self, pid: int) -> set[int]:
        return {0, 1, 2, 3}

    def pin(self, pid: int, cpus: Collection[int]) -> None:
        if not set(cpus) <= self.cpus(pid):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._ask("pin", pid, tuple(cpus))

    def set_fifo(self, pid: int, priority: int) -> None:
        self._ask("fifo", pid, priority)

    def lock_memory(self) -> None:
        self._ask("lock", 0, None, errno.ENOMEM)

    def limit(self, which: int) -> int:
        assert which in (resource.RLIMIT_RTPRIO, resource.RLIMIT_MEMLOCK)
        return self._limit


CPUS = Cpus(supervisor=(3,), recorder=(0, 1), mock=(2,))


def test_everything_is_asked_for_and_the_priority_comes_last() -> None:
    """What is begun before the priority is set must not hold other processes up; the mock stands above us."""
    system = FakeSystem()
    placement = Placement(RealTime(priority=70, cpus=CPUS), system)
    placement.enter(MOCK)
    placement.place_recorder(RECORDER)
    assert system.asked == [
        ("pin", 0, (0, 1)),  # tried for the recorder, and taken back
        ("pin", 0, (0, 1, 2, 3)),
        ("pin", 0, (3,)),
        ("lock", 0, None),
        ("pin", MOCK, (2,)),
        ("fifo", MOCK, 71),
        ("fifo", 0, 70),
        ("pin", RECORDER, (0, 1)),
    ]
    assert all_granted(placement.grants)
    assert describe(placement.grants).endswith("SCHED_FIFO 71 for the mock, SCHED_FIFO 70 for the supervisor")


def test_what_is_off_is_not_asked_for() -> None:
    system = FakeSystem()
    placement = Placement(RealTime(priority="off", lock_memory=False), system)
    placement.enter(MOCK)
    placement.place_recorder(RECORDER)
    assert system.asked == [("pin", RECORDER, (0, 1, 2, 3))]
    assert describe(placement.grants) == "nothing asked of the system"


def test_what_is_refused_is_said_with_its_mend_and_the_run_goes_on() -> None:
    placement = Placement(RealTime(cpus=Cpus(supervisor=(9,))), FakeSystem("fifo", "lock", limit=8 << 20))
    placement.enter()
    cpu, memory, fifo = placement.grants
    assert not any(grant.granted for grant in placement.grants)
    assert str(cpu) == (
        "CPU 9 for the supervisor was refused: invalid argument; name CPUs that are there and allowed (0, 1, 2, 3) in "
        "realtime.cpus"
    )
    assert "memory locked was refused: more than the limit; `ulimit -l` is 8192:" in str(memory)
    assert "SCHED_FIFO 80 for the supervisor was refused: not permitted; `ulimit -r` is 8388608:" in str(fifo)
    for mend in (memory.mend, fifo.mend):
        assert "- rtprio 99" in mend
        assert "- memlock unlimited" in mend
        assert "/etc/security/limits.d/99-realtime.conf" in mend
        assert "sudo setcap cap_sys_nice,cap_ipc_lock+ep /" in mend
    assert describe(placement.grants).startswith("no privileges; refused: CPU 9")


def test_required_means_that_nothing_is_started() -> None:
    with pytest.raises(RealTimeRefused, match=r"required: true.*nothing was started.*SCHED_FIFO 80.*ulimit -r"):
        Placement(RealTime(required=True), FakeSystem("fifo")).enter()
    Placement(RealTime(required=True), FakeSystem()).enter()


def test_a_recorder_that_has_just_died_is_somebody_elses_business() -> None:
    Placement(RealTime(), FakeSystem("pin")).place_recorder(RECORDER)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{priority: 99}", "98"),
        ("{priority: on}", "off"),
        ("{cpus: {supervisor: [1, 1]}}", "each CPU once"),
        ("{cpus: {supervisor: [-1]}}", "0"),
    ],
)
def test_a_section_that_makes_no_sense(tmp_path: Path, section: str, said: str) -> None:
    path = tmp_path / "cell.yaml"
    text = shipped().dump()
    begin = text.index("realtime:")
    end = text.index("motions:")
    path.write_text(text[:begin] + f"realtime: {section}\n" + text[end:])
    with pytest.raises(CellError) as error:
        load_cell(path)
    assert "realtime" in str(error.value)
    assert said in str(error.value)


def test_off_survives_the_dump_of_a_cell(tmp_path: Path) -> None:
    path = tmp_path / "cell.yaml"
    path.write_text(shipped().dump().replace("priority: 80", "priority: off"))
    cell = load_cell(path)
    assert cell.realtime.priority == "off"
    path.write_text(cell.dump())
    assert load_cell(path).digest() == cell.digest()


# Ticks


def sample(seq: int, t_ms: float, fresh: bool = True, state: ArmState = ArmState.COMMANDED) -> RobotSample:
    nan = np.full(7, np.nan)
    return RobotSample(round(t_ms * MS), seq, True, fresh, 0, 1e-3, *(nan,) * 9, state)


@pytest.mark.parametrize(
    ("after", "skipped"),
    [
        ((11, 101.0), 0),
        ((11, 101.7), 0),  # late by a part of a period
        ((14, 104.2), 3),  # three packets were superseded by a newer one before we woke
        ((14, 101.0), 3),  # lost on the wire, or read in a heap after a pause
        ((11, 103.1), 2),  # the robot itself was late: no packet is missing, two ticks are
        ((13, 106.0), 5),  # both: the larger counts
        ((3, 101.0), 0),  # a new session counts anew
        ((900, 1200.0), 0),  # after a second of silence it is another session
    ],
)
def test_ticks_between_two_samples(after: tuple[int, float], skipped: int) -> None:
    count = TickCount(1e-3)
    assert count.take(sample(10, 100.0)) == 0
    assert count.take(sample(10, 100.5, fresh=False)) == 0
    assert count.take(sample(*after)) == skipped
    assert (count.skipped, count.most) == (skipped, skipped)


def test_ticks_of_several_packets() -> None:
    count = TickCount(4e-3, frames_per_tick=2)
    for seq, t_ms in ((10, 0.0), (12, 4.0), (14, 8.1), (18, 16.0), (20, 20.0)):
        count.take(sample(seq, t_ms))
    assert (count.skipped, count.most) == (1, 1)


def test_a_link_that_was_lost_is_no_row_of_ticks() -> None:
    count = TickCount(1e-3)
    count.take(sample(10, 0.0))
    count.take(sample(10, 300.0, fresh=False, state=ArmState.DISCONNECTED))
    count.take(sample(400, 400.0))
    assert count.skipped == 0


def test_a_late_wake_up_acts_on_the_newest_packet_only(start: type[Running]) -> None:
    """Two packets lie there when the supervisor wakes: one answer leaves, to the newer, and one tick is counted."""
    running = start()
    running.hold(20)
    quality = running.mock.controller.quality
    before, sent, skipped = quality.answered, running.parts.arm.health().unanswered, running.supervisor.skips.skipped
    running.mock.cycle()  # the supervisor was late: this packet lies in the socket when it begins to wait
    running.steps(1)
    assert running.supervisor.sample is not None
    assert running.supervisor.sample.seq == running.mock.controller._seq
    assert running.supervisor.skips.skipped == skipped + 1
    assert running.parts.arm.health().unanswered == sent + 1
    running.steps(1)
    assert quality.answered == before + 2  # the one of the last good tick, and one for the two packets
    assert running.supervisor.commanded


def test_skipped_ticks_stand_in_row_status_and_verdict(tmp_path: Path) -> None:
    operating = Operating(short_cell(tmp_path))
    rows: list[int] = []

    class Sink:
        def __init__(self) -> None:
            layout = row_layout(7)
            row = np.frombuffer(bytearray(layout.blank), dtype=layout.dtype)[0:1]
            self.slots = {name: row[name][0, ...] for name in layout.dtype.names or ()}

        def clear(self) -> None: ...

        def publish(self) -> None:
            rows.append(int(self.slots["skipped"]))

        def event(self, kind: str, text: str, **data: object) -> None: ...

        def phase(self, name: str) -> int:
            return 0

    try:
        operating.supervisor._writer = UndisturbedWriter(TelemetryWriter(Sink()))
        operating.go(50)
        operating.inject("drop", "iiwa", ticks=3)
        operating.go(20)
        status = operating.operated.status(0)
        assert status["skipped"] == rows[-1] == 3
        assert status["skipped_in_a_row"] == 3
        assert status["realtime"] is None
        assert operating.ask(Status()).data["skipped"] == 3
    finally:
        operating.close()


# What a log says


def _log(path: Path, realtime: bool | None, grants: str = "[]", skipped: int = 0) -> dict[str, tuple[str, str]]:
    write_run(path, 1000)
    log = read_log(path)
    log.cycle["skipped"][500:] = skipped
    log.timing["wall_late_ns"][:] = 40_000
    metadata = {**log.metadata, "realtime": {"grants": grants}}
    if realtime is not None:
        metadata["run"] = {**metadata["run"], "realtime": str(realtime).lower(), "paced": "true"}
    return {row.name: (row.mark, row.value) for row in verdict_rows(summarise(replace(log, metadata=metadata)))}


def test_the_verdict_says_which_clock_a_run_kept(tmp_path: Path) -> None:
    old = _log(tmp_path / "old.mcap", None)
    assert "real time" not in old
    assert "ticks skipped" not in old
    lockstep = _log(tmp_path / "lockstep.mcap", False)
    assert lockstep["real time"] == ("·", "no: lockstep, tied to real time")
    assert "ticks skipped" not in lockstep
    grants = (
        '[{"what": "memory locked", "granted": true}, {"what": "SCHED_FIFO 80 for the supervisor", "granted": false}]'
    )
    wall = _log(tmp_path / "wall.mcap", True, grants, skipped=4)
    assert wall["real time"] == ("!", "yes: memory locked; refused: SCHED_FIFO 80 for the supervisor")
    assert wall["ticks skipped"] == ("!", "4 of 1004, at most 4 in a row")
    assert wall["packet to wake-up"][1] == "p50 40, p99.9 40, max 40 µs"
    assert _log(tmp_path / "good.mcap", True)["ticks skipped"] == ("✓", "0 of 1000")


# Small parts


def test_how_long_a_packet_lay_in_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ready:
        def now_ns(self) -> int:
            return 5

        def wait(self, fd: int, timeout_ns: int) -> bool:
            return fd == 3

    def stamp(fd: int, request: int, into: bytearray, mutate: bool) -> int:
        assert fd == 3
        struct.pack_into("@ll", into, 0, 1_700_000_000, 250_000)
        return 0

    monkeypatch.setattr("hil.timing.time.time_ns", lambda: 1_700_000_000_000_300_000)
    monkeypatch.setattr("hil.timing.fcntl.ioctl", stamp)
    ticks = TimedTicks(Ready(), stamps=True)
    assert ticks.late_ns() == 0  # nothing was waited for yet
    assert ticks.wait(3, 0)
    assert ticks.late_ns() == 50_000
    assert not ticks.wait(4, 0)
    assert ticks.late_ns() == 0
    without = TimedTicks(Ready())
    without.wait(3, 0)
    assert without.late_ns() == 0


def test_stamps_of_real_packets(start: type[Running]) -> None:
    """The kernel's own stamps, in lockstep: every packet has one, and it lies before the waking."""
    running = start()
    running.parts.ticks._stamps = True
    running.ready()
    running.steps(5)
    late = []
    for _ in range(20):
        running.steps(1)
        late.append(running.supervisor.late_ns)
    assert all(ns > 0 for ns in late)
    assert max(late) < 10_000_000_000


def test_the_collector_is_off_and_on_again() -> None:
    assert gc.isenabled()
    with collector_off():
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 0
    assert gc.isenabled()
    gc.unfreeze()


def test_fast_and_realtime_exclude_each_other() -> None:
    for arguments in (["demo"], ["run", "iiwa7_bench"]):
        result = CliRunner().invoke(app, [*arguments, "--fast", "--realtime"])
        assert result.exit_code == 2
        assert "exclude each other" in result.stderr

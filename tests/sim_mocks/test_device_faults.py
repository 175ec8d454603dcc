"""Faults of devices, clocks and processes on a whole mock cell."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from drivers.fri.codec import Monitoring, codec_for
from drivers.fri.wire import SessionState
from drivers.ft.bota import bota_framer, frame_time_us, unpack_frame
from sim_mocks.faults import Fault
from sim_mocks.ft import BotaConfig
from sim_mocks.host import MockCell
from sim_mocks.operations import LocalControl
from tests.sim_mocks.cells import mock_config
from tests.sim_mocks.raw_fri import RawClient

Make = Callable[..., MockCell]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[MockCell] = []

    def build(*faults: Fault) -> MockCell:
        made.append(MockCell(mock_config(ft=True, faults=faults)))
        return made[-1]

    yield build
    for cell in made:
        cell.close()


def frames_of(cell: MockCell, ticks: int) -> list[tuple[int, bytes]]:
    """(tick, frame) of the sensor at 800 Hz."""
    assert cell.ft is not None
    assert cell.pty is not None
    written: list[bytes] = []
    cell.pty.write = written.append  # type: ignore[method-assign]
    cell.ft.config = BotaConfig(sinc=64)
    framer, found = bota_framer(), []
    for tick in range(ticks):
        cell.tick()
        found += [(tick, frame) for data in written for frame in framer.feed(data)]
        written.clear()
    return found


def packets_of(cell: MockCell, ticks: int) -> list[Monitoring]:
    """What the robot says to a client that answers everything."""
    codec, found = codec_for("1.15"), []
    with contextlib.closing(RawClient()) as client:
        cell.fri_peer(*client.address)
        for seq in range(ticks):
            cell.tick()
            with contextlib.suppress(BlockingIOError):
                found.append(codec.decode_monitoring(client.socket.recv(2000)))
                client.socket.sendto(codec.encode_command(seq, found[-1].seq), cell.fri_address)
    return found


@pytest.mark.parametrize(("error", "count"), [(0.0, 800), (0.1, 840), (-0.1, 760)])
def test_a_rate_error_changes_how_many_frames_come_not_what_they_say(make: Make, error: float, count: int) -> None:
    faults = [Fault("rate_error", "ft", 500, 500, value=error)] if error else []
    frames = frames_of(make(*faults), 1000)
    assert abs(len(frames) - count) <= 1
    steps = np.diff([frame_time_us(frame) for _, frame in frames])
    assert set(steps.tolist()) == {1250}


def test_a_clock_jump_shows_in_the_stamps_and_goes(make: Make) -> None:
    frames = frames_of(make(Fault("clock_jump", "ft", 100, 50, value=-0.05)), 200)
    steps = np.diff([frame_time_us(frame) for _, frame in frames])
    assert sorted(set(steps.tolist())) == [1250 - 50_000, 1250, 1250 + 50_000]


def test_quality_loss_flags_frames(make: Make) -> None:
    frames = frames_of(make(Fault("quality_loss", "ft", 100, 50)), 200)
    flagged = [tick for tick, frame in frames if unpack_frame(frame).status & 4]
    assert len(flagged) == pytest.approx(40, abs=1)
    assert min(flagged) >= 100
    assert max(flagged) < 150


def test_session_close_ends_the_frames(make: Make) -> None:
    frames = frames_of(make(Fault("session_close", "ft", 100)), 200)
    assert 95 < frames[-1][0] <= 100


def test_the_robots_clock(make: Make) -> None:
    cell = make(Fault("clock_jump", "iiwa", 5, 3, value=2.0), Fault("rate_error", "iiwa", 20, 1000, value=0.01))
    stamps = [p.t_device_ns for p in packets_of(cell, 60)]
    steps = np.diff(stamps)
    assert steps[4] == 1_000_000 + 2 * 10**9
    assert steps[7] == 1_000_000 - 2 * 10**9
    assert set(steps[25:].tolist()) == {1_010_000}


def test_quality_loss_of_the_robot_goes(make: Make) -> None:
    quality = [p.quality for p in packets_of(make(Fault("quality_loss", "iiwa", 150, 20, value=1)), 200)]
    assert set(quality[151:169]) == {1}
    assert min(quality[140], quality[175]) >= 2


@pytest.mark.parametrize(
    ("fault", "field", "during", "after"),
    [
        (Fault("safety_stop", "iiwa", 20, 30, value=3), "safety_state", 3, 0),
        (Fault("mode_change", "iiwa", 20, 30, value=1), "operation_mode", 1, 2),
    ],
)
def test_the_robot_says_so(make: Make, fault: Fault, field: str, during: int, after: int) -> None:
    seen = [getattr(p, field) for p in packets_of(make(fault), 80)]
    assert (seen[10], seen[30], seen[60]) == (after, during, after)


def test_a_session_that_is_closed_says_idle_once_and_is_silent(make: Make) -> None:
    packets = packets_of(make(Fault("session_close", "iiwa", 20)), 80)
    assert [p.session_state for p in packets][-1] == SessionState.IDLE
    assert len(packets) == 21


def test_the_same_device_faults_through_the_control_plane(make: Make) -> None:
    cell = make()
    control = LocalControl(cell)
    control.faults_add([{"kind": "swap", "device": "iiwa", "at_tick": 3, "field": "q", "joint": 1, "other": 3}])
    cell.fri_peer("127.0.0.1", 9)
    for _ in range(6):
        cell.tick()
    assert [tick for tick, _, _ in control.faults_list()["log"]] == [3]


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def test_a_process_is_suspended_and_resumed(make: Make) -> None:
    """The one test of these that needs the wall clock: it polls the kernel, with a generous deadline."""
    cell = make(Fault("suspend", "recorder", 2, value=0.2), Fault("suspend", "nobody", 2))
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        cell.register("recorder", child.pid)
        for _ in range(4):
            cell.tick()
        deadline = time.monotonic() + 10.0
        while state_of(child.pid) == "T" and time.monotonic() < deadline:
            pass
        assert state_of(child.pid) != "T"
        assert [entry.what for entry in cell.faults.log] == ["suspended recorder", "suspended nobody"]
        assert len(cell.problems) == 1
        assert "nobody" in cell.problems[0]
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert child.stdin is not None
        child.stdin.close()

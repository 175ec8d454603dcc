"""The two drivers of docs/writing-a-driver.md, executed as they stand there against devices played here."""

from __future__ import annotations

import os
import pty
import re
import socket
import struct
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.contract import (
    ArmState,
    PassedCommand,
    RobotArm,
    RobotSample,
    TorqueCommand,
    WrenchSensor,
)
from drivers.errors import ConnectError, RefusedError
from safety.faults import FaultCode
from safety.gate import CommandGate, Refusal
from safety.limits import JointLimits

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-driver.md"
MS = 1_000_000


@pytest.fixture(scope="module")
def examples() -> dict[str, Any]:
    """The names that the page's code blocks define."""
    names: dict[str, Any] = {"__name__": "example"}
    for i, block in enumerate(re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)):
        exec(compile(block, f"{PAGE.name}, block {i + 1}", "exec"), names)
    return names


class Played:
    """Ticks in which the device acts whenever the driver waits."""

    def __init__(self, period_ns: int = 2 * MS) -> None:
        self.t_ns = 0
        self.period_ns = period_ns
        self.act: Callable[[], None] = lambda: None

    def now_ns(self) -> int:
        return self.t_ns

    def wait(self, fd: int, timeout_ns: int) -> bool:
        self.t_ns += self.period_ns
        self.act()
        return True


class Rig:
    """The two-joint rig on a UDP socket."""

    def __init__(self, ticks: Played, address: tuple[str, int]) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.address = address
        self.seq = 0
        ticks.act = self.tick

    def tick(self) -> None:
        self.seq += 1
        self.send(self.seq)

    def send(self, seq: int, values: tuple[float, ...] = (0.1, -0.2, 0.0, 0.0, 1.0, 2.0)) -> None:
        self.socket.sendto(struct.pack("<I6d", seq, *values), self.address)

    def heard(self) -> tuple[int, float, float] | None:
        try:
            return struct.unpack("<I2d", self.socket.recv(100))
        except BlockingIOError:
            return None


@pytest.fixture
def ticks() -> Played:
    return Played()


@pytest.fixture
def arm(examples: dict[str, Any], ticks: Played) -> Iterator[Any]:
    arm = examples["RigArm"]("127.0.0.1", 0, ticks)
    yield arm
    arm.close()


@pytest.fixture
def rig(arm: Any, ticks: Played) -> Iterator[Rig]:
    arm.open()
    rig = Rig(ticks, arm._socket.getsockname())
    yield rig
    rig.socket.close()


@pytest.fixture
def gate(examples: dict[str, Any], arm: RobotArm) -> CommandGate:
    two, names = np.ones(2), JointLimits.__dataclass_fields__
    limits = JointLimits(
        q_min=-3 * two, q_max=3 * two, qd_max=two, tau_max=20 * two, tau_cmd_max=10 * two, tau_rate_max=1000 * two,
        tau_window_max=5 * two, q_ref_rate_max=two, q_ref_distance_max=0.1 * two, window=0.02, total_margin=0.0,
        source=dict.fromkeys(names, "the rig's manual"),
    )  # fmt: skip
    return CommandGate(limits, arm.traits, np.zeros(2))


def judge(gate: CommandGate, sample: RobotSample, tau: float) -> PassedCommand | Refusal:
    command = TorqueCommand(np.full(2, tau), sample.q.copy())
    return gate.judge(command, sample, np.zeros(2), now_ns=sample.t_ns, permitted=True)


def test_both_have_the_methods_of_the_contract(examples: dict[str, Any]) -> None:
    for protocol, example in ((RobotArm, examples["RigArm"]), (WrenchSensor, examples["BoxSensor"])):
        wanted = {name for name, value in vars(protocol).items() if callable(value) and not name.startswith("_")}
        assert wanted
        assert wanted <= set(dir(example))


def test_before_the_first_frame_nothing_is_known(arm: RobotArm, rig: Rig, ticks: Played) -> None:
    ticks.act = lambda: None
    sample = arm.read()
    assert (sample.seq, sample.valid, sample.fresh, sample.age_ns) == (-1, False, False, -1)
    assert np.isnan([*sample.q, *sample.qd, *sample.tau]).all()
    assert sample.state is ArmState.DISCONNECTED
    with pytest.raises(RefusedError):
        arm.enable()


def test_a_gated_command_reaches_the_rig_with_its_counter(arm: RobotArm, rig: Rig, gate: CommandGate) -> None:
    sample = arm.read()
    assert (sample.seq, sample.valid, sample.fresh, sample.state) == (1, True, True, ArmState.READY)
    np.testing.assert_array_equal(sample.tau, [1.0, 2.0])
    arm.enable()
    sample = arm.read()
    assert sample.state is ArmState.COMMANDED
    assert sample.dt == pytest.approx(0.002)
    passed = judge(gate, sample, 1.5)
    assert isinstance(passed, PassedCommand)
    arm.command(passed)
    assert rig.heard() == (2, 1.5, 1.5)
    sample = arm.read()
    assert (sample.tau_accepted_lo[0], sample.tau_accepted_hi[0]) == (0.0, 1.5)


def test_the_gate_holds_the_rig_to_its_limits(arm: RobotArm, rig: Rig, gate: CommandGate) -> None:
    arm.read()
    arm.enable()
    refused = judge(gate, arm.read(), 15.0)
    assert isinstance(refused, Refusal)
    assert {FaultCode.TORQUE_MAGNITUDE, FaultCode.TORQUE_RATE} <= {fault.code for fault in refused.faults}
    assert rig.heard() is None


def test_a_command_for_another_sample_is_refused(arm: RobotArm, rig: Rig, gate: CommandGate) -> None:
    arm.read()
    arm.enable()
    passed = judge(gate, arm.read(), 1.0)
    assert isinstance(passed, PassedCommand)
    arm.read()
    with pytest.raises(RefusedError, match="newest is 3"):
        arm.command(passed)
    arm.off()
    with pytest.raises(RefusedError, match="not enabled"):
        arm.command(passed)
    assert rig.heard() is None


def test_what_the_wire_does_becomes_counters(arm: RobotArm, rig: Rig, ticks: Played) -> None:
    arm.read()
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def trouble() -> None:
        rig.send(5)
        rig.send(4)
        rig.send(5)
        rig.socket.sendto(b"short", rig.address)
        stranger.sendto(struct.pack("<I6d", 99, *[0.0] * 6), rig.address)

    ticks.act = trouble
    sample = arm.read()
    health = arm.health()
    stranger.close()
    assert sample.seq == 5
    assert (health.frames, health.gaps, health.late) == (2, 3, 2)
    assert health.rejected == {"length": 1, "foreign": 1}


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_an_implausible_frame_is_not_valid(arm: RobotArm, rig: Rig, ticks: Played, value: float) -> None:
    ticks.act = lambda: rig.send(1, (0.0, 0.0, value, 0.0, 0.0, 0.0))
    sample = arm.read()
    assert (sample.fresh, sample.valid, sample.state) == (True, False, ArmState.MONITORING)


def test_silence_ages_the_sample_and_ends_commanding(arm: RobotArm, rig: Rig, ticks: Played) -> None:
    arm.read()
    arm.enable()
    assert arm.read().state is ArmState.COMMANDED
    ticks.act = lambda: None
    ages = [arm.read().age_ns for _ in range(6)]
    assert ages == [2 * MS * k for k in range(1, 7)]
    ticks.act = rig.tick
    assert arm.read().state is ArmState.READY  # never again by itself


def test_a_taken_port_says_so(examples: dict[str, Any], arm: RobotArm, rig: Rig, ticks: Played) -> None:
    with pytest.raises(ConnectError, match="another program"):
        examples["RigArm"](*rig.address, ticks).open()


@pytest.fixture
def box(examples: dict[str, Any], ticks: Played) -> Iterator[tuple[WrenchSensor, int]]:
    """The sensor and the device's end of its line."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    sensor = examples["BoxSensor"](os.ttyname(slave), ticks)
    sensor.open()
    os.close(slave)
    yield sensor, master
    sensor.close()
    os.close(master)


def frame(*wrench: float) -> bytes:
    payload = struct.pack("<6f", *wrench)
    return b"\xa5" + payload + bytes([sum(payload) % 256])


def test_box_reads_the_newest_frame_beside_garbage(box: tuple[WrenchSensor, int]) -> None:
    sensor, line = box
    sample = sensor.poll()
    assert (sample.seq, sample.valid, sample.fresh, sample.age_ns) == (-1, False, False, -1)
    assert np.isnan(sample.wrench).all()
    bad = bytearray(frame(1, 2, 3, 4, 5, 6))
    bad[7] ^= 0x40
    os.write(line, b"\xa5\x00" + frame(1, 2, 3, 0.4, 0.5, 0.6) + bytes(bad) + frame(7, 8, 9, 1, 2, 3)[:10])
    sample = sensor.poll()
    assert (sample.seq, sample.valid, sample.fresh) == (0, True, True)
    np.testing.assert_allclose(sample.wrench, [1, 2, 3, 0.4, 0.5, 0.6], rtol=1e-6)
    os.write(line, frame(7, 8, 9, 1, 2, 3)[10:])
    np.testing.assert_allclose(sensor.poll().wrench, [7, 8, 9, 1, 2, 3])
    assert sensor.health().frames == 2
    assert sensor.health().rejected["sum"] >= 1


@pytest.mark.parametrize("value", [np.nan, np.inf, 600.0])
def test_box_believes_nothing_beyond_its_range(box: tuple[WrenchSensor, int], value: float) -> None:
    sensor, line = box
    os.write(line, frame(value, 0, 0, 0, 0, 0))
    sample = sensor.poll()
    assert (sample.fresh, sample.valid) == (True, False)


def test_box_unplugged_is_told_in_every_sample(examples: dict[str, Any], ticks: Played) -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    sensor = examples["BoxSensor"](os.ttyname(slave), ticks)
    sensor.open()
    os.close(slave)
    os.write(master, frame(1, 2, 3, 0, 0, 0))
    assert sensor.poll().valid
    os.close(master)
    ticks.t_ns += 5 * MS
    for _ in range(2):
        sample = sensor.poll()
        assert (sample.valid, sample.fresh, sample.flags) == (False, False, {"unplugged"})
        assert sample.age_ns == 5 * MS

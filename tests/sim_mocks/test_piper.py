"""The mock PiPER: rates, commands, MIT frames in lockstep; and the arm's own SDK, unmodified, as a client."""

from __future__ import annotations

import itertools
import os
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import can
import numpy as np
import piper_sdk
import pytest
from cobot_cells import Flywheels, cobot_config

from sim_mocks.config import MockConfig
from sim_mocks.errors import MockError
from sim_mocks.host import CooperativeHost, MockCell
from sim_mocks.piper import wire
from sim_mocks.piper.config import PiperMockConfig
from sim_mocks.thread_host import ThreadHost

_NAMES = itertools.count()
START = np.array([0.0, 1.0, -1.0, 0.0, 0.0, 0.0])


class NoGravity:
    """Flywheels weigh nothing."""

    @staticmethod
    def gravity(q: Any) -> Any:
        return np.zeros(6)


def config(**how: Any) -> MockConfig:
    name = f"piper-{os.getpid()}-{next(_NAMES)}"
    piper = PiperMockConfig(**{"transport": "virtual", "channel": name, **how})
    return MockConfig(cobot_config().world, 0, None, None, piper=piper)


def flywheels() -> Flywheels:
    world = Flywheels()
    world.q = START.copy()
    world.braked = (False,) * 6
    return world


class Host:
    """A client that knows nothing but frames."""

    def __init__(self, **how: Any) -> None:
        settings = config(**how)
        assert settings.piper is not None
        self.world = flywheels()
        self.cell = CooperativeHost(settings, self.world, NoGravity())
        self.piper: Any = self.cell.arm.controller  # type: ignore[attr-defined]
        self.bus = can.Bus(interface="virtual", channel=settings.piper.channel)
        self.heard: list[tuple[int, bytes]] = []

    def send(self, can_id: int, *data: int) -> None:
        payload = bytes(data).ljust(8, b"\0")
        self.bus.send(can.Message(arbitration_id=can_id, data=payload, is_extended_id=False))

    def run(self, cycles: int) -> None:
        for _ in range(cycles):
            self.cell.cycle()
            while (message := self.bus.recv(0)) is not None:
                self.heard.append((message.arbitration_id, bytes(message.data)))

    def newest(self, can_id: int) -> bytes:
        return next(data for seen, data in reversed(self.heard) if seen == can_id)

    def enable(self, move: int = 1, mit: int = 0, share: int = 100) -> None:
        self.send(wire.MOTION_2, 1, move, share, mit)
        self.send(wire.ENABLE, 7, 2)
        self.run(6)

    def close(self) -> None:
        self.bus.shutdown()
        self.cell.close()


@pytest.fixture
def make() -> Iterator[Callable[..., Host]]:
    made: list[Host] = []

    def build(**how: Any) -> Host:
        made.append(Host(**how))
        return made[-1]

    yield build
    for host in made:
        host.close()


Make = Callable[..., Host]


def test_feedback_comes_at_3040_frames_a_second(make: Make) -> None:
    host = make()
    host.run(2)
    host.heard.clear()
    host.cell.arm.bus.load = type(host.cell.arm.bus.load)(1_000_000)  # type: ignore[attr-defined]
    host.run(200)  # one second
    count = Counter(can_id for can_id, _ in host.heard)
    assert sum(count.values()) == 3040
    assert {count[can_id] for can_id in (*range(0x2A1, 0x2A6), 0x2A6, 0x2A7, 0x2A8, *range(0x251, 0x257))} == {200}
    assert {count[can_id] for can_id in range(0x261, 0x267)} == {40}
    assert 0.33 < host.cell.arm.report()["bus"][0]["load"] < 0.39


def test_joint_positions_are_millidegrees_big_endian(make: Make) -> None:
    host = make()
    host.run(2)
    assert struct.unpack(">ii", host.newest(0x2A5)) == (0, 57296)
    assert struct.unpack(">ii", host.newest(0x2A6)) == (-57296, 0)


def test_nothing_moves_before_it_is_enabled_and_in_can_mode(make: Make) -> None:
    host = make()
    host.send(0x155, *struct.pack(">ii", 20000, 60000))
    host.send(wire.ENABLE, 7, 2)
    host.run(100)
    assert host.world.q == pytest.approx(START, abs=1e-6)
    assert host.newest(0x261)[5] & 0x40
    host.send(wire.MOTION_2, 1, 1, 50, 0)
    host.send(0x155, *struct.pack(">ii", 20000, 60000))
    host.run(300)
    assert np.degrees(host.world.q[:2]) == pytest.approx([20.0, 60.0], abs=0.5)
    assert host.newest(wire.STATUS)[4] == 0  # target reached
    assert host.newest(wire.STATUS)[:3] == b"\x01\x00\x01"


def test_speed_share_bounds_the_way(make: Make) -> None:
    host = make()
    host.enable(share=10)
    host.send(0x155, *struct.pack(">ii", 90000, 57296))
    host.run(60)  # 0.3 s at 0.3 rad/s
    assert host.world.q[0] < 0.1
    assert host.newest(wire.STATUS)[4] == 1


def test_targets_beyond_a_limit_are_clipped_and_told(make: Make) -> None:
    host = make()
    host.enable()
    host.send(0x155, *struct.pack(">ii", 0, 200_000))
    host.run(300)
    assert host.world.q[1] == pytest.approx(3.14, abs=0.02)
    assert host.newest(wire.STATUS)[6] == 0b10


def mit(p: float = 0.0, v: float = 0.0, kp: float = 0.0, kd: float = 0.0, t: float = 0.0) -> bytes:
    """An MIT frame as the documents give it, rounded to the nearest step."""
    fields = ((p, -12.5, 12.5, 16), (v, -45, 45, 12), (kp, 0, 500, 12), (kd, -5, 5, 12), (t, -8, 8, 8))
    word = 0
    for value, low, high, width in fields:
        word = word << width | round((value - low) / (high - low) * ((1 << width) - 1))
    data = bytearray((word << 4).to_bytes(8, "big"))
    check = 0
    for byte in data[:7]:
        check ^= byte
    data[7] |= check & 0x0F
    return bytes(data)


@pytest.mark.parametrize(("firmware", "factor"), [("1.8-5", 1.0), ("1.8-2", 4.0), ("1.6-3", 4.0)])
def test_mit_torque_acts_with_the_firmware_s_factor(make: Make, firmware: str, factor: float) -> None:
    host = make(firmware=firmware)
    host.enable(move=4, mit=0xAD)
    for joint in range(6):
        host.send(0x15A + joint, *mit(t=2.0))
    host.run(1)
    step = 16 / 255
    assert host.world.tau[:3] == pytest.approx(2.0 * factor, abs=(step + 0.2) * factor)
    assert host.world.tau[3:] == pytest.approx(2.0, abs=step + 0.2)


def test_mit_gains_pull_to_the_position_and_a_wrong_check_is_refused(make: Make) -> None:
    host = make()
    host.enable(move=4, mit=0xAD)
    host.send(0x15A, *mit(p=0.2, kp=50.0, kd=5.0))
    host.run(1)
    assert host.world.tau[0] > 3.0
    before = host.piper.rejected
    wrong = bytearray(mit(p=-3.0, kp=50.0))
    wrong[7] ^= 1
    host.send(0x15A, *wrong)
    host.run(1)
    assert host.piper.rejected == before + 1
    assert host.world.tau[0] > 3.0


def test_an_emergency_stop_holds_and_its_end_drops_the_arm(make: Make) -> None:
    host = make()
    host.enable()
    host.send(0x155, *struct.pack(">ii", 90000, 57296))
    host.run(20)
    host.send(wire.MOTION_1, 1)
    host.run(100)
    assert np.abs(host.world.qd).max() < 0.05
    assert host.newest(wire.STATUS)[1] == 1
    host.world.load = np.array([-5.0, 0, 0, 0, 0, 0])
    host.send(wire.MOTION_1, 2)
    host.run(50)
    assert not any(host.piper.enabled)
    assert host.world.qd[0] < -0.3
    assert not host.newest(0x261)[5] & 0x40


def test_queries_are_answered(make: Make) -> None:
    host = make()
    host.send(wire.QUERY, 3, 1)
    host.send(wire.QUERY, 3, 2)
    host.send(wire.FIRMWARE, 1)
    host.run(2)
    assert struct.unpack(">BhhH", host.newest(wire.LIMITS)[:7]) == (3, 0, -1700, 3000)
    assert struct.unpack(">BH", host.newest(wire.ACCELERATION)[:3]) == (3, 5000)
    text = b"".join(data for can_id, data in host.heard if can_id == wire.FIRMWARE)
    assert b"S-V1.8-5" in text


@pytest.mark.parametrize(
    ("how", "what"),
    [({"firmware": "new"}, "firmware"), ({"transport": "x"}, "transport"), ({"period_ms": 0}, "period")],
)
def test_impossible_arms_are_refused(how: dict[str, Any], what: str) -> None:
    with pytest.raises(MockError, match=what):
        PiperMockConfig(**how)


def eventually(what: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_arm_s_own_sdk_connects_enables_moves_and_disables() -> None:
    settings = config()
    assert settings.piper is not None
    world = flywheels()
    with ThreadHost(MockCell(settings, world, NoGravity())):
        arm = piper_sdk.C_PiperInterface_V2(settings.piper.channel, judge_flag=False, can_auto_init=False)
        arm.CreateCanBus(settings.piper.channel, bustype="virtual", judge_flag=False)
        before = set(threading.enumerate())
        arm.ConnectPort()
        try:
            assert eventually(lambda: arm.GetArmJointMsgs().joint_state.joint_2 == 57296)
            assert eventually(lambda: arm.GetPiperFirmwareVersion() == "S-V1.8-5")
            limits = arm.GetAllMotorAngleLimitMaxSpd().all_motor_angle_limit_max_spd
            assert eventually(lambda: limits.motor[6].max_joint_spd == 3000)
            assert eventually(lambda: arm.EnablePiper())
            assert arm.GetArmEnableStatus() == [True] * 6
            arm.ModeCtrl(0x01, 0x01, 100, 0x00)
            arm.JointCtrl(10_000, 70_000, -50_000, 5_000, -5_000, 15_000)
            wanted = np.array([10.0, 70.0, -50.0, 5.0, -5.0, 15.0])

            def angles() -> np.ndarray[Any, Any]:
                state = arm.GetArmJointMsgs().joint_state
                return np.array([getattr(state, f"joint_{k}") for k in range(1, 7)]) / 1000.0

            assert eventually(lambda: bool(np.abs(angles() - wanted).max() < 0.5))
            assert eventually(lambda: arm.GetArmStatus().arm_status.motion_status == 0)
            assert arm.GetCanFps() > 0
            assert arm.isOk()
            arm.DisableArm(7)
            assert eventually(lambda: arm.GetArmEnableStatus() == [False] * 6)
        finally:
            arm.DisconnectPort()
            for thread in set(threading.enumerate()) - before:
                thread.join(0.2)

"""CiA 402 on the mock drives, in lockstep: states, stops, torque, brakes, watchdogs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cobot_cells import Flywheels, Master, cobot_config

from drivers.cobot.model import CobotJoint
from sim_mocks.cobot.config import default_joints

GRAVITY = np.array([20.0, 30.0, 15.0, 3.0, 2.0, 1.0])
PER_MILLE = np.array([1.5, 1.5, 1.0, 0.35, 0.35, 0.25]) * 0.101
"""Joint torque of one per mille, N·m."""
STATE, MASKS = 0x6F, {"enabled": 0x27, "quick stop": 0x07, "ready": 0x21, "switched on": 0x23}


class Arm(Master):
    """A master on flywheels that sink under a constant load."""

    def __init__(self, profile: str = "ideal", deadline_ms: int = 0, mode: int = 10, **how: Any) -> None:
        self.world = Flywheels()
        super().__init__(cobot_config(profile, **how), self.world)
        self.bring_up(slow=False, deadline_ms=deadline_ms, mode=mode)

    def hold(self, cycles: int, tau: np.ndarray[Any, Any]) -> None:
        """Enabled, with these joint torques, N·m."""
        for _ in range(cycles):
            self.sync([0x0F] * 6, np.rint(tau / PER_MILLE).astype(int).tolist())

    def open_brakes(self, tau: np.ndarray[Any, Any] | None = None) -> None:
        self.enable()
        self.hold(30, np.zeros(6) if tau is None else tau)
        assert not any(self.world.braked)

    def words(self) -> list[int]:
        return [self.feedback[joint][2] for joint in range(6)]

    @property
    def drives(self) -> Any:
        return self.cell.arm.drives  # type: ignore[attr-defined]


@pytest.fixture
def make() -> Iterator[Callable[..., Arm]]:
    made: list[Arm] = []

    def build(*args: Any, **how: Any) -> Arm:
        made.append(Arm(*args, **how))
        return made[-1]

    yield build
    for arm in made:
        arm.close()


Make = Callable[..., Arm]


def test_the_way_to_operation_enabled_and_its_false_turns(make: Make) -> None:
    arm = make()

    def at(word: int) -> int:
        arm.sync([word] * 6)
        arm.sync([word] * 6)
        return arm.words()[0] & STATE

    assert at(0x00) & 0x4F == 0x40
    assert at(0x0F) & 0x4F == 0x40  # no jump from switch on disabled
    assert at(0x07) & 0x4F == 0x40
    assert at(0x06) == 0x21
    assert at(0x07) == 0x23
    assert at(0x06) == 0x21
    assert at(0x0F) == 0x27  # switch on and enable in one
    assert arm.words()[0] & 0x1000  # follows the command
    assert at(0x07) == 0x23
    assert at(0x0F) == 0x27
    assert at(0x00) & 0x4F == 0x40


def test_a_fault_is_reset_by_a_rising_edge_only_and_once(make: Make) -> None:
    arm = make()
    arm.sync([0x80] * 6)  # held from before the fault on
    arm.control.call("drive_fault", drive=1, code=0x4310)
    for _ in range(3):
        arm.sync([0x80] * 6)
    assert arm.words()[0] & 0x4F == 0x08
    arm.sync([0x00] * 6)
    arm.sync([0x80] * 6)
    arm.sync([0x80] * 6)
    assert arm.words()[0] & 0x4F == 0x40
    assert arm.read(0, 0x603F) == 0


def test_torque_acts_from_the_sync_after_the_rpdo(make: Make) -> None:
    arm = make()
    arm.open_brakes()
    arm.sync([0x0F] * 6, [100] * 6)
    assert arm.world.tau == pytest.approx(100 * PER_MILLE)
    assert arm.feedback[0][1] == 0  # sampled at the SYNC that brought the target: what acted before
    arm.sync([0x0F] * 6, [50] * 6)
    assert arm.feedback[0][1] == 100
    assert arm.read(0, 0x6074) == 50


def test_nothing_acts_outside_operation_enabled_or_operational(make: Make) -> None:
    arm = make()
    for word in (0x00, 0x06, 0x07):
        arm.sync([word] * 6, [300] * 6)
        assert not arm.world.tau.any()
    arm.sync([0x0F] * 6, [300] * 6)
    assert arm.world.tau.all()
    arm.send(0x000, b"\x80\x00")
    for _ in range(3):
        arm.sync([0x0F] * 6, [300] * 6)
    assert not arm.world.tau.any()


def test_torque_is_bounded_and_says_so(make: Make) -> None:
    arm = make()
    assert arm.write(0, 0x6072, 0, 500, 2) == 0
    assert arm.write(1, 0x60E0, 0, 200, 2) == 0
    assert arm.write(2, 0x60E1, 0, 300, 2) == 0
    assert arm.write(3, 0x60B2, 0, 40, 2) == 0
    arm.open_brakes()
    arm.sync([0x0F] * 6, [900, 900, -900, 10, 0, 0])
    assert arm.world.tau == pytest.approx(np.array([500, 200, -300, 50, 0, 0]) * PER_MILLE)
    arm.sync([0x0F] * 6, [400, 900, -900, 10, 0, 0])
    assert [bool(word & 0x0800) for word in arm.words()] == [True, True, True, False, False, False]
    arm.sync([0x0F] * 6, [400, 900, -900, 10, 0, 0])
    assert not arm.words()[0] & 0x0800


def test_a_demand_beyond_int16_is_told_as_its_bound(make: Make) -> None:
    arm = make()
    for index, value, size in ((0x6072, 0xFFFF, 2), (0x60E0, 0xFFFF, 2), (0x60B2, 30000, 2)):
        assert arm.write(0, index, 0, value, size) == 0
    arm.enable()
    arm.sync([0x0F] * 6, [30000, 0, 0, 0, 0, 0])
    assert arm.world.tau[0] == pytest.approx(60000 * PER_MILLE[0])
    assert arm.read(0, 0x6074) == 32767


def test_profile_torque_ramps_and_reports_the_target(make: Make) -> None:
    arm = make(mode=4)
    for joint in range(6):
        assert arm.write(joint, 0x6087, 0, 5000, 4) == 0  # per mille a second
    arm.open_brakes()
    rise = []
    for _ in range(15):
        arm.sync([0x0F] * 6, [100] * 6)
        rise.append(arm.drives[0].node.dictionary.number(0x6074))
    assert rise[:3] == [10, 20, 30]  # two ticks a period
    assert rise[-1] == 100
    assert arm.words()[0] & 0x0400
    arm.sync([0x10F] * 6, [100] * 6)  # halt
    assert arm.drives[0].node.dictionary.number(0x6074) == 90


def test_a_mode_that_the_drive_lacks_is_refused_and_none_gives_no_torque(make: Make) -> None:
    arm = make()
    assert arm.write(0, 0x6060, 0, 8, 1) == 0x06090030
    assert arm.write(0, 0x6060, 0, 0, 1) == 0
    arm.enable()
    arm.hold(5, np.full(6, 5.0))
    assert arm.world.tau[0] == 0.0
    assert arm.world.tau[1] != 0.0


def test_brakes_open_and_close_late(make: Make) -> None:
    arm = make()
    arm.enable()
    opened = [k for k in range(40) if not (arm.hold(1, np.zeros(6)), arm.world.braked[0])[1]]
    assert 45 <= 2 * (opened[0] + 4) <= 55
    assert arm.words()[0] & 0x4000
    arm.world.load = -GRAVITY
    arm.sync([0x00] * 6)  # disable voltage: falls until the brake has engaged
    closed = 0
    while not all(arm.world.braked):
        arm.sync([0x00] * 6)
        closed += 1
    assert closed in (24, 25)
    # 50 ms of free fall, to the tick
    assert arm.world.q == pytest.approx(-GRAVITY / Flywheels.inertia * 0.050**2 / 2, rel=0.05)


@pytest.mark.parametrize("option", [2, 6])
def test_quick_stop_brakes_by_ramp_and_then_lets_go_or_holds(make: Make, option: int) -> None:
    arm = make()
    for joint in range(6):
        assert arm.write(joint, 0x605A, 0, option, 2) == 0
    arm.world.load = -GRAVITY
    arm.open_brakes(GRAVITY)
    arm.hold(60, GRAVITY + 5.0 * Flywheels.inertia)
    assert arm.world.qd.min() > 0.5
    start = arm.world.q
    arm.sync([0x02] * 6)
    arm.sync([0x02] * 6)
    assert {word & STATE for word in arm.words()} == {0x07}
    for _ in range(250):
        arm.sync([0x02] * 6)
    assert np.abs(arm.world.qd).max() < 2e-3
    assert (np.abs(arm.world.q - start) < 0.15).all()
    if option == 2:
        assert {word & 0x4F for word in arm.words()} == {0x40}
        assert all(arm.world.braked)
        return
    assert {word & STATE for word in arm.words()} == {0x07}
    assert not any(arm.world.braked)
    assert arm.world.tau == pytest.approx(GRAVITY, rel=0.05)  # held by the motors
    arm.hold(2, GRAVITY)
    assert {word & STATE for word in arm.words()} == {0x27}


def test_without_ramps_a_quick_stop_coasts_until_the_brake_is_on(make: Make) -> None:
    arm = make(ramps=False)
    arm.open_brakes()
    arm.hold(50, 5.0 * Flywheels.inertia)
    speed, start = arm.world.qd, arm.world.q
    for _ in range(60):
        arm.sync([0x02] * 6)
    assert arm.world.q - start == pytest.approx(speed * 0.050, rel=0.05)
    assert all(arm.world.braked)


def test_an_arm_without_brakes_drops_when_the_power_goes(make: Make) -> None:
    arm = make(brakes=False)
    assert not any(arm.world.braked)
    arm.world.load = -GRAVITY
    start = arm.world.q[0]
    for _ in range(50):
        arm.sync([0x00] * 6)
    assert arm.world.q[0] < start - 0.05


@pytest.mark.parametrize(
    ("option", "state"), [(0, 0x27), (1, 0x08), (2, 0x40), (3, 0x40)], ids=["none", "fault", "off", "quick stop"]
)
def test_silence_is_found_by_the_rpdo_deadline(make: Make, option: int, state: int) -> None:
    arm = make(deadline_ms=10)
    for joint in range(6):
        assert arm.write(joint, 0x6007, 0, option, 2) == 0
    arm.open_brakes()
    arm.hold(5, np.full(6, 2.0))
    arm.heard.clear()
    gone = 0
    while not any(can_id == 0x81 for _, can_id, _ in arm.heard):
        arm.sync()
        gone += 1
    assert gone in (5, 6)  # 10 ms, five cycles
    assert next(data for _, can_id, data in arm.heard if can_id == 0x81)[:3] == b"\x50\x82\x11"
    for _ in range(150):
        arm.sync()
    mask = STATE if option == 0 else 0x4F
    assert {word & mask for word in arm.words()} == {state}


@pytest.mark.parametrize("behaviour", [0, 1, 2])
def test_a_lost_heartbeat_takes_the_torque_away_in_time(make: Make, behaviour: int) -> None:
    arm = make()
    for joint in range(6):
        assert arm.write(joint, 0x1016, 1, 127 << 16 | 50, 4) == 0
        assert arm.write(joint, 0x1029, 1, behaviour, 1) == 0
        assert arm.write(joint, 0x605E, 0, 0, 2) == 0
    arm.open_brakes()  # without any heartbeat yet, nothing is monitored
    for k in range(50):
        if k % 8 == 0:
            arm.send(0x77F, b"\x05")
        arm.hold(1, np.full(6, 2.0))
    assert arm.world.tau.all()
    arm.heard.clear()
    silent = 0
    while arm.world.tau.any():
        arm.hold(1, np.full(6, 2.0))
        silent += 1
    assert 2 * silent <= 52
    arm.hold(2, np.zeros(6))
    assert {data[:3] for _, can_id, data in arm.heard if 0x81 <= can_id <= 0x86} == {b"\x30\x81\x11"}
    assert arm.drives[0].node.nmt == {0: 127, 1: 5, 2: 4}[behaviour]
    assert arm.drives[0].power.fault_code == 0x8130


def test_missing_sync_is_found(make: Make) -> None:
    arm = make()
    for joint in range(6):
        assert arm.write(joint, 0x1006, 0, 2000, 4) == 0
    arm.open_brakes()
    arm.heard.clear()
    silent = 0
    while not any(can_id == 0x81 for _, can_id, _ in arm.heard):
        arm.cycle()
        silent += 1
    assert silent in (5, 6)
    assert arm.drives[0].power.fault_code == 0x8700


def test_signs_and_offsets_of_a_joint(make: Make) -> None:
    turned = replace(default_joints()[0], torque_sign=-1, position_sign=-1, position_offset=0.5)
    crossed = replace(default_joints()[1], torque_sign=-1)
    joints: tuple[CobotJoint, ...] = (turned, crossed, *default_joints()[2:])
    arm = make(joints=joints)
    arm.sync()
    assert arm.feedback[0][0] == round(0.5 / (2 * np.pi) * 101 * 131072)
    arm.open_brakes()
    arm.sync([0x0F] * 6, [100, 100, 100, 0, 0, 0])
    assert arm.world.tau[:3] == pytest.approx(np.array([-100, -100, 100]) * PER_MILLE[:3])
    arm.sync([0x0F] * 6, [0] * 6)
    assert [arm.feedback[joint][1] for joint in range(3)] == [100, 100, 100]
    # the drive's own braking works whatever the polarity of its wire
    arm.hold(100, np.array([-3.0, -3.0, 3.0, 0, 0, 0]) * np.array([1, 1, 1, 0, 0, 0]))
    assert np.abs(arm.world.qd[:2]).max() > 0.1
    for _ in range(200):
        arm.sync([0x02] * 6)
    assert np.abs(arm.world.qd).max() < 1e-3


def test_sensors_of_the_standard_profile(make: Make) -> None:
    """14 bits of encoder in steps of 8 of the 17-bit increments; torque noise and offset as the profile says."""
    arm = make("standard", seed=2)
    arm.open_brakes()
    arm.world.load = np.zeros(6)
    torque, counts = [], []
    for k in range(300):
        arm.sync([0x0F] * 6, [100 if k % 2 else -100] * 6)
        torque.append([arm.feedback[joint][1] for joint in range(6)])
        counts.append(arm.feedback[0][0])
    assert all(count % 8 == 0 for count in counts)
    assert len(set(counts)) > 5
    noise = (np.array(torque, dtype=float) - np.where(np.arange(300) % 2, -100.0, 100.0)[:, None]) * PER_MILLE
    floor = np.array([0.15, 0.15, 0.12, 0.05, 0.05, 0.04])
    assert (noise[2:].std(axis=0) > 0.8 * floor).all()
    assert (noise[2:].std(axis=0) < 3.0 * floor).all()
    assert (np.abs(noise[2:].mean(axis=0)) < 0.03 * np.array([7.0, 9.0, 6.0, 2.0, 1.8, 1.5])).all()
    # the true torque differs from what the current says by the motor constant, at most 2 %
    arm.sync([0x0F] * 6, [500] * 6)
    ratio = arm.world.tau / (500 * PER_MILLE)
    assert (np.abs(ratio - 1.0) <= 0.02).all()
    assert np.ptp(ratio) > 1e-3

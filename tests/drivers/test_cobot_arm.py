"""The life of the cobot driver on six mock drives in lockstep: bring-up, enabling, commands, off, shut-down."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from cobot_rig import GEAR, RATED, CobotRig, SlcanWire, VirtualWire, commanded, torque, until

from drivers.cobot.cia402 import DriveState, Mode
from drivers.contract import ArmState, PassedCommand, PositionCommand, RobotArm, TorqueCommand
from drivers.errors import ConnectError, RefusedError
from sim_mocks.cobot.node import Nmt

UNIT = RATED * 1e-6 * GEAR  # N·m of joint torque in one per mille


@pytest.fixture
def rig() -> Iterator[CobotRig]:
    made = CobotRig()
    yield made
    made.close()


def test_ready_after_open_and_nothing_has_power(rig: CobotRig) -> None:
    arm: RobotArm = rig.arm()
    arm.open()
    sample = until(arm, ArmState.READY)  # type: ignore[arg-type]
    assert all(not drive.power.powered for drive in rig.drives)
    assert sample.fresh
    assert sample.valid
    assert sample.dt == pytest.approx(0.002)
    assert sample.tau_accepted_lo.tolist() == sample.tau_accepted_hi.tolist() == [0.0] * 6
    assert arm.health().drives_on is False
    arm.close()


def test_torque_acts_at_the_next_sync_as_a_whole_number_of_per_mille(rig: CobotRig) -> None:
    arm, sample = commanded(rig)
    tau = np.array([1.0, -2.0, 3.0, -4.0, 5.0, 60.0])
    assert arm.command(torque(sample, tau))
    answer = arm.read()
    sent = np.rint(tau / UNIT)
    assert [drive.node.dictionary.number(0x6071) for drive in rig.drives] == sent.tolist()
    np.testing.assert_allclose(answer.tau_accepted_lo, sent * UNIT)
    np.testing.assert_allclose(answer.tau_accepted_hi, sent * UNIT)
    # One tick later the drives report the torque that they have made meanwhile.
    arm.command(torque(answer, tau))
    np.testing.assert_allclose(arm.read().tau, sent * UNIT)
    arm.close()


def test_signs_and_offsets_are_those_of_the_joints(rig: CobotRig) -> None:
    joints = rig.joints(torque_sign=-1, position_sign=-1, position_offset=0.25, efficiency=0.8)
    arm, sample = commanded(rig, joints=joints)
    np.testing.assert_allclose(sample.q, 0.25)
    arm.command(torque(sample, np.full(6, 8.0)))
    for _ in range(60):  # the brakes open after 50 ms
        sample = arm.read()
        arm.command(torque(sample, np.full(6, 8.0)))
    assert rig.drives[0].node.dictionary.number(0x6071) == -round(8.0 / (0.8 * UNIT))
    assert (rig.qd < 0.0).all()
    assert (sample.q > 0.25).all()
    assert (sample.qd > 0.0).all()
    np.testing.assert_allclose(sample.tau, 8.0, atol=UNIT)
    arm.close()


def test_a_tick_without_a_command_sends_nothing_and_the_drives_stop_by_themselves(rig: CobotRig) -> None:
    arm, sample = commanded(rig)
    for _ in range(40):
        arm.command(torque(sample, np.full(6, 5.0)))
        sample = arm.read()
    assert all(drive.power.powered and drive.power.stopping is None for drive in rig.drives)
    for silent in range(1, 9):  # noqa: B007
        sample = arm.read()
        if sample.state is not ArmState.COMMANDED:
            break
    assert silent <= 7  # five cycles of the drives' deadline, and the one that tells it
    assert not arm.enabled
    assert all(drive.power.stopping is not None or not drive.power.powered for drive in rig.drives)
    arm.close()


def test_off_takes_the_power_in_the_same_tick_and_stays(rig: CobotRig) -> None:
    arm, sample = commanded(rig)
    arm.command(torque(sample, np.full(6, 20.0)))
    sample = arm.read()
    arm.command(torque(sample, np.full(6, 20.0)))
    arm.off()
    rig.tick()
    assert all(not drive.power.powered and drive.torque == 0.0 for drive in rig.drives)
    for _ in range(20):
        sample = arm.read()
        assert sample.state is ArmState.MONITORING
    assert sample.tau_accepted_hi.tolist() == [0.0] * 6
    with pytest.raises(RefusedError, match="release"):
        arm.enable()
    arm.release()
    until(arm, ArmState.READY)
    for _ in range(20):
        assert arm.read().state is ArmState.READY  # it never enables by itself
    assert all(not drive.power.powered for drive in rig.drives)
    arm.close()


def test_one_sync_a_tick_also_around_off(rig: CobotRig) -> None:
    arm, sample = commanded(rig)
    arm.command(torque(sample, np.zeros(6)))
    rig.log.clear()
    arm.read()
    arm.off()
    for _ in range(5):
        arm.read()
    assert [sum(can_id == 0x80 for can_id, _ in tick) for tick in rig.log] == [1] * 6
    arm.close()


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (lambda s: torque(s, np.full(6, np.nan)), "not finite"),
        (lambda s: torque(s, np.full(6, 151.0)), "at most"),
        (lambda s: PassedCommand(TorqueCommand(np.zeros(6), s.q), s.seq - 1), "judge it anew"),
        (lambda s: PassedCommand(PositionCommand(s.q), s.seq), "takes torques"),
        (lambda s: torque(s, np.zeros(5)), "nothing was sent"),
    ],
)
def test_refused_commands_send_nothing(rig: CobotRig, command: object, why: str) -> None:
    arm, sample = commanded(rig)
    arm.command(torque(sample, np.zeros(6)))
    sample = arm.read()
    with pytest.raises(RefusedError, match=why):
        arm.command(command(sample))  # type: ignore[operator]
    rig.log.clear()
    rig.tick()
    assert rig.log == [[]]
    arm.close()


def test_one_command_a_tick_and_none_unless_commanded(rig: CobotRig) -> None:
    arm = rig.arm()
    with pytest.raises(RefusedError, match="not open"):
        arm.read()
    arm.open()
    sample = until(arm, ArmState.READY)
    with pytest.raises(RefusedError, match="READY"):
        arm.command(torque(sample, np.zeros(6)))
    arm.enable()
    sample = until(arm, ArmState.COMMANDED)
    arm.command(torque(sample, np.zeros(6)))
    with pytest.raises(RefusedError, match="one command per tick"):
        arm.command(torque(sample, np.zeros(6)))
    arm.close()
    arm.close()
    with pytest.raises(RefusedError, match="not open"):
        arm.read()


def test_close_leaves_the_drives_without_power_and_without_complaint(rig: CobotRig) -> None:
    arm, sample = commanded(rig)
    arm.command(torque(sample, np.full(6, 5.0)))
    arm.close()
    for _ in range(200):
        rig.tick()
    for drive in rig.drives:
        assert drive.node.nmt is Nmt.PRE_OPERATIONAL
        assert not drive.power.powered
        assert not drive.node.emergencies.active


def test_opened_again_after_close(rig: CobotRig) -> None:
    arm, _ = commanded(rig)
    arm.close()
    arm.open()
    until(arm, ArmState.READY)
    assert not arm.enabled
    arm.close()


@pytest.mark.parametrize("wire", [VirtualWire, SlcanWire])
@pytest.mark.parametrize("channels", [1, 2])
def test_cycles_without_a_lost_one(wire: type[VirtualWire] | type[SlcanWire], channels: int) -> None:
    rig = CobotRig(wires=[wire() for _ in range(channels)], period=0.002 / channels)
    arm, sample = commanded(rig)
    lost = 0
    for _ in range(400):
        arm.command(torque(sample, 1.0 - 5.0 * sample.q - 2.0 * sample.qd))
        sample = arm.read()
        lost += not sample.fresh
    health = arm.health()
    assert lost == 0
    assert (health.gaps, health.late, health.duplicates, health.rejected) == (0, 0, 0, {})
    assert health.quality == pytest.approx(1.0)
    assert all(bus.overflow == 0 for bus in rig.buses)
    arm.close()
    rig.close()


def test_a_plan_that_is_too_full_is_refused_with_the_figures_before_anything_is_sent() -> None:
    rig = CobotRig(period=0.001)
    arm = rig.arm()
    with pytest.raises(ConnectError, match=r"140\.3 % typical, 160\.1 % worst.*second channel"):
        arm.open()
    assert rig.t_ns == 0
    rig.close()


def test_profile_torque_where_the_cell_asks_for_it(rig: CobotRig) -> None:
    arm, sample = commanded(rig, mode=Mode.PROFILE_TORQUE)
    assert [info.mode for info in arm.nodes] == [Mode.PROFILE_TORQUE] * 6
    assert rig.drives[0].node.dictionary.number(0x6061) == 4
    for _ in range(100):
        arm.command(torque(sample, np.full(6, 3.0)))
        sample = arm.read()
    assert sample.state is ArmState.COMMANDED
    assert (sample.tau > 2.5).all()
    arm.close()


def test_states_are_read_from_the_statusword(rig: CobotRig) -> None:
    arm, _ = commanded(rig)
    assert set(arm.health().flags) == set()
    assert arm._session.states == [DriveState.OPERATION_ENABLED] * 6
    arm.close()

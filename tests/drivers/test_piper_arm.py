"""The PiPER driver against the mock arm: ticks, torque as it is really sent, what is lost, and who may move it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from piper_rig import START, WEIGHT, PiperRig, passed

from drivers.can.bus import DATA, Frame
from drivers.contract import ArmState, MitCommand, PositionCommand, ProblemKind, Reopens, RobotArm, TorqueCommand
from drivers.errors import ConnectError, RefusedError
from drivers.piper.codec import TORQUE_STEP
from drivers.piper.config import FirmwareScale
from drivers.piper.session import Phase
from sim_mocks.piper.controller import Move

Make = Callable[..., PiperRig]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[PiperRig] = []

    def build(**how: object) -> PiperRig:
        made.append(PiperRig(**how))  # type: ignore[arg-type]
        return made[-1]

    yield build
    for rig in made:
        rig.close()


@pytest.fixture
def rig(make: Make) -> PiperRig:
    return make()


# Ticks and feedback


def test_ready_after_open_and_nothing_was_commanded(rig: PiperRig) -> None:
    arm: RobotArm = rig.arm
    assert isinstance(arm, Reopens)
    sample = rig.ready()
    for _ in range(20):
        sample = rig.arm.read()
    assert (sample.fresh, sample.valid, sample.state) == (True, True, ArmState.READY)
    assert sample.dt == pytest.approx(0.005)
    assert sample.q == pytest.approx(START, abs=1e-4)
    assert rig.arm.firmware == "1.8-5"
    assert rig.commands() == []
    # The controller's position hold carries the load: motor current times the constant is that torque.
    assert sample.tau == pytest.approx(-WEIGHT, abs=0.05)
    health = rig.arm.health()
    assert (health.gaps, health.late, health.duplicates, health.problems) == (0, 0, 0, ())


def test_every_read_is_one_period_and_one_set(rig: PiperRig) -> None:
    rig.ready()
    begin, seq = rig.host.now_ns(), rig.arm.read().seq
    samples = [rig.arm.read() for _ in range(50)]
    assert [sample.seq for sample in samples] == list(range(seq + 1, seq + 51))
    assert rig.host.now_ns() - begin == 51 * 5_000_000


def test_a_foreign_firmware_or_a_silent_bus_is_refused_with_a_remedy(make: Make) -> None:
    with pytest.raises(ConnectError, match=r"firmware is 1.8-5.*knows the torque scale of 1.6-3.*docs/piper"):
        make(version="1.6-3").arm.open()
    silent = make()
    silent.host.arm.port.unplug()  # type: ignore[attr-defined]
    with pytest.raises(ConnectError, match=r"no feedback.*check its supply"):
        silent.arm.open()
    with pytest.raises(RefusedError, match="not open"):
        silent.arm.read()


# Torque


def test_enabling_takes_over_the_torque_that_held_the_arm(rig: PiperRig) -> None:
    sample = rig.commanded()
    assert sample.tau_accepted_lo == pytest.approx(-WEIGHT, abs=0.5 * TORQUE_STEP + 0.05)
    assert np.abs(sample.q - START).max() < 1e-3
    assert np.abs(sample.qd).max() < 0.02
    assert rig.controller.move.name == "MIT"
    assert rig.arm.phase is Phase.COMMANDED


@pytest.mark.parametrize(
    "scale", [FirmwareScale(), FirmwareScale(torque=(4.0, 4.0, 4.0, 1.0, 1.0, 1.0))], ids=["once", "four times"]
)
def test_torque_is_rounded_to_what_eight_bits_hold_and_told_so(make: Make, scale: FirmwareScale) -> None:
    rig = make(scale=scale, firmware="1.8-2" if scale.torque[0] == 4.0 else "1.8-5", version="1.8-2" if
               scale.torque[0] == 4.0 else "1.8-5")  # fmt: skip
    sample = rig.commanded()
    wanted = np.array([0.0, 2.9, 2.05, 0.31, -0.47, 1.0])
    assert rig.answer(sample, wanted)
    rig.host.tick()
    # Torque as sent, and the damping that a frame cannot say is zero (0.0012 N·m·s/rad times the speed).
    acting = rig.world.tau
    assert np.all(np.abs(acting - wanted) <= 0.5 * scale.torque_step + 2e-3)
    after = rig.arm.read()
    assert after.tau_accepted_lo == pytest.approx(acting, abs=2e-3)
    assert after.tau_accepted_lo.tolist() == after.tau_accepted_hi.tolist()
    steps = (after.tau_accepted_lo + 8.0 * np.array(scale.torque)) / scale.torque_step
    assert steps == pytest.approx(np.rint(steps), abs=1e-6)


def test_torque_beyond_the_range_is_clamped_counted_and_told(rig: PiperRig) -> None:
    sample = rig.commanded()
    rig.answer(sample, np.array([9.0, 3.0, -18.0, 0.0, 0.0, 0.0]))
    rig.host.tick()
    assert rig.world.tau[[0, 2]] == pytest.approx([8.0, -8.0], abs=2e-3)
    assert rig.arm.health().rejected["torque_clamped"] == 2
    assert rig.arm.read().tau_accepted_lo[[0, 2]].tolist() == [8.0, -8.0]


def test_signs_of_a_firmware_turn_torque_and_position(make: Make) -> None:
    rig = make(scale=FirmwareScale(signs=(-1, 1, 1, 1, 1, 1)))
    sample = rig.commanded()
    rig.answer(sample, np.array([1.0, 3.0, 2.0, 0.0, 0.0, 0.0]))
    rig.host.tick()
    assert rig.world.tau[0] == pytest.approx(-1.0, abs=0.5 * TORQUE_STEP + 2e-3)
    assert rig.arm.read().tau_accepted_lo[0] == pytest.approx(1.0, abs=0.5 * TORQUE_STEP)


def test_a_mit_command_carries_its_gains_and_tells_the_torque_that_they_make(rig: PiperRig) -> None:
    sample = rig.commanded()
    zero = np.zeros(6)
    kp = np.array([20.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    command = MitCommand(sample.q + np.array([0.1, 0, 0, 0, 0, 0]), zero, kp, zero, -WEIGHT)
    rig.arm.command(passed(command, sample))
    rig.host.tick()
    assert rig.world.tau[0] == pytest.approx(2.0, abs=0.1)
    assert rig.arm.read().tau_accepted_lo[0] == pytest.approx(2.0, abs=0.1)
    sample = rig.arm.read()
    with pytest.raises(RefusedError, match="below zero"):
        rig.arm.command(passed(MitCommand(sample.q, zero, -kp, zero, zero), sample))


def test_commands_are_refused_for_every_reason(rig: PiperRig) -> None:
    sample = rig.ready()
    with pytest.raises(RefusedError, match="state READY"):
        rig.answer(sample)
    rig.arm.enable()
    with pytest.raises(RefusedError, match="state SYNCHRONISING"):
        rig.answer(rig.arm.read())
    sample = rig.until(ArmState.COMMANDED)
    rig.commands()
    with pytest.raises(RefusedError, match="judge it anew"):
        rig.arm.command(passed(TorqueCommand(-WEIGHT, sample.q), rig_sample(sample.seq - 1, sample)))
    for wrong in (np.full(6, np.nan), np.array([np.inf] + [0.0] * 5), np.zeros(5)):
        with pytest.raises(RefusedError, match="six finite"):
            rig.answer(sample, wrong)
    with pytest.raises(RefusedError, match="PositionCommand"):
        rig.arm.command(passed(PositionCommand(sample.q), sample))
    assert rig.commands() == []
    assert rig.answer(sample)
    with pytest.raises(RefusedError, match="answered already"):
        rig.answer(sample)
    assert rig.commands() == list(range(0x15A, 0x160))


def rig_sample(seq: int, like: object) -> object:
    return type("Older", (), {"seq": seq})()


# What goes wrong on the line


def test_a_lost_frame_is_a_gap_and_the_next_set_is_whole(rig: PiperRig) -> None:
    rig.commanded()
    rig.balance(5)
    for lost in (0x2A6, 0x251, 0x256):
        seq = rig.balance(3).seq
        rig.tap.filter = lambda frames, lost=lost: [frame for frame in frames if frame[0] != lost]
        sample = rig.arm.read()
        assert (sample.fresh, sample.seq, sample.state) == (False, seq, ArmState.COMMANDED)
        with pytest.raises(RefusedError, match="incomplete"):
            rig.answer(sample)
        rig.tap.filter = lambda frames: frames
        after = rig.arm.read()
        assert (after.fresh, after.seq) == (True, seq + 1)
        assert after.dt == pytest.approx(0.010)
        rig.answer(after)
    assert rig.arm.health().gaps == 3
    assert rig.arm.health().problems == ()


def test_one_frame_in_twenty_lost_for_good_does_not_lose_the_arm(rig: PiperRig) -> None:
    chance = np.random.default_rng(4)
    sample = rig.commanded()
    rig.tap.filter = lambda frames: [frame for frame in frames if chance.random() > 0.05]
    fresh = 0
    for _ in range(400):
        if sample.fresh:
            rig.answer(sample, -WEIGHT - 5.0 * sample.qd)
        sample = rig.arm.read()
        assert sample.state is ArmState.COMMANDED
        fresh += sample.fresh
    # Nine frames make a set: 0.95 to the ninth are whole.
    assert 0.5 < fresh / 400 < 0.75
    assert np.abs(sample.q - START).max() < 0.2


def test_doubled_frames_are_counted_and_shift_nothing(rig: PiperRig) -> None:
    rig.ready()

    def double(frames: list[Frame]) -> list[Frame]:
        return [copy for frame in frames for copy in ([frame] * (1 + (frame[0] in (0x256, 0x2A5))))]

    rig.tap.filter = double
    begin = rig.arm.read().seq
    samples = [rig.arm.read() for _ in range(100)]
    assert [sample.seq for sample in samples] == list(range(begin + 1, begin + 101))
    assert {round(sample.dt, 6) for sample in samples} == {0.005}
    health = rig.arm.health()
    assert (health.duplicates, health.late, health.gaps) == (202, 0, 0)


def test_foreign_and_broken_frames_are_counted_and_change_nothing(rig: PiperRig) -> None:
    rig.ready()
    for _ in range(5):
        rig.send(0x123, b"\x01\x02")
        rig.send(0x7FF, bytes(8))
        rig.send(0x2A5, b"\x7f\xff")
        rig.send(0x261, bytes(3))
        sample = rig.arm.read()
        assert (sample.fresh, sample.valid, sample.state) == (True, True, ArmState.READY)
        assert sample.q == pytest.approx(START, abs=1e-4)
    assert rig.arm.health().rejected == {"foreign": 10, "length": 10}


def test_another_program_that_commands_the_arm_is_a_problem(rig: PiperRig) -> None:
    rig.ready()
    rig.send(0x151, bytes(8))
    sample = rig.arm.read()
    assert sample.state is ArmState.MONITORING
    (problem,) = rig.arm.health().problems
    assert (problem.kind, problem.part) == (ProblemKind.BUS, "another master")


def test_positions_that_cannot_be_true_are_no_sample(rig: PiperRig) -> None:
    rig.ready()
    far = (90_000).to_bytes(4, "big", signed=True)
    rig.tap.filter = lambda frames: [(i, far + bytes(4) if i == 0x2A5 else d, k) for i, d, k in frames]
    sample = rig.arm.read()
    assert (sample.valid, sample.state) == (False, ArmState.MONITORING)
    assert rig.arm.health().rejected == {"q_step": 1}


def test_silence_makes_the_sample_stale_then_ends_the_permission_in_an_emergency_stop(rig: PiperRig) -> None:
    rig.commanded()
    rig.balance(5)
    rig.tap.filter = lambda frames: []
    rig.commands()
    ages = []
    for _ in range(5):
        sample = rig.arm.read()
        ages.append(round(sample.age_ns * 1e-6))
        assert not sample.fresh
        if sample.state is not ArmState.COMMANDED:
            break
    assert ages == [5, 10, 15, 20, 25]
    assert sample.state is ArmState.DISCONNECTED
    assert rig.commands()[0] == 0x150
    rig.host.tick()
    assert rig.controller.stopped
    (problem,) = rig.arm.health().problems
    assert (problem.kind, problem.part) == (ProblemKind.NODE_LOST, "arm")
    # It is heard again: nothing is enabled or resumed by itself, whatever the driver is told.
    rig.tap.filter = lambda frames: frames
    for _ in range(100):
        sample = rig.arm.read()
    rig.arm.release()
    assert rig.arm.read().state is ArmState.MONITORING
    assert "support the arm" in " ".join(rig.arm.health().flags)
    with pytest.raises(RefusedError, match="MONITORING"):
        rig.arm.enable()
    assert set(rig.commands()) == {0x150}
    assert rig.controller.stopped


def test_a_joint_that_falls_silent_is_named(rig: PiperRig) -> None:
    rig.ready()
    rig.tap.filter = lambda frames: [frame for frame in frames if frame[0] != 0x254]
    for _ in range(6):
        sample = rig.arm.read()
    assert sample.state is ArmState.MONITORING
    (problem,) = rig.arm.health().problems
    assert (problem.kind, problem.joint) == (ProblemKind.NODE_LOST, 3)


# Who may move the arm


def test_off_at_rest_hands_the_arm_to_its_own_position_hold(rig: PiperRig) -> None:
    rig.commanded()
    rig.balance(20)
    rig.commands()
    rig.arm.off()
    assert rig.commands() == [0x151, 0x155, 0x156, 0x157]
    rig.world.load = WEIGHT * 1.3
    for _ in range(100):
        sample = rig.arm.read()
    assert sample.state is ArmState.MONITORING
    assert (rig.arm.phase, rig.controller.move.name) == (Phase.HOLDING, "J")
    assert np.abs(rig.world.qd).max() < 0.01
    assert np.abs(rig.world.q - START).max() < 0.05
    with pytest.raises(RefusedError, match="release"):
        rig.arm.enable()
    rig.arm.release()
    assert rig.until(ArmState.READY).tau_accepted_lo.tolist() == [0.0] * 6
    rig.commands()
    for _ in range(50):
        rig.arm.read()
    assert rig.commands() == []
    rig.arm.enable()
    assert rig.until(ArmState.COMMANDED)


def test_off_in_motion_is_the_emergency_stop(rig: PiperRig) -> None:
    sample = rig.commanded()
    for _ in range(20):
        rig.answer(sample, -WEIGHT + np.array([3.0, 0, 0, 0, 0, 0]))
        sample = rig.arm.read()
    assert sample.qd[0] > 0.3
    rig.commands()
    rig.arm.off()
    assert rig.commands() == [0x150]
    for _ in range(100):
        sample = rig.arm.read()
    assert rig.arm.phase is Phase.STOPPED
    assert np.abs(rig.world.qd).max() < 0.02
    problem = rig.arm.health().problems[0]
    assert "emergency stop" in problem.text
    assert "drops" in problem.remedy


def test_ticks_without_a_command_end_the_permission(rig: PiperRig) -> None:
    rig.commanded()
    rig.balance(20)
    states = [rig.arm.read().state for _ in range(6)]
    assert states[0] is ArmState.COMMANDED
    assert states[-1] is ArmState.READY
    assert rig.arm.phase is Phase.HOLDING
    assert "no command for 3 ticks" in " ".join(rig.arm.health().flags)


@pytest.mark.parametrize(("motor", "text"), [(4, "joint 4: is switched off"), (None, "controlled by teaching")])
def test_an_arm_that_is_taken_away_ends_the_permission(rig: PiperRig, motor: int | None, text: str) -> None:
    rig.commanded()
    rig.balance(10)
    if motor is None:
        rig.tap.filter = lambda frames: [(i, b"\x02" + bytes(d[1:]) if i == 0x2A1 else d, k) for i, d, k in frames]
    else:
        rig.controller.enabled[motor - 1] = False
    for _ in range(10):
        sample = rig.balance(1)
    assert sample.state < ArmState.SYNCHRONISING
    assert not rig.arm.enabled
    assert text in " ".join(rig.arm.health().flags)
    rig.commands()
    rig.tap.filter = lambda frames: frames
    for _ in range(100):
        rig.arm.read()
    assert 0x471 not in rig.commands()


def test_faults_that_a_joint_flags_are_named(rig: PiperRig) -> None:
    rig.ready()

    def hot(frames: list[Frame]) -> list[Frame]:
        return [(i, bytes((*d[:5], d[5] | 0x02, *d[6:])) if i == 0x263 else d, k) for i, d, k in frames]

    rig.tap.filter = hot
    for _ in range(6):
        sample = rig.arm.read()
    assert sample.state is ArmState.MONITORING
    (problem,) = rig.arm.health().problems
    assert (problem.kind, problem.joint, problem.text) == (ProblemKind.DRIVE_FAULT, 2, "motor too hot")


def test_joints_that_do_not_come_on_are_handed_back(rig: PiperRig) -> None:
    rig.ready()
    rig.tap.filter = lambda frames: [(i, bytes((*d[:5], 0, *d[6:])) if i == 0x262 else d, k) for i, d, k in frames]
    rig.arm.enable()
    for _ in range(405):
        sample = rig.arm.read()
    assert not rig.arm.enabled
    assert "not under torque 400 ticks after enable()" in " ".join(rig.arm.health().flags)
    assert sample.state is ArmState.READY


def test_an_adapter_that_is_gone_is_a_problem_and_comes_back_by_reopen_alone(rig: PiperRig) -> None:
    rig.commanded()
    rig.balance(3)
    rig.tap.pulled = "No such device"
    sample = rig.arm.read()
    assert sample.state is ArmState.DISCONNECTED
    assert rig.arm.health().problems[0].kind is ProblemKind.ADAPTER_LOST
    assert not rig.arm.enabled
    rig.arm.reopen()
    assert rig.arm.reopening
    rig.arm.read()
    assert not rig.arm.reopening
    assert rig.arm.trouble == ""
    assert len(rig.taps) == 2
    assert not rig.arm.enabled
    # The last torque went on meanwhile: the arm is stopped as soon as it is heard again.
    for _ in range(3):
        sample = rig.arm.read()
    assert rig.controller.stopped
    assert sample.state is ArmState.MONITORING


def test_an_arm_that_was_left_under_torque_is_not_ready(rig: PiperRig) -> None:
    rig.ready()
    rig.controller.move = Move.MIT
    sample = rig.arm.read()
    sample = rig.arm.read()
    assert sample.state is ArmState.MONITORING
    (problem,) = rig.arm.health().problems
    assert (problem.kind, problem.text) == (ProblemKind.NODE_STATE, "was left under torque, which goes on")
    assert rig.commands() == []


def test_kinds_of_frames_that_are_no_data_are_counted(rig: PiperRig) -> None:
    rig.ready()
    rig.tap.filter = lambda frames: [*frames, (0x2A5, b"", 1), (0, b"", 2), (0x2A5, bytes(8), 3)][: 99 * len(frames)]
    sample = rig.arm.read()
    assert DATA == 0
    assert sample.q == pytest.approx(START, abs=1e-4)
    assert rig.arm.health().rejected == {"remote": 1, "error_frame": 1, "extended_id": 1}
    for _ in range(10):
        rig.arm.read()
    assert [problem.part for problem in rig.arm.health().problems] == ["error frames"]


def test_a_stop_that_is_lost_on_the_way_is_sent_until_the_arm_reports_it(rig: PiperRig) -> None:
    sample = rig.commanded()
    for _ in range(10):
        rig.answer(sample, -WEIGHT + np.array([2.0, 0, 0, 0, 0, 0]))
        sample = rig.arm.read()
    port = rig.host.arm.port  # type: ignore[attr-defined]
    port.unplug()
    rig.arm.off()
    for _ in range(30):
        rig.arm.read()
    assert not rig.controller.stopped
    port.plug()
    for _ in range(5):
        rig.arm.read()
    assert rig.controller.stopped
    rig.commands()
    for _ in range(20):
        sample = rig.arm.read()
    assert rig.commands() == []
    assert sample.state is ArmState.MONITORING


def test_after_a_person_has_resumed_the_arm_it_is_ready_and_off(rig: PiperRig) -> None:
    rig.commanded()
    rig.tap.filter = lambda frames: []
    for _ in range(6):
        rig.arm.read()
    rig.tap.filter = lambda frames: frames
    for _ in range(30):
        rig.arm.read()
    assert rig.arm.phase is Phase.STOPPED
    rig.world.load = np.zeros(6)  # supported
    rig.controller._emergency(2)
    sample = rig.until(ArmState.READY)
    assert not any(rig.controller.enabled)
    assert rig.arm.phase is Phase.REST
    assert rig.arm.health().drives_on is False
    assert sample.tau == pytest.approx(np.zeros(6), abs=1e-6)

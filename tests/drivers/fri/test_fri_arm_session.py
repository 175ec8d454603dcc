"""What the driver answers in each session state, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fri_rig import ACTIVE, IDLE, IPO, Q0, READY, SYNC, WAIT, Rig, finite, passed

from drivers.contract import ArmState, MitCommand, PassedCommand, PositionCommand, RobotArm, WrenchCommand
from drivers.errors import ConnectError, RefusedError
from drivers.fri.modes import ENTRY_STEP


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.close()


def test_arm_is_a_robot_arm(rig: Rig) -> None:
    """The driver has every member of the contract, methods as methods."""
    members = {n for n in vars(RobotArm) if not n.startswith("_")}
    assert {"open", "read", "enable", "command", "off", "release", "health", "close"} <= members
    assert all(callable(getattr(rig.arm, n)) for n in members)
    assert rig.arm.traits.n == 7


def test_monitoring_is_answered_by_the_driver(rig: Rig) -> None:
    """Each monitoring frame gets one answer: counters from zero, the frame's counter reflected, no torque."""
    for session, state in ((WAIT, ArmState.MONITORING), (READY, ArmState.READY)):
        for _ in range(3):
            assert rig.tick(session).state is state
    answers = rig.controller.answers()
    assert [a.seq for a in answers] == [0, 1, 2, 3, 4, 5]
    assert [a.reflected_seq for a in answers] == [0, 1, 2, 3, 4, 5]
    assert all(a.tau is None for a in answers)
    assert rig.arm.health().unanswered == 0


def test_a_monitoring_frame_with_nan_is_answered_without_it(rig: Rig) -> None:
    """What is not finite in the frame is not mirrored; the answer that keeps the link alive still goes out."""
    rig.tick(READY, q_commanded=np.full(7, np.nan))
    (answer,) = rig.controller.answers()
    assert answer.q is None


def test_idle_gets_no_answer_and_closes_the_session(rig: Rig) -> None:
    """IDLE is not answered, and the state says that there is no session."""
    rig.tick(READY)
    rig.controller.answers()
    assert rig.tick(IDLE).state is ArmState.DISCONNECTED
    assert rig.controller.answers() == []
    assert rig.arm.health().unanswered == 0


def test_synchronisation_mirrors_the_set_point_with_zero_torque(rig: Rig) -> None:
    """In COMMANDING_WAIT an enabled driver answers with the interpolator's position and zero torque."""
    rig.tick(READY)
    rig.arm.enable()
    rig.controller.answers()
    assert rig.tick(SYNC).state is ArmState.SYNCHRONISING
    (answer,) = rig.controller.answers()
    np.testing.assert_array_equal(answer.q, IPO)
    np.testing.assert_array_equal(answer.tau, np.zeros(7))


def test_synchronisation_without_enable_is_met_with_silence(rig: Rig) -> None:
    """A controller that wants commands nobody allowed gets none, is counted and flagged; enabling then mirrors."""
    rig.tick(READY)
    rig.controller.answers()
    assert rig.tick(SYNC).state is ArmState.SYNCHRONISING
    assert rig.tick(SYNC).state is ArmState.SYNCHRONISING
    assert rig.controller.answers() == []
    health = rig.arm.health()
    assert health.unanswered == 2
    assert any("enable() was not called" in flag for flag in health.flags)
    rig.arm.enable()
    rig.tick(SYNC)
    assert len(rig.controller.answers()) == 1


def test_active_without_enable_is_never_commanded(rig: Rig) -> None:
    """COMMANDING_ACTIVE alone does not make the arm COMMANDED: no answer, and command() is refused."""
    rig.tick(READY)
    rig.controller.answers()
    sample = rig.tick(ACTIVE)
    assert sample.state is ArmState.MONITORING
    with pytest.raises(RefusedError):
        rig.command(sample)
    assert rig.controller.answers() == []
    assert rig.arm.health().unanswered == 1


def test_active_without_synchronisation_is_never_commanded(rig: Rig) -> None:
    """Enabled but with no set-point mirrored there is no place to start from: not COMMANDED, and flagged."""
    rig.tick(READY)
    rig.arm.enable()
    assert rig.tick(ACTIVE).state is ArmState.MONITORING
    assert any("without synchronisation" in flag for flag in rig.arm.health().flags)


def test_commanded_frames_are_answered_by_command_only(rig: Rig) -> None:
    """In COMMANDED read() sends nothing; command() sends exactly torque and reference, reflecting the frame."""
    sample = rig.until_commanded()
    assert sample.state is ArmState.COMMANDED
    assert rig.controller.answers() == []
    tau = np.array([1.0, -2.0, 3.0, -4.0, 5.0, -6.0, 7.0])
    rig.command(sample, tau, IPO + 0.01)
    (answer,) = rig.controller.answers()
    assert answer.reflected_seq == sample.seq
    np.testing.assert_array_equal(answer.tau, tau)
    np.testing.assert_array_equal(answer.q, IPO + 0.01)


def test_a_command_goes_out_once_and_for_its_own_sample_only(rig: Rig) -> None:
    """A second command in a tick, one for an older sample and one for a coming sample send nothing."""
    first = rig.until_commanded()
    rig.command(first)
    assert len(rig.controller.answers()) == 1
    with pytest.raises(RefusedError, match="answered already"):
        rig.command(first)
    second = rig.tick(ACTIVE)
    for seq in (first.seq, second.seq + 1):
        with pytest.raises(RefusedError, match="the newest is"):
            rig.arm.command(passed(seq, np.zeros(7)))
    assert rig.controller.answers() == []
    rig.command(second)
    assert len(rig.controller.answers()) == 1


def test_a_refused_command_leaves_room_for_a_good_one(rig: Rig) -> None:
    """After a refusal the same frame can still be answered."""
    sample = rig.until_commanded()
    with pytest.raises(RefusedError):
        rig.command(sample, np.nan)
    rig.command(sample, 1.0)
    (answer,) = rig.controller.answers()
    np.testing.assert_array_equal(answer.tau, np.ones(7))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("joint", range(7))
def test_nothing_that_is_not_finite_leaves(rig: Rig, bad: float, joint: int) -> None:
    """NaN or infinity in any joint of torque or reference is refused and no byte is sent."""
    sample = rig.until_commanded()
    broken = np.zeros(7)
    broken[joint] = bad
    with pytest.raises(RefusedError, match="finite"):
        rig.command(sample, broken)
    with pytest.raises(RefusedError, match="finite"):
        rig.command(sample, 0.0, IPO + broken)
    assert rig.controller.answers() == []


@pytest.mark.parametrize("bad", [np.zeros(6), np.zeros((7, 1)), np.zeros(()), None, "torque", ["a"] * 7])
def test_a_torque_of_another_shape_is_refused(rig: Rig, bad: Any) -> None:
    """What is not a vector of seven numbers is refused and nothing is sent."""
    sample = rig.until_commanded()
    with pytest.raises(RefusedError):
        rig.arm.command(passed(sample.seq, bad))
    with pytest.raises(RefusedError):
        rig.arm.command(passed(sample.seq, np.zeros(7), bad))
    assert rig.controller.answers() == []


@pytest.mark.parametrize(
    "command",
    [
        PositionCommand(Q0),
        WrenchCommand(np.zeros(6), Q0),
        MitCommand(Q0, np.zeros(7), np.zeros(7), np.zeros(7), np.zeros(7)),
    ],
    ids=lambda c: type(c).__name__,
)
def test_other_kinds_of_command_are_refused_by_name(rig: Rig, command: Any) -> None:
    """Only torque commands pass this driver; the refusal names what came."""
    sample = rig.until_commanded()
    with pytest.raises(RefusedError, match=type(command).__name__):
        rig.arm.command(PassedCommand(command, sample.seq))
    assert rig.controller.answers() == []


def test_commanding_starts_at_the_mirrored_set_point(rig: Rig) -> None:
    """The first reference may not lie far from the mirrored set-point (zeros, say); later ones are the gate's."""
    sample = rig.until_commanded()
    np.testing.assert_array_equal(sample.q_ref_accepted, IPO)
    with pytest.raises(RefusedError, match="q_ref_accepted"):
        rig.command(sample, 0.0, np.zeros(7))
    rig.command(sample, 0.0, IPO + 0.9 * ENTRY_STEP)
    rig.command(rig.tick(ACTIVE), 0.0, IPO + 1.8 * ENTRY_STEP)
    assert len(rig.controller.answers()) == 2


@pytest.mark.parametrize("left_by", [WAIT, READY, SYNC, IDLE])
def test_commanding_never_resumes_by_itself(rig: Rig, left_by: int) -> None:
    """After leaving COMMANDED by any state the driver stays silent in commanding states until enable()."""
    rig.command(rig.until_commanded())
    rig.tick(left_by)
    assert not rig.arm.enabled
    rig.tick(READY)
    rig.controller.answers()
    rig.tick(SYNC)
    assert rig.tick(ACTIVE).state is ArmState.MONITORING
    assert rig.controller.answers() == []
    assert rig.until_commanded().state is ArmState.COMMANDED


def test_a_state_left_within_one_backlog_is_left(rig: Rig) -> None:
    """Leaving and re-entering COMMANDING_ACTIVE between two reads withdraws the permission all the same."""
    rig.command(rig.until_commanded())
    for session in (READY, SYNC, ACTIVE):
        rig.controller.send(session)
    assert rig.arm.read().state is ArmState.MONITORING
    assert not rig.arm.enabled


def test_a_long_gap_while_commanded_withdraws_the_permission(rig: Rig) -> None:
    """More than 50 frames missing: the robot may have left commanding unseen, so enable() is needed anew."""
    rig.command(rig.until_commanded())
    rig.controller.seq += 49
    assert rig.tick(ACTIVE).state is ArmState.COMMANDED
    rig.controller.seq += 50
    assert rig.tick(ACTIVE).state is ArmState.MONITORING


@pytest.mark.parametrize(("mode", "word"), [(0, "NONE"), (1, "POSITION"), (2, "WRENCH"), (-1, "not stated")])
def test_a_session_in_another_command_mode_is_not_commanded(rig: Rig, mode: int, word: str) -> None:
    """Without TORQUE the driver stays silent in commanding states and says which mode it read."""
    rig.tick(READY)
    rig.arm.enable()
    rig.controller.answers()
    for session in (SYNC, ACTIVE):
        sample = rig.tick(session, client_command_mode=mode)
        assert sample.state is ArmState.MONITORING
        assert any(word in flag and "TORQUE" in flag for flag in rig.arm.health().flags)
        with pytest.raises(RefusedError):
            rig.command(sample)
    assert rig.controller.answers() == []


@pytest.mark.parametrize("changes", [{"q_ipo": None}, {"q_ipo": np.full(7, np.nan)}, {"q_ipo": np.full(7, 5.0)}])
def test_a_set_point_that_cannot_be_is_not_mirrored(rig: Rig, changes: dict[str, Any]) -> None:
    """A missing, non-finite or unreachable set-point gets no answer, so that nothing false starts commanding."""
    rig.tick(READY)
    rig.arm.enable()
    rig.controller.answers()
    rig.tick(SYNC, **changes)
    assert rig.controller.answers() == []
    assert rig.tick(ACTIVE).state is ArmState.MONITORING


@pytest.mark.parametrize("session", [WAIT, READY, SYNC, ACTIVE])
def test_off_is_silence_at_once_in_every_state(rig: Rig, session: int) -> None:
    """After off() no byte leaves, whatever comes, until release(); then only monitoring is answered."""
    sample = rig.until_commanded()
    if session != ACTIVE:
        sample = rig.tick(session)
    rig.controller.answers()
    rig.arm.off()
    with pytest.raises(RefusedError):
        rig.command(sample)
    for after in (session, WAIT, READY, SYNC, ACTIVE):
        assert rig.tick(after).state is ArmState.MONITORING
        with pytest.raises(RefusedError, match="release"):
            rig.arm.enable()
    assert rig.controller.answers() == []
    assert any("off" in flag for flag in rig.arm.health().flags)
    rig.arm.release()
    rig.tick(SYNC)
    assert rig.tick(ACTIVE).state is ArmState.MONITORING
    assert rig.controller.answers() == []
    rig.tick(READY)
    assert len(rig.controller.answers()) == 1
    assert not rig.arm.enabled


def test_off_before_and_after_open_is_legal() -> None:
    """off(), release(), health() and close() are legal in every state; closing twice too."""
    rig = Rig()
    rig.close()
    rig.arm.close()
    rig.arm.off()
    rig.arm.release()
    rig.arm.health()
    assert not rig.arm.enabled


def test_enable_is_refused_outside_ready(rig: Rig) -> None:
    """enable() before any frame, in MONITORING_WAIT and when already commanded is refused with the state's name."""
    with pytest.raises(RefusedError, match="DISCONNECTED"):
        rig.arm.enable()
    rig.tick(WAIT)
    with pytest.raises(RefusedError, match="MONITORING"):
        rig.arm.enable()
    rig.until_commanded()
    with pytest.raises(RefusedError, match="COMMANDED"):
        rig.arm.enable()


def test_torque_that_acts_is_zero_at_entry_and_follows_the_reflection(rig: Rig) -> None:
    """The bounds are NaN before any state, zero at entry, and then the reflected command with those after it."""
    assert np.isnan(rig.arm.read().tau_accepted_lo).all()
    sample = rig.until_commanded()
    assert (sample.tau_accepted_lo[0], sample.tau_accepted_hi[0]) == (0.0, 0.0)
    rig.command(sample, 2.0)
    sample = rig.tick(ACTIVE)
    assert (sample.tau_accepted_lo[0], sample.tau_accepted_hi[0]) == (0.0, 2.0)
    rig.command(sample, 3.0, IPO + 0.01)
    rig.controller.answers()
    sample = rig.tick(ACTIVE)
    assert (sample.tau_accepted_lo[0], sample.tau_accepted_hi[0]) == (3.0, 3.0)
    np.testing.assert_array_equal(sample.q_ref_accepted, IPO + 0.01)
    sample = rig.tick(READY)
    assert (sample.tau_accepted_lo[0], sample.tau_accepted_hi[0]) == (0.0, 0.0)
    assert np.isnan(sample.q_ref_accepted).all()


def test_torque_that_acts_outlives_off_while_the_robot_bridges(rig: Rig) -> None:
    """off() changes nothing about the overlay that was sent before, for as long as the session stays active."""
    rig.command(rig.until_commanded(), 2.0)
    rig.controller.answers()
    rig.arm.off()
    sample = rig.tick(ACTIVE)
    assert (sample.tau_accepted_lo[0], sample.tau_accepted_hi[0]) == (2.0, 2.0)


def test_joining_an_active_session_knows_nothing_of_its_torque(rig: Rig) -> None:
    """The first frame ever says ACTIVE: some other client's torque may act, so the bounds are NaN."""
    assert np.isnan(rig.tick(ACTIVE).tau_accepted_lo).all()


def test_a_later_change_of_the_callers_arrays_changes_no_bound(rig: Rig) -> None:
    """The driver keeps copies: a buffer reused by the caller does not rewrite what was sent."""
    tau = np.ones(7)
    rig.command(rig.until_commanded(), tau)
    tau[:] = 9.0
    rig.controller.answers()
    assert rig.tick(ACTIVE).tau_accepted_hi[0] == 1.0


def test_opening_twice_and_a_taken_port_are_connect_errors(rig: Rig) -> None:
    """A second open() and a port that is in use raise ConnectError that names the port."""
    with pytest.raises(ConnectError):
        rig.arm.open()
    other = Rig()
    other.close()
    other.arm._link._bind = rig.arm.address
    with pytest.raises(ConnectError, match=str(rig.arm.address[1])):
        other.arm.open()


def test_reading_a_closed_driver_is_refused(rig: Rig) -> None:
    """read() needs open(); after re-opening the driver starts with nothing known."""
    rig.tick(READY)
    rig.arm.close()
    with pytest.raises(RefusedError):
        rig.arm.read()
    rig.arm.open()
    sample = rig.arm.read()
    assert (sample.seq, sample.valid, sample.age_ns, sample.state) == (-1, False, -1, ArmState.DISCONNECTED)
    assert np.isnan(sample.q).all()


def test_every_answer_of_a_whole_session_is_finite(rig: Rig) -> None:
    """From first frame to IDLE each answer has consecutive counters and finite numbers."""
    sample = rig.until_commanded()
    answers = rig.controller.answers()
    for k in range(20):
        rig.command(sample, 0.1 * k)
        answers += rig.controller.answers()
        sample = rig.tick(ACTIVE)
    rig.tick(READY)
    rig.tick(IDLE)
    answers += rig.controller.answers()
    assert len(answers) == 21
    assert all(map(finite, answers))
    assert [a.seq for a in answers] == list(range(answers[0].seq, answers[0].seq + 21))

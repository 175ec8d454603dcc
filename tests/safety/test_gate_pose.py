"""Cartesian poses at the gate: each check alone, at its boundary."""

import math

import numpy as np
import pytest
from safety_rig import LIMITS, MS, PERIOD, ZERO, N, Q, at, sample, traits

from drivers.contract import ArmState, PassedCommand, PoseCommand, PositionCommand, TorqueCommand
from safety.faults import FaultCode
from safety.gate import CommandGate, GateParams, Refusal
from safety.limits import LimitsError
from safety.poses import ROTATION_TOLERANCE, PoseLimits

C = FaultCode
NAN, INF = math.nan, math.inf
NOW = 10 * MS
A3 = 2
BOUNDS = PoseLimits(reach_max=1.0, speed_max=0.25, turn_max=0.5)
STEP, TURN = 0.25 * PERIOD, 0.5 * PERIOD
X = np.array([0.5, -0.1, 0.4])


def rotation(axis, angle) -> np.ndarray:
    """About a base axis."""
    c, s = math.cos(angle), math.sin(angle)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    R = np.eye(3)
    R[i, i] = R[j, j] = c
    R[i, j], R[j, i] = -s, s
    return R


R0 = rotation(0, 0.4) @ rotation(1, -0.7) @ rotation(2, 1.1)


def pose(x=X, R=R0, redundancy=float(Q[A3])) -> PoseCommand:
    return PoseCommand(np.array(x), np.array(R), redundancy)


def posed(reference=None, measured=None, **changes):
    """A sample of an arm that takes poses; its joint reference is not known, as on the wire."""
    known = {"pose": measured or pose(), "pose_ref_accepted": reference or pose(), "q_ref_accepted": np.full(N, NAN)}
    return sample(**{**known, **changes})


def gate(bounds=BOUNDS, joint=A3, **changes) -> CommandGate:
    changes.setdefault("commands", (PoseCommand,))
    return CommandGate(LIMITS, traits(redundant_joint=joint, **changes), ZERO, GateParams(poses=bounds))


def judge(command, on=None, by=None, permitted=True, now_ns=NOW, g=ZERO):
    return (by or gate()).judge(command, on or posed(), g, now_ns=now_ns, permitted=permitted)


def faults(verdict):
    assert isinstance(verdict, Refusal), "the gate passed it"
    return verdict.faults


def codes(verdict) -> list[FaultCode]:
    return [fault.code for fault in faults(verdict)]


def test_a_sound_pose_passes_and_answers_its_sample():
    verdict = judge(pose(X + [0.0, 0.0, 1e-4], R0 @ rotation(1, 2e-4), float(Q[A3]) + 1e-4))
    assert isinstance(verdict, PassedCommand)
    assert verdict.answers_seq == 42
    assert verdict.command.x.tolist() == (X + [0.0, 0.0, 1e-4]).tolist()
    np.testing.assert_array_equal(verdict.command.R, R0 @ rotation(1, 2e-4))
    assert verdict.command.redundancy == float(Q[A3]) + 1e-4


def test_what_was_judged_is_what_is_sent():
    x, R = X.copy(), R0.copy()
    verdict = judge(PoseCommand(x, R, float(Q[A3])))
    x[0], R[0, 0] = 5.0, 5.0
    assert verdict.command.x[0] == X[0]
    assert verdict.command.R[0, 0] == R0[0, 0]
    for array in (verdict.command.x, verdict.command.R):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


def test_who_may_command_and_when():
    assert codes(judge(pose(), permitted=False)) == [C.NOT_PERMITTED]
    assert codes(judge(pose(), on=posed(valid=False))) == [C.SAMPLE_INVALID]
    assert codes(judge(pose(), on=posed(state=ArmState.READY))) == [C.NOT_COMMANDED]
    assert isinstance(judge(pose(), on=posed(age_ns=4 * MS)), PassedCommand)
    assert codes(judge(pose(), on=posed(age_ns=4 * MS + 1))) == [C.SAMPLE_STALE]
    assert codes(judge(pose(), now_ns=NOW + 4 * MS + 1)) == [C.SAMPLE_STALE]
    assert codes(judge(pose(), g=at(2, NAN))) == [C.MODEL_NOT_FINITE]
    assert codes(judge(pose(), on=posed(q=np.zeros(6)))) == [C.SAMPLE_INVALID]


def test_an_arm_of_another_kind_takes_no_poses():
    assert codes(judge(pose(), by=gate(commands=(TorqueCommand, PositionCommand)))) == [C.COMMAND_KIND]
    assert codes(judge(PositionCommand(Q))) == [C.COMMAND_KIND]


@pytest.mark.parametrize("bad", [np.zeros(2), np.zeros((3, 1)), np.zeros(3, np.float32), [0.5, 0.0, 0.4], None])
def test_a_position_of_another_form(bad):
    (fault,) = faults(judge(PoseCommand(bad, R0, 0.0)))
    assert (fault.code, fault.detail) == (C.COMMAND_SHAPE, "x: expected float64 of shape (3,)")


@pytest.mark.parametrize("bad", [np.zeros(9), np.eye(4), np.eye(3, dtype=np.float32), np.eye(3).tolist(), None])
def test_an_orientation_of_another_form(bad):
    (fault,) = faults(judge(PoseCommand(X, bad, 0.0)))
    assert (fault.code, fault.detail) == (C.COMMAND_SHAPE, "R: expected float64 of shape (3, 3)")


@pytest.mark.parametrize("bad", [0, "0", None, np.zeros(1)])
def test_a_redundancy_of_another_form(bad):
    (fault,) = faults(judge(PoseCommand(X, R0, bad)))
    assert fault.code is C.COMMAND_SHAPE
    assert fault.detail.startswith("redundancy: read ")


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_not_finite_is_refused_and_not_compared(bad):
    for axis in range(3):
        assert codes(judge(pose(x=np.where(np.arange(3) == axis, bad, X)))) == [C.COMMAND_NOT_FINITE]
    for element in range(9):
        R = R0.copy()
        R.flat[element] = bad
        assert codes(judge(pose(R=R))) == [C.COMMAND_NOT_FINITE]
    assert codes(judge(pose(redundancy=bad))) == [C.COMMAND_NOT_FINITE]


def test_one_part_that_is_not_finite_does_not_hide_the_others():
    command = PoseCommand(np.array([NAN, 0.0, 0.0]), 1.1 * R0, 9.0)
    assert set(codes(judge(command))) == {
        C.COMMAND_NOT_FINITE, C.POSE_ROTATION, C.REFERENCE_RANGE, C.REFERENCE_STEP, C.REFERENCE_DISTANCE
    }  # fmt: skip
    assert set(codes(judge(PoseCommand(X + 2.0, np.full((3, 3), NAN), NAN)))) == {
        C.COMMAND_NOT_FINITE, C.POSE_REACH, C.POSE_STEP, C.POSE_DISTANCE
    }  # fmt: skip


def test_only_rotations_pass():
    assert isinstance(judge(pose(R=R0 * math.sqrt(1.0 + 0.9 * ROTATION_TOLERANCE))), PassedCommand)
    (fault,) = faults(judge(pose(R=R0 * math.sqrt(1.0 + 1.1 * ROTATION_TOLERANCE))))
    assert (fault.code, fault.limit) == (C.POSE_ROTATION, ROTATION_TOLERANCE)
    assert fault.value == pytest.approx(1.1 * ROTATION_TOLERANCE)
    sheared = R0.copy()
    sheared[:, 0] += 1e-5 * sheared[:, 1]
    assert codes(judge(pose(R=sheared))) == [C.POSE_ROTATION]
    assert codes(judge(pose(R=-R0))) == [C.POSE_ROTATION], "a reflection is orthonormal too"
    assert codes(judge(pose(R=np.zeros((3, 3))))) == [C.POSE_ROTATION]
    assert codes(judge(pose(R=np.full((3, 3), 1e300)))) == [C.POSE_ROTATION]


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_reach(axis, sign):
    edge, beyond = np.zeros(3), np.zeros(3)
    edge[axis], beyond[axis] = sign, sign * math.nextafter(1.0, 2.0)
    on = posed(pose(edge), pose(edge))
    assert isinstance(judge(pose(edge), on=on), PassedCommand)
    (fault,) = faults(judge(pose(beyond), on=on))
    assert (fault.code, fault.limit) == (C.POSE_REACH, 1.0)


def test_a_cell_that_states_no_bounds_gets_no_poses():
    assert codes(judge(pose(), by=gate(PoseLimits()))) == [C.POSE_REACH]
    moved = pose(X + [0.0, 0.0, 1e-9], R0 @ rotation(0, 1e-9))
    assert codes(judge(moved, by=gate(PoseLimits(reach_max=1.0)))) == [C.POSE_STEP, C.POSE_TURN]


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_step(axis, sign):
    """A quarter of a metre a second, in each direction."""
    origin = np.zeros(3)
    on = posed(pose(origin), pose(origin))
    step = np.zeros(3)
    step[axis] = sign * STEP
    assert isinstance(judge(pose(step), on=on), PassedCommand)
    step[axis] = sign * math.nextafter(STEP, 1.0)
    (fault,) = faults(judge(pose(step), on=on))
    assert (fault.code, fault.limit) == (C.POSE_STEP, STEP)
    diagonal = np.full(3, 0.99 * STEP)
    assert codes(judge(pose(diagonal), on=on)) == [C.POSE_STEP], "the length counts, not each axis"


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_turn(axis, sign):
    assert isinstance(judge(pose(R=R0 @ rotation(axis, sign * TURN * 0.999999))), PassedCommand)
    (fault,) = faults(judge(pose(R=R0 @ rotation(axis, sign * TURN * 1.000001))))
    assert (fault.code, fault.limit) == (C.POSE_TURN, TURN)
    assert fault.value == pytest.approx(TURN, rel=1e-5)


def test_half_a_turn_is_the_largest_angle():
    (first, second) = faults(judge(pose(R=R0 @ rotation(1, math.pi))))
    assert (first.code, second.code) == (C.POSE_TURN, C.POSE_ANGLE)
    assert first.value == pytest.approx(math.pi)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_distance_from_the_measured_pose(sign):
    away = np.array([0.0, sign * 0.05, 0.0])
    assert isinstance(judge(pose(np.zeros(3)), on=posed(pose(np.zeros(3)), pose(away))), PassedCommand)
    away[1] = sign * math.nextafter(0.05, 1.0)
    (fault,) = faults(judge(pose(np.zeros(3)), on=posed(pose(np.zeros(3)), pose(away))))
    assert (fault.code, fault.limit) == (C.POSE_DISTANCE, 0.05)


@pytest.mark.parametrize("axis", range(3))
def test_angle_from_the_measured_pose(axis):
    assert isinstance(judge(pose(), on=posed(measured=pose(R=R0 @ rotation(axis, 0.1999999)))), PassedCommand)
    (fault,) = faults(judge(pose(), on=posed(measured=pose(R=R0 @ rotation(axis, 0.2000001)))))
    assert (fault.code, fault.limit) == (C.POSE_ANGLE, 0.2)


NOT_POSES = [
    None, pose(x=[NAN, 0.0, 0.0]), pose(R=np.full((3, 3), INF)), pose(R=2.0 * R0), pose(R=-R0), pose(redundancy=NAN),
    PoseCommand(np.zeros(2), R0, 0.0), PoseCommand(X, None, 0.0), PoseCommand(X, R0, None),
]  # fmt: skip


@pytest.mark.parametrize("unknown", NOT_POSES)
def test_unknown_acting_pose(unknown):
    assert codes(judge(pose(), on=posed(pose_ref_accepted=unknown))) == [C.REFERENCE_UNKNOWN]


@pytest.mark.parametrize("unknown", NOT_POSES)
def test_unknown_measured_pose(unknown):
    (fault,) = faults(judge(pose(), on=posed(pose=unknown)))
    assert (fault.code, fault.detail) == (C.SAMPLE_INVALID, "the robot reports no pose")


@pytest.mark.parametrize("end", [LIMITS.q_min, LIMITS.q_max])
def test_redundancy_within_the_range_of_its_joint(end):
    edge = float(end[A3])
    on = posed(pose(redundancy=edge), pose(redundancy=edge), q=at(A3, edge, Q))
    assert isinstance(judge(pose(redundancy=edge), on=on), PassedCommand)
    (fault,) = faults(judge(pose(redundancy=math.nextafter(edge, 2 * edge)), on=on))
    assert (fault.code, fault.joint, fault.limit) == (C.REFERENCE_RANGE, A3, edge)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_redundancy_step(sign):
    step = float(LIMITS.q_ref_rate_max[A3]) * PERIOD
    on = posed(pose(redundancy=0.0), q=at(A3, 0.0, Q))
    assert isinstance(judge(pose(redundancy=sign * step), on=on), PassedCommand)
    (fault,) = faults(judge(pose(redundancy=sign * math.nextafter(step, 1.0)), on=on))
    assert (fault.code, fault.joint, fault.limit) == (C.REFERENCE_STEP, A3, step)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_redundancy_distance_from_the_arm(sign):
    limit = float(LIMITS.q_ref_distance_max[A3])
    assert isinstance(
        judge(pose(redundancy=0.0), on=posed(pose(redundancy=0.0), q=at(A3, sign * limit, Q))), PassedCommand
    )
    (fault,) = faults(
        judge(pose(redundancy=0.0), on=posed(pose(redundancy=0.0), q=at(A3, sign * math.nextafter(limit, 1.0), Q)))
    )
    assert (fault.code, fault.joint, fault.limit) == (C.REFERENCE_DISTANCE, A3, limit)


def test_redundancy_is_not_compared_with_a_position_that_is_not_finite():
    assert codes(judge(pose(), on=posed(q=at(A3, NAN, Q)))) == [C.SAMPLE_INVALID]


def test_an_arm_without_redundancy_gets_zero():
    six = gate(joint=None)
    on = posed(pose(redundancy=0.0))
    assert isinstance(judge(pose(redundancy=0.0), on=on, by=six), PassedCommand)
    for value in (1e-9, -1e-9):
        (fault,) = faults(judge(pose(redundancy=value), on=on, by=six))
        assert (fault.code, fault.detail) == (C.REFERENCE_RANGE, "the arm has no redundancy")


@pytest.mark.parametrize("joint", [-1, N])
def test_a_redundant_joint_that_the_arm_does_not_have_is_refused_at_once(joint):
    with pytest.raises(LimitsError, match="redundant_joint"):
        gate(joint=joint)


def test_no_violation_hides_another():
    on = posed(valid=False, state=ArmState.READY, age_ns=50 * MS)
    command = PoseCommand(X + 2.0, R0 @ rotation(0, 1.0), 9.0)
    assert set(codes(judge(command, on=on, permitted=False, g=at(0, NAN)))) == {
        C.NOT_PERMITTED, C.SAMPLE_INVALID, C.SAMPLE_STALE, C.NOT_COMMANDED, C.MODEL_NOT_FINITE, C.POSE_REACH,
        C.POSE_STEP, C.POSE_TURN, C.POSE_DISTANCE, C.POSE_ANGLE, C.REFERENCE_RANGE, C.REFERENCE_STEP,
        C.REFERENCE_DISTANCE,
    }  # fmt: skip

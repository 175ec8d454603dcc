"""Cartesian pose overlay of FRI 2: what is mirrored, what goes out, and what never does."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from fri_rig import ACTIVE, IPO, READY, SYNC, Rig

from drivers.contract import ArmState, PassedCommand, PoseCommand, PositionCommand, RobotSample, StopAction
from drivers.errors import RefusedError
from drivers.fri.modes import MODES
from drivers.fri.poses import from_wire, to_wire
from drivers.fri.traits import iiwa_traits

HALF = math.sqrt(0.5)
HOLD = np.array([450.5, -12.25, 780.0, HALF, 0.0, HALF, 0.0])
"""The interpolator's pose: a quarter turn about y, mm."""
TURNED = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
A3 = 0.3


class PoseRig(Rig):
    """A rig whose controller has a Cartesian overlay."""

    def __init__(self, version: str = "2.7", **more: object) -> None:
        super().__init__(mode="pose", version=version, **more)  # type: ignore[arg-type]

    def tick(self, session: int, **changes: object) -> RobotSample:
        plain: dict[str, object] = {"pose": HOLD + [1.0, 0, 0, 0, 0, 0, 0], "redundancy": (0, A3)}
        if session >= SYNC:
            plain |= {
                "client_command_mode": 4, "control_mode": 0, "overlay_type": 2, "q_ipo": None,
                "pose_ipo": HOLD, "redundancy_ipo": (0, A3),
            }  # fmt: skip
        return super().tick(session, **{**plain, **changes})


@pytest.fixture(params=["2.5", "2.7"])
def rig(request: pytest.FixtureRequest) -> Iterator[PoseRig]:
    rig = PoseRig(request.param)
    yield rig
    rig.close()


def pose(offset: float = 0.0, redundancy: float = A3, R: np.ndarray = TURNED) -> PoseCommand:
    return PoseCommand(1e-3 * HOLD[:3] + [0.0, 0.0, offset], R, redundancy)


def test_synchronisation_mirrors_pose_and_redundancy_and_nothing_else(rig: PoseRig) -> None:
    rig.tick(READY)
    rig.arm.enable()
    rig.controller.answers()
    assert rig.tick(SYNC).state is ArmState.SYNCHRONISING
    (answer,) = rig.controller.answers()
    np.testing.assert_array_equal(answer.pose, HOLD)
    assert answer.redundancy == (0, A3)
    assert (answer.q, answer.tau, answer.wrench) == (None, None, None)


def test_a_sample_holds_the_measured_and_the_acting_pose(rig: PoseRig) -> None:
    """In m and as rotation matrices; a joint reference is not known in this mode."""
    sample = rig.tick(READY)
    assert sample.pose is not None
    np.testing.assert_allclose(sample.pose.x, [0.4515, -0.01225, 0.78], atol=1e-15)
    np.testing.assert_allclose(sample.pose.R, TURNED, atol=1e-15)
    assert sample.pose.redundancy == A3
    assert sample.pose_ref_accepted is None
    sample = rig.until_commanded()
    assert rig.arm.health().flags == frozenset()
    assert sample.pose_ref_accepted is not None
    np.testing.assert_allclose(sample.pose_ref_accepted.x, 1e-3 * HOLD[:3], atol=1e-15)
    np.testing.assert_allclose(sample.pose_ref_accepted.R, TURNED, atol=1e-15)
    assert np.isnan(sample.q_ref_accepted).all()
    assert np.isnan(sample.q_set).all()
    np.testing.assert_array_equal(sample.tau_accepted_lo, np.zeros(7))
    assert sample.valid


def test_a_command_goes_out_as_it_is_and_acts_once_it_is_reflected(rig: PoseRig) -> None:
    sample = rig.until_commanded()
    assert rig.arm.command(PassedCommand(pose(0.004, A3 + 0.01), sample.seq))
    sent = rig.arm.session_state
    assert sent == ACTIVE
    (answer,) = rig.controller.answers()
    np.testing.assert_allclose(answer.pose, HOLD + [0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0], atol=1e-12)
    assert answer.redundancy == (0, A3 + 0.01)
    assert (answer.q, answer.tau) == (None, None)
    sample = rig.tick(ACTIVE)
    assert sample.pose_ref_accepted is not None
    assert sample.pose_ref_accepted.x[2] == pytest.approx(0.784)
    assert sample.pose_ref_accepted.redundancy == A3 + 0.01


def test_joint_commands_are_refused(rig: PoseRig) -> None:
    sample = rig.until_commanded()
    with pytest.raises(RefusedError, match="client command mode CARTESIAN_POSE: send a PoseCommand"):
        rig.arm.command(PassedCommand(PositionCommand(IPO), sample.seq))
    assert rig.controller.answers() == []


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (pose(0.021), "0.021 m, 0.000 rad"),
        (pose(redundancy=A3 + 0.11), "0.110 rad from the robot's set-point"),
        (pose(R=TURNED @ np.array([[0.99, 0.0, 0.141067], [0.0, 1.0, 0.0], [-0.141067, 0.0, 0.99]])), "0.142 rad"),
    ],
)
def test_the_first_pose_must_lie_near_the_mirrored_one(rig: PoseRig, command: PoseCommand, words: str) -> None:
    """The orientation of the third is a rotation to seven digits only: good enough for this test's own check."""
    sample = rig.until_commanded()
    u, _, vt = np.linalg.svd(command.R)
    with pytest.raises(RefusedError) as refused:
        rig.arm.command(PassedCommand(PoseCommand(command.x, u @ vt, command.redundancy), sample.seq))
    assert words in str(refused.value)
    assert "begin at RobotSample.pose_ref_accepted" in str(refused.value)
    assert rig.controller.answers() == []


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nothing_that_is_not_finite_and_no_false_rotation_leaves(rig: PoseRig, bad: float) -> None:
    sample = rig.until_commanded()
    R = TURNED.copy()
    R[1, 1] = bad
    broken = [
        PoseCommand(np.array([bad, 0.0, 0.0]), TURNED, A3), pose(R=R), pose(redundancy=bad), pose(R=1.01 * TURNED),
        pose(R=-TURNED), PoseCommand(np.zeros(2), TURNED, A3), PoseCommand(np.zeros(3), np.eye(2), A3),
    ]  # fmt: skip
    for command in broken:
        with pytest.raises(RefusedError):
            rig.arm.command(PassedCommand(command, sample.seq))
    assert rig.controller.answers() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"pose_ipo": None},
        {"redundancy_ipo": None},
        {"redundancy_ipo": (4, 0.0)},
        {"redundancy_ipo": (0, math.nan)},
        {"pose_ipo": HOLD * [1, 1, 1, 0, 0, 0, 0]},
        {"pose_ipo": HOLD * [math.nan, 1, 1, 1, 1, 1, 1]},
    ],
)
def test_a_set_point_that_is_none_is_not_mirrored_and_never_commanded_from(
    rig: PoseRig, changes: dict[str, object]
) -> None:
    rig.tick(READY)
    rig.arm.enable()
    rig.controller.answers()
    rig.tick(SYNC, **changes)
    assert rig.controller.answers() == []
    assert rig.tick(ACTIVE).state is ArmState.MONITORING


@pytest.mark.parametrize("changes", [{"pose": None}, {"redundancy": None}, {"pose": HOLD * 2.0}])
def test_a_measured_pose_that_is_none_is_not_told(rig: PoseRig, changes: dict[str, object]) -> None:
    assert rig.tick(READY, **changes).pose is None


def test_an_overlay_of_another_mode_is_not_commanded(rig: PoseRig) -> None:
    rig.tick(READY)
    rig.arm.enable()
    rig.controller.answers()
    assert rig.tick(SYNC, client_command_mode=1, q_ipo=IPO, pose_ipo=None).state is ArmState.MONITORING
    assert any("CARTESIAN_POSE" in flag for flag in rig.arm.health().flags)
    assert rig.controller.answers() == []


@pytest.mark.parametrize("version", ["1.11", "1.14", "1.15", "1.16"])
def test_fri_1_has_no_poses(version: str) -> None:
    with pytest.raises(ValueError, match=f"FRI {version} carries no Cartesian poses"):
        PoseRig(version)


def test_a_pose_arm_cannot_brake_and_names_its_redundant_joint() -> None:
    traits = iiwa_traits("a", 1e-3, command_mode="pose")
    assert traits.commands == (MODES["pose"].command,) == (PoseCommand,)
    assert set(traits.stops.values()) == {StopAction.OFF}
    assert traits.redundant_joint == 2


def test_every_rotation_survives_the_wire() -> None:
    """There and back, also where each of the four quaternion elements is the largest one, and near half a turn."""
    rng = np.random.default_rng(5)
    quaternions = [*np.eye(4), *(np.eye(4) + 1e-9), *rng.normal(size=(200, 4))]
    for unscaled in quaternions:
        unit = unscaled / np.linalg.norm(unscaled)
        numbers = np.concatenate([[1.0, 2.0, 3.0], unit, [0.25]])
        again = to_wire(from_wire(numbers))
        sign = 1.0 if again[3:7] @ unit > 0.0 else -1.0
        np.testing.assert_allclose(again, [1.0, 2.0, 3.0, *(sign * unit), 0.25], atol=1e-9)
        assert again[3] >= 0.0

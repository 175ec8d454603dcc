"""Reference motions: smooth, consistent derivatives, at rest at both ends, inside the limits asked for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hil.motion import (
    CartesianHold,
    CartesianMove,
    JointHold,
    JointMove,
    JointReference,
    JointSinusoids,
    Motion,
    MotionError,
    PolishSquare,
    Sequence,
    check_joint_motion,
)
from hil.motion.profiles import Cruise

Q = np.array([0.1, -0.4, 0.3])
X = np.array([0.5, 0.1, 0.3])
R = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])


def joint_motions() -> list[Motion]:
    move = JointMove(np.array([0.5, 0.2, -0.3]), qd_max=np.array([1.0, 0.5, 2.0]), qdd_max=np.full(3, 3.0))
    swing = JointSinusoids(np.array([0.2, 0.1, 0.0]), np.array([0.5, 1.5, 1.0]), 4.0, 0.8)
    return [move, swing, Sequence([JointMove(Q + 0.2, duration=1.0), JointSinusoids(np.full(3, 0.1), np.ones(3), 3.0)])]


def cartesian_motions() -> list[Motion]:
    return [
        CartesianMove(X + np.array([0.1, 0.0, -0.1]), 0.2),
        PolishSquare(0.08, 15.0, 0.06, laps=2),
        PolishSquare(0.06, 15.0, 0.06, centre=np.array([0.6, 0.0, 0.1]), normal=np.array([-1.0, 0.0, 0.2])),
        Sequence([CartesianMove(X + 0.05, 0.1), PolishSquare(0.05, 10.0, 0.05)]),
    ]


def state(motion: Motion, t: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ref = motion.at(t)
    if isinstance(ref, JointReference):
        return ref.q, ref.qd, ref.qdd
    return ref.x, ref.v[:3], ref.a[:3]


@pytest.mark.parametrize("motion", [*joint_motions(), *cartesian_motions()], ids=lambda m: m.name)
def test_velocity_and_acceleration_are_the_derivatives(motion: Motion) -> None:
    """Difference quotients of position and velocity equal what the reference states, everywhere."""
    motion.start(Q, X, R)
    h = 1e-5
    for t in np.linspace(-0.1, motion.duration + 0.1, 400):
        p0, v0, _ = state(motion, t - h)
        p1, v1, _ = state(motion, t + h)
        _, v, a = state(motion, t)
        np.testing.assert_allclose((p1 - p0) / (2 * h), v, atol=2e-6)
        np.testing.assert_allclose((v1 - v0) / (2 * h), a, atol=2e-3)


@pytest.mark.parametrize("motion", [*joint_motions(), *cartesian_motions()], ids=lambda m: m.name)
def test_starts_at_the_pose_and_ends_at_rest(motion: Motion) -> None:
    motion.start(Q, X, R)
    p, v, a = state(motion, 0.0)
    np.testing.assert_allclose(p, Q if motion.kind == "joint" else X, atol=1e-12)
    for t in (0.0, motion.duration, motion.duration + 5.0):
        p, v, a = state(motion, t)
        np.testing.assert_allclose(v, 0.0, atol=1e-9)
        np.testing.assert_allclose(a, 0.0, atol=1e-6)
    np.testing.assert_array_equal(p, state(motion, motion.duration + 9.0)[0])


@pytest.mark.parametrize("motion", cartesian_motions(), ids=lambda m: m.name)
def test_orientation_is_held(motion: Motion) -> None:
    motion.start(Q, X, R)
    for t in np.linspace(0.0, motion.duration, 20):
        ref = motion.at(t)
        np.testing.assert_array_equal(ref.R, R)  # type: ignore[union-attr]
        np.testing.assert_array_equal(ref.v[3:], 0.0)  # type: ignore[union-attr]


def test_joint_move_is_as_fast_as_the_limits_allow_and_no_faster() -> None:
    qd_max, qdd_max = np.array([1.0, 0.5, 2.0]), np.array([3.0, 0.6, 9.0])
    move = JointMove(Q + np.array([0.6, 0.2, 0.1]), qd_max=qd_max, qdd_max=qdd_max)
    move.start(Q, X, R)
    refs = [move.at(t) for t in np.linspace(0.0, move.duration, 2001)]
    speed = np.max([np.abs(r.qd) for r in refs], axis=0) / qd_max
    acceleration = np.max([np.abs(r.qdd) for r in refs], axis=0) / qdd_max
    assert max(speed.max(), acceleration.max()) == pytest.approx(1.0, abs=1e-3)


def test_joint_move_refuses_a_duration_that_breaks_the_limits() -> None:
    move = JointMove(Q + 1.0, duration=0.5, qd_max=np.ones(3))
    with pytest.raises(MotionError, match=r"0\.5 s.*takes 1\.875 s"):
        move.start(Q, X, R)


def test_joint_move_to_where_it_stands_stays() -> None:
    move = JointMove(Q, qd_max=np.ones(3))
    move.start(Q, X, R)
    np.testing.assert_array_equal(move.at(0.0005).q, Q)


def test_sinusoid_reaches_its_amplitude_and_frequency() -> None:
    swing = JointSinusoids(np.array([0.2, 0.0, 0.0]), np.array([0.5, 1.0, 1.0]), 10.0, 1.0)
    swing.start(Q, X, R)
    for t in (1.5, 3.5, 6.25):
        assert swing.at(t).q[0] - Q[0] == pytest.approx(0.2 * math.sin(math.pi * t), abs=1e-12)
    assert [swing.phase(t) for t in (0.5, 5.0, 9.5, 10.5)] == ["fade in", "swing", "fade out", "hold"]


def test_polish_presses_into_the_surface_in_the_right_phases() -> None:
    """Force is along −normal, exactly zero outside of press, slide and release, full while sliding."""
    normal = np.array([0.0, 0.6, 0.8])
    polish = PolishSquare(0.1, 20.0, 0.05, centre=X - 0.1, normal=normal)
    polish.start(Q, X, R)
    seen: list[str] = []
    for t in np.arange(0.0, polish.duration, 2e-3):
        phase = polish.phase(t)
        if not seen or seen[-1] != phase:
            seen.append(phase)
        ref = polish.at(t)
        if phase == "slide":
            np.testing.assert_allclose(ref.force[:3], -20.0 * normal, atol=1e-9)
        elif phase in ("press", "release"):
            assert -1e-12 <= -ref.force[:3] @ normal <= 20.0 + 1e-9
        else:
            np.testing.assert_array_equal(ref.force, 0.0)
        height = (ref.x - polish.centre) @ normal
        if phase in ("press", "slide", "release"):
            assert height == pytest.approx(polish.clearance, abs=1e-12)
        assert height >= polish.clearance - 1e-12
        assert np.linalg.norm(ref.v) <= 0.1 + 1e-9
    assert seen == ["approach", "descend", "press", "slide", "release", "lift"]
    assert polish.phase(polish.duration) == "hold"


def test_polish_goes_around_the_square() -> None:
    polish = PolishSquare(0.1, 20.0, 0.05, laps=2, centre=np.array([0.6, 0.0, 0.2]))
    polish.start(Q, X, R)
    points = np.array([polish.at(t).x for t in np.arange(0.0, polish.duration, 1e-3) if polish.phase(t) == "slide"])
    offset = points[:, :2] - [0.6, 0.0]
    np.testing.assert_allclose(np.abs(offset).max(axis=1), 0.05, atol=1e-9)
    turns = np.unwrap(np.arctan2(offset[:, 1], offset[:, 0]))
    assert turns[-1] - turns[0] == pytest.approx(2 * 2 * math.pi, abs=0.01)
    speed = np.linalg.norm(np.diff(points, axis=0), axis=1) / 1e-3
    assert speed.max() == pytest.approx(0.05, rel=1e-3)


def test_polish_without_a_centre_lies_below_the_start() -> None:
    polish = PolishSquare(0.1, 20.0, 0.05, approach=0.04)
    polish.start(Q, X, R)
    points = np.array([polish.at(t).x for t in np.arange(0.0, polish.duration, 0.01) if polish.phase(t) == "slide"])
    np.testing.assert_allclose(points[:, 2], X[2] - 0.04 + polish.clearance, atol=1e-12)


def test_a_path_too_short_for_its_speed_gets_a_lower_peak() -> None:
    edge = Cruise(0.01, 0.1, 0.25)
    assert edge.peak == pytest.approx(0.04)
    assert edge.at(edge.duration / 2) == pytest.approx((0.005, 0.04, 0.0))
    assert edge.at(edge.duration)[0] == pytest.approx(0.01)


def test_motions_before_start_say_so() -> None:
    for motion in (*joint_motions(), *cartesian_motions(), JointHold(), CartesianHold()):
        with pytest.raises(MotionError, match="start"):
            motion.at(0.0)


def test_holds_stay() -> None:
    joint, cartesian = JointHold(), CartesianHold()
    joint.start(Q, X, R)
    cartesian.start(Q, X, R)
    np.testing.assert_array_equal(joint.at(1e6).q, Q)
    np.testing.assert_array_equal(cartesian.at(1e6).x, X)
    assert math.isinf(joint.duration)


def test_started_motions_do_not_follow_the_callers_arrays() -> None:
    """Samples and Dynamics are buffers that change under us: start must copy."""
    q, x, R_live = Q.copy(), X.copy(), R.copy()
    motions: list[Motion] = [*joint_motions(), *cartesian_motions(), JointHold(), CartesianHold()]
    for motion in motions:
        motion.start(q, x, R_live)
    first = [[a.copy() for a in state(m, 0.3)] for m in motions]
    q += 1.0
    x += 1.0
    R_live[:] = np.eye(3)
    for motion, before in zip(motions, first, strict=True):
        np.testing.assert_array_equal(before, state(motion, 0.3))
        ref = motion.at(0.3)
        if not isinstance(ref, JointReference):
            np.testing.assert_array_equal(ref.R, R)


def test_sequences_of_mixed_kind_and_after_endless_are_refused() -> None:
    with pytest.raises(MotionError, match="cartesian and joint"):
        Sequence([JointHold(), CartesianHold()])
    with pytest.raises(MotionError, match="at least one"):
        Sequence([])
    with pytest.raises(MotionError, match="never begin"):
        Sequence([JointHold(), JointMove(Q, duration=1.0)]).start(Q, X, R)


def test_limits_are_checked_before_a_motion_runs() -> None:
    swing = JointSinusoids(np.array([0.2, 0.1, 0.0]), np.array([0.5, 1.5, 1.0]), 4.0, 0.8)
    swing.start(Q, X, R)
    wide = np.full(3, 2.0)
    check_joint_motion(swing, -wide, wide, wide)
    with pytest.raises(MotionError, match="joint 2 for qd"):
        check_joint_motion(swing, -wide, wide, np.array([2.0, 0.9, 2.0]))
    with pytest.raises(MotionError, match="joint 1 for q "):
        check_joint_motion(swing, -wide, np.array([0.25, 2.0, 2.0]), wide)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: JointMove(Q), "duration"),
        (lambda: JointMove(np.array([0.0, math.nan]), duration=1.0), "target"),
        (lambda: JointMove(Q, duration=0.0), "duration"),
        (lambda: JointMove(Q, qd_max=np.array([1.0, 0.0, 1.0])), "qd_max"),
        (lambda: JointSinusoids(Q, np.ones(2), 4.0), "frequency"),
        (lambda: JointSinusoids(Q, np.ones(3), 1.0, 0.6), "ramp"),
        (lambda: CartesianMove(X, 0.0), "speed"),
        (lambda: PolishSquare(side=-0.1), "side"),
        (lambda: PolishSquare(force=math.nan), "force"),
        (lambda: PolishSquare(laps=0), "laps"),
        (lambda: PolishSquare(clearance=0.06), "clearance"),
        (lambda: PolishSquare(normal=np.zeros(3)), "normal"),
    ],
)
def test_parameters_are_checked_by_name(make: object, word: str) -> None:
    with pytest.raises(MotionError, match=word):
        make()  # type: ignore[operator]

"""LuGre friction on one inertia: it sticks, breaks away at the static level, slides at the Stribeck curve."""

from __future__ import annotations

import numpy as np
import pytest

from sim_mocks.errors import FrictionError
from sim_mocks.friction import LuGre

DT = 1e-3
# wrist joint of an iiwa: the lightest there is
INERTIA, COULOMB, EXTRA, VISCOUS = 0.0019, 0.10, 0.3, 0.04


def wrist(dt: float = DT, inertia: float = INERTIA, damping: float = 0.3, angle: float = 0.0015) -> LuGre:
    return LuGre(COULOMB, EXTRA, 0.15, VISCOUS, angle, damping, dt, np.array([1.0 / inertia]))


def simulate(law: LuGre, tau: np.ndarray, qd: float = 0.0, inertia: float = INERTIA) -> tuple[np.ndarray, np.ndarray]:
    """Angle and speed of one joint under a course of motor torque, semi-implicit Euler as the physics does it."""
    q, track = 0.0, []
    for t in tau:
        qd += DT / inertia * (t - law.torque(np.array([qd]))[0])
        q += DT * qd
        track.append((q, qd))
    angle, speed = np.array(track).T
    return angle, speed


@pytest.mark.parametrize("share", [-0.95, 0.5, 0.95])
def test_below_the_static_level_the_joint_sticks_without_chatter(share: float) -> None:
    course = np.minimum(np.arange(2000) / 1000.0, 1.0) * share * COULOMB * (1.0 + EXTRA)
    angle, speed = simulate(wrist(), course)
    assert np.abs(angle).max() < 0.01, "presliding only"
    assert np.abs(speed[1500:]).max() < 1e-6, "at rest, no chatter"


def test_above_the_static_level_it_breaks_away_and_slides_at_the_stribeck_curve() -> None:
    torque = 1.2 * COULOMB * (1.0 + EXTRA)
    _, speed = simulate(wrist(), np.full(3000, torque))
    v = speed[-1]
    assert v > 0.1
    g = COULOMB * (1.0 + EXTRA * np.exp(-((v / 0.15) ** 2)))
    assert torque == pytest.approx(g + VISCOUS * v, rel=1e-4)


@pytest.mark.parametrize("v", [-1.0, -0.05, 0.02, 0.5])
def test_steady_sliding_torque_opposes_the_motion(v: float) -> None:
    law = wrist()
    for _ in range(2000):
        tau = law.torque(np.array([v]))[0]
    expected = np.sign(v) * COULOMB * (1.0 + EXTRA * np.exp(-((v / 0.15) ** 2))) + VISCOUS * v
    assert tau == pytest.approx(expected, rel=1e-4)


def test_a_joint_in_motion_stops_and_stays() -> None:
    angle, speed = simulate(wrist(), np.zeros(2000), qd=1.0)
    assert np.abs(speed[1000:]).max() < 1e-6
    assert np.ptp(angle[1000:]) < 1e-6


def test_the_bristle_cannot_overshoot_however_fast_the_joint() -> None:
    law = wrist()
    for v in (50.0, -50.0, 50.0):
        law.torque(np.array([v]))
        assert abs(law.bristle[0]) <= law.stick_limit[0] / law.stiffness[0] * (1.0 + 1e-12)


def test_level_scales_dry_friction_only() -> None:
    law = wrist()
    law.set_level([1.5])
    for _ in range(2000):
        tau = law.torque(np.array([3.0]))[0]
    assert tau == pytest.approx(1.5 * COULOMB + VISCOUS * 3.0, rel=1e-4)


def test_joints_are_independent_and_zero_coulomb_means_viscous_only() -> None:
    law = LuGre([0.0, 1.0], 0.3, 0.15, [2.0, 0.0], 0.0015, 0.3, DT, np.array([1.0, 1.0]))
    tau = law.torque(np.array([0.5, 0.0]))
    assert tau.tolist() == [1.0, 0.0]
    law.torque(np.array([0.0, 0.1]))
    assert law.bristle[0] == 0.0 < law.bristle[1]
    law.reset()
    assert law.bristle.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"angle": 1e-5}, r"bristle stiffness.*= 2\.\d+, allowed is 1\.2"),
        ({"damping": 0.8}, r"bristle damping.*= 0\.42, allowed is 0\.3"),
        ({"dt": 0.002}, r"bristle damping.*= 0\.32, allowed is 0\.3"),
        ({"inertia": 3e-5, "damping": 0.0, "angle": 1.0}, r"viscous friction.*= 1\.33, allowed is 1"),
    ],
)
def test_an_unstable_law_is_refused_with_its_figures(change: dict[str, float], names: str) -> None:
    with pytest.raises(FrictionError, match=rf"joint 1 is unstable at dt = .*{names}.*sub-steps"):
        wrist(**change)


def test_what_the_refusal_prevents_is_real() -> None:
    judged_for_a_heavy_joint = wrist(inertia=1.0, angle=1e-5)
    _, speed = simulate(judged_for_a_heavy_joint, np.full(2000, 0.05))
    assert np.abs(speed[1000:]).max() > 1e-3, "on the light joint the same law never comes to rest"


@pytest.mark.parametrize("bad", [{"coulomb": np.nan}, {"coulomb": -1.0}, {"presliding_angle": 0.0}, {"dt": np.inf}])
def test_impossible_parameters_are_refused(bad: dict[str, float]) -> None:
    arguments = {
        "coulomb": 1.0, "stribeck_extra": 0.3, "stribeck_velocity": 0.15, "viscous": 0.1,
        "presliding_angle": 0.0015, "bristle_damping": 0.3, "dt": DT, "inv_inertia": np.ones(1),
    }  # fmt: skip
    with pytest.raises(FrictionError):
        LuGre(**(arguments | bad))  # type: ignore[arg-type]

"""A payload found from the torque that a model without it lacks."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import hil
from estimators.errors import ParameterError
from estimators.payload import PayloadEstimator
from estimators.rigid_body import BodyInertia, RigidBodyModel

URDF = (Path(hil.__file__).parent / "models" / "iiwa14.urdf").read_text()
NOISE = np.array([0.2, 0.2, 0.15, 0.15, 0.08, 0.05, 0.03])
DT = 5e-3
BODY = BodyInertia(3.0, np.array([0.01, -0.02, 0.12]), np.diag([4e-3, 5e-3, 3e-3]))


def motion(t: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    omega = np.linspace(1.2, 2.4, 7)
    amplitude = np.array([0.4, 0.3, 0.4, 0.4, 0.5, 0.4, 0.6])
    q = np.array([0.0, 0.45, 0.0, -1.35, 0.0, 1.35, 0.0]) + amplitude * np.sin(omega * t)
    return q, amplitude * omega * np.cos(omega * t), -amplitude * omega**2 * np.sin(omega * t)


def follow(estimator: PayloadEstimator, seconds: float, carried: RigidBodyModel, bare: RigidBodyModel, seed: int = 0,
           begin: float = 0.0) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    for k in range(round(seconds / DT)):
        q, qd, qdd = motion(begin + k * DT)
        lacking = carried.rnea(q, qd, qdd) - bare.rnea(q, qd, qdd) + rng.normal(0.0, NOISE)
        assert estimator.step(q, qd, qdd, lacking, NOISE**2, DT)


def test_three_kilograms_are_found_within_two_seconds() -> None:
    bare, carried = RigidBodyModel(URDF), RigidBodyModel(URDF, BODY)
    estimator = PayloadEstimator(bare, NOISE)
    assert estimator.mass_sigma == pytest.approx(5.0)
    follow(estimator, 2.0, carried, bare)
    assert estimator.mass == pytest.approx(3.0, abs=0.05)
    assert abs(estimator.mass - 3.0) < 4.0 * estimator.mass_sigma
    assert estimator.mass_sigma < 0.05
    q, qd, qdd = motion(7.3)
    torque, sigma = estimator.torque(q, qd, qdd)
    truth = carried.rnea(q, qd, qdd) - bare.rnea(q, qd, qdd)
    assert np.linalg.norm(torque - truth) < 0.05 * np.linalg.norm(truth)
    assert (np.abs(torque - truth) < 4.0 * sigma + 1e-3).all()


def test_the_truth_lies_within_the_stated_uncertainty() -> None:
    bare, carried = RigidBodyModel(URDF), RigidBodyModel(URDF, BODY)
    found = []
    for seed in range(12):
        estimator = PayloadEstimator(bare, NOISE, drift=0.0)
        follow(estimator, 1.0, carried, bare, seed)
        found.append((estimator.mass - 3.0) / estimator.mass_sigma)
    assert np.abs(found).max() < 3.5
    assert 0.4 < np.std(found) < 1.8


def test_letting_go_is_learnt_after_a_reset() -> None:
    bare, carried = RigidBodyModel(URDF), RigidBodyModel(URDF, BODY)
    estimator = PayloadEstimator(bare, NOISE)
    follow(estimator, 2.0, carried, bare)
    estimator.reset()
    follow(estimator, 2.0, bare, bare, begin=2.0)
    assert abs(estimator.mass) < 0.05


def test_what_is_not_finite_is_not_learnt() -> None:
    bare = RigidBodyModel(URDF)
    estimator = PayloadEstimator(bare, NOISE)
    q, qd, qdd = motion(0.0)
    good = (q, qd, qdd, np.zeros(7), NOISE**2, DT)
    for k in range(5):
        bad = list(good)
        bad[k] = np.full(7, math.nan)
        assert not estimator.step(*bad)  # type: ignore[arg-type]
    for dt in (0.0, -1.0, math.nan, math.inf):
        assert not estimator.step(*good[:5], dt)
    assert (estimator.theta == 0.0).all()
    assert estimator.step(*good[:4], np.zeros(7), DT), "a variance of zero is taken for the noise floor"
    assert np.isfinite(estimator.theta).all()
    for wrong in ({"noise_floor": NOISE[:6]}, {"noise_floor": NOISE, "drift": math.nan},
                  {"noise_floor": NOISE, "prior_sigma": np.zeros(10)}):  # fmt: skip
        with pytest.raises(ParameterError):
            PayloadEstimator(bare, **wrong)  # type: ignore[arg-type]

"""What physics says: regression finds friction and a wrong mass, fingerprints tell arms apart; samples and scores."""

from __future__ import annotations

import numpy as np
import pytest

from estimators.dynamics import prior as priors
from estimators.dynamics.prior import Prior, fingerprint, regress
from estimators.dynamics.samples import Samples, scaling_of
from estimators.dynamics.scores import score
from estimators.errors import ModelError, ParameterError
from estimators.rigid_body import BodyInertia, RigidBodyModel
from tests.estimators.arms import PLANAR
from tests.estimators.dynamics_arm import FRICTION, NOISE, WIDTH, moved, planar


def rmse(prior: Prior, samples: Samples) -> np.ndarray:
    return np.sqrt(np.mean((samples.tau - prior.of(samples)) ** 2, axis=0))


def test_regression_finds_friction_and_a_wrong_mass() -> None:
    wrong = RigidBodyModel(PLANAR.replace('<mass value="1.0"/>', '<mass value="1.3"/>'))
    fitted = regress(wrong, moved(20, seed=1), widths=(WIDTH,))
    np.testing.assert_allclose(fitted.friction, FRICTION, atol=0.05)
    new = moved(4, seed=2)
    assert (rmse(fitted, new) < 1.1 * NOISE).all()
    assert (rmse(Prior(wrong), new) > 10.0 * NOISE).all()


def test_a_strong_hold_leaves_inertia_and_takes_friction_only() -> None:
    fitted = regress(planar(), moved(20, seed=1), ridge=1e6, widths=(WIDTH,))
    assert np.abs(fitted.correction).max() < 1e-3
    np.testing.assert_allclose(fitted.friction, FRICTION, atol=0.05)


def test_torque_is_the_regressor_times_the_parameters() -> None:
    model = planar()
    rng = np.random.default_rng(0)
    correction = 0.1 * rng.standard_normal(22)
    prior = Prior(model, correction)
    q, qd, qdd = rng.standard_normal((3, 2))
    expected = model.rnea(q, qd, qdd) + model.inertial_regressor(q, qd, qdd) @ correction
    np.testing.assert_allclose(prior.torque(q, qd, qdd), expected, rtol=1e-10)
    assert np.array_equal(planar().inertial_parameters(), model.inertial_parameters()), "the arm's model is as it was"


def test_too_few_samples_and_wrong_arms_are_refused() -> None:
    with pytest.raises(ParameterError, match="expected at least"):
        regress(planar(), moved(1, samples=5))
    with pytest.raises(ModelError, match="correction has shape"):
        Prior(planar(), np.zeros(7))
    correction = np.zeros(22)
    correction[0] = -2.0
    with pytest.raises(ModelError, match="no mass at all"):
        Prior(planar(), correction)


def test_the_fingerprint_is_of_all_that_rnea_depends_on() -> None:
    tool = BodyInertia(0.5, np.array([0.0, 0.0, 0.1]), 1e-3 * np.eye(3))
    others = [
        RigidBodyModel(PLANAR, tool),
        RigidBodyModel(PLANAR, armature=np.array([0.1, 0.0])),
        RigidBodyModel(PLANAR.replace('xyz="0.5 0 0"', 'xyz="0.51 0 0"')),
        RigidBodyModel(PLANAR.replace('0 0 1"/><limit lower="-2.5"', '0 0 -1"/><limit lower="-2.5"')),
    ]
    prints = {fingerprint(model) for model in (planar(), *others)}
    assert len(prints) == 5
    assert fingerprint(planar()) == fingerprint(planar())
    carrying = planar()
    carrying.set_payload(tool)
    assert fingerprint(carrying) != fingerprint(planar())


def test_a_packed_prior_is_built_again_and_refuses_another_arm() -> None:
    first = regress(planar(), moved(5), widths=(WIDTH,))
    options, arrays = first.pack()
    again = priors.unpack(options, arrays, planar())
    row = (np.array([0.1, 0.2]), np.array([0.3, -0.4]), np.array([1.0, 2.0]))
    assert np.array_equal(first.torque(*row), again.torque(*row))
    with pytest.raises(ModelError, match="give it the rigid-body model"):
        priors.unpack(options, arrays, None)
    with pytest.raises(ModelError, match="another rigid-body model"):
        priors.unpack(options, arrays, RigidBodyModel(PLANAR, armature=np.array([0.1, 0.0])))


def test_samples_are_checked_and_parted_by_trajectory() -> None:
    samples = moved(3, samples=10)
    assert samples.of([0, 2]).trajectories.tolist() == [0, 2]
    assert len(samples.of([1])) == 10
    bad = samples.tau.copy()
    bad[4, 1] = np.nan
    with pytest.raises(ParameterError, match="tau is not finite at 1 of 30"):
        Samples(samples.q, samples.qd, samples.qdd, bad, samples.trajectory)
    with pytest.raises(ParameterError, match=r"expected \(samples, joints\)"):
        Samples(samples.q[:5], samples.qd, samples.qdd, samples.tau, samples.trajectory)
    with pytest.raises(ParameterError, match="at least two"):
        scaling_of(samples.inputs[:1], samples.tau[:1])


def test_scores_of_a_prediction_that_is_known() -> None:
    rng = np.random.default_rng(3)
    N = 20000
    sigma = np.where(np.arange(N) % 2 == 0, 0.1, 2.0)[:, None] * np.ones((1, 2))
    tau = sigma * rng.standard_normal((N, 2))
    found = score(tau, np.zeros_like(tau), sigma**2, np.zeros(2), np.full(2, 4.0))
    np.testing.assert_allclose(found.coverage95, 0.95, atol=0.01)
    np.testing.assert_allclose(found.coverage68, 0.68, atol=0.015)
    np.testing.assert_allclose(found.rmse, np.sqrt((0.01 + 4.0) / 2.0), rtol=0.03)
    assert (found.nll < found.constant_nll - 0.5).all(), "a variance that follows the error is worth something"
    assert (found.msll < 0.0).all()
    with pytest.raises(ParameterError, match="not finite"):
        score(tau, np.full_like(tau, np.nan), sigma**2, np.zeros(2), np.ones(2))

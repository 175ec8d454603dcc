"""Wrench under a mixture prior: agrees with one Gaussian, knows when nothing touches, states its errors."""

from __future__ import annotations

import numpy as np
import pytest

from estimators.errors import ParameterError
from estimators.rigid_body import RigidBodyModel
from estimators.wrench import contact_wrench, jacobian_at
from estimators.wrench_mixture import ContactPrior, contact_prior, mixture_wrench
from tests.estimators.arms import seven_axis

Q = np.array([0.2, 0.5, -0.3, -1.2, 0.4, 1.1, 0.3])
TCP = np.array([0.01, 0.0, 0.12])


def jacobian() -> np.ndarray:
    return RigidBodyModel(seven_axis(), tcp_pos=TCP).jacobian(Q)


def noise(rng: np.random.Generator) -> np.ndarray:
    A = rng.normal(size=(7, 7))
    return 0.01 * (A @ A.T + np.eye(7))


def test_one_component_is_the_gaussian_form() -> None:
    rng = np.random.default_rng(0)
    J, P, tau = jacobian(), noise(rng), rng.normal(size=7)
    found = mixture_wrench(J, tau, P, ContactPrior(np.array([30.0]), np.array([4.0]), np.array([2.0])))
    wrench, cov = contact_wrench(J, tau, P, 30.0, 4.0)
    np.testing.assert_allclose(found.wrench, wrench, rtol=1e-10)
    np.testing.assert_allclose(found.covariance, cov, rtol=1e-10)
    assert found.probability.tolist() == [1.0]


def test_probabilities_are_those_of_the_torques_under_each_component() -> None:
    """Against the Gaussian density of tau in its direct form."""
    rng = np.random.default_rng(1)
    J, P, tau = jacobian(), noise(rng), rng.normal(size=7)
    prior = contact_prior((2.0, 20.0), (0.02, 0.1), free=0.3)
    log = []
    for force, moment, weight in zip(prior.sigma_force, prior.sigma_moment, prior.weight, strict=True):
        S = P + J.T @ np.diag([force**2] * 3 + [moment**2] * 3) @ J
        log.append(np.log(weight) - 0.5 * np.linalg.slogdet(S)[1] - 0.5 * tau @ np.linalg.solve(S, tau))
    expected = np.exp(np.array(log) - max(log))
    found = mixture_wrench(J, tau, P, prior).probability
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-6)


def test_errors_are_as_large_as_stated_and_smaller_than_with_one_gaussian() -> None:
    """Wrenches drawn from the mixture itself: often none, sometimes light, sometimes hard."""
    rng = np.random.default_rng(2)
    J, P = jacobian(), noise(rng)
    prior = contact_prior((2.0, 20.0), (0.02, 0.1), free=0.4)
    L = np.linalg.cholesky(P)
    stated, mixture, gaussian = [], [], []
    for _ in range(1500):
        c = rng.choice(prior.weight.size, p=prior.weight)
        wrench = rng.normal(size=6) * np.repeat([prior.sigma_force[c], prior.sigma_moment[c]], 3)
        tau = J.T @ wrench + L @ rng.normal(size=7)
        found = mixture_wrench(J, tau, P, prior)
        error = found.wrench - wrench
        stated.append(np.trace(found.covariance[:3, :3]))
        mixture.append(error[:3] @ error[:3])
        single = contact_wrench(J, tau, P, 20.0, 2.0)[0][:3] - wrench[:3]
        gaussian.append(single @ single)
    assert np.mean(mixture) == pytest.approx(np.mean(stated), rel=0.1)
    assert np.mean(mixture) < 0.8 * np.mean(gaussian)


def test_error_of_the_torques_alone_is_no_contact_and_a_push_is_one() -> None:
    J, P = jacobian(), 0.01 * np.eye(7)
    prior = contact_prior((2.0, 10.0), (0.02, 0.1))
    bias = np.array([0.05, -0.12, 0.02, 0.08, 0.0, 0.15, 0.0])
    quiet = mixture_wrench(J, bias, P, prior)
    assert quiet.probability[0] > 0.9
    assert np.linalg.norm(quiet.wrench[:3]) < 0.2 * np.linalg.norm(contact_wrench(J, bias, P)[0][:3])
    push = mixture_wrench(J, J.T @ np.array([0.0, 8.0, 0.0, 0.0, 0.0, 0.0]) + bias, P, prior)
    assert push.probability[0] < 1e-3
    assert push.wrench[1] == pytest.approx(8.0, abs=0.5)


def test_unknown_where_the_input_is() -> None:
    J, prior = jacobian(), contact_prior((2.0,), (0.1,))
    for tau, P in ((np.full(7, np.nan), np.eye(7)), (np.zeros(7), np.full((7, 7), np.nan)), (np.zeros(7), -np.eye(7))):
        found = mixture_wrench(J, tau, P, prior)
        assert all(np.isnan(part).all() for part in found)


def test_priors_that_are_none_are_refused() -> None:
    with pytest.raises(ParameterError, match="free is 1"):
        contact_prior((2.0,), (0.1,), free=1.0)
    with pytest.raises(ParameterError, match="at least one"):
        contact_prior((), (0.1,))
    with pytest.raises(ParameterError, match="sigma_force"):
        contact_prior((np.nan,), (0.1,))
    with pytest.raises(ParameterError, match="as many"):
        ContactPrior(np.ones(2), np.ones(1), np.ones(2))


def test_displaced_jacobian_is_that_of_the_displaced_point() -> None:
    model = RigidBodyModel(seven_axis(), tcp_pos=TCP)
    flange = RigidBodyModel(seven_axis())
    offset = model.fk(Q)[0] - flange.fk(Q)[0]
    np.testing.assert_allclose(jacobian_at(flange.jacobian(Q), offset), model.jacobian(Q), atol=1e-12)
    f, m = np.array([3.0, -2.0, 5.0]), np.array([0.1, 0.3, -0.2])
    there = jacobian_at(flange.jacobian(Q), offset).T @ np.concatenate((f, m))
    here = flange.jacobian(Q).T @ np.concatenate((f, m + np.cross(offset, f)))
    np.testing.assert_allclose(there, here, atol=1e-12)

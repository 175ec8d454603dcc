"""Scores against cases whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from estimators.errors import ParameterError
from estimators.kvark import scoring
from estimators.wrench import contact_wrench, point_contact_force

DT = 1e-3


def test_a_consistent_observer_scores_as_one() -> None:
    rng = np.random.default_rng(0)
    sigma = np.array([0.5, 2.0]) * (1.0 + (np.arange(40_000) % 4000 > 2000))[:, None]
    truth = rng.standard_normal((40_000, 2))
    x = truth + sigma * rng.standard_normal(truth.shape)
    constant = np.mean((x - truth) ** 2, axis=0)
    got = scoring.score(x, sigma**2, np.full(len(x), 2.0), truth, constant, DT)
    np.testing.assert_allclose(got.rmse, np.array([0.5, 2.0]) * math.sqrt(2.5), rtol=0.02)
    assert got.mean_rmse == pytest.approx(got.rmse.mean())
    assert got.nis == 1.0
    assert got.nees == pytest.approx(1.0, abs=0.02)
    assert got.coverage == pytest.approx(0.95, abs=0.005)
    assert got.sigma == pytest.approx(1.875, abs=0.02)
    # Entropy of a Gaussian: half of log 2πe σ².
    entropy = 0.5 * math.log(2.0 * math.pi * math.e) + np.log(sigma[500:]).mean()
    assert got.nll == pytest.approx(entropy, abs=0.01)
    assert got.nll < got.nll_constant - 0.05


def test_the_first_half_second_does_not_count() -> None:
    x = np.zeros((2000, 1))
    x[:500] = 100.0
    got = scoring.score(x, np.ones_like(x), np.full(2000, math.nan), np.zeros_like(x), np.ones(1), DT)
    assert got.rmse[0] == 0.0
    assert math.isnan(got.nis)
    assert scoring.rms(x, DT)[0] == 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_has_no_score(bad: float) -> None:
    x, one = np.zeros((1000, 2)), np.ones((1000, 2))
    wrong = x.copy()
    wrong[700, 1] = bad
    for estimates, variance in ((wrong, one), (x, one + wrong), (x, x), (x[:400], one[:400])):
        truth = np.zeros_like(estimates)
        with pytest.raises(ParameterError, match="not finite"):
            scoring.score(estimates, variance, np.ones(len(truth)), truth, np.ones(2), DT)


def test_forces_of_a_run_are_those_of_its_samples() -> None:
    rng = np.random.default_rng(1)
    J, x, variance = rng.standard_normal((7, 6, 6)), rng.standard_normal((7, 6)), 0.1 + rng.random((7, 6))
    whole, point = scoring.wrenches(J, x, variance), scoring.point_forces(J, x, variance)
    for k in range(7):
        np.testing.assert_allclose(whole[k], contact_wrench(J[k], x[k], np.diag(variance[k]))[0], rtol=1e-8)
        np.testing.assert_allclose(point[k], point_contact_force(J[k], x[k], np.diag(variance[k]))[0], rtol=1e-8)

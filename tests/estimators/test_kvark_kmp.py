"""Mixture regression and kernelised movement primitive against values computed by other means."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from estimators.errors import ParameterError
from estimators.residual.kmp import Kmp, KmpParams, Reference, dense_variance, fit_alpha, tabulate
from estimators.residual.mixture import Mixture, fit

SPAN = np.linspace(-2.0, 2.0, 151)


def friction(s: np.ndarray) -> np.ndarray:
    return 4.0 * np.tanh(s / 0.1) + 2.0 * s


def reference(variance: float = 0.3) -> Reference:
    return Reference(SPAN, friction(SPAN), np.full(SPAN.size, variance))


def test_the_variance_amid_dense_data_is_that_of_the_integral() -> None:
    for length, lam in ((0.05, 10.0), (0.2, 1.0), (0.1, 100.0)):
        params = KmpParams(length, lambda_variance=lam, alpha=0.7)
        kmp = Kmp(reference(), params)
        expected = dense_variance(length, SPAN[1] - SPAN[0], SPAN.size, 0.3, params, kmp.scale)
        got = kmp.variance(np.array([0.0, 0.003]))
        np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_far_from_data_the_variance_is_its_asymptote_and_the_mean_that_of_the_end() -> None:
    kmp = Kmp(reference(), KmpParams(0.2, alpha=0.02))
    far = np.array([-2.0 - 7 * 0.2, 2.0 + 7 * 0.2, 50.0])
    np.testing.assert_allclose(kmp.variance(far), kmp.asymptote, rtol=1e-9)
    assert kmp.asymptote == pytest.approx(0.02 * SPAN.size * kmp.scale**2 / 10.0, rel=1e-14)
    assert kmp.mean(far)[2] == pytest.approx(kmp.mean(np.array([2.0]))[0], rel=1e-12)
    assert abs(kmp.mean(far)[2] - friction(np.array([2.0]))[0]) < 0.5


def test_an_amplitude_of_the_kernel_is_nothing_but_other_lambdas() -> None:
    """k → αk: mean (α, λ1) ≡ (1, λ1/α); variance (N/λ2)(α − α²k*ᵀ(αK + λ2Σ)⁻¹k*) ≡ prefactor 1, λ2/α."""
    s = np.linspace(-3.0, 3.0, 41)
    amplitude = 3.7
    kmp = Kmp(reference(), KmpParams(0.15, lambda_mean=2.0, lambda_variance=5.0))
    other = Kmp(reference(), KmpParams(0.15, lambda_mean=2.0 / amplitude, lambda_variance=5.0 / amplitude))
    noise = np.diag(np.full(SPAN.size, 0.3) / kmp.scale**2)
    K = np.exp(-0.5 * ((SPAN[:, None] - SPAN) / 0.15) ** 2)
    k = np.exp(-0.5 * ((s[:, None] - SPAN) / 0.15) ** 2)
    inside = np.exp(-0.5 * ((np.clip(s, -2, 2)[:, None] - SPAN) / 0.15) ** 2)
    mean = amplitude * inside @ np.linalg.solve(amplitude * K + 2.0 * noise, friction(SPAN))
    solved = np.linalg.solve(amplitude * K + 5.0 * noise, amplitude * k.T).T
    variance = SPAN.size / 5.0 * kmp.scale**2 * (amplitude - np.einsum("ij,ij->i", amplitude * k, solved))
    np.testing.assert_allclose(other.mean(s), mean, atol=1e-12 * np.abs(mean).max() * 1e2)
    np.testing.assert_allclose(other.variance(s), variance, rtol=1e-9)


def test_alpha_is_the_likeliest_and_lifts_the_asymptote() -> None:
    rng = np.random.default_rng(1)
    s = rng.uniform(-2, 2, 4000)
    tau = friction(s) + math.sqrt(0.3) * rng.standard_normal(s.size)
    kmp = Kmp(reference(), KmpParams(0.1))
    alpha = fit_alpha(kmp, s, tau, floor=False)

    def likelihood(a: float) -> float:
        return float(norm.logpdf(tau, kmp.mean(s), np.sqrt(a * kmp.variance(s))).sum())

    assert likelihood(alpha) > max(likelihood(1.02 * alpha), likelihood(0.98 * alpha))
    assert np.mean(alpha * kmp.variance(s)) == pytest.approx(0.3, rel=0.15), "and then the variance is the data's"
    lifted = Kmp(reference(), KmpParams(0.1, alpha=fit_alpha(kmp, s, tau)))
    assert lifted.asymptote >= np.mean(tau**2) * (1 - 1e-12)


def test_tables_are_the_model() -> None:
    models = [Kmp(reference(), KmpParams(0.1)), Kmp(reference(0.8), KmpParams(0.4, alpha=0.1))]
    tables = tabulate(models)
    rng = np.random.default_rng(2)
    for qd in rng.uniform(-4.0, 4.0, (500, 2)):
        mean, variance = tables.at(qd)
        for j, model in enumerate(models):
            at = qd[j : j + 1]
            assert mean[j] == pytest.approx(model.mean(at)[0], abs=2e-3)
            assert variance[j] == pytest.approx(model.variance(at)[0], rel=2e-2)
    mean, variance = tables.at(np.array([math.nan, 0.1]))
    assert math.isnan(mean[0])
    assert math.isnan(variance[0])
    assert math.isfinite(mean[1])
    for end in (-math.inf, math.inf, 1e9):
        assert np.isfinite(np.concatenate(tables.at(np.array([end, 0.0])))).all()


def test_regression_on_one_gaussian_is_the_conditional_gaussian() -> None:
    cov = np.array([[[0.5, 0.3], [0.3, 1.2]]])
    one = Mixture(np.array([1.0]), np.array([[0.2, -1.0]]), cov)
    s = np.array([-1.0, 0.2, 3.0])
    mean, variance = one.regress(s)
    np.testing.assert_allclose(mean, -1.0 + 0.6 * (s - 0.2), rtol=1e-12)
    np.testing.assert_allclose(variance, 1.2 - 0.09 / 0.5, rtol=1e-12)


def test_a_fitted_mixture_regresses_friction_with_its_scatter() -> None:
    rng = np.random.default_rng(3)
    s = rng.uniform(-2, 2, 6000)
    sigma = 0.2 + 0.3 * np.abs(s)
    tau = friction(s) + sigma * rng.standard_normal(s.size)
    at = np.array([-1.5, -0.8, 0.8, 1.5])
    for components in (15, (5, 10, 15)):
        mean, variance = fit(s, tau, components, seed=1).regress(at)
        np.testing.assert_allclose(mean, friction(at), atol=0.25)
        np.testing.assert_allclose(np.sqrt(variance), 0.2 + 0.3 * np.abs(at), rtol=0.35)


def test_bad_data_are_refused_in_words() -> None:
    s = np.linspace(-1, 1, 400)
    with pytest.raises(ParameterError, match="at least ten"):
        fit(s[:50], s[:50], 20)
    with pytest.raises(ParameterError, match="finite"):
        fit(s, np.where(s > 0, np.nan, s), 5)
    with pytest.raises(ParameterError, match="never moves"):
        fit(np.zeros(400), s, 5)
    with pytest.raises(ParameterError, match="increasing"):
        Reference(np.array([0.0, 0.0]), np.zeros(2), np.ones(2))
    with pytest.raises(ParameterError, match="length"):
        KmpParams(0.0)

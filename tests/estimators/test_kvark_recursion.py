"""The recursion against its oracles: what the literal rules settle at, what the corrected ones do, and bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest

from estimators.errors import ParameterError
from estimators.kvark.diagonal import DiagonalRecursion, advance
from estimators.kvark.recursion import Recursion, RecursionParams

DT = 1e-3


def params(n: int = 1, q: float = 1.0, r: float = 1.0, **options: object) -> RecursionParams:
    """``q``: process variance of one sample."""
    return RecursionParams(np.full(n, q / DT), np.full(n, r), **options)  # type: ignore[arg-type]


def free(**options: object) -> RecursionParams:
    return params(q_clip=(1e-9, 1e9), window_q=1.0, adapt_r="off", **options)


@pytest.mark.parametrize("true_q", [0.0, 1e-4, 1e-2])
@pytest.mark.parametrize("kind", [Recursion, DiagonalRecursion])
def test_the_literal_process_rule_settles_at_two_thirds_whatever_the_data(kind: type, true_q: float) -> None:
    """2K/(2 − K) + 1 = K/(1 − K)·… has the spurious fixed point K = 2/3, Q = 4R/3."""
    rng = np.random.default_rng(1)
    filter_ = kind(free(adapt_q="literal", r=1.0, q=0.01))
    x, gains, rates = 0.0, [], []
    zero = np.zeros(1)
    for k in range(30_000):
        x += math.sqrt(true_q) * rng.standard_normal()
        before = np.atleast_1d(filter_.x)[0]
        y = np.array([x + rng.standard_normal()])
        after = filter_.step(y, zero, DT)
        if k > 20_000:
            innovation = y[0] - before
            if abs(innovation) > 0.1:
                gains.append((after[0] - before) / innovation)
            rates.append(float(np.atleast_1d(filter_.q_rate).ravel()[0]) * DT)
    assert np.mean(gains) == pytest.approx(2.0 / 3.0, abs=0.01)
    assert np.mean(rates) == pytest.approx(4.0 / 3.0, abs=0.05)


def test_the_corrected_process_rule_finds_the_true_one() -> None:
    """Random walk of q = .01 in noise R = 1: nearly as good as the filter that knows q (rmse .3053)."""
    rng = np.random.default_rng(2)
    steps = 200_000
    walk = np.cumsum(0.1 * rng.standard_normal(steps))
    seen = walk + rng.standard_normal(steps)
    adaptive = DiagonalRecursion(free(adapt_q="innovation", r=1.0, q=0.1))
    knowing = DiagonalRecursion(free(adapt_q="off", r=1.0, q=0.01))
    zero = np.zeros(1)
    errors = {adaptive: [], knowing: []}
    nees = []
    for k in range(steps):
        y = seen[k : k + 1]
        for each, found in errors.items():
            error = each.step(y, zero, DT)[0] - walk[k]
            found.append(error)
        nees.append(errors[adaptive][-1] ** 2 / adaptive.P[0])
    rmse = {each: float(np.sqrt(np.mean(np.square(found[5000:])))) for each, found in errors.items()}
    assert rmse[knowing] == pytest.approx(0.305, abs=0.01)
    assert rmse[adaptive] < 1.03 * rmse[knowing]
    assert float(adaptive.q_rate[0]) * DT == pytest.approx(0.01, rel=0.35)
    assert np.mean(nees[5000:]) == pytest.approx(1.0, abs=0.1)


def noise_found(rule: str, sigma: float) -> tuple[float, float]:
    """Mean of R_emp and of the NIS for white noise of variance 1 + sigma, of which the model's variance is sigma."""
    rng = np.random.default_rng(3)
    p = params(q=0.01, r=1.0, adapt_q="off", adapt_r=rule, window_r=2.0, r_clip=(1e-3, 1e3))
    filter_ = DiagonalRecursion(p)
    x, found, nis = 0.0, [], []
    variance = np.full(1, sigma)
    for k in range(60_000):
        x += 0.1 * rng.standard_normal()
        filter_.step(np.array([x + math.sqrt(1.0 + sigma) * rng.standard_normal()]), variance, DT)
        if k > 20_000:
            found.append(filter_.R_emp[0])
            nis.append(filter_.nis)
    return float(np.mean(found)), float(np.mean(nis))


def test_the_literal_measurement_rule_counts_the_models_variance_twice_and_the_corrected_one_does_not() -> None:
    literal, nis_literal = noise_found("literal", 1.0)
    corrected, nis_corrected = noise_found("residual", 1.0)
    assert literal > 2.0
    assert corrected == pytest.approx(1.0, abs=0.1)
    assert nis_corrected == pytest.approx(1.0, abs=0.05)
    assert nis_literal < 0.75


@pytest.mark.parametrize("rules", [("off", "off"), ("innovation", "off"), ("literal", "literal"), ("off", "residual")])
def test_one_joint_full_and_diagonal_agree(rules: tuple[str, str]) -> None:
    rng = np.random.default_rng(4)
    p = params(q=0.02, r=0.5, adapt_q=rules[0], adapt_r=rules[1], colour=3.0)
    full, diagonal = Recursion(p), DiagonalRecursion(p)
    for _ in range(3000):
        y, sigma, dt = rng.standard_normal(1), rng.random(1), float(rng.choice([1e-3, 2e-3]))
        a, b = full.step(y, sigma, dt), diagonal.step(y, sigma, dt)
        assert a[0] == pytest.approx(b[0], rel=1e-10, abs=1e-12)
        assert full.P[0, 0] == pytest.approx(diagonal.P[0], rel=1e-10)
        assert full.nis == pytest.approx(diagonal.nis, rel=1e-9)


def test_six_joints_without_adaptation_are_six_scalar_filters() -> None:
    rng = np.random.default_rng(5)
    q, r = rng.uniform(0.1, 3.0, 6), rng.uniform(0.1, 3.0, 6)
    p = RecursionParams(q, r, adapt_q="off", adapt_r="off")
    full, diagonal = Recursion(p), DiagonalRecursion(p)
    for _ in range(2000):
        y, sigma = rng.standard_normal(6), rng.random(6)
        np.testing.assert_allclose(full.step(y, sigma, DT), diagonal.step(y, sigma, DT), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(full.P.diagonal(), diagonal.P, rtol=1e-10)
    assert np.abs(full.P - np.diag(full.P.diagonal())).max() < 1e-14


def test_what_is_compiled_is_what_is_written() -> None:
    written = getattr(advance, "py_func", advance)
    rng = np.random.default_rng(6)
    start = rng.uniform(0.5, 2.0, (2, 6))
    numbers = np.array([0.7, 0.999, 0.998, 0.03, 30.0, 0.1, 100.0])
    for rules in ([1, 1], [2, 2], [0, 0]):
        a = rng.uniform(0.5, 2.0, (4, 6))
        b = a.copy()
        nu_a = nu_b = 50.0
        for _ in range(500):
            y, sigma = rng.standard_normal(6), rng.random(6)
            nu_a, nis_a = advance(a, nu_a, y, sigma, DT, start, numbers, np.array(rules))
            nu_b, nis_b = written(b, nu_b, y, sigma, DT, start, numbers, np.array(rules))
        np.testing.assert_allclose(a, b, rtol=1e-10)
        assert nis_a == pytest.approx(nis_b, rel=1e-10)


@pytest.mark.parametrize("rules", [("innovation", "residual"), ("literal", "literal")])
def test_covariances_stay_symmetric_positive_and_bounded(rules: tuple[str, str]) -> None:
    rng = np.random.default_rng(7)
    n = 6
    p = RecursionParams(np.full(n, 5.0), np.full(n, 0.3), adapt_q=rules[0], adapt_r=rules[1], window_r=0.05)
    filter_ = Recursion(p)
    mix = rng.standard_normal((n, n))
    for k in range(5000):
        y = mix @ rng.standard_normal(n) * (100.0 if k % 997 == 0 else 1.0)
        before = filter_.P + filter_.q_rate * DT
        filter_.step(y, 10.0 * rng.random(n), DT)
        for matrix in (filter_.P, filter_.R_emp, filter_.q_rate):
            assert (matrix == matrix.T).all()
            assert np.linalg.eigvalsh(matrix)[0] > 0.0
        assert np.linalg.eigvalsh(before - filter_.P)[0] > -1e-9 * np.trace(before), "measuring makes nothing less sure"
        assert (filter_.q_rate.diagonal() <= 30.0 * 5.0 * (1 + 1e-12)).all()
        assert (filter_.R_emp.diagonal() <= 100.0 * 0.3 * (1 + 1e-12)).all()
    assert filter_.repaired == 0


@pytest.mark.parametrize("kind", [Recursion, DiagonalRecursion])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_measurement_that_is_not_finite_only_makes_it_less_sure(kind: type, bad: float) -> None:
    filter_ = kind(params(n=3, q=0.01))
    for _ in range(100):
        filter_.step(np.array([1.0, -2.0, 3.0]), np.full(3, 0.1), DT)
    x, P = np.array(filter_.x), np.array(filter_.P)
    for y, sigma in (([1.0, bad, 0.0], [0.1] * 3), ([1.0, 1.0, 1.0], [0.1, bad, 0.1])):
        assert (filter_.step(np.array(y), np.array(sigma), DT) == x).all()
        assert math.isnan(filter_.nis)
    assert (np.diag(filter_.P) > np.diag(P)).all() if P.ndim == 2 else (filter_.P > P).all()
    after = filter_.step(np.array([1.0, -2.0, 3.0]), np.full(3, 0.1), DT)
    assert np.isfinite(after).all()
    assert math.isfinite(filter_.nis)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("q_rate", [1.0, -1.0]),
        ("r_empirical", [math.nan, 1.0]),
        ("colour", -1.0),
        ("window_q", math.inf),
        ("q_clip", (2.0, 3.0)),
    ],
)
def test_parameters_out_of_range_are_refused(name: str, value: object) -> None:
    values: dict[str, object] = {"q_rate": np.ones(2), "r_empirical": np.ones(2), name: value}
    with pytest.raises(ParameterError, match=name):
        RecursionParams(**values)  # type: ignore[arg-type]

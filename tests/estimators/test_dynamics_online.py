"""Online learning on a posterior: the same as learning everything at once, and never a worse model in use."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from estimators.dynamics.online import Guard, OnlinePosterior, predict
from estimators.dynamics.posterior import Posterior
from estimators.dynamics.reference import Reference
from estimators.dynamics.samples import Scaling
from estimators.errors import ModelError, ParameterError

P, M, D = 2, 24, 6
NOISE = 0.02


def prior(seed: int = 0) -> Posterior:
    """A posterior that has seen nothing: alpha and B are zero."""
    rng = np.random.default_rng(seed)
    return Posterior(
        (rng.normal(0.0, 0.5, (8, D)), rng.normal(0.0, 0.5, (3, 8))),
        (rng.normal(0.0, 0.3, 8), rng.normal(0.0, 0.3, 3)),
        True,
        np.full((P, 3 + D), 2.5),
        rng.normal(0.0, 0.4, (P, M, 3 + D)),
        np.array([1.0, 1.4]),
        np.full(P, NOISE),
        np.zeros((P, M)),
        np.zeros((P, M, M)),
        Scaling(np.zeros(D), np.ones(D), np.array([0.5, -0.2]), np.array([2.0, 3.0])),
    )


def data(k: int, seed: int, change: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(0.0, 1.0, (k, D))
    r = np.column_stack((np.sin(x[:, 0]) + x[:, 2], np.cos(x[:, 1]) * x[:, 3])) + change
    return x, r + rng.normal(0.0, 0.05, r.shape)


def trained() -> Posterior:
    online = OnlinePosterior(prior(), keep=1.0)
    online.learn(*data(600, 1))
    return online.posterior()


def test_batch_by_batch_is_the_same_as_all_at_once_and_as_the_formula() -> None:
    x, r = data(300, 2)
    once, bit_by_bit = OnlinePosterior(prior(), keep=1.0), OnlinePosterior(prior(), keep=1.0)
    once.learn(x, r)
    for k in range(0, 300, 100):
        bit_by_bit.learn(x[k : k + 100], r[k : k + 100])
    tests = data(40, 3)[0]
    for one, other in zip(predict(once.posterior(), tests), predict(bit_by_bit.posterior(), tests), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8)
    # The subset-of-regressors posterior plus the prior's own remainder, written out anew for one joint.
    p = prior()
    from estimators.dynamics.online import features_of

    f, g = features_of(p, x) / p.lengths[0], features_of(p, tests) / p.lengths[0]
    kernel = lambda a, b: p.s2[0] * np.exp(-0.5 * ((a[:, None] - b[None]) ** 2).sum(axis=2))  # noqa: E731
    Kzz, Kzx, Kzt = kernel(p.points[0], p.points[0]), kernel(p.points[0], f), kernel(p.points[0], g)
    Sigma = np.linalg.inv(Kzz + Kzx @ Kzx.T / NOISE)
    mean = Kzt.T @ Sigma @ Kzx @ ((r[:, 0] - 0.5) / 2.0) / NOISE * 2.0 + 0.5
    np.testing.assert_allclose(predict(once.posterior(), tests)[0][:, 0], mean, rtol=1e-4, atol=1e-5)


def test_the_cycles_predictor_says_the_same() -> None:
    posterior = trained()
    x = data(5, 4)[0]
    mean, variance = predict(posterior, x)
    m, s = np.zeros((5, P)), np.zeros((5, P))
    Reference(posterior).at(x[:5], m, s)
    np.testing.assert_allclose(m, mean[:5], rtol=1e-8)
    np.testing.assert_allclose(s**2, variance[:5], rtol=1e-7)


def test_nothing_learnt_is_the_offline_model() -> None:
    offline = trained()
    x = data(40, 5)[0]
    for one, other in zip(predict(offline, x), predict(OnlinePosterior(offline).posterior(), x), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8)


def test_a_change_is_learnt_and_forgotten_again() -> None:
    offline = trained()
    online = OnlinePosterior(offline, keep=0.8, weight=0.05)
    x, changed = data(100, 6, change=0.5)
    before = np.abs(np.mean(predict(offline, x)[0] - changed, axis=0))
    for seed in range(8):
        online.learn(*data(100, 10 + seed, change=0.5))
    learnt = np.abs(np.mean(predict(online.posterior(), x)[0] - changed, axis=0))
    assert (learnt < 0.35 * before).all()
    for seed in range(12):
        online.learn(*data(100, 30 + seed))
    x, usual = data(100, 7)
    known, back = (np.abs(predict(each, x)[0] - usual).mean() for each in (offline, online.posterior()))
    assert back < 1.3 * known
    assert online.batches == 20
    online.reset()
    np.testing.assert_allclose(predict(online.posterior(), x)[0], predict(offline, x)[0], atol=1e-6)


def test_bad_batches_are_refused_and_change_nothing() -> None:
    online = OnlinePosterior(trained())
    x, r = data(100, 8)
    before = online.posterior()
    for bad in ((x[:, :5], r), (x, r[:50]), (np.where(x > 2.0, math.nan, x), r), (x, r * math.inf)):
        with pytest.raises(ParameterError):
            online.learn(*bad)
    np.testing.assert_array_equal(online.posterior().alpha, before.alpha)
    with pytest.raises(ParameterError, match="keep"):
        OnlinePosterior(trained(), keep=math.nan)
    with pytest.raises(ModelError, match="proper covariance"):
        OnlinePosterior(replace(trained(), B=10.0 * trained().B + np.eye(M)))


def test_the_guard_takes_what_is_no_worse_and_gives_up_after_three() -> None:
    offline = trained()
    guard = Guard(offline, *data(200, 9), np.full(P, 50.0))
    held = data(200, 40)
    online = OnlinePosterior(offline)
    online.learn(*data(100, 41))
    assert guard.accepts(online.posterior(), offline, *held)
    assert guard.rejected == 0
    wrong = OnlinePosterior(offline)
    for seed in range(6):
        wrong.learn(*data(100, 50 + seed, change=4.0))
    assert not guard.accepts(wrong.posterior(), offline, *held)
    assert "NLL on held-out batches" in guard.reason
    nothing = np.zeros((0, D)), np.zeros((0, P))
    assert not guard.accepts(wrong.posterior(), offline, *nothing)
    assert "probe set" in guard.reason
    assert not guard.gave_up
    assert not guard.accepts(replace(offline, alpha=1e4 * offline.alpha), offline, *held)
    assert "beyond what a joint can do" in guard.reason
    assert guard.gave_up

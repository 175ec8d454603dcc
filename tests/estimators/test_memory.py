"""Friction features: without the measured torque, and behind a play that keeps an encoder's flicker out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from estimators.compiled import COMPILED
from estimators.errors import ParameterError
from estimators.residual.memory import MemoryFeatures, MemoryParams

COUNT = 2.0 * math.pi / 2**20
FORMS = [True, False] if COMPILED else [False]


def test_without_load_a_steady_external_torque_changes_no_feature() -> None:
    """With it, where friction exceeds the load, z|tau| grows with the external torque itself."""
    t = np.arange(400)[:, None] * 0.01
    q, qd = 0.3 * np.sin(2.0 * t), 0.6 * np.cos(2.0 * t)
    tau = 3.0 * np.sign(qd)
    pushed = tau + 1.0

    def change(params: MemoryParams) -> np.ndarray:
        features = MemoryFeatures(1, params)
        free = features.run(q, qd, tau, 0.01)
        return features.run(q, qd, pushed, 0.01) - free

    assert not change(MemoryParams(load=False)).any()
    z_load = change(MemoryParams())[200:, 0, 1]
    assert np.mean(z_load) > 0.8


def test_step_by_step_as_in_one_go_without_load() -> None:
    rng = np.random.default_rng(0)
    q = np.cumsum(0.01 * rng.normal(size=(50, 2)), axis=0)
    qd, tau = np.gradient(q, 0.01, axis=0), rng.normal(size=(50, 2))
    features = MemoryFeatures(2, MemoryParams(load=False))
    rows = features.run(q, qd, tau, 0.01)
    features.reset()
    steps = np.array([features.step(*row, 0.01 if k else np.nan) for k, row in enumerate(zip(q, qd, tau, strict=True))])
    np.testing.assert_allclose(steps, rows, atol=1e-14)


def flickering(m: int, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """q, qd, tau of joints that wander, stand and flicker by a count, at 1 kHz."""
    rng = np.random.default_rng(seed)
    drift = np.cumsum(1e-4 * rng.normal(size=(m, n)) * (rng.random((m, 1)) < 0.3), axis=0)
    q = COUNT * np.round((drift + 0.4 * COUNT * rng.normal(size=(m, n))) / COUNT)
    return q, rng.normal(size=(m, n)), rng.normal(size=(m, n))


@pytest.mark.parametrize(("play", "kept"), [(0.0, False), (COUNT, True)])
def test_a_flickering_encoder_bleeds_the_memory_unless_there_is_play(play: float, kept: bool) -> None:
    features = MemoryFeatures(1, MemoryParams(harmonics=0, play=play))
    zero = np.zeros(1)
    for k in range(500):  # 0.1 rad/s: every state has a sign
        features.step(np.array([-1e-4 * k]), zero, zero, 1e-3)
    rest = -1e-4 * 499
    came = features.step(np.array([rest]), zero, zero, 1e-3)
    for k in range(2000):
        stood = features.step(np.array([rest + COUNT * (k % 3 - 1)]), zero, zero, 1e-3)
    if kept:
        # The first flicker onwards is travel like any other; the others change nothing.
        np.testing.assert_allclose(stood, came, atol=1e-4)
    else:
        assert abs(stood[0, 0]) < 0.1 < 0.9 < abs(came[0, 0])


def test_a_real_reversal_passes_the_play_and_loses_only_its_width() -> None:
    params = MemoryParams(travel=(1e-3,), harmonics=0, play=1e-5)
    features = MemoryFeatures(1, params)
    q = np.array([0.0, 0.1, 0.1 - 0.5e-3])[:, None]
    rows = features.run(q, np.zeros_like(q), np.zeros_like(q), 1e-3)
    assert rows[1, 0, 0] == pytest.approx(1.0, abs=1e-9)
    assert rows[2, 0, 0] == pytest.approx(-1.0 + 2.0 * math.exp(-(0.5e-3 - 2e-5) / 1e-3), rel=1e-9)


@pytest.mark.parametrize("use_compiled", FORMS)
@pytest.mark.parametrize("play", [0.0, 1e-5])
def test_every_form_agrees_behind_the_play(play: float, use_compiled: bool) -> None:
    q, qd, tau = flickering(1500, 3)
    params = MemoryParams(ripple=(202.0,), play=play)
    weights = np.random.default_rng(1).normal(size=(3, params.count))
    whole = MemoryFeatures(3, params).run(q, qd, tau, 1e-3)
    one, other = MemoryFeatures(3, params), MemoryFeatures(3, params)
    for k in range(len(q)):
        dt = 1e-3 if k else math.nan
        row = one.step(q[k], qd[k], tau[k], dt, use_compiled)
        np.testing.assert_allclose(row, whole[k], rtol=0.0, atol=1e-12)
        total = np.zeros(3)
        other.weighted(q[k], qd[k], tau[k], dt, weights, total, use_compiled)
        np.testing.assert_allclose(total, (weights * whole[k]).sum(axis=1), rtol=0.0, atol=1e-11)


@pytest.mark.parametrize("use_compiled", FORMS)
def test_a_sample_that_is_none_moves_no_play_and_a_reset_centres_it(use_compiled: bool) -> None:
    q, qd, tau = flickering(400, 2)
    params = MemoryParams(play=1e-5)
    plain, disturbed = MemoryFeatures(2, params), MemoryFeatures(2, params)
    out = np.zeros(2)
    for k in range(len(q)):
        if k % 50 == 20:
            assert np.isnan(disturbed.step(q[k] + math.nan, qd[k], tau[k], 1e-3, use_compiled)).all()
            ones = np.ones((2, params.count))
            disturbed.weighted(q[k] + 1.0, qd[k], tau[k] * math.nan, 1e-3, ones, out, use_compiled)
        dt = 1e-3 if k else math.nan
        expected = plain.step(q[k], qd[k], tau[k], dt, use_compiled)
        np.testing.assert_array_equal(disturbed.step(q[k], qd[k], tau[k], dt, use_compiled), expected)
    disturbed.reset()
    fresh = MemoryFeatures(2, params)
    for k in range(50):
        found = disturbed.step(q[k], qd[k], tau[k], 1e-3, use_compiled)
        np.testing.assert_array_equal(found, fresh.step(q[k], qd[k], tau[k], 1e-3, use_compiled))


@pytest.mark.parametrize("play", [-1e-6, math.nan, math.inf])
def test_a_play_that_is_none_is_refused(play: float) -> None:
    with pytest.raises(ParameterError, match="play"):
        MemoryParams(play=play)

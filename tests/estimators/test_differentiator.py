"""Delay and noise of the differentiator as measured against what it states."""

from __future__ import annotations

import math

import numpy as np
import pytest

from estimators.differentiator import FadingMemoryDifferentiator
from estimators.errors import ParameterError

DT = 1e-3


def run(f: FadingMemoryDifferentiator, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    f.reset(q[0])
    out = [f.update(sample, DT) for sample in q[1:]]
    return np.array([v for v, _ in out]), np.array([a for _, a in out])


@pytest.mark.parametrize("bandwidth", [60.0, 200.0, 400.0])
def test_constant_acceleration_has_no_velocity_delay(bandwidth: float) -> None:
    """After the transient, velocity and acceleration of a parabola are exact."""
    t = np.arange(0, 0.6, DT)
    qd, qdd = run(FadingMemoryDifferentiator(bandwidth), (0.3 + 0.5 * t + 0.5 * 2.0 * t**2)[:, None])
    assert qd[-1, 0] == pytest.approx(0.5 + 2.0 * t[-1], abs=1e-7)
    assert qdd[-1, 0] == pytest.approx(2.0, abs=1e-6)


@pytest.mark.parametrize("bandwidth", [60.0, 200.0, 400.0])
def test_acceleration_delay_is_as_stated(bandwidth: float) -> None:
    """Under constant jerk the acceleration lags by exactly delay()[1], the velocity by about 3 jerk/b²."""
    f = FadingMemoryDifferentiator(bandwidth)
    t = np.arange(0, 0.6, DT)
    jerk = 6.0
    qd, qdd = run(f, (jerk * t**3 / 6)[:, None])
    assert t[-1] - qdd[-1, 0] / jerk == pytest.approx(f.delay(DT)[1], rel=1e-6)
    assert jerk * t[-1] ** 2 / 2 - qd[-1, 0] == pytest.approx(3 * jerk / bandwidth**2, rel=0.35)
    assert f.delay(DT)[1] == pytest.approx(3 / bandwidth, rel=0.1)


@pytest.mark.parametrize("bandwidth", [60.0, 200.0, 400.0])
def test_noise_is_as_stated(bandwidth: float) -> None:
    f = FadingMemoryDifferentiator(bandwidth)
    sigma = 1e-5
    q = np.random.default_rng(1).normal(0.0, sigma, (40_000, 2))
    qd, qdd = run(f, q)
    stated = f.noise(sigma, DT)
    assert qd[500:].std() == pytest.approx(stated[0], rel=0.05)
    assert qdd[500:].std() == pytest.approx(stated[1], rel=0.05)


def test_default_noise_for_a_quantised_encoder_is_what_the_docstring_says() -> None:
    """1e-5 rad of noise and a 1e-5 rad quantum at 1 kHz: 1.2e-3 rad/s, 0.08 rad/s²."""
    f = FadingMemoryDifferentiator()
    rng = np.random.default_rng(2)
    q = np.round((0.7 + rng.normal(0.0, 1e-5, (20_000, 1))) / 1e-5) * 1e-5
    qd, qdd = run(f, q)
    assert qd[500:].std() == pytest.approx(1.2e-3, rel=0.1)
    assert qdd[500:].std() == pytest.approx(0.08, rel=0.1)


def test_sampling_with_jitter_and_gaps_still_follows_a_parabola() -> None:
    """Varying dt and dropped samples cost nothing as long as the time is given."""
    rng = np.random.default_rng(4)
    f = FadingMemoryDifferentiator(100.0)
    t = 0.0
    f.reset(np.zeros(1))
    for _ in range(800):
        dt = DT * rng.uniform(0.7, 1.3) * (1 if rng.random() > 0.05 else 4)
        t += dt
        qd, qdd = f.update(np.array([0.2 * t + 1.5 * t * t]), dt)
    assert qd[0] == pytest.approx(0.2 + 3.0 * t, abs=1e-6)
    assert qdd[0] == pytest.approx(3.0, abs=1e-5)


def test_nan_is_reported_and_forgotten() -> None:
    """A NaN position gives NaN out once; the next sample is judged over the whole time that passed."""
    f = FadingMemoryDifferentiator()
    f.reset(np.zeros(1))
    for k in range(1, 400):
        f.update(np.array([k * DT]), DT)
    assert np.isnan(f.update(np.array([math.nan]), DT)).all()
    assert np.isnan(f.update(np.array([math.inf]), DT)).all()
    qd, _ = f.update(np.array([402 * DT]), DT)
    assert qd[0] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("dt", [0.0, -1e-3, math.nan, math.inf])
def test_time_that_does_not_pass_changes_nothing(dt: float) -> None:
    f = FadingMemoryDifferentiator()
    f.reset(np.zeros(1))
    before = f.update(np.array([1e-3]), DT)
    after = f.update(np.array([5.0]), dt)
    np.testing.assert_array_equal(before, after)


def test_after_a_long_gap_the_mean_velocity_is_taken() -> None:
    f = FadingMemoryDifferentiator(max_gap=0.1)
    f.reset(np.zeros(1))
    f.update(np.array([0.0]), DT)
    qd, qdd = f.update(np.array([0.5]), 1.0)
    assert qd[0] == pytest.approx(0.5)
    assert qdd[0] == 0.0


def test_results_are_fresh_copies() -> None:
    f = FadingMemoryDifferentiator()
    f.reset(np.zeros(2))
    first, _ = f.update(np.array([1e-3, 0.0]), DT)
    kept = first.copy()
    f.update(np.array([9e-3, 1.0]), DT)
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_bandwidth_must_be_positive(bad: float) -> None:
    with pytest.raises(ParameterError, match="bandwidth"):
        FadingMemoryDifferentiator(bad)


def test_reset_refuses_nan() -> None:
    with pytest.raises(ParameterError, match="finite"):
        FadingMemoryDifferentiator().reset(np.array([0.0, math.nan]))

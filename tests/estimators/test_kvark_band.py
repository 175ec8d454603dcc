"""The reported band, its calibration, and the level of friction: properties on synthetic errors and recordings."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from estimators.errors import ParameterError
from estimators.kvark import calibration
from estimators.kvark.band import Band, BandParams, replay
from estimators.kvark.calibration import Recording, calibrate, conformal, likeliest
from estimators.kvark.diagonal import DiagonalRecursion
from estimators.kvark.recursion import RecursionParams

DT = 1e-3
N = 2
FRICTION = np.array([8.0, 3.0])
SPEED = np.array([1.0, 1.0])


def filter_params() -> RecursionParams:
    return RecursionParams(np.array([30.0, 30.0]), np.array([4.0, 4.0]), adapt_r="off")


def recording(seconds: float = 20.0, off: float = 0.0, seed: int = 0) -> Recording:
    """Two joints to and fro under friction of tanh form, ``off`` by so much from its model, slow errors of 0.2 N·m."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds / DT)) * DT
    qd = np.column_stack((0.6 * np.sin(2.0 * np.pi * 0.4 * t), 0.5 * np.sin(2.0 * np.pi * 0.3 * t + 1.0)))
    q = np.cumsum(qd, axis=0) * DT
    mean = FRICTION * np.tanh(qd / 0.02)
    slow = np.empty_like(qd)
    state = np.zeros(N)
    keep = math.exp(-DT / 0.3)
    for k in range(len(t)):
        state = keep * state + 0.2 * math.sqrt(1.0 - keep * keep) * rng.standard_normal(N)
        slow[k] = state
    y = -off * mean + slow + 2.0 * rng.standard_normal(qd.shape)
    J = np.zeros((len(t), 6, N))
    J[:, 0, 0], J[:, 1, 1] = 0.6, 0.3
    return Recording(q, qd, y, mean, np.full_like(qd, 0.04), J, DT)


def test_scale_of_gaussian_errors_is_one() -> None:
    rng = np.random.default_rng(1)
    variance = rng.uniform(0.1, 10.0, (20_000, 3))
    errors = rng.standard_normal(variance.shape) * np.sqrt(variance)
    assert conformal(errors, variance) == pytest.approx(1.0, abs=0.02)
    assert conformal(3.0 * errors, variance) == pytest.approx(3.0, abs=0.06)


def test_stated_part_of_the_variance_is_not_scaled() -> None:
    rng = np.random.default_rng(2)
    variance = np.ones((20_000, 1))
    errors = rng.standard_normal(variance.shape) * math.sqrt(2.0)
    scale = conformal(errors, variance, np.ones_like(variance))
    assert np.mean(np.abs(errors) < calibration.BAND * np.sqrt(scale**2 + 1.0)) == pytest.approx(0.95, abs=0.003)
    assert scale == pytest.approx(1.0, abs=0.03)


def test_weights_of_largest_likelihood_are_found_again() -> None:
    rng = np.random.default_rng(3)
    terms = rng.exponential(1.0, (3, 20_000, 2))
    true = np.array([0.5, 2.0, 0.0])
    errors = rng.standard_normal(terms.shape[1:]) * np.sqrt(np.tensordot(true, terms, 1))
    assert likeliest(errors, terms, np.full(errors.shape, 1e-6)) == pytest.approx(true, abs=0.06)


@pytest.mark.parametrize("off", [0.0, 0.08, -0.08])
def test_level_is_found_in_free_motion_and_under_a_payload(off: float) -> None:
    r = recording(off=off)
    for load in (0.0, np.array([8.0, 3.0]) * np.sin(2.0 * np.pi * 0.1 * np.arange(len(r.y)) * DT)[:, None]):
        found = replay(r.q, r.qd, r.y + load, r.mean, r.variance, DT, filter_params(), BandParams(FRICTION, SPEED))
        # Twenty seconds and a prior: most of it is found, and nothing that is not there.
        assert (np.abs(found.level[-1] - off) < 0.5 * abs(off) + 0.02).all()


def test_a_contact_is_not_taken_for_friction() -> None:
    r = recording()
    push = np.zeros_like(r.y)
    push[8000:8250] = 15.0 * np.sin(np.pi * np.arange(250) / 250)[:, None] ** 2
    params = BandParams(FRICTION, SPEED)
    found = [replay(r.q, r.qd, y, r.mean, r.variance, DT, filter_params(), params).level for y in (r.y, r.y + push)]
    assert np.abs(found[1] - found[0]).max() < 0.02


def test_band_after_calibration_covers_and_is_calibrated_on_what_it_states() -> None:
    made = calibrate([recording(seed=s) for s in (1, 2)], filter_params(), SPEED)
    for off, seed in ((0.0, 5), (0.06, 6), (-0.06, 7)):
        r = recording(off=off, seed=seed)
        found = replay(r.q, r.qd, r.y, r.mean, r.variance, DT, filter_params(), made.band)
        inside = np.abs(found.x[500:]) < calibration.BAND * np.sqrt(found.variance(made.band)[500:])
        assert inside.mean() > 0.85


def test_every_term_and_prior_widens_the_band() -> None:
    r = recording(4.0)
    params = BandParams(FRICTION, 0.4 * SPEED, (1.0,) * 6, load=0.1)
    found = replay(r.q, r.qd, r.y, r.mean, r.variance, DT, filter_params(), params)
    before = found.variance(params)[500:]
    for k in range(6):
        more = list(params.weights)
        more[k] *= 2.0
        weights = (more[0], more[1], more[2], more[3], more[4], more[5])
        after = found.variance(replace(params, weights=weights))[500:]
        assert (after >= before).all()
        assert after.mean() > before.mean()
    assert (found.variance(replace(params, load=0.2))[500:] > before).all()


def test_steps_are_the_replay() -> None:
    r, params, filter_ = recording(2.0), BandParams(FRICTION, 0.3 * SPEED, (1.0,) * 6, 1.2, 0.1), filter_params()
    y = r.y.copy()
    y[700:703] = math.nan
    whole = replay(r.q, r.qd, y, r.mean, r.variance, DT, filter_, params)
    band, recursion = Band(params), DiagonalRecursion(filter_)
    for k in range(len(y)):
        corrected = y[k] + band.level * r.mean[k]
        x = recursion.step(corrected, r.variance[k], DT)
        v = band.step(r.q[k], r.qd[k], corrected, r.mean[k], r.variance[k], x, recursion.P, DT)
        assert x == pytest.approx(whole.x[k], abs=1e-12)
        assert v == pytest.approx(whole.variance(params)[k], rel=1e-12, nan_ok=True)
        assert np.isnan(v).all() == (700 <= k < 703)
    assert band.level == pytest.approx(whole.level[-1], abs=1e-15)


def test_doubt_grows_at_rest_and_goes_with_travel() -> None:
    m = 10_000
    q = np.zeros((m, 1))
    q[5000:, 0] = np.minimum(np.arange(m - 5000) * 1e-5, 0.02)
    flicker = 4e-6 * (np.arange(m)[:, None] % 2)
    zeros = np.zeros((m, 1))
    filter_ = RecursionParams(np.ones(1), np.ones(1))
    params = BandParams(np.ones(1), np.ones(1))
    for position in (q, q + flicker):
        doubt = replay(position, zeros, zeros, zeros, zeros + 0.1, DT, filter_, params).terms[3, :, 0]
        assert doubt[4999] > 0.99
        assert doubt[6500] < 0.05


@pytest.mark.parametrize(
    "change",
    [{"friction": [1.0, math.nan]}, {"speed": [1.0, 0.0]}, {"scale": 0.0}, {"load": math.nan}, {"drift": -0.1}],
)
def test_values_out_of_range_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ParameterError, match="expected"):
        BandParams(**({"friction": FRICTION, "speed": SPEED} | change))  # type: ignore[arg-type]


def test_nothing_to_calibrate_by() -> None:
    with pytest.raises(ParameterError, match="no recordings"):
        calibrate([], filter_params(), SPEED)

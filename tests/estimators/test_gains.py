"""Gains that follow uncertainty: bounds, slew, passivity and tank hold for whatever comes in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimators.errors import ModelError, ParameterError
from estimators.gains.calibration import GainFigures, made_unknown, spans
from estimators.gains.innovation import Innovation, baseline_of, input_noise
from estimators.gains.law import Bearable, GainLaw, calibrate, damping, inverse_inertia
from estimators.gains.passivity import PassiveGains, PassivityParams

LOW, HIGH = np.array([100.0, 60.0, 4.0]), np.array([1000.0, 600.0, 40.0])
LAW = GainLaw(LOW, HIGH, np.array([0.2, 0.1, 0.02]), np.array([2.0, 1.0, 0.2]))
INERTIA = np.array([0.8, 0.2, 0.003])
DT = 1e-3
anything = st.floats(allow_nan=True, allow_infinity=True)


def test_the_law_is_that_of_the_paper() -> None:
    sigma = np.array([1.1, 0.55, 0.11])  # half way from σ_n to σ_f
    expected = LOW + (1.0 - math.exp(-1.5)) * (HIGH - LOW)
    np.testing.assert_allclose(LAW.stiffness(sigma), expected, rtol=1e-12)
    np.testing.assert_array_equal(LAW.stiffness(LAW.sigma_n), LOW)
    np.testing.assert_allclose(LAW.stiffness(LAW.sigma_f), LOW + (1.0 - math.exp(-3.0)) * (HIGH - LOW), rtol=1e-12)
    np.testing.assert_allclose(LAW.stiffness(100.0 * LAW.sigma_f), LAW.stiffness(LAW.sigma_f), rtol=1e-15)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1e-9])
def test_what_is_no_standard_deviation_gives_full_gains(bad: float) -> None:
    sigma = LAW.sigma_n.copy()
    sigma[1] = bad
    kp = LAW.stiffness(sigma)
    assert kp[1] == HIGH[1]
    np.testing.assert_array_equal(kp[[0, 2]], LOW[[0, 2]])


def test_a_joint_whose_sigma_says_nothing_is_stiff() -> None:
    flat = GainLaw(LOW, HIGH, LAW.sigma_n, LAW.sigma_n)
    np.testing.assert_array_equal(flat.stiffness(LAW.sigma_n), HIGH)


@given(st.lists(anything, min_size=3, max_size=3))
def test_stiffness_is_always_within_its_bounds(sigma: list[float]) -> None:
    kp = LAW.stiffness(np.array(sigma))
    assert (kp >= LOW).all()
    assert (kp <= HIGH).all()


def test_effective_inertia_is_that_of_free_neighbours() -> None:
    M = np.array([[2.0, 0.5], [0.5, 0.3]])
    np.testing.assert_allclose(inverse_inertia(M), np.linalg.inv(M), rtol=1e-12)
    assert np.isnan(inverse_inertia(np.array([[1.0, 2.0], [2.0, 1.0]]))).all()


def test_what_can_be_borne_is_judged_for_the_arm_as_a_whole() -> None:
    rng = np.random.default_rng(4)
    A = rng.standard_normal((3, 3))
    inverse = np.linalg.inv(np.diag([2.0, 1.0, 0.05]) + 0.02 * A @ A.T)
    bearable = Bearable(3, 15.0)
    kp = HIGH
    for _ in range(200):
        kp = np.minimum(HIGH, bearable.ceiling(inverse, kp))
    fastest = math.sqrt(np.linalg.eigvals(inverse * kp).real.max())
    assert fastest == pytest.approx(15.0, rel=0.03)
    soft = Bearable(3, 15.0)
    for _ in range(200):
        soft.ceiling(inverse, 1e-3 * HIGH)
    assert (soft.ceiling(inverse, 1e-3 * HIGH) == 225.0 / inverse.diagonal()).all(), "nothing swings, nothing is cut"
    assert np.isnan(bearable.ceiling(np.full((3, 3), math.nan), kp)).all()


def test_a_ceiling_goes_before_the_lower_bound_and_costs_nothing() -> None:
    gains = PassiveGains(LOW, HIGH)
    ceiling = np.array([50.0, 100.0, math.nan])
    got = gains.step(HIGH, np.full(3, 0.1), np.zeros(3), INERTIA, DT, ceiling)
    np.testing.assert_array_equal(got.kp, [50.0, 100.0, 40.0])
    assert got.energy == PassivityParams().tank
    up = gains.step(HIGH, np.full(3, 0.1), np.zeros(3), INERTIA, DT)
    assert up.kp[0] < 60.0, "back up at the slew rate, and paid"
    assert up.energy < got.energy


def test_calibration_makes_unknown_motion_stiff_and_known_motion_soft() -> None:
    rng = np.random.default_rng(0)
    known = LAW.sigma_n * rng.uniform(0.9, 1.2, (500, 3))
    near, far = (LAW.sigma_n * rng.uniform(*span, (500, 3)) for span in ((1.1, 1.6), (1.5, 6.0)))
    law = spans(LOW, HIGH, known, [near, far])
    soft, stiff, stiffer = (law.stiffness(part).mean(axis=0) / HIGH for part in (known, near, far))
    # Exactly as stiff as asked on the motion that is less strange.
    np.testing.assert_allclose(stiff, 0.5, atol=1e-6)
    assert (stiffer > 0.9).all()
    assert (soft < 0.11).all()
    with pytest.raises(ParameterError, match="on A2 the predicted"):
        spans(LOW, HIGH, known, [near, far * [1.0, 0.01, 1.0]])
    with pytest.raises(ParameterError, match="not finite"):
        spans(LOW, HIGH, known * math.nan, [far])


def test_c_alone_can_be_calibrated_too() -> None:
    rng = np.random.default_rng(0)
    known = LAW.sigma_n * rng.uniform(0.9, 1.2, (500, 3))
    unknown = LAW.sigma_n * rng.uniform(1.5, 6.0, (500, 3))
    law = calibrate(LOW, HIGH, known, unknown)
    stiff = np.array([law.stiffness(row) for row in unknown])
    soft = np.array([law.stiffness(row) for row in known])
    assert (np.median(stiff, axis=0) >= 0.5 * HIGH - 1e-9).all()
    assert (np.median(soft, axis=0) < 0.2 * HIGH).all()
    with pytest.raises(ParameterError, match="A2"):
        calibrate(LOW, HIGH, known, unknown * [1.0, 0.01, 1.0])
    with pytest.raises(ParameterError, match="not finite"):
        calibrate(LOW, HIGH, known * math.nan, unknown)


def test_motion_is_made_unknown_elsewhere_and_faster() -> None:
    q, qd, qdd = (np.full((4, 3), value) for value in (0.1, 0.2, 0.3))
    made = made_unknown(q, qd, qdd, np.random.default_rng(0))
    np.testing.assert_allclose(np.abs(made["shifted"][0] - q), 1.0)
    assert (made["shifted"][1] == qd).all()
    np.testing.assert_allclose(made["faster"][1], 2.5 * qd)
    np.testing.assert_allclose(made["faster"][2], 6.25 * qdd)


def test_a_calibration_is_told_whole_or_not_at_all() -> None:
    part = np.array([0.1, 0.2, 0.3])
    figures = GainFigures(part, 2.0 * part, 3.0, 4.0 * part, part, part, part)
    page = figures.to_mapping()
    again = GainFigures.from_mapping(page, 3)
    assert again.to_mapping() == page
    assert again.sensitivity == 3.0
    damages = ({"baseline": [1.0]}, {"sensitivity": math.nan}, {"friction": "x"}, {"qd_sigma": None})
    for damaged in ({"baseline": [1.0] * 3}, *(page | damage for damage in damages)):
        with pytest.raises(ModelError, match="hil train gains"):
            GainFigures.from_mapping(damaged, 3)
    with pytest.raises(ModelError, match="of 7 joints"):
        GainFigures.from_mapping(page, 7)


def test_the_innovation_sees_a_payload_and_forgets_it() -> None:
    rng = np.random.default_rng(1)
    innovation = Innovation(3)
    variance = LAW.sigma_n**2
    for _ in range(2000):
        innovation.step(rng.normal(0.0, LAW.sigma_n), np.zeros(3), variance, DT)
    assert (innovation.factor < 1.2).all()
    for _ in range(150):
        innovation.step(rng.normal(0.0, LAW.sigma_n) + [5.0, 0.0, 0.0], np.zeros(3), variance, DT)
    assert innovation.factor[0] > 5.0
    assert (innovation.factor[1:] < 1.3).all()
    for _ in range(3000):
        innovation.step(rng.normal(0.0, LAW.sigma_n), np.zeros(3), variance, DT)
    assert (innovation.factor < 1.2).all()


def test_noise_of_the_acceleration_is_no_surprise_once_r_holds_it() -> None:
    rng = np.random.default_rng(2)
    M, qdd_sigma = np.diag([2.0, 0.7, 0.01]) + 0.05, np.full(3, 0.5)
    carried = input_noise(M, qdd_sigma)
    np.testing.assert_allclose(carried, np.diag(M @ np.diag(qdd_sigma**2) @ M.T), rtol=1e-12)
    blind, seeing = Innovation(3), Innovation(3)
    for _ in range(3000):
        error = rng.normal(0.0, LAW.sigma_n) + M @ rng.normal(0.0, qdd_sigma)
        blind.step(error, np.zeros(3), LAW.sigma_n**2, DT)
        seeing.step(error, np.zeros(3), LAW.sigma_n**2 + carried, DT)
    assert (blind.factor > 1.5).all()
    assert (seeing.factor < 1.2).all()
    slope = np.array([3.0, 1.0, 0.1])
    np.testing.assert_allclose(
        input_noise(M, qdd_sigma, slope, np.full(3, 0.01)), carried + (slope * 0.01) ** 2, rtol=1e-12
    )


def test_a_baseline_from_usual_motion_takes_its_surprise_away() -> None:
    rng = np.random.default_rng(3)
    error = np.array([3.0, 1.0, 1.0]) * rng.normal(0.0, LAW.sigma_n, (4000, 3))
    variance = np.broadcast_to(LAW.sigma_n**2, error.shape)
    baseline = baseline_of(error, np.zeros_like(error), variance, DT)
    assert baseline[0] == pytest.approx(9.0, rel=0.4)
    innovation = Innovation(3, baseline=baseline)
    high = [innovation.step(row, np.zeros(3), LAW.sigma_n**2, DT).max() for row in error]
    assert np.mean(np.array(high) > 1.05) < 0.1
    with pytest.raises(ParameterError, match=r"expected at least 1\.00 s"):
        baseline_of(error[:100], np.zeros((100, 3)), variance[:100], DT)


def test_unknown_errors_count_as_surprise_and_are_forgotten() -> None:
    innovation = Innovation(3)
    factor = innovation.step(np.array([math.nan, 0.0, 0.0]), np.zeros(3), LAW.sigma_n**2, DT)
    assert factor[0] > 5.0
    assert (factor[1:] == 1.0).all()
    assert (innovation.step(np.zeros(3), np.zeros(3), np.array([0.0, -1.0, 1.0]), DT)[:2] > 5.0).all()
    for _ in range(5000):
        factor = innovation.step(np.zeros(3), np.zeros(3), LAW.sigma_n**2, DT)
    assert (factor < 1.01).all()
    assert (innovation.step(np.zeros(3), np.full(3, 9e9), LAW.sigma_n**2, math.nan) == factor).all()


Row = tuple[list[float], list[float], list[float], float]
rows = st.lists(
    st.tuples(
        st.lists(anything, min_size=3, max_size=3),
        st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=3),
        st.lists(st.floats(-2.0, 2.0), min_size=3, max_size=3),
        st.sampled_from([1e-3, 2e-3, 5e-3]),
    ),
    min_size=1,
    max_size=60,
)


@given(rows)
@settings(max_examples=150, deadline=None)
def test_bounds_slew_and_tank_hold_for_any_sequence(sequence: list[Row]) -> None:
    params = PassivityParams(max_error=0.2)
    gains = PassiveGains(LOW, HIGH, params)
    gains.reset(LOW)
    stored = 0.0  # energy that stiffening has put into the springs, counted here from the gains alone
    given_back = 0.0
    kp = LOW.copy()
    for sigma, e, ed, dt in sequence:
        before, energy = kp, gains.energy
        got = gains.step(LAW.stiffness(np.array(sigma)), np.array(e), np.array(ed), INERTIA, dt)
        kp = got.kp
        assert (kp >= LOW).all()
        assert (kp <= HIGH).all()
        assert (np.abs(kp - before) <= params.slew * (HIGH - LOW) * dt * (1 + 1e-9)).all()
        np.testing.assert_allclose(got.kd, damping(kp, INERTIA), rtol=1e-12)
        bent = np.abs(e)
        unit = np.where(bent <= 0.2, 0.5 * bent**2, 0.2 * bent - 0.02)
        spent = float(np.maximum(kp - before, 0.0) @ unit)
        gain = float(damping(before, INERTIA) @ np.array(ed) ** 2) * dt
        stored += spent
        given_back += gain
        assert spent <= energy + gain + 1e-9, "never more than the tank held"
        assert -1e-12 <= got.energy <= params.tank
        # Kronander and Billard's bound, in its own form
        rise = (kp - before) / dt
        alpha = damping(before, INERTIA) / INERTIA
        d_rise = damping(before, INERTIA) * rise / (2.0 * before)
        assert (rise + alpha * d_rise <= 2.0 * alpha * before * (1 + 1e-9)).all()
    assert stored <= params.tank + given_back + 1e-9
    assert gains.injected == pytest.approx(stored, abs=1e-9)
    assert gains.dissipated == pytest.approx(given_back, rel=1e-9, abs=1e-12)


def test_an_empty_tank_stops_the_rise_and_dissipation_lets_it_go_on() -> None:
    gains = PassiveGains(LOW, HIGH, PassivityParams(tank=0.5, reserve=0.1))
    gains.reset(LOW)
    e = np.array([0.1, 0.1, 0.1])
    starved = [gains.step(HIGH, e, np.zeros(3), INERTIA, DT).starved for _ in range(400)]
    assert not starved[0]
    assert starved[-1]
    assert gains.energy == pytest.approx(0.1)
    held = gains.kp.copy()
    assert (held < HIGH).all()
    for _ in range(400):
        gains.step(HIGH, e, np.full(3, 0.5), INERTIA, DT)
    assert (gains.kp > held).all()


def test_falling_is_free_and_unknown_motion_keeps_the_stiffness() -> None:
    gains = PassiveGains(LOW, HIGH)
    e, still = np.full(3, 0.3), np.zeros(3)
    first = gains.step(LOW, e, still, INERTIA, DT)
    assert (first.kp < HIGH).all()
    assert first.energy == PassivityParams().tank
    kept = gains.step(LOW, np.full(3, math.nan), still, INERTIA, DT)
    np.testing.assert_array_equal(kept.kp, first.kp)
    assert np.isfinite(gains.step(HIGH, e, still, np.full(3, math.nan), DT).kd).all()


def test_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(ParameterError, match="kp_max"):
        GainLaw(HIGH, LOW, LAW.sigma_n, LAW.sigma_f)
    with pytest.raises(ParameterError, match="shapes"):
        GainLaw(LOW, HIGH[:2], LAW.sigma_n, LAW.sigma_f)
    with pytest.raises(ParameterError, match="finite"):
        GainLaw(LOW, HIGH, LAW.sigma_n * math.nan, LAW.sigma_f)
    with pytest.raises(ParameterError, match="slew"):
        PassivityParams(slew=math.nan)
    with pytest.raises(ParameterError, match="reserve"):
        PassivityParams(tank=1.0, reserve=1.0)
    with pytest.raises(ParameterError, match="window"):
        Innovation(3, window=0.0)

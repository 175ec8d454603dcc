"""The momentum observer on a simulated arm: convergence, timing, covariance and tare."""

from __future__ import annotations

import math

import numpy as np
import pytest

from estimators.errors import ParameterError
from estimators.momentum import MomentumObserver
from estimators.rigid_body import RigidBodyModel
from tests.estimators.arms import PLANAR, seven_axis

DT = 1e-3
Q = np.array([0.2, 0.5, -0.3, -1.2, 0.4, 1.1, 0.3])


def test_static_push_converges_to_the_external_torque_exactly() -> None:
    """Held at rest against a known wrench, the estimate is Jᵀ F to rounding."""
    model = RigidBodyModel(seven_axis())
    observer = MomentumObserver(7, 30.0, np.full(7, 0.1))
    tau_ext = model.jacobian(Q).T @ np.array([10.0, -20.0, 30.0, 1.0, 2.0, -3.0])
    dyn = model.update(Q, np.zeros(7))
    for _ in range(1500):
        estimate = observer.step(dyn.g - tau_ext, dyn, DT).tau_ext
    np.testing.assert_allclose(estimate, tau_ext, atol=1e-10)


def test_one_kilogram_hung_at_the_tool_pulls_down() -> None:
    model = RigidBodyModel(seven_axis())
    observer = MomentumObserver(7, 30.0, np.full(7, 0.1))
    tau_ext = model.jacobian(Q).T @ np.array([0.0, 0.0, -9.81, 0.0, 0.0, 0.0])
    dyn = model.update(Q, np.zeros(7))
    for _ in range(1500):
        estimate = observer.step(dyn.g - tau_ext, dyn, DT).tau_ext
    np.testing.assert_allclose(np.linalg.lstsq(dyn.J.T, estimate)[0][:3], [0, 0, -9.81], atol=1e-6)


@pytest.mark.parametrize("delay", [0, 1, 2, 3])
def test_moving_arm_without_contact_reads_nearly_zero_with_the_delay_matched(delay: int) -> None:
    """Simulated motion under varying torque; the measured torque lags by ``delay`` samples."""
    errors = {d: _free_motion_error(d, delay) for d in (0, delay)}
    # sample k holds what acts from k on (0), what acted until k (1), and so on
    assert errors[delay] < 0.02
    if delay > 0:
        assert errors[delay] < 0.3 * errors[0]


def _free_motion_error(assumed: int, true: int) -> float:
    model = RigidBodyModel(PLANAR)
    observer = MomentumObserver(2, 100.0, np.full(2, 0.1), delay_ticks=assumed)
    q, qd = np.array([0.3, 0.4]), np.zeros(2)
    taus = [model.gravity(q)] * (true + 1)
    worst = 0.0
    for k in range(1000):
        tau = model.gravity(q) + np.array([3.0, 1.5]) * np.sin(40.0 * k * DT) - 0.5 * qd
        taus.append(tau)
        dyn = model.update(q, qd)
        estimate = observer.step(taus[-1 - true], dyn, DT).tau_ext
        if k > 100:
            worst = max(worst, float(np.abs(estimate).max()))
        for _ in range(20):
            qd = qd + DT / 20 * model.forward(q, qd, tau)
            q = q + DT / 20 * qd
    return worst


def test_step_response_has_the_stated_bandwidth_at_any_rate() -> None:
    """63 % after 1/K, whether sampled at 1 kHz, 500 Hz or irregularly."""
    model = RigidBodyModel(PLANAR)
    dyn = model.update(np.array([0.1, 0.2]), np.zeros(2))
    step = np.array([5.0, 0.0])
    for dts in ([1e-3] * 100, [2e-3] * 50, [1e-3, 3e-3] * 25):
        observer = MomentumObserver(2, 10.0, np.ones(2))
        observer.step(dyn.g - step, dyn, dts[0])
        for dt in dts:
            estimate = observer.step(dyn.g - step, dyn, dt).tau_ext
        assert estimate[0] == pytest.approx(5.0 * (1 - math.exp(-1.0)), rel=1e-9)


def test_covariance_matches_the_scatter_of_noisy_torque_and_velocity() -> None:
    """White torque noise: exact. The noise of velocity: an upper bound of the right size."""
    model = RigidBodyModel(PLANAR)
    rng = np.random.default_rng(5)
    sigma = np.array([0.15, 0.05])
    observer = MomentumObserver(2, 30.0, sigma)
    q = np.array([0.3, 0.4])
    dyn = model.update(q, np.zeros(2))
    samples = []
    for _ in range(30_000):
        estimate, P, _ = observer.step(dyn.g + rng.normal(0.0, sigma), dyn, DT)
        samples.append(estimate)
    np.testing.assert_allclose(np.std(samples[1000:], axis=0), np.sqrt(np.diag(P)), rtol=0.1)

    qd_sigma = np.full(2, 1e-3)
    observer = MomentumObserver(2, 30.0, np.full(2, 1e-6), qd_sigma=qd_sigma)
    samples = []
    for _ in range(10_000):
        dyn = model.update(q, rng.normal(0.0, qd_sigma))
        estimate, P, _ = observer.step(dyn.g, dyn, DT)
        samples.append(estimate)
    ratio = np.std(samples[1000:], axis=0) / np.sqrt(np.diag(P))
    assert (ratio > 0.8).all()
    assert (ratio < 1.2).all()


def test_covariance_is_large_at_start_and_fades() -> None:
    model = RigidBodyModel(PLANAR)
    dyn = model.update(np.zeros(2), np.zeros(2))
    observer = MomentumObserver(2, 30.0, np.full(2, 0.1), start_sigma=50.0)
    P = observer.step(dyn.g, dyn, DT).covariance
    assert math.sqrt(P[0, 0]) >= 50.0
    for _ in range(1000):
        P = observer.step(dyn.g, dyn, DT).covariance
    assert math.sqrt(P[0, 0]) < 0.1


def test_tare_subtracts_the_offset_and_states_what_remains() -> None:
    model = RigidBodyModel(PLANAR)
    dyn = model.update(np.zeros(2), np.zeros(2))
    offset = np.array([1.5, -0.7])
    sigma = np.full(2, 0.1)
    observer = MomentumObserver(2, 30.0, sigma, model_sigma=np.full(2, 2.0), tared_sigma=np.full(2, 0.5))
    for _ in range(1000):
        P = observer.step(dyn.g - offset, dyn, DT).covariance
    assert math.sqrt(P[0, 0]) == pytest.approx(2.0, rel=0.01)
    np.testing.assert_allclose(observer.tare(), offset, atol=1e-9)
    estimate, P, _ = observer.step(dyn.g - offset, dyn, DT)
    np.testing.assert_allclose(estimate, 0.0, atol=1e-9)
    assert 0.5 < math.sqrt(P[0, 0]) < 0.52
    push = np.array([3.0, 0.0])
    for _ in range(1000):
        estimate = observer.step(dyn.g - offset - push, dyn, DT).tau_ext
    np.testing.assert_allclose(estimate, push, atol=1e-9)
    # a second tare takes the place of the first: what is handed over is g − tau, in which no tare is
    np.testing.assert_array_equal(observer.tare(offset + push, np.full(2, 0.01)), offset + push)
    estimate = observer.step(dyn.g - offset - push, dyn, DT).tau_ext
    np.testing.assert_allclose(estimate, 0.0, atol=1e-9)
    observer.clear_tare()
    estimate, P, _ = observer.step(dyn.g - offset - push, dyn, DT)
    np.testing.assert_allclose(estimate, offset + push, atol=1e-9)
    assert math.sqrt(P[0, 0]) == pytest.approx(2.0, rel=0.01)


def test_tare_is_refused_before_the_estimate_has_settled() -> None:
    model = RigidBodyModel(PLANAR)
    dyn = model.update(np.zeros(2), np.zeros(2))
    observer = MomentumObserver(2, 30.0, np.full(2, 0.1))
    for _ in range(50):
        observer.step(dyn.g, dyn, DT)
    with pytest.raises(ParameterError, match="settled"):
        observer.tare()


@pytest.mark.parametrize("where", ["tau", "qd", "dt", "zero dt"])
def test_bad_samples_give_nan_once_and_do_not_stay(where: str) -> None:
    model = RigidBodyModel(PLANAR)
    q = np.array([0.3, 0.4])
    push = np.array([2.0, 1.0])
    observer = MomentumObserver(2, 30.0, np.full(2, 0.1))
    dyn = model.update(q, np.zeros(2))
    good = dyn.g - push
    for _ in range(2000):
        observer.step(good, dyn, DT)
    bad = {
        "tau": (np.array([math.nan, 0.0]), np.zeros(2), DT),
        "qd": (good, np.array([0.0, math.inf]), DT),
        "dt": (good, np.zeros(2), math.nan),
        "zero dt": (good, np.zeros(2), 0.0),
    }[where]
    estimate, P, _ = observer.step(bad[0], model.update(q, bad[1]), bad[2])
    assert np.isnan(estimate).all()
    assert np.isnan(P).all()
    dyn = model.update(q, np.zeros(2))
    for _ in range(3):
        estimate, P, _ = observer.step(good, dyn, DT)
        np.testing.assert_allclose(estimate, push, atol=1e-9)
        assert np.isfinite(P).all()


def test_first_sample_with_unknown_dt_is_stored() -> None:
    """A driver knows no dt before the second frame: the first update then only stores p and β."""
    model = RigidBodyModel(PLANAR)
    dyn = model.update(np.zeros(2), np.zeros(2))
    observer = MomentumObserver(2, 30.0, np.full(2, 0.1))
    estimate = observer.step(dyn.g, dyn, math.nan).tau_ext
    np.testing.assert_array_equal(estimate, 0.0)


@pytest.mark.parametrize(
    ("kwargs", "word"),
    [
        ({"bandwidth": 0.0}, "bandwidth"),
        ({"bandwidth": math.nan}, "bandwidth"),
        ({"tau_sigma": np.ones(3)}, "tau_sigma"),
        ({"tau_sigma": np.array([1.0, -1.0])}, "tau_sigma"),
        ({"model_sigma": np.array([1.0, math.nan])}, "model_sigma"),
        ({"delay_ticks": -1}, "delay_ticks"),
        ({"start_sigma": math.inf}, "start_sigma"),
    ],
)
def test_parameters_are_checked(kwargs: dict[str, object], word: str) -> None:
    arguments: dict[str, object] = {"n": 2, "bandwidth": 10.0, "tau_sigma": np.ones(2)}
    with pytest.raises(ParameterError, match=word):
        MomentumObserver(**{**arguments, **kwargs})  # type: ignore[arg-type]

"""K-VARK as an observer: signs, agreement with the replay of recordings, and what bad samples do to it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from arms import PLANAR

from estimators import virtual_measurement
from estimators.errors import ParameterError
from estimators.kvark.observer import KvarkObserver
from estimators.kvark.recursion import RecursionParams
from estimators.kvark.replay import replay
from estimators.residual.kmp import Tables
from estimators.residual.memory import MemoryFeatures, MemoryParams
from estimators.residual.velocity import VelocityResidual
from estimators.rigid_body import RigidBodyModel

DT = 1e-3
ARMATURE = np.array([0.5, 0.2])
VISCOUS = np.array([2.0, 1.0])


def viscous() -> VelocityResidual:
    """A residual model that knows: tau_res = d qd, with a variance that grows with speed."""
    grid = np.linspace(-5.0, 5.0, 1001)
    low, step = np.full(2, -5.0), np.full(2, grid[1] - grid[0])
    variance = 0.05 + 0.1 * np.abs(np.vstack((grid, grid)))
    return VelocityResidual(Tables(low, step, VISCOUS[:, None] * grid, variance))


def params() -> RecursionParams:
    return RecursionParams(np.full(2, 50.0), np.full(2, 0.05), colour=3.0)


def simulate(tau_ext: np.ndarray, seconds: float = 2.0) -> tuple[np.ndarray, ...]:
    """A planar arm that swings against viscous friction, pushed by ``tau_ext`` from half-time on."""
    model = RigidBodyModel(PLANAR, armature=ARMATURE)
    n = round(seconds / DT)
    q, qd = np.array([0.3, -0.4]), np.zeros(2)
    rows: list[tuple[np.ndarray, ...]] = []
    for k in range(n):
        t = k * DT
        # A weak spring to a moving target and gravity compensation: any motion will do, none is held still.
        target = np.array([0.3 + 0.4 * math.sin(2.0 * t), -0.4 + 0.5 * math.sin(3.0 * t)])
        tau = model.gravity(q) + 40.0 * (target - q) - 4.0 * qd
        ext = tau_ext if k >= n // 2 else np.zeros(2)
        rows.append((q, qd, tau, ext))
        for _ in range(4):
            qdd = model.forward(q, qd, tau - VISCOUS * qd + ext)
            qd = qd + 0.25 * DT * qdd
            q = q + 0.25 * DT * qd
    return tuple(np.array(part) for part in zip(*rows, strict=True))


@pytest.fixture(scope="module")
def pushed() -> tuple[np.ndarray, ...]:
    return simulate(np.array([3.0, -2.0]))


def test_friction_and_pushes_have_the_signs_of_the_contract(pushed: tuple[np.ndarray, ...]) -> None:
    """Free motion against friction d qd labels +d qd; a push in +q is positive and is found to a per cent."""
    q, qd, tau, ext = pushed
    model = RigidBodyModel(PLANAR, armature=ARMATURE)
    y, _ = virtual_measurement.replay(model, q, qd, tau, DT)
    half = len(q) // 2
    s, label = virtual_measurement.labels(qd[:half], y[:half], DT)
    np.testing.assert_allclose(label[10:-10], VISCOUS * s[10:-10], atol=0.02)
    observer = KvarkObserver(viscous(), params())
    found, sigma = [], []
    for k in range(len(q)):
        tau_ext, P, _ = observer.step(tau[k], model.update(q[k], qd[k]), DT if k else math.nan)
        found.append(tau_ext)
        sigma.append(P.diagonal())
    found = np.array(found)
    assert np.isnan(found[0]).all(), "one sample says nothing"
    assert np.abs(found[200:half]).max() < 0.05
    np.testing.assert_allclose(found[half + 400 :], ext[half + 400 :], atol=0.05)
    assert (np.array(sigma)[2:] > 0.05).all(), "the model's own variance is part of what is reported"


def test_update_and_replay_are_the_same_filter(pushed: tuple[np.ndarray, ...]) -> None:
    q, qd, tau, _ = pushed
    model = RigidBodyModel(PLANAR, armature=ARMATURE)
    y, _ = virtual_measurement.replay(model, q, qd, tau, DT)
    residual = viscous()
    mean, variance = (part[:-1] for part in residual.run(q, qd, tau, DT))
    x, P, nis = replay(y[1:] + mean, variance, DT, params())
    observer = KvarkObserver(residual, params())
    for k in range(len(q)):
        tau_ext, covariance, seen = observer.step(tau[k], model.update(q[k], qd[k]), DT if k else math.nan)
        if k:
            np.testing.assert_allclose(tau_ext, x[k - 1], rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(covariance.diagonal(), P[k - 1] + variance[k - 1], rtol=1e-10)
            assert seen == pytest.approx(nis[k - 1], rel=1e-9)


def test_a_scale_and_a_level_widen_what_is_reported() -> None:
    model = RigidBodyModel(PLANAR, armature=ARMATURE)
    q, qd, tau, _ = simulate(np.zeros(2), 0.1)
    plain, wide = KvarkObserver(viscous(), params()), KvarkObserver(viscous(), params(), scale=2.0, level=0.1)
    for k in range(len(q)):
        dyn = model.update(q[k], qd[k])
        (x, P, _), W = plain.step(tau[k], dyn, DT), wide.step(tau[k], dyn, DT).covariance
    mean = VISCOUS * qd[-2]
    slow = (0.1 * mean) ** 2 + (0.05 * x) ** 2
    np.testing.assert_allclose(W.diagonal(), 4.0 * (P.diagonal() + slow), rtol=1e-9)
    for bad in ({"scale": 0.0}, {"level": -0.1}, {"scale": math.nan}):
        with pytest.raises(ParameterError):
            KvarkObserver(viscous(), params(), **bad)


def test_tare_takes_the_estimate_as_zero_and_refuses_what_is_none(pushed: tuple[np.ndarray, ...]) -> None:
    q, qd, tau, _ = pushed
    model = RigidBodyModel(PLANAR, armature=ARMATURE)
    observer = KvarkObserver(viscous(), params())
    for k in range(500):
        before = observer.step(tau[k] + 1.0, model.update(q[k], qd[k]), DT).tau_ext
    offset = observer.tare()
    np.testing.assert_allclose(offset, before)
    after = observer.step(tau[500] + 1.0, model.update(q[500], qd[500]), DT).tau_ext
    assert np.abs(after).max() < 0.1
    with pytest.raises(ParameterError, match="finite"):
        observer.tare(np.array([math.nan, 0.0]))


def test_memory_features_step_by_step_are_those_of_the_run(pushed: tuple[np.ndarray, ...]) -> None:
    q, qd, tau, _ = pushed
    features = MemoryFeatures(2, MemoryParams(ripple=(20.0,)))
    whole = features.run(q, qd, tau, DT)
    features.reset()
    steps = np.array([features.step(q[k], qd[k], tau[k], DT) for k in range(400)])
    np.testing.assert_allclose(steps, whole[:400], rtol=1e-12, atol=1e-14)
    assert whole.shape[2] == features.params.count


def test_a_dahl_state_depends_on_travel_not_on_speed() -> None:
    """After δ of travel z is 1 − 1/e, fast or slow; after a reversal it comes back from there."""
    for steps in (10, 1000):
        features = MemoryFeatures(1, MemoryParams(travel=(1e-3,), harmonics=0))
        q = 0.0
        for _ in range(steps + 1):
            row = features.step(np.array([q]), np.ones(1), np.ones(1), DT)
            q += 1e-3 / steps
        assert row[0, 0] == pytest.approx(1.0 - math.exp(-1.0), rel=1e-6)
    back = features.step(np.array([q - 1e-3 / steps - 0.7e-3]), -np.ones(1), np.ones(1), DT)
    assert back[0, 0] == pytest.approx(-1.0 + (2.0 - math.exp(-1.0)) * math.exp(-0.7), rel=1e-6)

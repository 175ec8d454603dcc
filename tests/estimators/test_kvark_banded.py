"""The observer with a calibrated band: that of the replay, on both ways of computing, and what it says of contact."""

from __future__ import annotations

import math

import numpy as np
import pytest
from arms import PLANAR

from estimators import virtual_measurement
from estimators.compiled import COMPILED
from estimators.errors import ParameterError
from estimators.kvark.band import BandParams, replay
from estimators.kvark.calibration import Recording
from estimators.kvark.detection import statistics
from estimators.kvark.observer import KvarkObserver
from estimators.kvark.recursion import RecursionParams
from estimators.residual.kmp import Tables
from estimators.residual.velocity import VelocityResidual
from estimators.rigid_body import RigidBodyModel
from estimators.sensed import Contact

DT = 1e-3
FRICTION = np.array([4.0, 2.0])
BAND = BandParams(FRICTION, np.array([0.4, 0.4]), (0.5, 1.0, 0.4, 0.02, 1.0, 0.16), 1.2, 0.08, 0.08)
LIMIT = 5.0
WAYS = sorted({COMPILED, False})


def arm() -> RigidBodyModel:
    return RigidBodyModel(PLANAR, armature=np.array([0.5, 0.2]))


def residual(use_compiled: bool = COMPILED) -> VelocityResidual:
    grid = np.linspace(-3.0, 3.0, 3001)
    mean = FRICTION[:, None] * np.tanh(grid / 0.05)
    tables = Tables(np.full(2, -3.0), np.full(2, grid[1] - grid[0]), mean, np.full(mean.shape, 0.09))
    return VelocityResidual(tables, use_compiled)


def params() -> RecursionParams:
    return RecursionParams(np.full(2, 50.0), np.full(2, 0.5), adapt_r="off", adapt_q="off")


def observer(use_compiled: bool = COMPILED, **options: object) -> KvarkObserver:
    options = {"band": BAND, "detect": LIMIT} | options
    return KvarkObserver(residual(use_compiled), params(), use_compiled=use_compiled, **options)  # type: ignore[arg-type]


def swing(seconds: float = 3.0, level: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """q, qd, tau of a swing against ``level`` times the friction that the model knows; torque and speed are exact."""
    model, t = arm(), np.arange(round(seconds / DT))[:, None] * DT
    amplitude, omega = np.array([0.4, 0.3]), 2.0 * np.pi * np.array([0.3, 0.45])
    q, qd = amplitude * np.sin(omega * t), amplitude * omega * np.cos(omega * t)
    qdd = -amplitude * omega**2 * np.sin(omega * t)
    tau = np.array([model.rnea(*row) for row in zip(q, qd, qdd, strict=True)])
    return q, qd, tau + level * FRICTION * np.tanh(qd / 0.05)


def steps(seen: KvarkObserver, q: np.ndarray, qd: np.ndarray, tau: np.ndarray) -> tuple[np.ndarray, ...]:
    """x, variance, λ, contact, level of every sample."""
    model, rows = arm(), []
    for k in range(len(q)):
        tau_ext, covariance, _ = seen.step(tau[k], model.update(q[k], qd[k]), DT)
        rows.append((tau_ext, covariance.diagonal(), seen.friction_level, int(seen.sensed.contact), seen.sensed.level))
    return tuple(np.array(part) for part in zip(*rows, strict=True))


@pytest.mark.parametrize("use_compiled", WAYS)
def test_steps_are_the_replay_that_calibrated_them(use_compiled: bool) -> None:
    q, qd, tau = swing(1.0, 1.1)
    x, variance, level, _, stated = steps(observer(use_compiled), q, qd, tau)
    y, J = virtual_measurement.replay(arm(), q, qd, tau, DT)
    mean, model = (np.vstack((part[:1], part[:-1])) for part in residual().run(q, qd, tau, DT))
    y = y + mean
    y[0] = math.nan
    whole = replay(q, qd, y, mean, model, DT, params(), BAND)
    np.testing.assert_allclose(x[1:], whole.x[1:], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(variance[1:], whole.variance(BAND)[1:], rtol=1e-9)
    np.testing.assert_allclose(level, whole.level, rtol=1e-9, atol=1e-13)
    said = statistics(Recording(q, qd, y, mean, model, J, DT), y, whole, BAND)
    np.testing.assert_allclose(stated[1:], said[1:] / LIMIT, rtol=1e-9)


def test_friction_that_grew_corrects_the_estimate() -> None:
    q, qd, tau = swing(12.0, 1.1)
    with_band, without = (steps(observer(**more), q, qd, tau)[0] for more in ({}, {"band": None, "detect": None}))
    late = slice(round(8.0 / DT), None)
    assert (np.sqrt(np.mean(with_band[late] ** 2, axis=0)) < 0.75 * np.sqrt(np.mean(without[late] ** 2, axis=0))).all()


def test_a_push_is_sensed_and_released_and_free_motion_is_none() -> None:
    q, qd, tau = swing()
    tau[1500:2000] -= np.array([9.0, 4.0])
    contact = steps(observer(), q, qd, tau)[3]
    assert contact[0] == Contact.UNKNOWN
    assert (contact[1:1500] == Contact.FREE).all()
    assert (contact[1540:2000] == Contact.TOUCHED).all()
    assert (contact[2250:] == Contact.FREE).all()


@pytest.mark.parametrize("use_compiled", WAYS)
def test_bad_samples_are_unknown_and_leave_nothing_behind(use_compiled: bool) -> None:
    q, qd, tau = swing(1.5)
    bad, clean = tau.copy(), observer(use_compiled)
    bad[600:620, 1] = math.nan
    x, variance, level, contact, stated = steps(observer(use_compiled), q, qd, bad)
    gone = slice(600, 620)
    assert np.isnan(x[gone]).all()
    assert np.isnan(variance[gone]).all()
    assert (contact[gone] == Contact.UNKNOWN).all()
    assert np.isnan(stated[gone]).all()
    assert np.isfinite(level).all()
    assert (contact[625:] == Contact.FREE).all()
    assert (variance[625:] > 0.0).all()
    np.testing.assert_allclose(x[-1], steps(clean, q, qd, tau)[0][-1], atol=0.02)


def test_reset_forgets_level_and_contact() -> None:
    q, qd, tau = swing(1.0, 1.3)
    seen = observer()
    first = steps(seen, q, qd, tau)
    assert np.abs(seen.friction_level).max() > 0.003
    seen.reset()
    assert (seen.friction_level == 0.0).all()
    assert seen.sensed.contact is Contact.UNKNOWN
    for mine, again in zip(first, steps(seen, q, qd, tau), strict=True):
        np.testing.assert_array_equal(mine, again)


def test_a_tare_is_no_contact_and_no_level() -> None:
    q, qd, tau = swing(2.0)
    model, seen = arm(), observer()
    contacts = []
    for k in range(len(q)):
        seen.step(tau[k] - np.array([3.0, 1.0]), model.update(q[k], qd[k]), DT if k else math.nan)
        if k == 700:
            seen.tare()
        contacts.append(int(seen.sensed.contact))
    assert (np.array(contacts[1000:]) == Contact.FREE).all()
    assert np.abs(seen.friction_level).max() < 0.05


def test_parts_that_do_not_fit_are_refused() -> None:
    three = BandParams(np.ones(3), np.ones(3))
    wrong = (({"band": three}, "band of 3"), ({"band": None}, "terms of a band"), ({"detect": -1.0}, "above 0"))
    for bad, word in wrong:
        with pytest.raises(ParameterError, match=word):
            observer(**bad)

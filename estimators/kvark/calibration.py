"""The reported band from contact-free recordings alone: virtual contacts, and virtual drift and load friction.

Calibration runs are recorded on the day of the training data and without contact, so they know nothing of the three
things that make an estimate wrong later: contacts, friction that has drifted, friction that grows with load. All three
are added to them, on purpose and as stated: wrenches of :mod:`estimators.kvark.injection`; a friction level off by
N(0, drift²) on each joint; and N(0, load²) of each joint's external torque as further friction. Half of the cases stay
without contact: an estimator mostly rests.

On these cases the weights of :mod:`estimators.kvark.band` are those of largest Gaussian likelihood, each one for
the whole arm, and the scale is the conformal one: 95 % of the errors lie within 1.96 σ. The promise that goes with it
is that of split conformal prediction: as good as the cases are like what comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from estimators.errors import ParameterError
from estimators.kvark import injection
from estimators.kvark.band import BEYOND, BandParams, replay
from estimators.kvark.recursion import RecursionParams

Array = npt.NDArray[np.float64]

DRIFT = 0.08
"""Stated prior: how far the friction's level may be off later, standard deviation, as a part of it."""
LOAD = 0.08
"""Stated prior: friction that an external torque causes beside itself, standard deviation, as a part of it."""
UNTRAINED = 0.4
"""Stated prior: error at twice the highest trained speed, standard deviation, as a part of F, at least."""
BAND = 1.959963984540054
COVERAGE = 0.95
SETTLE = 0.5
"""Beginning of each recording that does not count, s: filters start at zero torque."""
_RATE = 50.0
"""Errors per second that count: more are copies of each other."""
_SLIDES = 0.01
"""Speed at which friction has its full size, rad/s."""
_LEAST = 1e-6
"""Below every variance, (N·m)²."""
_FLOOR = 0.05
"""Least scale."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One contact-free run as the filter gets it, (m, n) arrays: of row k, and of the step that ended with it."""

    q: Array
    """rad."""
    qd: Array
    """rad/s."""
    y: Array
    """Virtual measurement with the residual model's mean in it, N·m; first row NaN."""
    mean: Array
    """That mean, N·m."""
    variance: Array
    """Of the residual model, (N·m)²."""
    J: Array
    """TCP Jacobians (m, 6, n), base axes."""
    dt: float


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A recording with everything virtual added."""

    recording: Recording
    y: Array
    tau_ext: Array
    """What is to be found, (m, n) N·m."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """The band, and what a model without any idea of its error would state."""

    band: BandParams
    constant: Array
    """Mean square error on the same cases, (n,) (N·m)²."""


def friction_size(recordings: Sequence[Recording]) -> Array:
    """F (n,) N·m: root mean square of the residual model's mean. Raises ParameterError where nothing is finite."""
    means = np.concatenate([each.mean for each in recordings])
    size: Array = np.sqrt(np.nanmean(means**2, axis=0))
    if not np.isfinite(size).all():
        raise ParameterError("the residual model's mean is not finite along the calibration recordings")
    return size


def cases(recordings: Sequence[Recording], seed: int = 0, drift: float = DRIFT, load: float = LOAD) -> list[Case]:
    """Each recording twice, with virtual contacts and without; drift and load friction in both."""
    rng = np.random.default_rng(seed)
    found = []
    for each in recordings:
        m, n = each.y.shape
        for touched in (True, False):
            wrench = injection.contacts(m, each.dt, rng) if touched else np.zeros((m, 6))
            tau_ext = injection.torques(each.J, wrench)
            level, grows = rng.normal(0.0, drift, n), rng.normal(0.0, load, n)
            friction = level * each.mean + grows * np.abs(tau_ext) * np.tanh(each.qd / _SLIDES)
            found.append(Case(each, each.y + tau_ext - friction, tau_ext))
    return found


def calibrate(
    recordings: Sequence[Recording], filter_params: RecursionParams, speed: Array, seed: int = 0,
    drift: float = DRIFT, load: float = LOAD,
) -> Calibrated:  # fmt: skip
    """Weights and scale of the band for the filter ``filter_params``; one configuration serves every arm.

    ``speed`` (n,) rad/s: the highest of each joint in training. Raises ParameterError for no recordings, and for
    recordings with no finite error.
    """
    if not recordings:
        raise ParameterError("no recordings to calibrate by")
    first = BandParams(friction_size(recordings), speed, drift=drift, load=load)
    errors, terms, loads = [], [], []
    for case in cases(recordings, seed, drift, load):
        r = case.recording
        banded = replay(r.q, r.qd, case.y, r.mean, r.variance, r.dt, filter_params, first)
        rows = slice(round(SETTLE / r.dt), None, max(1, round(1.0 / (_RATE * r.dt))))
        errors.append((banded.x - case.tau_ext)[rows])
        terms.append(banded.terms[:, rows])
        loads.append((load * banded.x[rows]) ** 2)
    e, T, stated = np.concatenate(errors), np.concatenate(terms, axis=1), np.concatenate(loads) + _LEAST
    known = np.isfinite(e).all(axis=1) & np.isfinite(T).all(axis=(0, 2))
    if not known.any():
        raise ParameterError("no error is finite: the recordings hold samples that are not")
    e, T, stated = e[known], T[:, known], stated[known]
    weights = likeliest(e, T, stated)
    weights[BEYOND] = max(weights[BEYOND], UNTRAINED**2)
    scale = conformal(e, np.tensordot(weights, T, 1), stated)
    p, model, innovation, doubt, level, beyond = weights.tolist()
    band = replace(first, weights=(p, model, innovation, doubt, level, beyond), scale=scale)
    return Calibrated(band, np.mean(e**2, axis=0))


def likeliest(errors: Array, terms: Array, stated: Array) -> Array:
    """Weights (t,) of 0 or more with which Σ w terms + ``stated`` is the likeliest variance of ``errors``.

    ``errors`` (k, n) N·m, ``terms`` (t, k, n) and ``stated`` (k, n) (N·m)².
    """
    square = errors**2

    def cost(logs: Array) -> tuple[float, Array]:
        v = np.tensordot(np.exp(logs), terms, 1) + stated
        slope = 0.5 * (1.0 / v - square / (v * v))
        gradient = np.exp(logs) * (terms * slope).mean(axis=(1, 2))
        return float(np.mean(0.5 * np.log(v) + 0.5 * square / v)), gradient

    t = len(terms)
    found = [minimize(cost, np.full(t, begin), jac=True, bounds=[(-14.0, 7.0)] * t) for begin in (-1.0, -4.0)]
    weights: Array = np.exp(min(found, key=lambda each: float(each.fun)).x)
    return weights


def conformal(errors: Array, variance: Array, stated: Array | None = None, coverage: float = COVERAGE) -> float:
    """s with which the share ``coverage`` of ``errors`` lies within 1.96 √(s² variance + stated); all (k, n)."""
    fixed = np.zeros_like(variance) if stated is None else stated
    needed = ((errors / BAND) ** 2 - fixed) / variance
    m = needed.size
    # The quantile of split conformal prediction, (m + 1) · coverage from below, not that of the sample.
    level = min(1.0, np.ceil((m + 1) * coverage) / m)
    return float(np.sqrt(max(np.quantile(needed, level, method="higher"), _FLOOR**2)))

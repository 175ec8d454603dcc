"""From residual model to estimate: what a method's filter sees of a run, how it is tuned, and what it then says."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from estimators.kvark import injection
from estimators.kvark.recursion import RecursionParams
from estimators.kvark.replay import replay
from estimators.residual.base import ResidualModel
from hil.reproduce.case import CALIBRATE, TUNE, VALIDATE, Case
from hil.reproduce.methods import Method

Array = npt.NDArray[np.float64]

SETTLE = 0.5
"""Beginning of each run that is not scored, s."""
COVERED = 1.959963984540054
KAPPA = 10.0 ** np.arange(-4.0, 3.1, 0.5)
COLOUR = (1.0, 10.0, 100.0, 1000.0)
WINDOW = (0.1, 0.3, 1.0)
"""s."""
BANDWIDTH = (2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0)
"""Of the momentum observer, 1/s."""
_FREE = 1e9
"""Bounds that bind nowhere."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A run as the filter gets it, row k about the step that ends at sample k."""

    y: Array
    """Virtual measurement with the model's mean, (m, n) N·m."""
    variance: Array
    """Of the model, (m, n) (N·m)²."""
    J: Array
    """(m, 6, n)."""


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """A method's filter; ``bandwidth`` where it is a low-pass."""

    params: RecursionParams
    bandwidth: float
    injected: float
    """RMSE under virtual contacts on the runs it was tuned with, N·m."""


@dataclass(eq=False)
class Seer:
    """Gives the filter's view of each run of one robot under one residual model."""

    case: Case
    residual: ResidualModel | None
    _seen: dict[str, Seen] = field(default_factory=dict)

    def __call__(self, name: str) -> Seen:
        if name not in self._seen:
            self._seen[name] = self._look(name)
        return self._seen[name]

    def _look(self, name: str) -> Seen:
        case, model = self.case, self.residual
        y, J = case.measured(name)
        if model is None:
            return Seen(y, np.zeros_like(y), J)
        if model.inertial_parameters is not None:
            arm = case.make_model()
            arm.adjust(model.inertial_parameters)
            y, J = case.measure(arm, name)
        run = case.runs[name]
        mean, variance = (before(part) for part in model.run(run["q"], run["qd"], run["tau"], case.dt))
        return Seen(y + mean, variance, J)


def before(rows: Array) -> Array:
    """Each row one later: what was known at the beginning of the step that ends there."""
    return np.vstack((rows[:1], rows[:-1]))


def estimate(method: Method, tuned: Tuned, seen: Seen, dt: float, extra: Array | None = None) -> tuple[Array, Array]:
    """x and its variance by the filter alone, both (m, n); ``extra`` (m, n) N·m is added to the measurement."""
    y = seen.y if extra is None else seen.y + extra
    if method.low_pass:
        share = 1.0 - math.exp(-tuned.bandwidth * dt)
        known = np.where(np.isfinite(y), y, 0.0)
        x = lfilter([share], [1.0, share - 1.0], known, axis=0)
        return x, np.broadcast_to(tuned.params.r_empirical * share / (2.0 - share), x.shape)
    variance = seen.variance if method.variance else np.zeros_like(y)
    x, P, _ = replay(y, variance, dt, tuned.params)
    return x, P


def tune(method: Method, seer: Seer, seed: int = 0) -> Tuned:
    """The filter of least RMSE under virtual contacts on the runs for tuning; the same contacts for every method."""
    rng = np.random.default_rng(seed)
    dt = seer.case.dt
    cases = []
    for name in TUNE:
        seen = seer(name)
        cases.append((seen, injection.torques(seen.J, injection.contacts(len(seen.y), dt, rng))))
    r = 0.5 * np.nanvar(np.diff(seer(VALIDATE).y[1:], axis=0), axis=0)
    best: Tuned | None = None
    for params, bandwidth in _grid(method, r):
        candidate = Tuned(params, bandwidth, math.nan)
        error = float(np.mean([rmse(estimate(method, candidate, s, dt, e)[0] - e, dt).mean() for s, e in cases]))
        if best is None or error < best.injected:
            best = Tuned(params, bandwidth, error)
    assert best is not None
    return best


def _grid(method: Method, r: Array) -> list[tuple[RecursionParams, float]]:
    if method.low_pass:
        return [(RecursionParams(r, r), K) for K in BANDWIDTH]
    clips: dict[str, tuple[float, float]] = {}
    if not method.bounded:
        clips = {"q_clip": (1.0 / _FREE, _FREE), "r_clip": (1.0 / _FREE, _FREE)}
    colours = COLOUR if method.variance and method.bounded else (1.0,)
    windows = WINDOW if method.adapt_q != "off" else (1.0,)
    return [
        (
            RecursionParams(
                kappa * r, r, colour=colour, adapt_q=method.adapt_q, adapt_r=method.adapt_r, window_q=window, **clips
            ),
            math.nan,
        )
        for kappa in KAPPA
        for colour in colours
        for window in windows
    ]


def calibrate(method: Method, tuned: Tuned, seer: Seer, seed: int = 1) -> tuple[float, Array, Array]:
    """Factor on the reported standard deviation; mean square error (n,) under contacts; Σ for methods without one.

    From the calibration run alone: the factor makes 95 % of its errors lie in the band.
    """
    dt = seer.case.dt
    seen = seer(CALIBRATE)
    extra = injection.torques(seen.J, injection.contacts(len(seen.y), dt, np.random.default_rng(seed)))
    x, P = estimate(method, tuned, seen, dt, extra)
    skip = round(SETTLE / dt)
    square = np.mean((x - extra)[skip:] ** 2, axis=0)
    sd = np.sqrt(spread(method, P, seen, square))[skip:]
    scale = float(np.quantile(np.abs((x - extra)[skip:]) / sd, 0.95)) / COVERED
    return scale, square, x


def spread(method: Method, P: Array, seen: Seen, constant: Array) -> Array:
    """Reported variance (m, n) before the factor: P + Σ, or P + the constant where the method knows no Σ."""
    return P + (seen.variance if method.variance else constant)


def rmse(errors: Array, dt: float) -> Array:
    """Per joint or axis, without the beginning."""
    value: Array = np.sqrt(np.mean(errors[round(SETTLE / dt) :] ** 2, axis=0))
    return value

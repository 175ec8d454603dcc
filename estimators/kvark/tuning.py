"""Filters tuned by virtual contacts: the same protocol for every method, on contact-free recordings alone.

Random wrenches (:mod:`estimators.kvark.injection`) are added to free motions, at best one that keeps moving and one
from point to point with dwells: without dwells a tuner picks filters that are far too fast. The numbers of least error
win: the mean over recordings and joints of the root mean square error.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from estimators.errors import ParameterError
from estimators.kvark import injection
from estimators.kvark.recursion import RecursionParams
from estimators.kvark.replay import Measured, follow, replay, squared_error

Array = npt.NDArray[np.float64]

KAPPAS = 10.0 ** np.arange(-4.0, 3.1, 1.0)
"""Process noise that is tried first, in units of the measurement's noise a sample, for a millisecond's worth."""
FINER = (10.0**0.5, 10.0**0.25)
"""Factors by which the best of them is then varied."""
COLOURS = (1.0, 10.0, 100.0, 1000.0)
WINDOWS_Q = (0.1, 0.3, 1.0)
"""s."""
WINDOWS_R = (0.3, 1.0, 3.0)
"""s."""
BANDWIDTHS = 10.0 ** np.arange(-0.5, 2.6, 0.1)
"""Of momentum observers, 1/s."""
SETTLE = 0.5
"""Beginning of each recording that is not counted, s."""
UNBOUNDED = (1e-12, 1e12)


@dataclass(frozen=True, slots=True)
class Rules:
    """What is fixed about a filter; the rest is tuned."""

    variance: bool = True
    """Whether the residual model's variance enters R."""
    adapt_q: Literal["off", "innovation", "literal"] = "innovation"
    adapt_r: Literal["off", "residual", "literal"] = "off"
    bounded: bool = True
    """Whether Q and R_emp keep to bounds around their start."""
    colours: tuple[float, ...] = COLOURS
    """c that are tried, where the variance enters."""

    @property
    def each(self) -> bool:
        """Whether each joint has a process noise of its own; where it adapts, all start from one.

        Adaptation finds each joint's. With a start for each joint beside it, errors under the virtual contacts fall a
        little, and rise on contacts of another kind.
        """
        return self.adapt_q == "off"


class Case(NamedTuple):
    """A contact-free recording under virtual contacts."""

    y: Array
    variance: Array
    tau_ext: Array
    """The contacts, (m, n) N·m: what is to be found."""
    dt: float


class Tuned(NamedTuple):
    """Parameters, and how well they do on the recordings that they were tuned on."""

    params: RecursionParams
    rmse: Array
    """(n,) N·m, mean over the recordings."""
    errors: Array
    """Of all recordings behind one another, (k, n) N·m."""
    sigma: Array
    """Standard deviation by the filter and the residual model together, (k, n) N·m."""


def cases(recordings: Sequence[Measured], seed: int = 0) -> list[Case]:
    """Virtual contacts on each of ``recordings``; the same for the same ``seed`` and lengths."""
    rng = np.random.default_rng(seed)
    found = []
    for each in recordings:
        tau_ext = injection.torques(each.J, injection.contacts(len(each.y), each.dt, rng))
        found.append(Case(np.ascontiguousarray(each.y + tau_ext), each.variance, tau_ext, each.dt))
    return found


def measurement_noise(tests: Sequence[Case]) -> Array:
    """R_0 (n,) (N·m)²: half the variance of what the virtual measurement changes by from sample to sample.

    Raises ParameterError where a joint has none.
    """
    changes = np.concatenate([np.diff(case.y - case.tau_ext, axis=0) for case in tests])
    r: Array = 0.5 * np.nanvar(changes, axis=0)
    if not (np.isfinite(r).all() and (r > 0.0).all()):
        raise ParameterError("the virtual measurement does not vary on a joint: its encoder or torque is stuck")
    return r


def tune(
    tests: Sequence[Case], rules: Rules | None = None, progress: Callable[[float], None] | None = None
) -> Tuned:
    """The filter of least error under ``rules``: process noise (see :attr:`Rules.each`), colour and windows.

    ``progress(share)`` is told how far it is. Raises ParameterError for recordings that say nothing.
    """
    rules = rules or Rules()
    search = _Search(tests, rules, progress)
    windows_q = WINDOWS_Q if rules.adapt_q != "off" else (1.0,)
    windows_r = WINDOWS_R if rules.adapt_r != "off" else (1.0,)
    middle = windows_q[len(windows_q) // 2], windows_r[len(windows_r) // 2]
    # From coarse to fine: colours and process noise make up for each other, so they are searched together; windows
    # matter less and are searched where the best of those is.
    for colour in rules.colours if rules.variance else (0.0,):
        search.sweep(KAPPAS, colour, *middle)
    for factor in FINER:
        search.around(factor)
    for window_q, window_r in itertools.product(windows_q, windows_r):
        if (window_q, window_r) != middle:
            search.around(FINER[0], window_q, window_r)
    for factor in FINER:
        search.around(factor)
    if search.best is None:
        raise ParameterError("no filter has a finite error: the recordings hold samples that are not finite")
    return judged(tests, search.best)


class _Search:
    """Keeps the best filter so far while others are tried."""

    def __init__(self, tests: Sequence[Case], rules: Rules, progress: Callable[[float], None] | None) -> None:
        self._tests, self._rules, self._progress = tests, rules, progress
        self._r, self._dt = measurement_noise(tests), tests[0].dt
        self.best: RecursionParams | None = None
        self._error, self._kappa = np.inf, np.ones(self._r.size)
        self._done = 0
        colours = len(rules.colours) if rules.variance else 1
        others = (len(WINDOWS_Q) if rules.adapt_q != "off" else 1) * (len(WINDOWS_R) if rules.adapt_r != "off" else 1)
        self._all = len(KAPPAS) * colours + 3 * (2 * len(FINER) + others - 1)

    def sweep(self, kappas: Array, colour: float, window_q: float, window_r: float) -> None:
        """Try process noises ``kappas`` (k,) or (k, n) in units of the joints' measurement noise."""
        base = RecursionParams(
            self._r, self._r, colour=colour, dt_colour=self._dt, adapt_q=self._rules.adapt_q,
            adapt_r=self._rules.adapt_r, window_q=window_q, window_r=window_r,
        )  # fmt: skip
        if not self._rules.bounded:
            base = replace(base, q_clip=UNBOUNDED, r_clip=UNBOUNDED)
        tried = np.broadcast_to(kappas.reshape(len(kappas), -1), (len(kappas), self._r.size))
        rates = tried * self._r * (1e-3 / self._dt)
        errors = []
        for rate in rates:
            errors.append(_rmse(self._tests, replace(base, q_rate=rate)))
            self._done += 1
            if self._progress is not None:
                self._progress(min(1.0, self._done / self._all))
        found, joints = np.array(errors), np.arange(self._r.size)
        # The joints' filters do not touch each other, so that each can take its own best.
        best = found.argmin(axis=0) if self._rules.each else np.full(joints.size, found.mean(axis=1).argmin())
        error = float(found[best, joints].mean())
        if np.isfinite(error) and error < self._error:
            self._error, self._kappa, self.best = error, tried[best, joints], replace(base, q_rate=rates[best, joints])

    def around(self, factor: float, window_q: float | None = None, window_r: float | None = None) -> None:
        """Try the best so far with process noise divided and multiplied by ``factor``, with other windows if given."""
        if (best := self.best) is None:
            return
        kappas = self._kappa * np.array([[1.0 / factor], [1.0], [factor]])
        self.sweep(kappas, best.colour, window_q or best.window_q, window_r or best.window_r)


def judged(tests: Sequence[Case], params: RecursionParams) -> Tuned:
    """How well ``params`` does on ``tests``."""
    errors, sigma = [], []
    for case in tests:
        x, P, _ = replay(case.y, case.variance, case.dt, params)
        skip = round(SETTLE / case.dt)
        errors.append((x - case.tau_ext)[skip:])
        sigma.append(np.sqrt(P + case.variance)[skip:])
    return Tuned(params, _rmse(tests, params), np.concatenate(errors), np.concatenate(sigma))


def _rmse(tests: Sequence[Case], params: RecursionParams) -> Array:
    """(n,) N·m, mean over the recordings."""
    found = []
    for case in tests:
        first = round(SETTLE / case.dt)
        squares = squared_error(case.y, case.variance, case.tau_ext, first, case.dt, params)
        found.append(np.sqrt(squares / (len(case.y) - first)))
    rmse: Array = np.mean(found, axis=0)
    return rmse


class TunedBandwidth(NamedTuple):
    """A momentum observer, and how well it does on the recordings that it was tuned on."""

    bandwidth: float
    """1/s."""
    rmse: Array
    errors: Array


def tune_bandwidth(tests: Sequence[Case], progress: Callable[[float], None] | None = None) -> TunedBandwidth:
    """The momentum observer of least error, by the same contacts. Raises ParameterError."""

    def errors_of(bandwidth: float) -> list[Array]:
        return [
            (follow(case.y, case.dt, bandwidth) - case.tau_ext)[round(SETTLE / case.dt) :] for case in tests
        ]

    best: TunedBandwidth | None = None
    for k, bandwidth in enumerate(BANDWIDTHS):
        errors = errors_of(float(bandwidth))
        rmse = np.mean([np.sqrt(np.mean(e**2, axis=0)) for e in errors], axis=0)
        if np.isfinite(rmse).all() and (best is None or rmse.mean() < best.rmse.mean()):
            best = TunedBandwidth(float(bandwidth), rmse, np.concatenate(errors))
        if progress is not None:
            progress((k + 1) / len(BANDWIDTHS))
    if best is None:
        raise ParameterError("no bandwidth has a finite error: the recordings hold samples that are not finite")
    return best

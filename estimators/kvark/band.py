"""How sure an estimate is, sample by sample, and how far friction's level is known to be off.

A filter's own variance P knows the noise that it was told of and no model that is wrong for a second. Six things that
are known online tell when K-VARK errs, and the reported variance is a weighted sum of them::

    σ² = s² (w_P P + w_Σ Σ + w_i ī² + w_g g F² + w_l Λ m² + w_e o² F²) + η² x²

- Σ: variance of the residual model at this velocity;
- ī: innovation through a low-pass (:data:`INNOVATION_TIME`), as far as it is the estimate's fault: where an estimate's
  error has the variance e² = (:data:`SUSPECT` F)² and the model's error Σ, both seen as one sum d, what is expected of
  the estimate's is d e²/(e² + Σ). Large while a contact has not been followed yet;
- g: doubt about friction's memory, 1 at standstill for long, 0 after a few milliradians of travel. While a joint
  sticks, its friction may lie anywhere within ± F;
- Λ: variance of the friction's level, m: the residual model's mean, see below;
- o: by how much the joint is faster than it ever was in training, as a part of that;
- x: external torque. Friction grows with load in a way that contact-free motion cannot show; η is a stated prior.

The friction's level drifts with temperature and age by several per cent, a slow error that no filter averages away.
λ_j, the part by which joint j's friction is above the model's mean, is estimated online, from what is *not* like a
load: a friction torque changes its sign with the velocity, within tens of milliseconds, where gravity of a payload and
most contact forces do not. Both the virtual measurement and the mean pass the same band-pass (:data:`LOW`,
:data:`HIGH`); λ is their regression with redescending weights, so that a contact, which is no multiple of the mean,
counts for nothing, and with a prior N(0, drift²) to which it returns within :data:`FORGET` without motion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from estimators.compiled import COMPILED, compiled
from estimators.errors import ParameterError
from estimators.kvark import diagonal
from estimators.kvark.recursion import RecursionParams

Array = npt.NDArray[np.float64]

INNOVATION_TIME = 0.05
"""Time constant of the low-pass on the innovation, s."""
DOUBT_TRAVEL = 3e-3
"""Travel within which friction's memory is known again, rad."""
DOUBT_TIME = 6.0
"""Time at standstill within which it is forgotten, s."""
SUSPECT = 0.1
"""Error of an estimate that an innovation raises suspicion of, as a part of F."""
PLAY = 3e-5
"""Travel within which a position counts as the same one, rad: an encoder flickers."""
LOW, HIGH = 1.0, 10.0
"""Band in which friction is told from load, Hz."""
FORGET = 60.0
"""Memory of the level, s."""
WITNESS = 1.0
"""Time within which errors of the residual model are copies of each other, s: one witness each."""
_REDESCEND = 3.0
"""Squared normalised error at which a sample's weight has fallen to a quarter."""
FILTER, MODEL, INNOVATION, DOUBT, LEVEL, BEYOND = range(6)
"""Terms of the variance, in the order of their weights."""
LAMBDA, PRECISION, PULL, SEEN, MEAN, SLOW_INNOVATION, DOUBTED, ANCHOR = 0, 1, 2, 3, 6, 9, 10, 11
"""Rows of the state (12, n): λ; precision and pull of its regression; three low-passes each of the measurement and of
the mean; innovation; doubt; position of the play."""


@dataclass(frozen=True, slots=True, eq=False)
class BandParams:
    """What :mod:`estimators.kvark.calibration` finds; raises ParameterError for values out of range."""

    friction: Array
    """F: root mean square of the residual model's mean in motion, (n,) N·m."""
    speed: Array
    """Highest speed of each joint in training, (n,) rad/s; infinite: unknown."""
    weights: tuple[float, float, float, float, float, float] = (1.0, 1.0, 0.0, 0.0, 1.0, 0.1)
    """Of P, Σ, innovation, doubt, level, and speed beyond training."""
    scale: float = 1.0
    """s."""
    load: float = 0.0
    """η."""
    drift: float = 0.08
    """Standard deviation of the level before anything is known of it; 0: no level is estimated."""

    def __post_init__(self) -> None:
        friction = np.asarray(self.friction, dtype=np.float64)
        if friction.ndim != 1 or not np.isfinite(friction).all() or (friction < 0.0).any():
            raise ParameterError(f"friction is {self.friction}; expected one finite value of 0 or more for each joint")
        object.__setattr__(self, "friction", friction)
        speed = np.asarray(self.speed, dtype=np.float64)
        if speed.shape != friction.shape or not (speed > 0.0).all():
            raise ParameterError(f"speed is {self.speed}; expected one value above 0 for each joint")
        object.__setattr__(self, "speed", speed)
        numbers = (*self.weights, self.scale, self.load, self.drift)
        if len(self.weights) != 6 or not all(math.isfinite(v) and v >= 0.0 for v in numbers) or not self.scale > 0.0:
            raise ParameterError(
                f"weights {self.weights}, scale {self.scale}, load {self.load}, drift {self.drift}: expected six "
                "weights, all finite and 0 or more, scale above 0"
            )


def start(n: int) -> Array:
    """State of :func:`advance` before the first sample; NaN: nothing was seen."""
    state = np.zeros((12, n))
    state[SEEN : MEAN + 3] = math.nan
    state[DOUBTED], state[ANCHOR] = 1.0, math.nan
    return state


@compiled
def advance(
    state: Array, q: Array, qd: Array, y: Array, mean: Array, variance: Array, x: Array, dt: float, prior: float,
    friction: Array, speed: Array, terms: Array,
) -> int:  # fmt: skip
    """One step in place, after the filter's; 0 where the sample said nothing of level and innovation.

    ``q`` (n,) rad, ``qd`` (n,) rad/s; ``y`` (n,) N·m measured, with the residual model's ``mean`` (n,) N·m times 1 + λ
    (the state's before this step) in it; ``variance`` (n,) of the model; ``x`` (n,) the filter's new estimate;
    ``prior``: variance of λ; ``friction``, ``speed`` (n,): F and the highest trained one. ``terms`` (4, n): after the
    step, innovation, doubt, level and speed beyond training, (N·m)².
    """
    n = state.shape[1]
    known = dt > 0.0
    for j in range(n):
        known = known and math.isfinite(y[j]) and math.isfinite(mean[j]) and math.isfinite(variance[j] + x[j] + qd[j])
    step = dt if dt > 0.0 and dt < 1.0 else 0.0
    low = 1.0 - math.exp(-2.0 * math.pi * LOW * step)
    high = 1.0 - math.exp(-2.0 * math.pi * HIGH * step)
    keep = math.exp(-step / FORGET)
    grow = 1.0 - math.exp(-step / DOUBT_TIME)
    fast = 1.0 - math.exp(-step / INNOVATION_TIME)
    for j in range(n):
        if math.isfinite(q[j]):
            away = 0.0
            if not math.isfinite(state[11, j]):
                state[11, j] = q[j]
            elif q[j] > state[11, j] + PLAY:
                away = q[j] - PLAY - state[11, j]
            elif q[j] < state[11, j] - PLAY:
                away = q[j] + PLAY - state[11, j]
            state[11, j] += away
            state[10, j] *= math.exp(-2.0 * abs(away) / DOUBT_TRAVEL)
        state[10, j] += (1.0 - state[10, j]) * grow
        if known:
            m = mean[j]
            state[9, j] += fast * (y[j] - x[j] - state[9, j])
            # The measurement without the correction: else the level would be regressed on itself.
            seen = y[j] - state[0, j] * m
            if not math.isfinite(state[3, j]):
                for i in range(3):
                    state[3 + i, j] = seen
                    state[6 + i, j] = m
            state[3, j] += high * (seen - state[3, j])
            state[4, j] += high * (state[3, j] - state[4, j])
            state[5, j] += low * (state[4, j] - state[5, j])
            state[6, j] += high * (m - state[6, j])
            state[7, j] += high * (state[6, j] - state[7, j])
            state[8, j] += low * (state[7, j] - state[8, j])
            if prior > 0.0:
                against = state[7, j] - state[8, j]
                error = state[5, j] - state[4, j] - state[0, j] * against
                spread = variance[j] + against * against / (1.0 / prior + state[1, j])
                odd = error * error / spread if spread > 0.0 else 0.0
                trust = step / WITNESS / (variance[j] * (1.0 + odd / _REDESCEND) ** 2) if variance[j] > 0.0 else 0.0
                state[1, j] = keep * state[1, j] + trust * against * against
                state[2, j] = keep * state[2, j] + trust * against * (state[5, j] - state[4, j])
                state[0, j] = state[2, j] / (1.0 / prior + state[1, j])
        size = friction[j] * friction[j]
        suspect = SUSPECT * SUSPECT * size
        terms[1, j] = state[10, j] * size
        terms[0, j] = terms[2, j] = terms[3, j] = math.nan
        if known:
            share = suspect / (suspect + variance[j]) if variance[j] > 0.0 else 1.0
            terms[0, j] = (share * state[9, j]) ** 2
            terms[2, j] = mean[j] * mean[j] / (1.0 / prior + state[1, j]) if prior > 0.0 else 0.0
            over = max(0.0, abs(qd[j]) / speed[j] - 1.0)
            terms[3, j] = over * over * size
    return 1 if known else 0


class Band:
    """:func:`advance` for one arm: the variance to report after each of the filter's steps.

    ``use_compiled``: by machine code, where there is numba.
    """

    def __init__(self, params: BandParams, use_compiled: bool = COMPILED) -> None:
        self.params = params
        self.n = params.friction.size
        self._advance = advance if use_compiled else getattr(advance, "py_func", advance)
        self._prior = params.drift * params.drift
        self.terms: Array = np.zeros((6, self.n))
        """After each step P, Σ, innovation, doubt, level, and speed beyond training, (N·m)²; the next overwrites."""
        self._own = self.terms[INNOVATION:]
        self._weights = params.scale**2 * np.array(params.weights)
        self._load2 = params.load * params.load
        self.reset()

    def reset(self) -> None:
        """Forget the motion so far."""
        self._state = start(self.n)

    @property
    def level(self) -> Array:
        """λ (n,): the part by which friction is above the residual model's mean, known before the coming sample."""
        value: Array = self._state[LAMBDA].copy()
        return value

    @property
    def level_variance(self) -> Array:
        """Variance of λ, (n,)."""
        prior = self._prior
        value: Array = prior / (1.0 + prior * self._state[PRECISION])
        return value

    def step(
        self, q: Array, qd: Array, y: Array, mean: Array, variance: Array, x: Array, P: Array, dt: float
    ) -> Array:
        """Variance (n,) (N·m)² of ``x``; arguments as :func:`advance`, ``P`` (n,) the filter's variance.

        Fresh array. NaN where what the sample says is not known.
        """
        p, terms = self.params, self.terms
        terms[FILTER], terms[MODEL] = P, variance
        if not self._advance(
            self._state, q, qd, y, mean, variance, x, dt, self._prior, p.friction, p.speed, self._own
        ):
            return np.full(self.n, math.nan)
        reported: Array = self._weights @ terms
        if self._load2:
            reported += self._load2 * (x * x)
        return reported


class Banded(NamedTuple):
    """A recording through filter and band."""

    x: Array
    """External torque (m, n) N·m."""
    terms: Array
    """(6, m, n) (N·m)², before weights and scale: P, Σ, innovation, doubt, level, speed beyond training."""
    nis: Array
    """(m,)."""
    level: Array
    """λ after each sample, (m, n)."""

    def variance(self, params: BandParams) -> Array:
        """What :meth:`Band.step` reports, (m, n) (N·m)²."""
        v: Array = params.scale**2 * np.tensordot(np.array(params.weights), self.terms, 1) + (params.load * self.x) ** 2
        return v


@compiled
def _run(
    q: Array, qd: Array, y: Array, mean: Array, variance: Array, colour: float, dt: float, state: Array,
    nu: float, begin: Array, numbers: Array, rules: npt.NDArray[Any], band: Array, prior: float, friction: Array,
    speed: Array, out: Array, nis: Array,
) -> int:  # fmt: skip
    """Rows of ``out`` (8, m, n): x, then the six terms, then λ."""
    m, n = y.shape
    terms, corrected = np.zeros((4, n)), np.zeros(n)
    for k in range(m):
        for j in range(n):
            corrected[j] = y[k, j] + band[0, j] * mean[k, j]
        nu, nis[k] = diagonal.advance(state, nu, corrected, colour * variance[k], dt, begin, numbers, rules)
        known = advance(
            band, q[k], qd[k], corrected, mean[k], variance[k], state[0], dt, prior, friction, speed, terms
        )
        for j in range(n):
            out[0, k, j], out[7, k, j] = state[0, j], band[0, j]
            out[1, k, j] = state[1, j] if known else math.nan
            out[2, k, j], out[3, k, j] = variance[k, j], terms[0, j]
            out[4, k, j], out[5, k, j], out[6, k, j] = terms[1, j], terms[2, j], terms[3, j]
    return 0


def replay(
    q: Array, qd: Array, y: Array, mean: Array, variance: Array, dt: float, filter_params: RecursionParams,
    params: BandParams,
) -> Banded:  # fmt: skip
    """A recording of (m, n) arrays through filter and band, as :class:`Band` sample by sample.

    ``q`` rad and ``qd`` rad/s at each sample; of the step that ended with it: ``y`` N·m measured with the residual
    model's ``mean`` N·m in it, and ``variance`` (N·m)².
    """
    state, nu, begin, numbers, rules = diagonal.prepare(filter_params)
    numbers[1], numbers[2] = math.exp(-dt / filter_params.window_q), math.exp(-dt / filter_params.window_r)
    n = y.shape[1]
    out, nis = np.empty((8, *y.shape)), np.empty(len(y))
    colour = filter_params.colour * filter_params.dt_colour / dt
    q, qd, y, mean, variance = (np.ascontiguousarray(part, dtype=np.float64) for part in (q, qd, y, mean, variance))
    _run(
        q, qd, y, mean, variance, colour, dt, state, nu, begin, numbers, rules, start(n), params.drift**2,
        params.friction, params.speed, out, nis,
    )  # fmt: skip
    return Banded(out[0], out[1:7], nis, out[7])

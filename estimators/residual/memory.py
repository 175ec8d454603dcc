"""Friction features with memory: what a residual model that is linear in its weights is made of.

Friction as a function of velocity alone is two-valued around standstill: while a joint sticks, its friction depends on
how it came to rest. A bank of Dahl states remembers that. For a joint that moves by Δq, with s = sgn Δq::

    z ← s − (s − z) exp(−|Δq|/δ)

so z goes to ±1 within a few δ of travel, whatever the speed. Each state multiplies what scales friction: one, the load
|τ|, the Stribeck fall-off, the position in the revolution; tanh terms serve friction without memory, and ripple terms
the teeth of the gear.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators.compiled import compiled
from estimators.errors import ParameterError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MemoryParams:
    """Fixed shapes of the features, the same for every joint; what they weigh is learnt."""

    travel: tuple[float, ...] = (0.3e-3, 1e-3, 3e-3, 10e-3)
    """δ of the Dahl states, rad."""
    smooth: tuple[float, ...] = (0.005, 0.02, 0.08)
    """w of tanh(qd / w), rad/s."""
    stribeck: float = 0.05
    """v of the Stribeck fall-off exp(−(qd/v)²), rad/s."""
    saturation: float = 0.5
    """v of the sub-linear viscous term qd/(1 + |qd|/v), rad/s."""
    harmonics: int = 3
    """Of the position within a revolution of the joint."""
    ripple: tuple[float, ...] = ()
    """Periods of the gear's ripple in a revolution of the joint, e.g. 2 · gear ratio."""
    load_time: float = 0.02
    """Time constant of the low-pass on |τ|, s."""
    load: bool = True
    """Whether features follow the measured torque. Where friction exceeds the load, z|τ| is the torque itself, and a
    steady external torque is in part taken for friction: without it a weight is not."""

    def __post_init__(self) -> None:
        positive = (*self.travel, *self.smooth, self.stribeck, self.saturation, self.load_time, *self.ripple)
        if not all(math.isfinite(value) and value > 0.0 for value in positive) or self.harmonics < 0:
            raise ParameterError(f"{self}: lengths, speeds and times must be finite and above 0")

    @property
    def count(self) -> int:
        """Features of one joint."""
        scales = 3 + 2 * self.harmonics
        return len(self.travel) * scales + 2 * len(self.smooth) + 4 + 2 * len(self.ripple) + 1


@compiled
def _advance(z: Array, load: Array, dq: Array, tau: Array, travel: Array, share: float) -> int:
    """Dahl states ``z`` (n, d) and low-passed load (n,) in place."""
    for j in range(z.shape[0]):
        load[j] += share * (abs(tau[j]) - load[j])
        if dq[j] == 0.0:
            continue
        sign = 1.0 if dq[j] > 0.0 else -1.0
        for i in range(travel.size):
            z[j, i] = sign - (sign - z[j, i]) * math.exp(-abs(dq[j]) / travel[i])
    return 0


@compiled
def _fill(
    row: Array,
    q: float,
    qd: float,
    load: float,
    z: Array,
    smooth: Array,
    ripple: Array,
    stribeck: float,
    saturation: float,
    harmonics: int,
) -> int:
    """The features of one joint into ``row`` (F,)."""
    fall = math.exp(-((qd / stribeck) ** 2))
    at = 0
    for i in range(z.size):
        row[at] = z[i]
        row[at + 1] = z[i] * load
        row[at + 2] = z[i] * fall
        at += 3
        for k in range(1, harmonics + 1):
            row[at] = z[i] * math.cos(k * q)
            row[at + 1] = z[i] * math.sin(k * q)
            at += 2
    for i in range(smooth.size):
        tanh = math.tanh(qd / smooth[i])
        row[at] = tanh
        row[at + 1] = tanh * load
        at += 2
    row[at] = qd
    row[at + 1] = qd / (1.0 + abs(qd) / saturation)
    row[at + 2] = qd * abs(qd)
    row[at + 3] = math.tanh(qd / smooth[0]) * fall if smooth.size else 0.0
    at += 4
    for i in range(ripple.size):
        row[at] = math.cos(ripple[i] * q)
        row[at + 1] = math.sin(ripple[i] * q)
        at += 2
    row[at] = 1.0
    return 0


@compiled
def _run(
    q: Array, qd: Array, tau: Array, z: Array, load: Array, share: float, travel: Array, smooth: Array, ripple: Array,
    stribeck: float, saturation: float, harmonics: int, out: Array,
) -> int:  # fmt: skip
    for k in range(q.shape[0]):
        if k > 0:
            _advance(z, load, q[k] - q[k - 1], tau[k], travel, share)
        for j in range(q.shape[1]):
            _fill(out[k, j], q[k, j], qd[k, j], load[j], z[j], smooth, ripple, stribeck, saturation, harmonics)
    return 0


class MemoryFeatures:
    """Features (n, F) of an arm of ``n`` joints, one :meth:`step` for each sample; :meth:`run` for recordings."""

    def __init__(self, n: int, params: MemoryParams | None = None) -> None:
        self.n = n
        self.params = params or MemoryParams()
        p = self.params
        self._travel, self._smooth = np.array(p.travel), np.array(p.smooth)
        self._ripple = np.array(p.ripple, dtype=np.float64)
        self._no_load = np.zeros(n)
        self.reset()

    def reset(self) -> None:
        """Forget how the joints came to be where they are."""
        self._z = np.zeros((self.n, self._travel.size))
        self._load = np.zeros(self.n)
        self._q: Array | None = None

    def step(self, q: Array, qd: Array, tau: Array, dt: float) -> Array:
        """Features (n, F), a fresh array, at ``q`` rad, ``qd`` rad/s and measured ``tau`` N·m, all (n,).

        A sample that is not finite, or a step back in time, gives NaN and is not remembered.
        """
        p = self.params
        row = np.empty((self.n, p.count))
        if not math.isfinite(float(q.sum() + qd.sum() + tau.sum())):
            row.fill(math.nan)
            return row
        if not p.load:
            tau = self._no_load
        if self._q is None or not dt > 0.0:
            self._load[:] = np.abs(tau)
        else:
            _advance(self._z, self._load, q - self._q, tau, self._travel, 1.0 - math.exp(-dt / p.load_time))
        self._q = q.copy()
        for j in range(self.n):
            _fill(
                row[j], q[j], qd[j], self._load[j], self._z[j], self._smooth, self._ripple, p.stribeck, p.saturation,
                p.harmonics,
            )  # fmt: skip
        return row

    def run(self, q: Array, qd: Array, tau: Array, dt: float) -> Array:
        """Features (m, n, F) of a whole run from rest, as :meth:`step` gives them; ``q``, ``qd``, ``tau``: (m, n)."""
        p = self.params
        self.reset()
        if not p.load:
            tau = np.zeros_like(q)
        self._load[:] = np.abs(tau[0])
        out = np.empty((*q.shape, p.count))
        share = 1.0 - math.exp(-dt / p.load_time)
        q, qd, tau = (np.ascontiguousarray(part, dtype=np.float64) for part in (q, qd, tau))
        _run(
            q, qd, tau, self._z, self._load, share, self._travel, self._smooth, self._ripple,
            p.stribeck, p.saturation, p.harmonics, out,
        )  # fmt: skip
        self._q = q[-1].copy()
        return out

"""Friction features with memory: what a residual model that is linear in its weights is made of.

Friction as a function of velocity alone is two-valued around standstill: while a joint sticks, its friction depends on
how it came to rest. A bank of Dahl states remembers that. For a joint that moves by Δq, with s = sgn Δq::

    z ← s − (s − z) exp(−|Δq|/δ)

so z goes to ±1 within a few δ of travel, whatever the speed. While a joint stands its encoder flickers between counts,
and each flicker there and back takes 2 z |Δq|/δ from a state: within a second of standing the shortest memory has bled
away. So the states follow, not q, but p, which q drags behind it with a play of ±r (the play operator, backlash)::

    p ← min(max(p, q − r), q + r)

Each state multiplies what scales friction: one, the load
|τ|, the Stribeck fall-off, the position in the revolution; tanh terms serve friction without memory, and ripple terms
the teeth of the gear.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators.compiled import COMPILED, compiled
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
    play: float = 0.0
    """Half-width r of the play between an encoder and the Dahl states, rad; 0: none. See the module."""
    load_time: float = 0.02
    """Time constant of the low-pass on |τ|, s."""
    load: bool = True
    """Whether features follow the measured torque. Where friction exceeds the load, z|τ| is the torque itself, and a
    steady external torque is in part taken for friction: without it a weight is not."""

    def __post_init__(self) -> None:
        positive = (*self.travel, *self.smooth, self.stribeck, self.saturation, self.load_time, *self.ripple)
        if not all(math.isfinite(value) and value > 0.0 for value in positive) or self.harmonics < 0:
            raise ParameterError(f"{self}: lengths, speeds and times must be finite and above 0")
        if not (math.isfinite(self.play) and self.play >= 0.0):
            raise ParameterError(f"play is {self.play} rad; expected a finite width of 0 or more")

    @property
    def count(self) -> int:
        """Features of one joint."""
        scales = 3 + 2 * self.harmonics
        return len(self.travel) * scales + 2 * len(self.smooth) + 4 + 2 * len(self.ripple) + 1


@compiled
def drag(z: Array, p: Array, q: Array, travel: Array, play: float) -> int:
    """Dahl states ``z`` (n, d) and dragged positions ``p`` (n,) in place, as the joints move to ``q`` (n,) rad."""
    for j in range(z.shape[0]):
        at = min(max(p[j], q[j] - play), q[j] + play)
        dp = at - p[j]
        p[j] = at
        if dp == 0.0:
            continue
        sign = 1.0 if dp > 0.0 else -1.0
        for i in range(travel.size):
            z[j, i] = sign - (sign - z[j, i]) * math.exp(-abs(dp) / travel[i])
    return 0


@compiled
def _advance(
    z: Array, load: Array, p: Array, q: Array, tau: Array, travel: Array, play: float, share: float, onwards: bool
) -> int:
    """Dahl states ``z`` (n, d), low-passed load (n,) and dragged positions ``p`` (n,) in place.

    Not ``onwards``: nobody knows how far the joints moved, and p is q.
    """
    for j in range(z.shape[0]):
        load[j] += share * (abs(tau[j]) - load[j])
        if not onwards:
            p[j] = q[j]
    if onwards:
        drag(z, p, q, travel, play)
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
    each = 3 + 2 * harmonics
    for k in range(harmonics):
        cos, sin = math.cos((k + 1) * q), math.sin((k + 1) * q)
        for i in range(z.size):
            row[each * i + 3 + 2 * k] = z[i] * cos
            row[each * i + 4 + 2 * k] = z[i] * sin
    for i in range(z.size):
        row[each * i] = z[i]
        row[each * i + 1] = z[i] * load
        row[each * i + 2] = z[i] * fall
    at = each * z.size
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
def _weigh(
    q: Array, qd: Array, tau: Array, dt: float, p: Array, z: Array, load: Array, load_time: float, travel: Array,
    play: float, smooth: Array, ripple: Array, stribeck: float, saturation: float, harmonics: int, weights: Array,
    row: Array, out: Array,
) -> int:  # fmt: skip
    """One sample's features times ``weights`` (n, F), added to ``out`` (n,). ``row`` (F,) is scratch."""
    n = q.size
    for j in range(n):
        if not math.isfinite(q[j] + qd[j] + tau[j]):
            for i in range(n):
                out[i] = math.nan
            return 0
    onwards = dt > 0.0 and math.isfinite(p[0])
    _advance(z, load, p, q, tau, travel, play, 1.0 - math.exp(-dt / load_time) if onwards else 1.0, onwards)
    for j in range(n):
        _fill(row, q[j], qd[j], load[j], z[j], smooth, ripple, stribeck, saturation, harmonics)
        total = 0.0
        for i in range(weights.shape[1]):
            total += weights[j, i] * row[i]
        out[j] += total
    return 0


@compiled
def _run(
    q: Array, qd: Array, tau: Array, p: Array, z: Array, load: Array, share: float, travel: Array, play: float,
    smooth: Array, ripple: Array, stribeck: float, saturation: float, harmonics: int, out: Array,
) -> int:  # fmt: skip
    for k in range(q.shape[0]):
        _advance(z, load, p, q[k], tau[k], travel, play, share if k > 0 else 1.0, k > 0)
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
        self._rate, self._orders = -1.0 / self._travel, np.arange(1.0, p.harmonics + 1.0)
        self._row = np.empty(p.count)
        self.reset()

    def reset(self) -> None:
        """Forget how the joints came to be where they are."""
        self._z = np.zeros((self.n, self._travel.size))
        self._load = np.zeros(self.n)
        self._p = np.full(self.n, math.nan)

    def step(self, q: Array, qd: Array, tau: Array, dt: float, use_compiled: bool = COMPILED) -> Array:
        """Features (n, F), a fresh array, at ``q`` rad, ``qd`` rad/s and measured ``tau`` N·m, all (n,).

        A sample that is not finite, or a step back in time, gives NaN and is not remembered.
        """
        p = self.params
        row = np.empty((self.n, p.count))
        if not math.isfinite(float(q.sum() + qd.sum() + tau.sum())):
            row.fill(math.nan)
            return row
        if not p.load:
            tau = tau * 0.0
        onwards = dt > 0.0 and math.isfinite(self._p[0])
        share = 1.0 - math.exp(-dt / p.load_time) if onwards else 1.0
        if not use_compiled:
            self._advance_vectors(q, tau, share, onwards)
            self._fill_vectors(row, q, qd)
            return row
        _advance(self._z, self._load, self._p, q, tau, self._travel, p.play, share, onwards)
        for j in range(self.n):
            _fill(
                row[j], q[j], qd[j], self._load[j], self._z[j], self._smooth, self._ripple, p.stribeck, p.saturation,
                p.harmonics,
            )  # fmt: skip
        return row

    def weighted(
        self, q: Array, qd: Array, tau: Array, dt: float, weights: Array, out: Array, use_compiled: bool = COMPILED
    ) -> None:
        """Add ``(weights * step(q, qd, tau, dt)).sum(axis=1)`` to ``out`` (n,); ``weights`` (n, F)."""
        if not use_compiled:
            out += np.einsum("jf,jf->j", weights, self.step(q, qd, tau, dt, use_compiled=False))
            return
        p = self.params
        if not p.load:
            tau = tau * 0.0  # what is not finite stays so
        _weigh(
            q, qd, tau, dt, self._p, self._z, self._load, p.load_time, self._travel, p.play, self._smooth,
            self._ripple, p.stribeck, p.saturation, p.harmonics, weights, self._row, out,
        )  # fmt: skip

    def _advance_vectors(self, q: Array, tau: Array, share: float, onwards: bool) -> None:
        """:func:`_advance` by numpy."""
        self._load += share * (np.abs(tau) - self._load)
        if not onwards:
            self._p[:] = q
            return
        play = self.params.play
        at = np.minimum(np.maximum(self._p, q - play), q + play)
        dp = at - self._p
        self._p[:] = at
        sign = np.sign(dp)[:, None]
        away = np.exp(np.abs(dp)[:, None] * self._rate)
        self._z[:] = np.where(sign == 0.0, self._z, sign - (sign - self._z) * away)

    def _fill_vectors(self, rows: Array, q: Array, qd: Array) -> None:
        """:func:`_fill` of all joints by numpy, into ``rows`` (n, F)."""
        p, z, load = self.params, self._z, self._load
        d, w, h = z.shape[1], self._smooth.size, p.harmonics
        fall = np.exp(-((qd / p.stribeck) ** 2))
        scales = np.empty((self.n, 3 + 2 * h))
        scales[:, 0], scales[:, 1], scales[:, 2] = 1.0, load, fall
        if h:
            angle = q[:, None] * self._orders
            scales[:, 3::2], scales[:, 4::2] = np.cos(angle), np.sin(angle)
        at = d * (3 + 2 * h)
        np.multiply(z[:, :, None], scales[:, None, :], out=rows[:, :at].reshape(self.n, d, 3 + 2 * h))
        tanh = np.tanh(qd[:, None] / self._smooth)
        rows[:, at : at + 2 * w : 2] = tanh
        rows[:, at + 1 : at + 2 * w : 2] = tanh * load[:, None]
        at += 2 * w
        speed = np.abs(qd)
        rows[:, at] = qd
        rows[:, at + 1] = qd / (1.0 + speed / p.saturation)
        rows[:, at + 2] = qd * speed
        rows[:, at + 3] = tanh[:, 0] * fall if w else 0.0
        at += 4
        if self._ripple.size:
            angle = q[:, None] * self._ripple
            rows[:, at:-1:2], rows[:, at + 1 : -1 : 2] = np.cos(angle), np.sin(angle)
        rows[:, -1] = 1.0

    def run(self, q: Array, qd: Array, tau: Array, dt: float) -> Array:
        """Features (m, n, F) of a whole run from rest, as :meth:`step` gives them; ``q``, ``qd``, ``tau``: (m, n)."""
        p = self.params
        self.reset()
        if not p.load:
            tau = np.zeros_like(q)
        out = np.empty((*q.shape, p.count))
        share = 1.0 - math.exp(-dt / p.load_time)
        q, qd, tau = (np.ascontiguousarray(part, dtype=np.float64) for part in (q, qd, tau))
        _run(
            q, qd, tau, self._p, self._z, self._load, share, self._travel, p.play, self._smooth, self._ripple,
            p.stribeck, p.saturation, p.harmonics, out,
        )  # fmt: skip
        return out

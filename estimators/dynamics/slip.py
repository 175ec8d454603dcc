"""Friction that remembers: Maxwell-slip elements, which position, velocity and acceleration cannot replace.

A joint that comes to rest keeps the friction of the way it came from, and after a reversal it moves some milliradians
before friction has turned round. A model that is told q, qd and qdd alone cannot know that, and misses by up to twice
the Coulomb friction there. Springs that slide at an elongation r each do (Iwan 1966; the rate-independent part of the
generalised Maxwell-slip model, Al-Bender, Lampaert & Swevers 2005)::

    e⁺ = clip(e + Δq, −r, r),    s = e / r

Torque is linear in the s of several r, so that their weights can be regressed; they need the path only, not time, and
no velocity.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from estimators.compiled import compiled

Array = npt.NDArray[np.float64]

RADII = (3e-4, 6e-4, 1e-3, 1.5e-3, 2e-3, 3e-3, 4e-3, 6e-3, 1e-2)
"""Elongations at which the elements slide, rad: gears break away within some milliradians."""
STRIBECK_SPEEDS = (0.05, 0.15, 0.3)
"""rad/s: sliding elements have a partner that fades as exp(−(qd/v)²), since friction falls as sliding begins."""
JUMP = 0.2
"""A joint that moves farther than this from one sample to the next is on another path, rad."""
SLIDING = 0.01
"""Speed from which a joint whose past is unknown is taken to slide, rad/s."""


@compiled
def _follow(q: Array, qd: Array, last: Array, e: Array, r: Array) -> int:
    """Move the elements ``e`` (n, R) rad on to ``q`` (n,), where ``last`` (n,) then is too."""
    n, elements = e.shape
    jumped = False
    for j in range(n):
        if not math.isfinite(q[j]):
            return 1
        # Of the first sample, too: nothing is less than NaN.
        jumped = jumped or not abs(q[j] - last[j]) <= JUMP
    for j in range(n):
        way = q[j] - last[j]
        sliding = math.tanh(qd[j] / SLIDING) if jumped and math.isfinite(qd[j]) else 0.0
        for i in range(elements):
            e[j, i] = sliding * r[i] if jumped else min(max(e[j, i] + way, -r[i]), r[i])
        last[j] = q[j]
    return 0


@compiled
def _weigh(qd: Array, e: Array, r: Array, speeds: Array, weights: Array, out: Array) -> int:
    """Sum of :func:`slip_terms` times ``weights`` (n, K) into ``out`` (n,)."""
    n, elements = e.shape
    for j in range(n):
        total = weights[j, 0] + weights[j, 1] * qd[j]
        for i in range(elements):
            total += weights[j, 2 + i] * e[j, i] / r[i]
        for v in range(speeds.size):
            fade, part = math.exp(-((qd[j] / speeds[v]) ** 2)), 0.0
            for i in range(elements):
                part += weights[j, 2 + elements * (1 + v) + i] * e[j, i] / r[i]
            total += fade * part
        out[j] = total
    return 0


class Slip:
    """The elements of ``n`` joints along one path; ``radii`` and ``speeds`` as of :func:`slip_terms`."""

    def __init__(self, n: int, radii: tuple[float, ...], speeds: tuple[float, ...] = ()) -> None:
        self._r, self._speeds = np.array(radii), np.array(speeds)
        self._e = np.zeros((n, len(radii)))
        self._q = np.full(n, np.nan)

    def step(self, q: Array, qd: Array) -> Array:
        """s (n, R), −1 to 1, with the joints at ``q`` (n,) rad.

        At the first sample, and after a jump, the past is unknown: the joints are taken to slide if they move at ``qd``
        (n,) rad/s. A position that is not finite gives NaN and is no part of the path.
        """
        if _follow(q, qd, self._q, self._e, self._r):
            return np.full_like(self._e, np.nan)
        s: Array = self._e / self._r
        return s

    def torque(self, q: Array, qd: Array, weights: Array) -> Array:
        """Friction (n,) N·m at the next sample of the path: :func:`slip_terms` times ``weights`` (n, K)."""
        out = np.full(q.size, np.nan)
        if not _follow(q, qd, self._q, self._e, self._r):
            _weigh(qd, self._e, self._r, self._speeds, weights, out)
        return out


def slip_terms(s: Array, qd: Array, speeds: tuple[float, ...]) -> Array:
    """What friction weights multiply, (n, 2 + R (1 + V)): 1, qd, the elements ``s`` (n, R), and each times
    exp(−(qd/v)²) for the V ``speeds`` rad/s."""
    n = qd.size
    parts = [np.ones((n, 1)), qd[:, None], s]
    parts += [s * np.exp(-np.square(qd / speed))[:, None] for speed in speeds]
    return np.concatenate(parts, axis=1)


def width(radii: tuple[float, ...], speeds: tuple[float, ...]) -> int:
    """Number of :func:`slip_terms`."""
    return 2 + len(radii) * (1 + len(speeds))

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

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

RADII = (3e-4, 6e-4, 1e-3, 1.5e-3, 2e-3, 3e-3, 4e-3, 6e-3, 1e-2)
"""Elongations at which the elements slide, rad: gears break away within some milliradians."""
STRIBECK_SPEEDS = (0.05, 0.15, 0.3)
"""rad/s: sliding elements have a partner that fades as exp(−(qd/v)²), since friction falls as sliding begins."""
JUMP = 0.2
"""A joint that moves farther than this from one sample to the next is on another path, rad."""
SLIDING = 0.01
"""Speed from which a joint whose past is unknown is taken to slide, rad/s."""


class Slip:
    """The elements of ``n`` joints along one path; ``radii`` rad."""

    def __init__(self, n: int, radii: tuple[float, ...]) -> None:
        self._r = np.array(radii)
        self._least = -self._r
        self._e = np.zeros((n, len(radii)))
        self._q = np.full(n, np.nan)
        self.s = np.zeros((n, len(radii)))
        """e / r (n, R), −1 to 1; overwritten by the next step."""

    def step(self, q: Array, qd: Array) -> Array:
        """s (n, R) with the joints at ``q`` (n,) rad.

        At the first sample, and after a jump, the past is unknown: the joints are taken to slide if they move at ``qd``
        (n,) rad/s. A position that is not finite gives NaN and is no part of the path.
        """
        way = q - self._q
        most = float(np.abs(way).max())
        if most <= JUMP:
            e = self._e
            e += way[:, None]
            np.maximum(e, self._least, out=e)
            np.minimum(e, self._r, out=e)
        elif not np.isfinite(q).all():
            return np.full_like(self.s, np.nan)
        else:
            self._e = np.tanh(np.where(np.isfinite(qd), qd, 0.0) / SLIDING)[:, None] * self._r
        self._q = q.copy()
        np.divide(self._e, self._r, out=self.s)
        return self.s


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

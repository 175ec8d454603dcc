"""Fourier trajectories that begin and end at rest: position offset, velocity and acceleration are zero at both ends.

::

    q(t) = q_mid + Σ_l [ a_l/(ω l) sin(ω l t) − b_l/(ω l) cos(ω l t) ],    ω = 2π/T,  l = 1 … N

and so q̇(0) = Σ a_l, q̈(0) = ω Σ l b_l, q(0) − q_mid = −(1/ω) Σ b_l / l, the same at T. All three vanish for a and b
from the null spaces of (1 … 1) and of ((1 … N), (1 … 1/N)), whose bases are used as coordinates: nothing is left to a
penalty.

One trajectory of N harmonics spans 2N functions of time, less those three conditions: with fewer than ten harmonics the
3n positions, velocities and accelerations of an arm of six joints cannot vary independently, whatever the coefficients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators.errors import ParameterError

Array = npt.NDArray[np.float64]

LEAST_HARMONICS = 3
"""Below that b has no freedom left."""
ENOUGH_HARMONICS = 10
"""From here on one trajectory has a covariance of full rank on six and seven joints."""


def null_bases(harmonics: int) -> tuple[Array, Array]:
    """Orthonormal bases of the admissible a (N, N − 1) and b (N, N − 2). Raises ParameterError for N < 3."""
    if harmonics < LEAST_HARMONICS:
        raise ParameterError(f"{harmonics} harmonics; at least {LEAST_HARMONICS} are needed to begin and end at rest")
    order = np.arange(1.0, harmonics + 1.0)
    return _complement(np.ones((harmonics, 1))), _complement(np.column_stack((order, 1.0 / order)))


def _complement(columns: Array) -> Array:
    full, _ = np.linalg.qr(columns, mode="complete")
    return np.ascontiguousarray(full[:, columns.shape[1] :])


@dataclass(frozen=True, slots=True, eq=False)
class Fourier:
    """One trajectory: ``mid`` (n,) rad, where it begins and ends; ``a``, ``b`` (n, N) rad/s; ``period`` T in s."""

    mid: Array
    a: Array
    b: Array
    period: float

    def __post_init__(self) -> None:
        shape = (self.mid.shape[0], self.a.shape[1]) if self.mid.ndim == 1 and self.a.ndim == 2 else None
        if shape is None or self.a.shape != shape or self.b.shape != shape:
            shapes = f"mid {self.mid.shape}, a {self.a.shape}, b {self.b.shape}"
            raise ParameterError(f"{shapes}; expected (n,), (n, N) and (n, N)")
        finite = all(np.isfinite(part).all() for part in (self.mid, self.a, self.b))
        if not finite or not (math.isfinite(self.period) and self.period > 0.0):
            raise ParameterError(f"coefficients must be finite and the period above zero; it is {self.period} s")

    @property
    def harmonics(self) -> int:
        return int(self.a.shape[1])

    def at(self, t: float) -> tuple[Array, Array, Array]:
        """Position, velocity, acceleration at ``t`` s, each (n,); at rest in ``mid`` outside of 0 … T."""
        if not 0.0 < t < self.period:
            return self.mid.copy(), np.zeros_like(self.mid), np.zeros_like(self.mid)
        q, qd, qdd = self.sample(np.array([t]))
        return q[0], qd[0], qdd[0]

    def sample(self, t: Array) -> tuple[Array, Array, Array]:
        """Positions, velocities, accelerations at ``t`` (m,) s, each (m, n)."""
        omega = 2.0 * math.pi / self.period * np.arange(1.0, self.harmonics + 1.0)
        angle = np.outer(t, omega)
        sine, cosine = np.sin(angle), np.cos(angle)
        a, b = self.a.T, self.b.T
        q = self.mid + (sine / omega) @ a - (cosine / omega) @ b
        return q, cosine @ a + sine @ b, (cosine * omega) @ b - (sine * omega) @ a

    def scaled(self, factor: Array | float) -> Fourier:
        """The same about the same posture, ``factor`` (n,) or one for all joints times as large."""
        column = np.broadcast_to(np.asarray(factor, dtype=np.float64), self.mid.shape)[:, None]
        return Fourier(self.mid, self.a * column, self.b * column, self.period)


class Sampled:
    """The admissible trajectories of N harmonics on a grid of one period: from coordinates to samples by one product.

    On the grid of ``count`` points a peak is known to within a factor: for sums of harmonics up to N Bernstein's
    inequality bounds |f''| by (Nω)² max|f|, so the true peak is at most that of the grid over 1 − (2πN/count)²/8.
    """

    def __init__(self, harmonics: int, period: float, count: int) -> None:
        self.t: Array = np.arange(count, dtype=np.float64) * (period / count)
        self.A, self.B = null_bases(harmonics)
        omega = 2.0 * math.pi / period * np.arange(1.0, harmonics + 1.0)
        angle = np.outer(self.t, omega)
        sine, cosine = np.sin(angle), np.cos(angle)
        parts = (sine / omega, -cosine / omega), (cosine, sine), (-sine * omega, cosine * omega)
        self._maps = [np.hstack((left @ self.A, right @ self.B)) for left, right in parts]
        step = 2.0 * math.pi * harmonics / count
        if step >= 1.0:
            raise ParameterError(f"{count} samples a period are too few for {harmonics} harmonics")
        self.overshoot = 1.0 / (1.0 - step * step / 8.0)
        """Largest ratio of a true peak to that of the grid."""

    @property
    def coordinates(self) -> int:
        """Of one joint: N − 1 of a, then N − 2 of b."""
        return int(self.A.shape[1] + self.B.shape[1])

    def shape(self, z: Array) -> tuple[Array, Array, Array]:
        """Offset from the middle, velocity, acceleration of coordinates ``z`` (n, 2N − 3) on the grid, (count, n)."""
        q, qd, qdd = (part @ z.T for part in self._maps)
        return q, qd, qdd

    def coefficients(self, z: Array) -> tuple[Array, Array]:
        """a and b (n, N) of coordinates ``z`` (n, 2N − 3)."""
        k = self.A.shape[1]
        return z[:, :k] @ self.A.T, z[:, k:] @ self.B.T

"""How much a set of trajectories tells: log det of the covariance of its positions, velocities and accelerations.

The 3n values of a sample are divided by their limits (positions by half the range), so that joints, and the three
kinds, count alike. A set whose samples do not vary independently in every direction has a log det of −∞; the floor
below keeps the figure finite, and such a set hopelessly bad.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators.excitation.limits import Bounds

Array = npt.NDArray[np.float64]

FLOOR = 1e-9
"""Added to each variance of the normalised cloud."""


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Sums over samples of a normalised cloud: their number, Σx (3n,), Σxxᵀ (3n, 3n)."""

    count: float
    first: Array
    second: Array

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.count + other.count, self.first + other.first, self.second + other.second)

    def covariance(self) -> Array:
        """(3n, 3n), without unit."""
        mean = self.first / self.count
        return self.second / self.count - np.outer(mean, mean)

    def log_det(self) -> float:
        """log det of the covariance: larger is better."""
        covariance = self.covariance()
        covariance[np.diag_indices_from(covariance)] += FLOOR
        return float(np.linalg.slogdet(covariance)[1])


def moments(bounds: Bounds, q: Array, qd: Array, qdd: Array) -> Moments:
    """Of samples (m, n) at equal steps of time."""
    half = 0.5 * (bounds.q_max - bounds.q_min)
    x = np.hstack(((q - 0.5 * (bounds.q_min + bounds.q_max)) / half, qd / bounds.qd_max, qdd / bounds.qdd_max))
    return Moments(float(len(x)), x.sum(axis=0), x.T @ x)


def total(parts: Sequence[Moments]) -> Moments:
    """Of a set of trajectories; raises IndexError for an empty one."""
    whole = parts[0]
    for part in parts[1:]:
        whole = whole + part
    return whole

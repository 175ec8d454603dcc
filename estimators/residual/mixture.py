"""Gaussian mixture regression: what residual torque follows from one joint's velocity, and how widely it scatters.

A mixture of Gaussians is fitted to pairs (velocity, torque) by expectation–maximisation (scikit-learn); conditioning it
on a velocity gives mean and variance, eqs (18)–(21).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators.errors import ParameterError

Array = npt.NDArray[np.float64]

_REGULARISATION = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """A mixture over (s, τ) in their own units: weights (k,), means (k, 2), covariances (k, 2, 2)."""

    weights: Array
    means: Array
    covariances: Array

    def regress(self, s: Array) -> tuple[Array, Array]:
        """Mean and variance of τ given s (m,), both (m,), eqs (20)–(21)."""
        m_s, m_tau = self.means[:, 0], self.means[:, 1]
        S_ss, S_st, S_tt = self.covariances[:, 0, 0], self.covariances[:, 0, 1], self.covariances[:, 1, 1]
        away = s[:, None] - m_s
        log_h = np.log(self.weights) - 0.5 * (away**2 / S_ss + np.log(S_ss))
        h = np.exp(log_h - log_h.max(axis=1, keepdims=True))
        h /= h.sum(axis=1, keepdims=True)
        mean_c = m_tau + S_st / S_ss * away
        variance_c = S_tt - S_st**2 / S_ss
        mean = (h * mean_c).sum(axis=1)
        # Around the mixture's mean rather than second moment minus squared mean: no cancellation, never negative.
        variance = (h * (variance_c + (mean_c - mean[:, None]) ** 2)).sum(axis=1)
        return mean, variance


def fit(s: Array, tau: Array, components: int | Sequence[int], seed: int = 0) -> Mixture:
    """The mixture of (s, τ), both (m,), with ``components`` Gaussians; of several numbers, that of least BIC.

    Raises ParameterError for data that are too few, not finite, or of no spread.
    """
    from sklearn.mixture import GaussianMixture  # for training only: what runs a cell does not import it

    counts = (components,) if isinstance(components, int) else tuple(components)
    data = np.column_stack((s, tau)).astype(np.float64)
    if not counts or min(counts) < 1 or len(data) < 10 * max(counts, default=1):
        raise ParameterError(f"{len(data)} samples for {counts} components; expected at least ten for each of them")
    if not np.isfinite(data).all():
        raise ParameterError("velocities and torques to fit must be finite")
    centre, scale = data.mean(axis=0), data.std(axis=0)
    if not (scale > 0.0).all():
        raise ParameterError("velocity or torque does not vary: nothing can be learnt from a joint that never moves")
    standard = (data - centre) / scale
    fitted = [
        GaussianMixture(count, reg_covar=_REGULARISATION, random_state=seed, max_iter=300).fit(standard)
        for count in counts
    ]
    best = fitted[0] if len(fitted) == 1 else min(fitted, key=lambda mixture: float(mixture.bic(standard)))
    return Mixture(
        np.array(best.weights_, dtype=np.float64),
        centre + scale * np.array(best.means_, dtype=np.float64),
        np.array(best.covariances_, dtype=np.float64) * np.outer(scale, scale),
    )

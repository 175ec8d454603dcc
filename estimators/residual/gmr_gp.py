"""Residual torque by a Gaussian process on the means of a mixture regression (GMR-GP), one for each joint.

The process sees the N means of the mixture's regression over velocity, all with the same noise::

    mean(s*)     = k*ᵀ (K + λ I)⁻¹ μ
    variance(s*) = a² (1 − k*ᵀ (K + λ I)⁻¹ k*) + σ²         k(s, s') = exp(−(s − s')² / 2l²)

so its variance is the same at all trained velocities, unlike that of :mod:`estimators.residual.kmp`. The mean is asked
at velocities clamped to the trained range, as there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from estimators.errors import ParameterError
from estimators.residual.kmp import Tables
from estimators.residual.mixture import fit as fit_mixture
from estimators.residual.train import LENGTHS, reference_of
from estimators.residual.velocity import VelocityResidual

Array = npt.NDArray[np.float64]

NOISES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""λ that are tried: noise of a mean as a part of a²."""


class GaussianProcess:
    """Of one joint, on ``means`` (N,) N·m at velocities ``s`` (N,) rad/s; ``floor`` σ² is set after the fit."""

    def __init__(self, s: Array, means: Array, length: float, noise: float) -> None:
        self.s, self.length = s, length
        self.amplitude = float(means.var()) or 1e-12
        """a², (N·m)²."""
        self.floor = 0.0
        """σ², (N·m)²: what scatters about the mean wherever one looks."""
        K = self._kernel(s)
        K.flat[:: s.size + 1] += noise
        self._factor = cho_factor(K)
        self._weights: Array = cho_solve(self._factor, means)

    def _kernel(self, at: Array) -> Array:
        away = (at[:, None] - self.s) / self.length
        kernel: Array = np.exp(-0.5 * away * away)
        return kernel

    def predict(self, at: Array) -> tuple[Array, Array]:
        """Mean N·m and variance (N·m)² at velocities ``at`` (m,) rad/s, both (m,)."""
        mean = self._kernel(np.clip(at, self.s[0], self.s[-1])) @ self._weights
        k = self._kernel(at)
        explained = np.einsum("ij,ji->i", k, cho_solve(self._factor, k.T))
        return mean, self.amplitude * np.maximum(1.0 - explained, 0.0) + self.floor


def fit_joint(
    s: Array, tau: Array, s_held_out: Array, tau_held_out: Array, components: int | Sequence[int] = 20, seed: int = 0
) -> GaussianProcess:
    """The process of one joint; the held-out pairs choose l and λ by their likelihood, and σ² in closed form."""
    reference = reference_of(fit_mixture(s, tau, components, seed), s)
    best: tuple[float, GaussianProcess] | None = None
    for part in LENGTHS:
        for noise in NOISES:
            process = GaussianProcess(
                reference.s, reference.mean, part * float(reference.s[-1] - reference.s[0]), noise
            )
            mean, variance = process.predict(s_held_out)
            square = (tau_held_out - mean) ** 2
            # What the process itself does not explain; at least a hundredth, so that a lucky fit is not certain.
            process.floor = max(float(square.mean() - variance.mean()), 0.01 * float(square.mean()))
            variance = variance + process.floor
            nll = float(np.mean(np.log(variance) + square / variance))
            if np.isfinite(nll) and (best is None or nll < best[0]):
                best = nll, process
    if best is None:
        raise ParameterError("no Gaussian process fits: the held-out data are not finite")
    return best[1]


def tabulate(processes: Sequence[GaussianProcess], points: int = 2001) -> Tables:
    """Grids that reach seven lengths beyond the means, where the variance no longer grows."""
    low = np.array([each.s[0] - 7.0 * each.length for each in processes])
    high = np.array([each.s[-1] + 7.0 * each.length for each in processes])
    finest = max((high[j] - low[j]) / (0.1 * each.length) for j, each in enumerate(processes))
    m = max(points, int(np.ceil(finest)) + 1)
    step = (high - low) / (m - 1)
    found = [each.predict(low[j] + step[j] * np.arange(m)) for j, each in enumerate(processes)]
    return Tables(low, step, np.vstack([mean for mean, _ in found]), np.vstack([variance for _, variance in found]))


def fit(
    s: Array,
    tau: Array,
    s_held_out: Array,
    tau_held_out: Array,
    components: int | Sequence[int] = 20,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> VelocityResidual:
    """:func:`fit_joint` for each column of ``s`` rad/s and ``tau`` N·m (k, n), tabulated.

    ``progress(joint)`` is called after each joint. Raises ParameterError for data that nothing can be learnt from.
    """
    processes = []
    for j in range(s.shape[1]):
        processes.append(fit_joint(s[:, j], tau[:, j], s_held_out[:, j], tau_held_out[:, j], components, seed))
        if progress is not None:
            progress(j)
    return VelocityResidual(tabulate(processes))

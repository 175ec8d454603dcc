"""Kernelised movement primitive of one joint: mean and variance of the residual torque over velocity.

From the reference of a mixture regression, means ``μ`` (N,) and variances ``σ²`` (N,) at N velocities, eqs (22)–(23)::

    mean(s*)     = k*ᵀ (K + λ1 Σ)⁻¹ μ
    variance(s*) = (α N / λ2) a² (1 − k*ᵀ (K + λ2 Σ)⁻¹ k*)         k(s, s') = exp(−(s − s')² / 2l²)

with ``a`` the spread of μ by which outputs are normalised, so that λ1 and λ2 are numbers. Four things differ from the
letter of the paper, each because it failed when measured:

- α is the factor in front of the variance, and it is not set by hand: :func:`fit_alpha` gives the value of largest
  likelihood in closed form. Read as the kernel's amplitude it would be redundant with λ1 and λ2. With α = 1 the
  variance is 14 to 100 times that of the data.
- The mean is asked at velocities clamped to the trained range: beyond it a kernel mean returns to zero, where friction
  is largest. The variance is not clamped: it grows to its asymptote ``α N a² / λ2``.
- That asymptote is at least the mean square of the residual: else extrapolation is silently sure of itself.
- Both functions are tabulated, which makes them a linear interpolation online.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.integrate import quad
from scipy.linalg import cho_factor, cho_solve

from estimators.compiled import COMPILED, compiled
from estimators.errors import ParameterError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Mean (N,) N·m and variance (N,) (N·m)² of the residual torque at velocities ``s`` (N,) rad/s, increasing."""

    s: Array
    mean: Array
    variance: Array

    def __post_init__(self) -> None:
        shapes = {np.shape(part) for part in (self.s, self.mean, self.variance)}
        parts = np.concatenate([np.ravel(part) for part in (self.s, self.mean, self.variance)])
        if len(shapes) != 1 or self.s.ndim != 1 or self.s.size < 2 or not np.isfinite(parts).all():
            raise ParameterError(f"a reference needs finite vectors of one length, read shapes {sorted(shapes)}")
        if not ((np.diff(self.s) > 0.0).all() and (self.variance > 0.0).all()):
            raise ParameterError("a reference needs increasing velocities and variances above 0")


@dataclass(frozen=True, slots=True)
class KmpParams:
    """``length`` l in rad/s; ``lambda_mean`` λ1, ``lambda_variance`` λ2 and ``alpha`` α are numbers above 0."""

    length: float
    lambda_mean: float = 1.0
    lambda_variance: float = 10.0
    alpha: float = 1.0

    def __post_init__(self) -> None:
        for name in ("length", "lambda_mean", "lambda_variance", "alpha"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0.0):
                raise ParameterError(f"{name} is {value}; expected a finite number above 0")


class Kmp:
    """Eqs (22)–(23) on one reference; :meth:`mean`, :meth:`variance` are exact, :func:`tabulate` is for the cycle."""

    def __init__(self, reference: Reference, params: KmpParams) -> None:
        self.reference, self.params = reference, params
        s = reference.s
        spread = float(reference.mean.std())
        self.scale = spread if spread > 0.0 else float(np.sqrt(reference.variance.mean()))
        """a: by which outputs are normalised, N·m."""
        K = self._kernel(s, s)
        noise = np.diag(reference.variance / self.scale**2)
        self._weights: Array = cho_solve(cho_factor(K + params.lambda_mean * noise), reference.mean)
        self._factor = cho_factor(K + params.lambda_variance * noise)

    def _kernel(self, a: Array, b: Array) -> Array:
        away = (a[:, None] - b) / self.params.length
        kernel: Array = np.exp(-0.5 * away * away)
        return kernel

    def mean(self, s: Array) -> Array:
        """Residual torque (m,) N·m at velocities ``s`` (m,), clamped to the reference's range."""
        inside = np.clip(s, self.reference.s[0], self.reference.s[-1])
        mean: Array = self._kernel(inside, self.reference.s) @ self._weights
        return mean

    @property
    def asymptote(self) -> float:
        """Variance far from all data, (N·m)²."""
        p = self.params
        return p.alpha * self.reference.s.size / p.lambda_variance * self.scale**2

    def variance(self, s: Array) -> Array:
        """Its variance (m,) (N·m)²."""
        k = self._kernel(s, self.reference.s)
        explained = np.einsum("ij,ij->i", k, cho_solve(self._factor, k.T).T)
        # Rounding may take the bracket a hair below zero amid dense data.
        variance: Array = self.asymptote * np.maximum(1.0 - explained, 1e-12)
        return variance


def fit_alpha(kmp: Kmp, s: Array, tau: Array, *, floor: bool = True) -> float:
    """α of largest Gaussian likelihood for held-out (s, τ), both (m,): mean((τ − mean)² / variance at α = 1).

    ``floor``: at least so large that the asymptote reaches the mean square of τ, because data within the trained
    range say nothing about it.
    """
    unit = kmp.variance(s) / kmp.params.alpha
    alpha = float(np.mean((tau - kmp.mean(s)) ** 2 / unit))
    if floor:
        alpha = max(alpha, float(np.mean(tau**2)) / (kmp.asymptote / kmp.params.alpha))
    return alpha


def dense_variance(length: float, spacing: float, n: int, variance: float, params: KmpParams, scale: float) -> float:
    """KMP variance (N·m)² deep inside ``n`` dense points ``spacing`` rad/s apart, all of the same ``variance``.

    By the spectrum of the kernel: (αN/λ2) a² (1/π) ∫ S c h / (S + c h) dω, c = λ2 σ²/a², S(ω) = l √(2π) exp(−l²ω²/2).
    An independent value to test :meth:`Kmp.variance` with.
    """
    noise = params.lambda_variance * variance / scale**2 * spacing

    def integrand(omega: float) -> float:
        spectrum = length * np.sqrt(2.0 * np.pi) * np.exp(-0.5 * (length * omega) ** 2)
        return float(spectrum * noise / (spectrum + noise))

    # Beyond 12 standard deviations of the spectrum nothing is left.
    integral = quad(integrand, 0.0, 12.0 / length, limit=400)[0]
    return float(params.alpha * n / params.lambda_variance * scale**2 * integral / np.pi)


@dataclass(frozen=True, eq=False)
class Tables:
    """Mean and variance of ``n`` joints on uniform velocity grids: what the cycle needs of them.

    ``low``, ``step`` (n,) rad/s: first point and spacing of each joint's grid; ``mean`` N·m and
    ``variance`` (N·m)²: (n, m).
    Beyond a grid its end holds, where the mean is clamped and the variance has reached its asymptote.
    """

    low: Array
    step: Array
    mean: Array
    variance: Array

    def at(self, qd: Array, use_compiled: bool = COMPILED) -> tuple[Array, Array]:
        """Mean and variance (n,) at joint velocities ``qd`` (n,) rad/s, interpolated; NaN where ``qd`` is NaN."""
        if use_compiled:
            mean, variance = np.empty(self.low.size), np.empty(self.low.size)
            _interpolate(self.low, self.step, self.mean, self.variance, qd, mean, variance)
            return mean, variance
        means, variances, lows, steps = self._lists
        found = [[math.nan] * len(lows), [math.nan] * len(lows)]
        last = self.mean.shape[1] - 1
        for j, (low, step, speed) in enumerate(zip(lows, steps, qd.tolist(), strict=True)):
            place = (speed - low) / step
            if math.isnan(place):
                continue
            place = min(max(place, 0.0), float(last))
            i = min(int(place), last - 1)
            part = place - i
            left, v_left = means[j][i], variances[j][i]
            found[0][j] = left + part * (means[j][i + 1] - left)
            found[1][j] = v_left + part * (variances[j][i + 1] - v_left)
        return np.array(found[0]), np.array(found[1])

    @cached_property
    def _lists(self) -> tuple[list[list[float]], list[list[float]], list[float], list[float]]:
        """Mean, variance, low and step as Python's floats: without a compiler they are quicker to reach."""
        return self.mean.tolist(), self.variance.tolist(), self.low.tolist(), self.step.tolist()

    def along(self, qd: Array) -> tuple[Array, Array]:
        """The same for a whole run: mean and variance (m, n) at velocities ``qd`` (m, n) rad/s."""
        place = np.minimum(np.maximum((qd - self.low) / self.step, 0.0), self.mean.shape[1] - 1.0)
        index = np.minimum(np.where(place == place, place, 0.0).astype(np.intp), self.mean.shape[1] - 2)
        part = place - index
        rows = np.arange(self.low.size)
        left, v_left = self.mean[rows, index], self.variance[rows, index]
        return (
            left + part * (self.mean[rows, index + 1] - left),
            v_left + part * (self.variance[rows, index + 1] - v_left),
        )


@compiled
def _interpolate(
    low: Array, step: Array, means: Array, variances: Array, qd: Array, mean: Array, variance: Array
) -> int:
    """:meth:`Tables.at` as a loop, into ``mean`` and ``variance`` (n,)."""
    m = means.shape[1]
    for j in range(qd.size):
        place = (qd[j] - low[j]) / step[j]
        if math.isnan(place):
            mean[j] = variance[j] = math.nan
            continue
        place = min(max(place, 0.0), m - 1.0)
        i = min(int(place), m - 2)
        part = place - i
        mean[j] = means[j, i] + part * (means[j, i + 1] - means[j, i])
        variance[j] = variances[j, i] + part * (variances[j, i + 1] - variances[j, i])
    return 0


def tabulate(models: list[Kmp], points: int = 2001) -> Tables:
    """Grids that reach so far beyond each reference that the variance is at its asymptote (seven lengths).

    Where ``points`` would be too coarse for a kernel (a tenth of its length), the grid gets finer.
    """
    low = np.array([model.reference.s[0] - 7.0 * model.params.length for model in models])
    high = np.array([model.reference.s[-1] + 7.0 * model.params.length for model in models])
    finest = max((high[j] - low[j]) / (0.1 * model.params.length) for j, model in enumerate(models))
    m = max(points, int(np.ceil(finest)) + 1)
    step = (high - low) / (m - 1)
    grids = low[:, None] + step[:, None] * np.arange(m)
    mean = np.vstack([model.mean(grid) for model, grid in zip(models, grids, strict=True)])
    variance = np.vstack([model.variance(grid) for model, grid in zip(models, grids, strict=True)])
    return Tables(low, step, mean, variance)

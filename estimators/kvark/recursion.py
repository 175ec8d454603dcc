"""The Kalman recursion on external torque, with noise that adapts: the paper's rules to the letter, and corrected ones.

State and measurement are both the external torque (n,) N·m::

    x_k = x_{k−1} + w_k,  w ~ N(0, Q)      y_k = x_k + v_k,  v ~ N(0, R),  R = c Σ(qd) + w_R R_emp

Two of the paper's adaptation rules fail when they are taken literally, and are kept under the name ``literal`` for
comparison:

- process noise, eqs (36)–(40): ``Ψ ← ρΨ + e eᵀ + P`` has expectation P⁻ instead of Q. On static torque and known
  white noise it settles at gain K = 2/3 and Q = 4R/3, whatever the data: next to no filtering. ``innovation`` takes
  ``e eᵀ`` alone, whose expectation is Q when the filter is consistent (Sage–Husa in steady state).
- measurement noise, eq. (31): ``ε εᵀ`` has expectation P⁻ + cΣ + R_emp, so the variance of the residual model is
  counted twice. ``residual`` takes the post-fit residual η, ``η ηᵀ + P − cΣ``, whose expectation is R_emp.

All windows are times: forgetting factors and process noise scale with the sample's dt, so that one set of parameters
serves 500 Hz and 1 kHz.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack

from estimators.errors import ParameterError

Array = npt.NDArray[np.float64]

_JITTER = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class RecursionParams:
    """Parameters of :class:`Recursion`; raises ParameterError for values out of range."""

    q_rate: Array
    """Process noise at start, (n,) (N·m)²/s: variance that the external torque gains in a second."""
    r_empirical: Array
    """Measurement noise beside the residual model's variance at start, (n,) (N·m)²."""
    colour: float = 1.0
    """c: the residual model's error is slow, so it counts as c times its variance in one sample; at ``dt_colour``.
    0: its variance does not enter R."""
    dt_colour: float = 1e-3
    """Sample time for which ``colour`` holds, s: an error of fixed correlation time has c in proportion to 1/dt."""
    weight: float = 1.0
    """w_R, above 0 up to 1."""
    adapt_q: Literal["off", "innovation", "literal"] = "innovation"
    adapt_r: Literal["off", "residual", "literal"] = "residual"
    window_q: float = 1.0
    """Memory of the process-noise estimate, s: ρ = exp(−dt / window_q)."""
    window_r: float = 1.0
    """Memory of the measurement-noise estimate, s."""
    pseudo_samples: float = 50.0
    """m_0: weight of the start value of Q, in samples."""
    q_clip: tuple[float, float] = (1.0 / 30.0, 30.0)
    """Bounds of the diagonal of Q as multiples of its start."""
    r_clip: tuple[float, float] = (0.1, 100.0)
    """Bounds of the diagonal of R_emp as multiples of its start."""

    def __post_init__(self) -> None:
        for name in ("q_rate", "r_empirical"):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if value.ndim != 1 or not np.isfinite(value).all() or not (value > 0.0).all():
                raise ParameterError(f"{name} is {value}; expected one finite value above 0 for each joint")
            object.__setattr__(self, name, value)
        if self.q_rate.shape != self.r_empirical.shape:
            raise ParameterError(f"q_rate has {self.q_rate.size} values, r_empirical {self.r_empirical.size}")
        if not (math.isfinite(self.colour) and self.colour >= 0.0):
            raise ParameterError(f"colour is {self.colour}; expected a finite number, 0 or more")
        for name in ("dt_colour", "weight", "window_q", "window_r", "pseudo_samples"):
            number = getattr(self, name)
            if not (math.isfinite(number) and number > 0.0):
                raise ParameterError(f"{name} is {number}; expected a finite number above 0")
        for name in ("q_clip", "r_clip"):
            low, high = getattr(self, name)
            if not 0.0 < low <= 1.0 <= high:
                raise ParameterError(f"{name} is {(low, high)}; expected 0 < low <= 1 <= high")


class Recursion:
    """One filter of ``n`` joints, eqs (29)–(45); :meth:`step` takes one virtual measurement.

    With full matrices. :class:`estimators.kvark.diagonal.DiagonalRecursion` keeps Q and R_emp diagonal, which is as
    accurate and several times cheaper; with diagonal adaptation off both agree to rounding.

    Public state, overwritten by each step: ``x`` (n,) N·m, ``P``, ``Q`` (of the coming step, per sample), ``R_emp``
    (n, n) (N·m)², ``nis`` (normalised innovation squared, expectation n).
    """

    def __init__(self, params: RecursionParams) -> None:
        self.params = params
        self.n = params.q_rate.size
        self.repaired = 0
        """Steps in which S was not positive definite and got jitter."""
        self.reset()

    def reset(self) -> None:
        """Start anew at zero torque, with P = R_emp as at start."""
        p = self.params
        self.x: Array = np.zeros(self.n)
        self.R_emp: Array = np.diag(p.r_empirical)
        self.P: Array = self.R_emp.copy()
        self.nis = math.nan
        # Ψ and ν of the inverse Wishart distribution for the process noise of one second; E[Q] = Ψ/(ν − n − 1).
        self._nu = self.n + 1.0 + p.pseudo_samples
        self._psi: Array = p.pseudo_samples * np.diag(p.q_rate)

    @property
    def q_rate(self) -> Array:
        """Process noise now, (n, n) (N·m)²/s, eq. (39)."""
        rate: Array = self._psi / (self._nu - self.n - 1.0)
        return rate

    def step(self, y: Array, model_variance: Array, dt: float) -> Array:
        """Take the virtual measurement ``y`` (n,) N·m of a step of ``dt`` s; the new ``x``.

        ``model_variance`` (n,) (N·m)²: that of the residual model, Σ. Nothing changes, and the estimate keeps growing
        less sure, where ``y`` or ``model_variance`` is not finite: only the prediction is made then.
        """
        p = self.params
        predicted: Array = self.P + self.q_rate * dt
        if not (math.isfinite(float(y.dot(y))) and math.isfinite(float(model_variance.sum()))):
            self.P = predicted
            self.nis = math.nan
            return self.x
        sigma = np.maximum(model_variance, 0.0) * (p.colour * p.dt_colour / dt)
        R: Array = p.weight * self.R_emp
        R.flat[:: self.n + 1] += sigma
        innovation = y - self.x
        K, self.nis = self._gain(predicted, R, innovation)
        process = K.dot(innovation)
        self.x = self.x + process
        # Joseph form, eq. (45): stays symmetric and positive whatever K is.
        I_K = -K
        I_K.flat[:: self.n + 1] += 1.0
        P = I_K.dot(predicted).dot(I_K.T) + K.dot(R).dot(K.T)
        self.P = 0.5 * (P + P.T)
        if p.adapt_q != "off":
            self._adapt_q(process, dt)
        if p.adapt_r != "off":
            self._adapt_r(innovation, y - self.x, sigma, dt)
        return self.x

    def _gain(self, predicted: Array, R: Array, innovation: Array) -> tuple[Array, float]:
        """K = P⁻ S⁻¹ and εᵀ S⁻¹ ε through the Cholesky factor of S."""
        S = predicted + R
        factor, failed = lapack.dpotrf(S, lower=1, overwrite_a=0)
        if failed:
            self.repaired += 1
            S.flat[:: self.n + 1] += _JITTER * float(np.trace(S)) / self.n
            factor, _ = lapack.dpotrf(S, lower=1, overwrite_a=0)
        solved, _ = lapack.dpotrs(factor, np.column_stack((predicted, innovation)), lower=1)
        K: Array = np.ascontiguousarray(solved[:, : self.n].T)
        return K, float(innovation.dot(solved[:, self.n]))

    def _adapt_q(self, process: Array, dt: float) -> None:
        """Eqs (36)–(39) with forgetting; the rate of a second, because a sample's share of it is dt."""
        p, n = self.params, self.n
        rho = math.exp(-dt / p.window_q)
        G: Array = np.outer(process, process)
        if p.adapt_q == "literal":
            G += self.P
        self._nu = rho * (self._nu - n - 1.0) + n + 2.0
        self._psi = rho * self._psi + G / dt
        # Written back after clipping: else Ψ winds up beyond the bound and takes its time to come back.
        weight = self._nu - n - 1.0
        low, high = p.q_clip
        self._psi = weight * _clip(self._psi / weight, low * p.q_rate, high * p.q_rate)

    def _adapt_r(self, innovation: Array, residual: Array, sigma: Array, dt: float) -> None:
        """Eq. (31), literal or corrected, clipped on the diagonal with correlations kept."""
        p = self.params
        forget = math.exp(-dt / p.window_r)
        if p.adapt_r == "literal":
            seen: Array = np.outer(innovation, innovation)
        else:
            seen = np.outer(residual, residual) + self.P
            seen.flat[:: self.n + 1] -= sigma
        R = forget * self.R_emp + (1.0 - forget) * seen
        low, high = p.r_clip
        R = _clip(R, low * p.r_empirical, high * p.r_empirical)
        # What is debiased may lose definiteness off the diagonal; correlations that are impossible are none.
        self.R_emp = R if lapack.dpotrf(R, lower=1)[1] == 0 else np.diag(R.diagonal())


def _clip(matrix: Array, low: Array, high: Array) -> Array:
    """Symmetric ``matrix`` with its diagonal between ``low`` and ``high`` (n,), correlations kept and possible ones."""
    diagonal = matrix.diagonal()
    bounded = np.minimum(np.maximum(diagonal, low), high)
    if (diagonal == bounded).all():
        return 0.5 * (matrix + matrix.T)
    # A diagonal that is not positive carries no correlation worth keeping.
    positive = diagonal > 0.0
    scale = np.sqrt(bounded / np.where(positive, diagonal, 1.0)) * positive
    clipped: Array = matrix * scale[:, None] * scale
    clipped.flat[:: matrix.shape[0] + 1] = bounded
    return 0.5 * (clipped + clipped.T)

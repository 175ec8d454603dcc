"""Stiffness from predicted standard deviation, eqs (6)–(8) of the SVDKL paper, joint by joint::

    r = clip((σ − σ_n) / (σ_f − σ_n), 0, 1)        z = exp(−C r)        KP = Kmin + (1 − z) (Kmax − Kmin)

σ is the model's predictive standard deviation with noise, so it is σ_n where the model is sure and reaches σ_f where it
knows nothing. With C = 1 the stiffness never exceeds Kmin + 63 % of the span; 3 gives 95 %.

The damping is that of the joint's own inertia: ``KD = 2 ζ sqrt(I_eff KP)`` with ``I_eff = 1 / (M⁻¹)_jj``. The paper's
``ζ sqrt(KP)`` has a ζ with a unit; from the diagonal of M it would be several times too large for a light wrist, and at
1 kHz unstable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg.lapack import dpotrf, dtrtri

from estimators.errors import ParameterError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class GainLaw:
    """Bounds and shape of the stiffness of ``n`` joints; raises ParameterError for what is out of range."""

    kp_min: Array
    """(n,) N·m/rad, above 0."""
    kp_max: Array
    """(n,) N·m/rad, at least ``kp_min``."""
    sigma_n: Array
    """(n,) N·m: σ where the model is as sure as it gets."""
    sigma_f: Array
    """(n,) N·m: σ where it knows nothing. Where it is not above ``sigma_n``, the joint is always at ``kp_max``."""
    sensitivity: float = 3.0
    """C."""

    def __post_init__(self) -> None:
        parts = (self.kp_min, self.kp_max, self.sigma_n, self.sigma_f)
        if self.kp_min.ndim != 1 or len({part.shape for part in parts}) != 1:
            raise ParameterError(f"gains and sigmas have shapes {[part.shape for part in parts]}; expected (n,) each")
        if not all(np.isfinite(part).all() for part in parts) or not (self.kp_min > 0.0).all():
            raise ParameterError("gains and sigmas must be finite and kp_min above 0")
        if (self.kp_max < self.kp_min).any() or (self.sigma_n < 0.0).any():
            raise ParameterError("kp_max is below kp_min, or sigma_n below 0, on a joint")
        if not (np.isfinite(self.sensitivity) and self.sensitivity > 0.0):
            raise ParameterError(f"sensitivity is {self.sensitivity}; expected a finite number above 0")

    @property
    def n(self) -> int:
        """Number of joints."""
        return self.kp_min.size

    def doubt(self, sigma: Array) -> Array:
        """r (…, n), 0 to 1, for σ (…, n) N·m; 1 where σ is not a finite number of at least 0."""
        span = self.sigma_f - self.sigma_n
        fit = np.isfinite(sigma) & (sigma >= 0.0) & (span > 0.0)
        within = np.minimum(np.where(fit, sigma, 0.0), self.sigma_f)
        r = (within - self.sigma_n) / np.where(span > 0.0, span, 1.0)
        doubt: Array = np.where(fit, np.maximum(r, 0.0), 1.0)
        return doubt

    def stiffness(self, sigma: Array) -> Array:
        """KP (…, n) N·m/rad for σ (…, n) N·m; ``kp_max`` where σ is unknown or the span is empty."""
        unknown = ~(np.isfinite(sigma) & (sigma >= 0.0)) | (self.sigma_f <= self.sigma_n)
        share = np.where(unknown, 1.0, 1.0 - np.exp(-self.sensitivity * self.doubt(sigma)))
        # Kmax − (…) instead of Kmin + (…): at share 1 it is Kmax to the last bit.
        stiffness: Array = np.maximum(self.kp_max - (1.0 - share) * (self.kp_max - self.kp_min), self.kp_min)
        return stiffness


def inverse_inertia(M: Array) -> Array:
    """M⁻¹ (n, n) of a mass matrix; NaN where it is not positive definite.

    One over its diagonal is the effective inertia, kg·m²: what a joint moves while the others are free.
    """
    factor, failed = dpotrf(M, lower=0)
    if failed == 0:
        # Not dpotri: OpenBLAS hands that to its threads even for 7 joints, and waits for them, milliseconds at times.
        root, failed = dtrtri(factor, lower=0)
    if failed != 0:
        return np.full(M.shape, np.nan)
    inverse: Array = root @ root.T
    return inverse


class Bearable:
    """The stiffness that a loop with delay can bear: of the whole arm, not joint by joint.

    Joints that are each slow enough may swing against each other much faster: the coupled frequency is the root of the
    largest eigenvalue of M⁻¹ K. :meth:`ceiling` gives ``c I_eff`` for each joint with the largest c for which the
    coupled frequency stays at ``bandwidth``; the eigenvalue is followed by one step of the power iteration a cycle.
    """

    def __init__(self, n: int, bandwidth: float) -> None:
        self._most = bandwidth * bandwidth
        self._share = 1.0
        self._v = np.ones(n) / np.sqrt(n)
        self._seed = 1e-3 * np.cos(np.arange(n))

    def ceiling(self, inverse: Array, kp: Array) -> Array:
        """Largest stiffness (n,) N·m/rad; ``inverse``: M⁻¹ (n, n), ``kp`` (n,) the stiffness now."""
        # √K M⁻¹ √K is symmetric and has the same eigenvalues: the quotient's error is the square of the vector's.
        root = np.sqrt(kp)
        v = root * inverse.dot(root * self._v)
        eigenvalue = float(v.dot(self._v))
        if np.isfinite(eigenvalue) and eigenvalue > 0.0:
            # Never quite orthogonal to any mode, so that a new fastest one is found.
            self._v = v / float(np.sqrt(v.dot(v))) + self._seed
            self._v /= float(np.sqrt(self._v.dot(self._v)))
            step = min(max(self._most / eigenvalue, 0.9), 1.02)
            self._share = min(max(self._share * step, 0.02), 1.0)
        ceiling: Array = self._share * self._most / inverse.diagonal()
        return ceiling


def damping(kp: Array, inertia: Array, ratio: float = 1.0) -> Array:
    """KD (n,) N·m·s/rad of damping ratio ``ratio`` for stiffness ``kp`` (n,) and effective ``inertia`` (n,)."""
    kd: Array = 2.0 * ratio * np.sqrt(inertia * kp)
    return kd


def calibrate(
    kp_min: Array,
    kp_max: Array,
    sigma_known: Array,
    sigma_unknown: Array,
    *,
    wanted: float = 0.5,
    known_quantile: float = 0.5,
    unknown_quantile: float = 0.5,
    least: float = 3.0,
) -> GainLaw:
    """The law that is soft on motions like those learnt and stiff on others, from σ on both.

    ``sigma_known`` (m, n) N·m: on held-out motion; ``sigma_unknown`` (k, n): on motion far from all that was learnt
    (other postures, other speeds). σ_n is the ``known_quantile`` of the first. σ_f stays the spread that the unknown
    motions reach at most; C is chosen so that at their ``unknown_quantile`` every joint has at least ``wanted`` of its
    kp_max, and is ``least`` at least. With a σ_f from the spread of the training data, as in the paper, r stays at
    0.03 to 0.5 on unknown motions and the gains hardly rise.

    Raises ParameterError if a joint's σ does not rise at all on unknown motion, or for data that are not finite.
    """
    known, unknown = np.atleast_2d(sigma_known), np.atleast_2d(sigma_unknown)
    if not (np.isfinite(known).all() and np.isfinite(unknown).all()):
        raise ParameterError("the standard deviations to calibrate with are not finite")
    sigma_n = np.quantile(known, known_quantile, axis=0)
    sigma_f = unknown.max(axis=0)
    reached = np.quantile(unknown, unknown_quantile, axis=0)
    r = (reached - sigma_n) / np.maximum(sigma_f - sigma_n, 1e-12)
    if (r <= 0.0).any() or (sigma_f <= sigma_n).any():
        joints = ", ".join(f"A{j + 1}" for j in np.flatnonzero((r <= 0.0) | (sigma_f <= sigma_n)))
        raise ParameterError(
            f"on {joints} the predicted standard deviation is not larger on unknown motion than on known: it cannot "
            "steer the gains of that joint; use more different motions, or fixed gains"
        )
    share = np.clip((wanted * kp_max - kp_min) / np.maximum(kp_max - kp_min, 1e-12), 0.0, 0.999)
    needed = float(np.max(-np.log1p(-share) / np.minimum(r, 1.0)))
    return GainLaw(kp_min.copy(), kp_max.copy(), sigma_n, sigma_f, max(least, needed))

"""How much larger the error of a model is than it believes: the factor that eq. (8) lacks.

A Gaussian process whose hyper-parameters stand still predicts a variance that depends on the inputs alone. An arm that
grasps 3 kg moves through states that the model knows, so its σ stays where it was and the gains stay low, while the arm
sags by a tenth of a radian. What tells is the error itself::

    ν_j ← EWMA of (tau_j − mean_j)² / R_j          σ_eff = σ sqrt(max(1, ν / ν_0))

R holds the noise of the inputs too: mean and measured torque are compared at the *measured* state, whose acceleration
is noisy, and M qdd carries that noise into torque. Without it the factor rises with no payload at all.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from estimators.errors import ParameterError

Array = npt.NDArray[np.float64]

WINDOW = 0.25
"""Time constant of the average, s."""


def input_noise(M: Array, qdd_sigma: Array, D: Array | None = None, qd_sigma: Array | None = None) -> Array:
    """Variance (n,) (N·m)² that noise of the measured motion puts into a model's torque.

    ``M`` (n, n) kg·m² with ``qdd_sigma`` (n,) rad/s²; ``D`` (n, n) or (n,) N·m·s/rad, the torque's slope over velocity
    (friction, Coriolis), with ``qd_sigma`` (n,) rad/s.
    """
    carried: Array = (M * M).dot(qdd_sigma * qdd_sigma)
    if D is not None and qd_sigma is not None:
        slope = np.diag(D) if D.ndim == 1 else D
        carried = carried + (slope * slope).dot(qd_sigma * qd_sigma)
    return carried


class Innovation:
    """The average ν of ``n`` joints, step by step. ``baseline`` ν_0 (n,): what it is with nothing unusual, from data.

    Raises ParameterError for a window or baseline that is not above 0.
    """

    def __init__(self, n: int, window: float = WINDOW, baseline: Array | None = None, ceiling: float = 1e4) -> None:
        start = np.ones(n) if baseline is None else np.asarray(baseline, dtype=np.float64)
        if not (math.isfinite(window) and window > 0.0):
            raise ParameterError(f"window is {window} s; expected a finite number above 0")
        if start.shape != (n,) or not np.isfinite(start).all() or not (start > 0.0).all():
            raise ParameterError(f"baseline is {baseline}; expected {n} finite numbers above 0")
        self.n = n
        self._window = window
        self._baseline = start
        self._ceiling = ceiling
        self.reset()

    def reset(self) -> None:
        """As if nothing unusual had been seen."""
        self.nu = self._baseline.copy()
        """ν (n,)."""

    def step(self, tau: Array, mean: Array, variance: Array, dt: float) -> Array:
        """The factor (n,) on σ, 1 or more, after one sample.

        ``tau`` (n,) N·m as measured, ``mean`` and ``variance`` (R, input noise included) predicted at the measured
        state; ``dt`` s. A joint whose numbers are not finite, or whose variance is not above 0, is taken for
        ``ceiling`` times as surprising as usual, and forgets it as fast as anything else.
        """
        if not (dt > 0.0 and math.isfinite(dt)):
            return self.factor
        error = tau - mean
        fit = np.isfinite(error) & np.isfinite(variance) & (variance > 0.0)
        seen = np.where(fit, error * error / np.where(fit, variance, 1.0), math.inf)
        # One wild sample must not hold the gains up for seconds: what enters the average is bounded.
        seen = np.minimum(seen, self._ceiling * self._baseline)
        share = -math.expm1(-dt / self._window)
        self.nu += share * (seen - self.nu)
        return self.factor

    @property
    def factor(self) -> Array:
        """sqrt(max(1, ν/ν_0)) (n,)."""
        factor: Array = np.sqrt(np.maximum(self.nu / self._baseline, 1.0))
        return factor


def baseline_of(
    tau: Array, mean: Array, variance: Array, dt: float, window: float = WINDOW, share: float = 0.99
) -> Array:
    """ν_0 (n,) from a run with nothing unusual: the ``share`` quantile of ν along it, at least 1.

    All (m, n). With it the factor is 1 on all but 1 − ``share`` of such motion. Raises ParameterError for runs shorter
    than four windows.
    """
    if len(tau) * dt < 4.0 * window:
        raise ParameterError(f"{len(tau) * dt:.2f} s of motion; expected at least {4.0 * window:.2f} s")
    innovation = Innovation(tau.shape[1], window)
    rows = np.empty(tau.shape)
    for k in range(len(tau)):
        innovation.step(tau[k], mean[k], variance[k], dt)
        rows[k] = innovation.nu
    settled = rows[round(2.0 * window / dt) :]
    baseline: Array = np.maximum(np.quantile(settled, share, axis=0), 1.0)
    return baseline

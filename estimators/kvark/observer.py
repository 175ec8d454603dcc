"""K-VARK as an observer of the supervisor: one step a cycle, arrays in, arrays out."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from estimators.errors import ParameterError
from estimators.kvark.diagonal import DiagonalRecursion
from estimators.kvark.recursion import RecursionParams
from estimators.observer import Estimate
from estimators.residual.base import ResidualModel
from estimators.rigid_body import Dynamics, RigidBodyModel
from estimators.virtual_measurement import VirtualMeasurement

Array = npt.NDArray[np.float64]

STUCK = 50
"""Samples in which a moving arm repeats itself to the last bit before its estimate counts as unknown."""


class KvarkObserver:
    """Algorithm 1 with the corrected recursion; :class:`estimators.observer.Observer` by structure.

    ``residual``: mean and variance of what the rigid-body model lacks; where it corrects the inertial parameters,
    ``model`` is needed: a rigid-body model of the observer's own, which gets them. ``scale``: calibrated factor on the
    standard deviation that is reported (conformal: the 95 % quantile of |error|/σ on calibration runs, by 1.96).
    ``level`` δ: part by which friction may have drifted since the model was learnt. ``friction_scale`` (n,): by how
    much it is known to have drifted, a factor on the mean. ``lag``: of the measured torque, see
    :class:`estimators.virtual_measurement.VirtualMeasurement`. Raises ParameterError; ModelError for parameters of no
    real body.

    What is reported is scale² (P + Σ + (δ mean)² + (δ x / 2)²): that of the filter *and* of the residual model, since
    the filter's own knows nothing of a model that is wrong for a second, and covered 5 to 50 % instead of 95 %.
    """

    def __init__(
        self,
        residual: ResidualModel,
        params: RecursionParams,
        *,
        scale: float = 1.0,
        level: float = 0.0,
        lag: int = 0,
        friction_scale: Array | None = None,
        model: RigidBodyModel | None = None,
    ) -> None:
        if not (math.isfinite(scale) and scale > 0.0 and math.isfinite(level) and level >= 0.0):
            raise ParameterError(f"scale {scale}, level {level}: expected finite, scale above 0, level 0 or more")
        self.n = n = params.q_rate.size
        if residual.n != n:
            raise ParameterError(f"residual model of {residual.n} joints, filter of {n}")
        friction = np.ones(n) if friction_scale is None else np.asarray(friction_scale, dtype=np.float64)
        if friction.shape != (n,) or not np.isfinite(friction).all() or (friction <= 0.0).any():
            raise ParameterError(f"friction scale is {friction_scale}; expected {n} finite values above 0")
        parameters = residual.inertial_parameters
        self.model: RigidBodyModel | None = None
        """With the residual model's inertial parameters; None: the cycle's own model is right."""
        if parameters is not None:
            if model is None:
                raise ParameterError("this residual model corrects the inertial parameters: give a rigid-body model")
            model.adjust(parameters)
            self.model = model
        self._residual = residual
        self._friction = friction
        self._filter = DiagonalRecursion(params)
        self._measure = VirtualMeasurement(n, lag)
        self._scale2, self._level2 = scale * scale, level * level
        self._nothing = (np.full(n, math.nan), np.full((n, n), math.nan))
        self.reset()

    def reset(self, dyn: Dynamics | None = None) -> None:
        """Start anew at ``tau_ext = 0`` and forget the tare."""
        self._filter.reset()
        self._measure.reset()
        self._residual.reset()
        self._mean = self._variance = np.full(self.n, math.nan)
        self._offset = np.zeros(self.n)
        self._last: Array | None = None
        self._repeated = 0

    def step(self, tau: Array, dyn: Dynamics, dt: float) -> Estimate:
        """``tau_ext`` (n,) N·m and its covariance (n, n), fresh; NaN while nothing is known of this sample.

        ``tau`` (n,) N·m measured and ``dyn`` of the same sample; ``dt`` s since the sample before.
        """
        own = dyn if self.model is None else self.model.update(dyn.q, dyn.qd)
        y = self._measure.step(tau, own, dt)
        # The residual model is asked at the sample before: at the beginning of the step that y is about.
        mean, variance = self._mean, self._variance
        mean_now, self._variance = self._residual.step(dyn.q, dyn.qd, tau, dt)
        self._mean = self._friction * mean_now
        if not self._alive(dyn) or not (
            dt > 0.0 and math.isfinite(float(y.sum() + mean.sum() + variance.sum() + tau.sum()))
        ):
            return Estimate(self._nothing[0].copy(), self._nothing[1].copy())
        x = self._filter.step(y + mean, variance, dt) - self._offset
        slow = self._level2 * (mean * mean + 0.25 * x * x)
        reported = self._scale2 * (self._filter.P + variance + slow)
        return Estimate(x, np.diag(reported), self._filter.nis)

    def _alive(self, dyn: Dynamics) -> bool:
        """An encoder that repeats itself to the last bit while its joint should move is stuck, and y means nothing."""
        same = self._last is not None and bool((dyn.q == self._last).all()) and bool(np.abs(dyn.qd).max() > 1e-2)
        self._repeated = self._repeated + 1 if same else 0
        if not same:
            self._last = dyn.q.copy()
        return self._repeated < STUCK

    def tare(self, offset: Array | None = None, sigma: Array | None = None) -> Array:
        """Take ``offset`` (n,) N·m, or the present estimate, as zero from now on; returns it.

        Raises ParameterError for what is not finite. Σ covers what is left, so ``sigma`` is not needed here.
        """
        value = self._filter.x if offset is None else np.asarray(offset, dtype=np.float64) + self._offset
        if value.shape != (self.n,) or not np.isfinite(value).all():
            raise ParameterError(f"tare offset is {value}; expected {self.n} finite values in N·m")
        self._offset = value.copy()
        return value.copy()

"""What the arm carries, from the torque that a model without it lacks: ten inertial parameters, recursively.

A rigid payload changes the parameters of the last link, and torque is linear in those::

    tau − model(q, qd, qdd) = Y(q, qd, qdd) θ + noise,    θ = (m, m c (3), I (6))

Y are the last link's columns of Pinocchio's joint torque regressor. A Kalman filter with the model's own variance as
measurement noise needs one to two seconds of motion for a few kilograms. It is the right model class for a grasp, where
kernels that were tuned on friction do not extrapolate.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from estimators.errors import ParameterError
from estimators.rigid_body import RigidBodyModel

Array = npt.NDArray[np.float64]

PRIOR_SIGMA = np.array([5.0, 1.0, 1.0, 1.0, *(math.sqrt(0.05),) * 6])
"""Standard deviations of θ before anything was seen: kg, kg m (3), kg m² (6)."""


class PayloadEstimator:
    """θ of the payload at the link of ``model`` that carries the flange, in the frame of its joint; zero and unsure at
    start.

    ``model`` is used for its regressor only and is not changed. ``drift``: relative loss of certainty per second, 1/s;
    0 averages over everything since the last reset. ``noise_floor`` (n,) N·m: what the measurement noise is at least.
    Raises ParameterError for values out of range.
    """

    def __init__(
        self, model: RigidBodyModel, noise_floor: Array, prior_sigma: Array = PRIOR_SIGMA, drift: float = 0.02
    ) -> None:
        sigma, floor = np.asarray(prior_sigma, dtype=np.float64), np.asarray(noise_floor, dtype=np.float64)
        if sigma.shape != (10,) or not np.isfinite(sigma).all() or not (sigma > 0.0).all():
            raise ParameterError(f"prior_sigma is {prior_sigma}; expected 10 finite numbers above 0")
        if floor.shape != (model.n,) or not np.isfinite(floor).all() or not (floor > 0.0).all():
            raise ParameterError(f"noise_floor is {noise_floor}; expected {model.n} finite numbers above 0 N·m")
        if not (math.isfinite(drift) and drift >= 0.0):
            raise ParameterError(f"drift is {drift}; expected a finite number, 0 or more, in 1/s")
        self._model = model
        self._floor = floor * floor
        self._P0 = np.diag(sigma * sigma)
        self._drift = drift
        self.reset()

    def reset(self, theta: Array | None = None) -> None:
        """A payload was taken or let go: everything about it is unknown again; ``theta`` (10,) is the best guess."""
        self.theta = np.zeros(10) if theta is None else theta.copy()
        """m kg, m c kg m (3), Ixx, Ixy, Iyy, Ixz, Iyz, Izz kg m² about the joint's origin."""
        self.P = self._P0.copy()
        """Covariance of ``theta`` (10, 10)."""

    def know(self, theta: Array) -> None:
        """From now on θ is taken for certain, until the next :meth:`reset`."""
        self.theta, self.P = theta.copy(), np.zeros((10, 10))

    @property
    def mass(self) -> float:
        """kg."""
        return float(self.theta[0])

    @property
    def mass_sigma(self) -> float:
        """Its standard deviation, kg."""
        return math.sqrt(max(float(self.P[0, 0]), 0.0))

    def step(self, q: Array, qd: Array, qdd: Array, lacking: Array, variance: Array, dt: float) -> bool:
        """Learn from one sample; whether it could be used.

        ``lacking`` (n,) N·m: measured torque minus that of the model without payload; ``variance`` (n,) (N·m)²: of
        that difference, input noise included; ``dt`` s since the sample before.
        """
        total = float(q.sum() + qd.sum() + qdd.sum() + lacking.sum() + variance.sum())
        if not math.isfinite(total) or not (dt > 0.0 and math.isfinite(dt)):
            return False
        Y = self.regressor(q, qd, qdd)
        # Certainty fades towards the prior, never beyond it.
        keep = math.exp(-self._drift * dt)
        P = keep * self.P + (1.0 - keep) * self._P0
        R = np.diag(np.maximum(variance, self._floor))
        PY = P.dot(Y.T)
        S = Y.dot(PY) + R
        K = np.linalg.solve(S, PY.T).T
        theta = self.theta + K.dot(lacking - Y.dot(self.theta))
        A = -K.dot(Y)
        A.flat[::11] += 1.0
        P = A.dot(P).dot(A.T) + K.dot(R).dot(K.T)
        if not math.isfinite(float(theta.sum() + P.sum())):
            return False
        self.theta, self.P = theta, 0.5 * (P + P.T)
        return True

    def regressor(self, q: Array, qd: Array, qdd: Array) -> Array:
        """Y (n, 10): torque per parameter of that link."""
        return self._model.load_regressor(q, qd, qdd)

    def torque(self, q: Array, qd: Array, qdd: Array) -> tuple[Array, Array]:
        """What the payload takes, (n,) N·m, and the standard deviation of it that θ's uncertainty makes, (n,)."""
        Y = self.regressor(q, qd, qdd)
        sigma = np.sqrt(np.maximum((Y.dot(self.P) * Y).sum(axis=1), 0.0))
        return Y.dot(self.theta), sigma

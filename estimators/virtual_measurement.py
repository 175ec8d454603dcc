"""From samples to the filter's virtual measurement and to labels of the residual torque, by one and the same formula.

Eq. (28) without the residual model's mean: what two samples say about the external torque between them::

    y_k = (p_k − p_{k−1})/dt − tau_{k−1} − β_{k−1},      p = M qd,  β = Cᵀqd − g

In contact-free motion its negative is the residual torque itself, so labels and filter share the discretisation.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, filtfilt

from estimators.errors import ParameterError
from estimators.rigid_body import Dynamics, RigidBodyModel

Array = npt.NDArray[np.float64]

LABEL_CUTOFF = 15.0
"""Low-pass of labels and features, Hz: above it they are noise of the velocity."""
LABEL_RATE = 100.0
"""Labels per second: more are repetitions."""


class VirtualMeasurement:
    """Keeps the sample before; :meth:`step` gives y of the step that ended with this one.

    ``lag``: 0 where a sample's torque acts from the sample on, 1 where it is that of the tick that ended with it.
    Raises ParameterError for another one.
    """

    def __init__(self, n: int, lag: int = 0) -> None:
        if lag not in (0, 1):
            raise ParameterError(f"measured torque lags by {lag} ticks; this observer takes 0 or 1")
        self.n = n
        self._lag = lag
        self.reset()

    def reset(self) -> None:
        """Forget the sample before."""
        self._p = self._beta = self._tau = np.full(self.n, math.nan)

    def step(self, tau: Array, dyn: Dynamics, dt: float) -> Array:
        """y (n,) N·m, NaN for the first sample, for a ``dt`` that is not positive, and where anything is not finite.

        ``tau`` (n,) N·m measured and ``dyn`` of the same sample; ``dt`` s since the sample before.
        """
        acted = tau if self._lag else self._tau
        y: Array = (dyn.p - self._p) / dt - acted - self._beta if dt > 0.0 else np.full(self.n, math.nan)
        self._p, self._beta, self._tau = dyn.p.copy(), dyn.beta.copy(), tau.copy()
        if not math.isfinite(float(y.dot(y))):
            y = np.full(self.n, math.nan)
        return y


def replay(
    model: RigidBodyModel, q: Array, qd: Array, tau: Array, dt: float, lag: int = 0
) -> tuple[Array, Array]:
    """y (m, n) N·m of a whole run, its first row NaN, and the TCP Jacobians (m, 6, n), base axes.

    ``q`` rad, ``qd`` rad/s and ``tau`` N·m: (m, n), sampled every ``dt`` s; ``lag``: see
    :class:`VirtualMeasurement`. Raises ParameterError for other shapes.
    """
    if not (q.shape == qd.shape == tau.shape) or q.ndim != 2 or q.shape[1] != model.n:
        raise ParameterError(f"q, qd, tau have shapes {q.shape}, {qd.shape}, {tau.shape}; expected (m, {model.n}) each")
    measurement = VirtualMeasurement(model.n, lag)
    y, J = np.empty(q.shape), np.empty((len(q), 6, model.n))
    q, qd, tau = (np.ascontiguousarray(part, dtype=np.float64) for part in (q, qd, tau))
    for k in range(len(q)):
        dyn = model.update(q[k], qd[k])
        y[k] = measurement.step(tau[k], dyn, dt)
        J[k] = dyn.J
    return y, J


def smooth(values: Array, dt: float) -> Array:
    """Zero-phase low-pass of (m, n) at :data:`LABEL_CUTOFF`; labels and features need the same one."""
    b, a = butter(2, LABEL_CUTOFF * 2.0 * dt)
    smoothed: Array = filtfilt(b, a, values, axis=0)
    return smoothed


def labels(qd: Array, y: Array, dt: float) -> tuple[Array, Array]:
    """Velocities and residual torques (k, n) at :data:`LABEL_RATE` from a contact-free run of :func:`replay`."""
    every = max(1, round(1.0 / (LABEL_RATE * dt)))
    # y_k belongs to the step from k − 1 to k, and so to the velocity at its beginning.
    return smooth(qd[:-1], dt)[::every], -smooth(y[1:], dt)[::every]

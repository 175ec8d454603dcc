"""External joint torque from the generalised momentum p = M qd, without differentiating velocity.

From ``ṗ = tau + β + tau_ext`` with β = Cᵀqd − g, two samples give the external torque of the step between them::

    y_k = (p_k − p_{k−1})/dt − tau_{k−1} − β_{k−1}
    r_k = r_{k−1} + (1 − exp(−K dt)) (y_k − r_{k−1})

which is the classic momentum observer ``r = K (p − ∫(tau + β + r))`` with its gain made exact for every dt (the
forward Euler form has K dt in place of 1 − exp(−K dt)). ``tau`` is the torque through the joints in the contract's
sign; where a residual (friction) is predicted, subtract it from ``tau`` before.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import numpy.typing as npt

from estimators.errors import ParameterError
from estimators.observer import Estimate
from estimators.rigid_body import Dynamics

Array = npt.NDArray[np.float64]

_SETTLED = 0.05
"""Share of the start-up error that may be left when a tare is taken (three time constants)."""


class MomentumObserver:
    """Momentum observer of ``n`` joints with a stated covariance.

    ``bandwidth`` K in 1/s: a step of external torque is seen to 63 % after 1/K. ``tau_sigma`` (n,) N·m is the white
    noise of the measured torque per sample. Options:

    - ``model_sigma`` (n,) N·m: slow error of model and torque sensors before a tare; ``tared_sigma`` (n,) N·m: what
      is left of it after one (default: all of it, since a tare in one pose proves nothing about others).
    - ``qd_sigma`` (n,) rad/s: noise of the velocity (``noise()`` of the differentiator).
    - ``start_sigma`` N·m: what may act on a joint at start, when the estimate is still 0; fades as it converges.
    - ``delay_ticks``: by how many samples the measured torque lags position and velocity. 0: sample k holds the
      torque that acts from k on. 1: it holds the torque of the tick that ended at k. p and β are delayed to match,
      so with d ≥ 1 the estimate is d − 1 ticks older.

    Raises ParameterError for values out of range. Slow errors are in the covariance, the lag 1/K is not.
    """

    def __init__(
        self,
        n: int,
        bandwidth: float,
        tau_sigma: Array,
        *,
        model_sigma: Array | None = None,
        tared_sigma: Array | None = None,
        qd_sigma: Array | None = None,
        start_sigma: float = 50.0,
        delay_ticks: int = 0,
    ) -> None:
        if not math.isfinite(bandwidth) or bandwidth <= 0.0:
            raise ParameterError(f"bandwidth is {bandwidth}; expected a finite value > 0 1/s")
        if not math.isfinite(start_sigma) or start_sigma < 0.0:
            raise ParameterError(f"start_sigma is {start_sigma}; expected a finite value >= 0 N·m")
        if delay_ticks < 0:
            raise ParameterError(f"delay_ticks is {delay_ticks}; expected 0 or more")
        self.n = n
        self.bandwidth = bandwidth
        self._tau_var = _sigma("tau_sigma", tau_sigma, n) ** 2
        model = _sigma("model_sigma", np.zeros(n) if model_sigma is None else model_sigma, n)
        tared = model if tared_sigma is None else _sigma("tared_sigma", tared_sigma, n)
        self._slow_var = model**2
        self._model_var, self._tared_var = model**2, tared**2
        self._qd_gain = bandwidth * _sigma("qd_sigma", np.zeros(n) if qd_sigma is None else qd_sigma, n)
        self._start_var = start_sigma**2
        # Oldest first: (p, β, tau of that sample, dt before it); p and β of the step that tau_k belongs to.
        self._history: deque[tuple[Array, Array, Array, float]] = deque(maxlen=max(1, delay_ticks))
        self._delay = delay_ticks
        self._dt = math.nan
        self._a = 0.0
        self._offset = np.zeros(n)
        self.reset()

    def reset(self, dyn: Dynamics | None = None) -> None:
        """Start anew at ``tau_ext = 0`` and forget the tare. ``dyn`` is not needed: the first step stores p and β."""
        self._r = np.zeros(self.n)
        self._left = 1.0
        self._history.clear()
        self.clear_tare()

    def step(self, tau: Array, dyn: Dynamics, dt: float) -> Estimate:
        """``tau_ext`` (n,) N·m and its covariance ``P`` (n, n), fresh arrays; environment on robot.

        ``tau`` (n,) N·m measured and ``dyn`` of the same sample; ``dt`` s since the sample before. If anything is not
        finite or dt is not positive, NaN is returned for this sample and the observer goes on from the next one.
        """
        history = self._history
        full = len(history) == history.maxlen
        y = tau
        if history and not dt > 0.0:
            y = dyn.p * math.nan
        elif full:
            p0, beta0, tau0, _ = history[0]
            p1, step = (dyn.p, dt) if self._delay < 2 else (history[1][0], history[1][3])
            y = (p1 - p0) / step - (tau if self._delay else tau0) - beta0
        # Products find NaN and infinity for less than np.isfinite costs.
        if not (math.isfinite(float(y.dot(y))) and math.isfinite(float(tau.dot(tau) + dyn.p.dot(dyn.beta)))):
            history.clear()
            return Estimate(np.full(self.n, math.nan), np.full((self.n, self.n), math.nan))
        if full:
            if dt != self._dt:
                self._dt = dt
                self._a = 1.0 - math.exp(-self.bandwidth * dt)
            self._r += self._a * (y - self._r)
            self._left *= 1.0 - self._a
        history.append((dyn.p.copy(), dyn.beta.copy(), tau.copy(), dt))
        return Estimate(self._r - self._offset, self._covariance(dyn.M))

    def _covariance(self, M: Array) -> Array:
        """White torque noise through the filter, velocity noise as momentum noise, slow errors, start-up, tare."""
        # r passes momentum noise with gain K above its bandwidth, where most of a velocity estimate's noise lies.
        gain = M * self._qd_gain
        P: Array = gain.dot(gain.T)
        diagonal = self._tau_var * (self._a / (2.0 - self._a))
        diagonal += self._slow_var
        diagonal += self._start_var * self._left * self._left
        P.flat[:: self.n + 1] += diagonal
        return P

    def tare(self, offset: Array | None = None, sigma: Array | None = None) -> Array:
        """Take the present torque as zero; returns the offset (n,) N·m subtracted from now on.

        ``offset`` is what an estimate without any tare shows here, a mean of g(q) − tau with the noise ``sigma`` (n,)
        N·m, the better way: it takes the place of an earlier one. Without it the present estimate is taken. Only slow
        errors go away, the noise of the offset comes on top.

        Raises ParameterError before the estimate has settled or if the offset is not finite.
        """
        if self._left > _SETTLED:
            raise ParameterError(
                f"the observer has settled to {100.0 * (1.0 - self._left):.0f} % only; tare after standing still "
                f"for at least {3.0 / self.bandwidth:.2f} s of samples"
            )
        noise = self._tau_var * (self._a / (2.0 - self._a)) if sigma is None else _sigma("sigma", sigma, self.n) ** 2
        value = self._r.copy() if offset is None else np.array(offset, dtype=np.float64)
        if value.shape != (self.n,) or not np.isfinite(value).all():
            raise ParameterError(f"tare offset is {value}; expected {self.n} finite values in N·m")
        self._offset = value
        self._slow_var = self._tared_var + noise
        return value.copy()

    def clear_tare(self) -> None:
        """Forget the offset; the covariance is that of an untared observer again."""
        self._offset = np.zeros(self.n)
        self._slow_var = self._model_var


def _sigma(name: str, value: Array, n: int) -> Array:
    """A vector of standard deviations, checked."""
    sigma = np.asarray(value, dtype=np.float64)
    if sigma.shape != (n,) or not np.isfinite(sigma).all() or (sigma < 0.0).any():
        raise ParameterError(f"{name} is {value}; expected {n} finite values >= 0")
    return sigma

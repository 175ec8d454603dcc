"""Measured motion and torque behind one and the same low-pass, so that they belong to one another.

An acceleration that a driver estimates lags behind the position, and is noisy; torque does neither. Comparing the two
sample by sample shows a difference where there is none. Here position, velocity and torque all pass the same critically
damped filter, and the acceleration is that filter's own derivative of the velocity: everything is late by the same
1/(π f_c), and inverse dynamics hold between the smoothed signals as they do between the true ones, as far as they are
linear over that time.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from estimators.errors import ParameterError

Array = npt.NDArray[np.float64]

CUTOFF = 15.0
"""Hz; what recorded motion is low-passed with for training."""
MAX_GAP = 0.1
"""After a longer gap the past says nothing about the present, s."""


class SmoothedMotion:
    """Smoothed q rad, qd rad/s, qdd rad/s² and tau N·m of ``n`` joints, overwritten by the next step.

    Raises ParameterError unless ``cutoff`` Hz is a finite number above 0.
    """

    def __init__(self, n: int, cutoff: float = CUTOFF) -> None:
        if not (math.isfinite(cutoff) and cutoff > 0.0):
            raise ParameterError(f"cutoff is {cutoff} Hz; expected a finite number above 0")
        self._omega = 2.0 * math.pi * cutoff
        self._x, self._v, self._u, self._e = (np.zeros((3, n)) for _ in range(4))
        self.q, self.qd, self.tau = self._x
        self.qdd = self._v[1]
        self._begun = False

    @property
    def memory(self) -> float:
        """Time after which what was before no longer matters, s: less than 2 % of it is left."""
        return 6.0 / self._omega

    def reset(self) -> None:
        """Begin anew with the next sample, as at rest."""
        self._begun = False

    def step(self, q: Array, qd: Array, tau: Array, dt: float) -> bool:
        """Take one sample, (n,) each, ``dt`` s after the one before; whether it could be used.

        What is not finite is left out, and the filter begins anew after it.
        """
        if not math.isfinite(float(q.sum() + qd.sum() + tau.sum())) or not dt > 0.0:
            self._begun = False
            return False
        u, x, v, e = self._u, self._x, self._v, self._e
        u[0], u[1], u[2] = q, qd, tau
        if not self._begun or not dt <= MAX_GAP:
            x[:], v[:] = u, 0.0
            self._begun = True
            return True
        # Exact for an input that is held over dt: x'' = ω² (u − x) − 2 ω x'.
        w, fade = self._omega, math.exp(-self._omega * dt)
        np.subtract(x, u, out=e)
        slope = v + w * e
        np.add(u, fade * (e + dt * slope), out=x)
        v -= (w * dt) * slope
        v *= fade
        return True

"""Notices that the arm carries something else than before, and estimates what, while it moves.

As long as the model explains the motion, what the arm carries is taken for certain: nothing, or the load that the cell
declares. Once the innovation jumps, nothing is known of the load any more and the estimate begins anew; its
uncertainty goes to the gains. The same happens when the load is let go. Only the load is forgotten, never the model.

A steady push by the environment looks like a load. It is estimated as one, as well as ten inertial parameters can say
it, and the next jump begins anew.
"""

from __future__ import annotations

import math

import numpy as np

from drivers.contract import Array
from estimators.gains.innovation import Innovation
from estimators.payload import PRIOR_SIGMA, PayloadEstimator
from estimators.rigid_body import BodyInertia, RigidBodyModel
from hil.learning.online_params import LoadParams


class LoadWatch:
    """The load at the flange of ``model``, which must not carry one itself.

    ``noise`` (n,) N·m: the model's own, less than which no sample's is taken for; ``blind`` s: how long smoothed
    signals remember what was before a jump. ``declared``: what the cell's gripper may carry. ``baseline``: of
    the innovation, see :class:`estimators.gains.innovation.Innovation`.
    """

    def __init__(
        self,
        model: RigidBodyModel,
        noise: Array,
        blind: float,
        declared: BodyInertia | None = None,
        params: LoadParams | None = None,
        baseline: Array | None = None,
    ) -> None:
        self.params = p = params or LoadParams()
        self._blind = blind
        self._estimate = PayloadEstimator(model, noise, PRIOR_SIGMA, p.drift)
        self._declared = np.zeros(10) if declared is None else model.load_parameters(declared)
        self._nothing, self._none = np.zeros(10), np.zeros(model.n)
        self._innovation = Innovation(model.n, p.window, baseline)
        self.carried = np.zeros(model.n)
        """What the load took beside its declared weight where it was last asked for, (n,) N·m."""
        self._variance = np.zeros(model.n)
        self._weight = np.zeros(model.n)
        self._carries = False
        self._since = math.inf
        self._ticks = 0
        self._span = 0.0
        self.estimating = False
        """There was a jump: the load is estimated, and no longer taken for certain."""
        self.changes = 0
        """How often the load has become another: at each its torque jumps."""
        self.settled = True
        """What is not known of the load is less than what is not known of the arm, over all joints."""
        self._estimate.know(self._nothing)

    @property
    def mass(self) -> float:
        """kg, a declared load included."""
        return self._estimate.mass

    @property
    def mass_sigma(self) -> float:
        """Its standard deviation, kg."""
        return self._estimate.mass_sigma

    def carry(self, declared: bool) -> None:
        """Whether the cell's declared load is carried: from a change on it is taken at its word."""
        if declared == self._carries:
            return
        self._carries = declared
        self._estimate.know(self._base)
        self.changes += 1
        self._since = 0.0
        self.estimating, self.settled = False, True

    def torque(self, q: Array, qd: Array, qdd: Array, declared: Array) -> tuple[Array, Array] | None:
        """See :meth:`hil.control.adapting.Adapting.load`."""
        if not (self.estimating or self._carries):
            self.carried, self._variance, self._weight = self._none, self._none, self._none
            return None
        torque, sigma = self._estimate.torque(q, qd, qdd)
        self.carried, self._variance, self._weight = torque - declared, sigma * sigma, declared
        return self.carried, sigma

    def step(self, q: Array, qd: Array, qdd: Array, lacking: Array, variance: Array, dt: float) -> str:
        """One tick; news in words, or an empty string. To be called after :meth:`torque` at the same state.

        ``lacking`` (n,) N·m: command, without a declared weight, less that of the model without load; ``variance``
        (n,) (N·m)² of it.
        """
        p = self.params
        self._since += dt
        self._span += dt
        factor = self._innovation.step(lacking, self.carried, variance + self._variance, dt)
        if self._since > p.rest and float(factor.max()) > p.jump:
            self._estimate.reset(self._base)
            self.changes += 1
            self._since = 0.0
            news = "the load is another than before: it is estimated anew"
            self.estimating, self.settled = True, False
            self._innovation.reset()
            return news
        self._ticks += 1
        if not self.estimating or self._ticks % p.every:
            return ""
        span, self._span = self._span, 0.0
        if self._since < self._blind:
            return ""
        self._estimate.step(q, qd, qdd, lacking + self._weight, variance, min(span, 0.1))
        self.changes += 1
        if self.settled:
            return ""
        sigma = self._estimate.torque(q, qd, qdd)[1]
        self.settled = float(sigma.dot(sigma)) < float(variance.sum())
        return f"the load is known: {self.mass:.2f} kg ± {self.mass_sigma:.2f} kg" if self.settled else ""

    @property
    def _base(self) -> Array:
        return self._declared if self._carries else self._nothing

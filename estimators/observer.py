"""What an observer of external torque is: arrays in, arrays out."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from estimators.rigid_body import Dynamics

Array = npt.NDArray[np.float64]


class Estimate(NamedTuple):
    """What an observer says of one sample; NaN where it knows nothing, never zero."""

    tau_ext: Array
    """External torque (n,) N·m, environment on robot."""
    covariance: Array
    """Its covariance (n, n) (N·m)², error of the model included."""
    nis: float = math.nan
    """Normalised innovation squared, n on average where the filter is consistent; NaN for observers without one."""


class Observer(Protocol):
    """Estimates the torque that the environment exerts on the joints, once for each new sample.

    :class:`estimators.momentum.MomentumObserver` needs no model of friction,
    :class:`estimators.kvark.observer.KvarkObserver` has learnt one. One that also tells contact from none has an
    attribute ``sensed``, an :class:`estimators.sensed.Sensed` of its last step: recorded, never acted on.
    """

    def reset(self, dyn: Dynamics | None = None) -> None:
        """Start anew at ``tau_ext = 0`` and forget the tare."""
        ...

    def step(self, tau: Array, dyn: Dynamics, dt: float) -> Estimate:
        """What is known of the external torque at this sample, in fresh arrays.

        ``tau`` (n,) N·m is the measured joint torque, positive along +q; ``dyn`` the model at the same sample (valid
        during the call only: copy what must live longer); ``dt`` s since the sample before, NaN for the first.
        An estimate that is not known is NaN, never zero.
        """
        ...

    def tare(self, offset: Array | None = None, sigma: Array | None = None) -> Array:
        """Take ``offset`` (n,) N·m, with the noise ``sigma`` (n,), as zero; None: the present estimate.

        ``offset`` was taken at standstill as a mean of g(q) − tau, so it is what an estimate without a tare shows
        there. Returns what is subtracted from now on, (n,) N·m.
        """
        ...

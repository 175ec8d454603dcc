"""What a model of residual torque is: a mean and a variance for each joint, sample by sample or for a whole run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class ResidualModel(Protocol):
    """Residual torque: positive when it opposes motion in +q, subtracted in the equation of motion.

    In contact-free motion it is the measured joint torque minus what the rigid-body model asks for. Its variance is
    that of one sample's *model error*, measurement noise excluded.
    """

    @property
    def n(self) -> int:
        """Number of joints."""
        ...

    @property
    def inertial_parameters(self) -> Array | None:
        """Corrected parameters (11 n,) for :meth:`estimators.rigid_body.RigidBodyModel.adjust`; None: as they are.

        Mean and virtual measurement belong together: who uses this model must use these parameters too.
        """
        ...

    def reset(self) -> None:
        """Forget the motion so far; a model without memory has nothing to forget."""
        ...

    def step(self, q: Array, qd: Array, tau: Array, dt: float) -> tuple[Array, Array]:
        """Mean N·m and variance (N·m)², both (n,), at one sample; once for each sample, in order.

        ``q`` rad, ``qd`` rad/s, measured ``tau`` N·m, each (n,); ``dt`` s since the sample before, NaN for the first.
        NaN where the inputs are not finite, never an exception.
        """
        ...

    def run(self, q: Array, qd: Array, tau: Array, dt: float) -> tuple[Array, Array]:
        """Mean and variance, both (m, n), along a run from a reset: row k is what :meth:`step` gives at sample k."""
        ...

    def pack(self) -> tuple[Mapping[str, Any], Mapping[str, Array]]:
        """Options that JSON can say, ``kind`` among them, and plain arrays: all that is needed to build it again."""
        ...

"""Whether a joint motion stays inside the arm's limits, asked before it runs."""

from __future__ import annotations

import math

import numpy as np

from drivers.contract import Array
from hil.motion.base import CartesianReference, JointReference, Motion, MotionError


def check_joint_motion(motion: Motion, q_min: Array, q_max: Array, qd_max: Array, step: float = 0.005) -> None:
    """Sample a started joint motion every ``step`` s and compare with the limits (n,) rad, rad/s.

    Raises MotionError naming the first joint (counted from 1), the time, what is reached and what is allowed.
    """
    duration = motion.duration
    if not isinstance(duration, int | float) or not duration >= 0.0:
        raise MotionError(f"motion {motion.name!r} has the duration {duration!r}; expected seconds, or infinity")
    count = 1 if math.isinf(duration) else math.ceil(duration / step) + 1
    for k in range(count):
        t = 0.0 if count == 1 else duration * k / (count - 1)
        reference = motion.at(t)
        if not isinstance(reference, JointReference | CartesianReference):
            raise MotionError(
                f"motion {motion.name!r}: at({t:g}) returned {type(reference).__name__}; expected a JointReference"
            )
        if not isinstance(reference, JointReference):
            raise MotionError(
                f"motion {motion.name!r} is Cartesian; only joint motions can be checked against joint limits"
            )
        for label, unit, value, low, high in (
            ("q", "rad", reference.q, q_min, q_max),
            ("qd", "rad/s", reference.qd, -qd_max, qd_max),
        ):
            inside = np.isfinite(value) & (value >= low) & (value <= high)
            if not inside.all():
                i = int(np.argmin(inside))
                raise MotionError(
                    f"motion {motion.name!r} asks joint {i + 1} for {label} = {value[i]:.4g} {unit} after {t:.3f} s; "
                    f"allowed are {low[i]:.4g} to {high[i]:.4g}"
                )

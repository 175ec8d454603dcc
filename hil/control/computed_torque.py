"""Joint computed torque with PD, gains shaped by the inertia.

::

    tau = M (qdd_ref + 2 ζ ω ė + ω² e) + C qd + g + z,    e = q_ref − q,    ż = M ω² e / T_i

without the terms that the robot adds itself. In the model the error obeys ë + 2ζω ė + ω² e = 0 on every joint,
however light: a joint's stiffness is its inertia times ω², which a wrist of 0.002 kg m² survives at 1 kHz where
gains in N·m/rad chosen for the shoulder would not. The price: a light joint is soft against friction; give it a
higher ω, and the slow bounded integral z takes the rest (friction at standstill, the robot's own gravity error).
"""

from __future__ import annotations

import math
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np

from drivers.contract import Array, RobotSample
from estimators.rigid_body import Dynamics
from hil.control.base import ControlError, Takeover, number, vector
from hil.motion.base import JointReference, Kind, Reference


@dataclass(frozen=True, slots=True)
class ComputedTorqueParams:
    """Gains of :class:`ComputedTorque`. A single number holds for all joints. Raises ControlError if out of range."""

    bandwidth: float | tuple[float, ...] = (30.0, 30.0, 45.0, 40.0, 50.0, 50.0, 60.0)
    """ω, rad/s. At 1 kHz with velocities filtered at 200 1/s 60 is stable with three ticks of delay, 70 is not."""
    damping_ratio: float = 1.0
    """ζ of the tracking error."""
    integral_time: float = 0.12
    """T_i, s: the error that a constant disturbance leaves fades with this time constant; inf: no integral."""
    integral_limit: float | tuple[float, ...] = (15.0, 15.0, 8.0, 8.0, 2.0, 2.0, 0.5)
    """Largest |z|, N·m: the disturbance that is expected, so that a pushing person meets no growing torque."""
    max_error: float = 0.2
    """Position errors are taken for no larger than this, rad; so large that the spring outweighs the integral."""
    blend_time: float = 0.5
    """Time over which the torque found at takeover fades out, s."""

    def __post_init__(self) -> None:
        number("damping_ratio", self.damping_ratio, above=True)
        number("integral_time", self.integral_time, above=True)
        number("max_error", self.max_error, above=True)
        number("blend_time", self.blend_time)
        for name, value in (("bandwidth", self.bandwidth), ("integral_limit", self.integral_limit)):
            vector(name, value, np.size(value), "")


class ComputedTorque:
    """Follows joint references on an arm of ``n`` joints.

    ``adds``: terms that the robot adds to our torque (``ArmTraits.adds``); ``gravity`` and ``coriolis`` are then left
    out. Bumpless: at takeover the integral is preset with the torque found, within its limit, the rest fades out.
    """

    kind: Kind = "joint"

    def __init__(
        self, n: int, adds: AbstractSet[str] = frozenset(), params: ComputedTorqueParams | None = None
    ) -> None:
        self.n = n
        self.params = p = ComputedTorqueParams() if params is None else params
        omega = vector("bandwidth", p.bandwidth, n, "rad/s")
        self._kp = omega * omega
        self._kd = 2.0 * p.damping_ratio * omega
        self._limit = vector("integral_limit", p.integral_limit, n, "N·m")
        self._integrate = math.isfinite(p.integral_time)
        self._coriolis = "coriolis" not in adds
        self._gravity = "gravity" not in adds
        self._takeover = Takeover(n, p.blend_time, "gravity" in adds)
        self._z = np.zeros(n)

    def reset(self, sample: RobotSample, dyn: Dynamics, tau_initial: Array | None = None) -> None:
        self._z = np.zeros(self.n)
        self._takeover.reset(sample, tau_initial)

    def torque(
        self, sample: RobotSample, dyn: Dynamics, reference: Reference, wrench_measured: Array | None, dt: float
    ) -> Array:
        if not isinstance(reference, JointReference):
            raise ControlError("computed torque follows joint references; the motion gave a Cartesian one")
        bound = self.params.max_error
        e = np.minimum(np.maximum(reference.q - sample.q, -bound), bound)
        M = dyn.M
        spring: Array = M.dot(self._kp * e)
        tau = M.dot(reference.qdd + self._kd * (reference.qd - sample.qd))
        tau += spring
        if self._coriolis:
            tau += dyn.Cqd
        if self._gravity:
            tau += dyn.g
        found = self._takeover.difference(tau)
        if self._integrate:
            limit = self._limit
            # z keeps NaN out of its memory, so that one bad sample does not disable the controller for good.
            z = self._z + spring * (dt / self.params.integral_time)
            if found is not None:
                z += found
            z = np.minimum(np.maximum(z, -limit), limit)
            if math.isfinite(float(z.dot(z))):
                if found is not None:
                    found -= z - self._z
                self._z = z
            tau += self._z
        if found is not None:
            self._takeover.fade(found)
        return self._takeover.apply(tau, dt)

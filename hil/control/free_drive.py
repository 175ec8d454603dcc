"""Free drive: the arm carries itself and gives way to the hand.

::

    tau = tau_bias + η (F_c tanh(qd / v_s) + F_v qd) − d M qd + hold + wall + C qd + g

without what the robot adds itself. ``tau_bias`` is the torque that held the arm at standstill just before: the error of
the gravity model there. The friction of the drives is given back in part (η < 1) while a hand is felt. When it has let
go, the damping d is large, and a spring of bounded torque, whose other end is dragged along as soon as it yields, holds
the arm where it was left, although the error of the gravity model is another one there. The hand is felt by the wrench
sensor; without one no friction is given back, the arm is always damped, and part of the spring's torque is felt as
friction. Close to the ends of the joints a soft wall pushes back.

Speed and enabling key are watched by :func:`hil.guiding.free_drive`, not here: a controller cannot stop an arm.
"""

from __future__ import annotations

import math
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np

from drivers.contract import Array, RobotSample
from estimators.rigid_body import Dynamics
from hil.control.base import ControlError, number, vector
from hil.motion.base import Kind, Reference


@dataclass(frozen=True, slots=True)
class FreeDriveParams:
    """Parameters of :class:`FreeDrive`; a single number holds for all joints. Raises ControlError if out of range.

    The friction is a cautious guess for an arm of the size of an LBR iiwa: too little is felt as weight in the hand,
    more than there is would make the arm run away.
    """

    coulomb: float | tuple[float, ...] = (1.5, 2.0, 1.0, 1.0, 0.35, 0.3, 0.1)
    """F_c, N·m."""
    viscous: float | tuple[float, ...] = (1.0, 1.5, 0.6, 0.8, 0.2, 0.2, 0.04)
    """F_v, N·m·s/rad."""
    share: float = 0.6
    """η: part of the friction that is given back, below 1."""
    smooth: float = 0.05
    """v_s, rad/s: speed at which the Coulomb part is given back to three quarters."""
    damping: float = 8.0
    """d while a hand moves the arm, 1/s."""
    damping_alone: float = 40.0
    """d when no hand is felt, 1/s: the arm stops with its inverse as time constant."""
    hold: float | tuple[float, ...] = (6.0, 6.0, 4.0, 4.0, 1.0, 1.0, 0.3)
    """Torque with which the arm is held where it was left, N·m: above what the gravity error can change on the way."""
    hold_alone: float = 0.3
    """Part of ``hold`` where no wrench sensor tells whether there is a hand: it is then felt as friction."""
    hold_bandwidth: float = 15.0
    """Of the spring that holds, rad/s."""
    hand: float = 4.0
    """Force at the tip from which a hand is felt, N; below, the damping grows in proportion."""
    low_pass: float = 25.0
    """Cut-off of the low-pass on that force, Hz."""
    wall: float = 0.1
    """Distance from the end of a joint's range at which the wall begins, rad."""
    wall_bandwidth: float = 15.0
    """Of the wall's spring, rad/s; critically damped."""

    def __post_init__(self) -> None:
        for name in ("smooth", "hand", "low_pass", "wall_bandwidth", "hold_bandwidth"):
            number(name, getattr(self, name), above=True)
        for name in ("damping", "damping_alone", "hold_alone", "wall", "share"):
            number(name, getattr(self, name))
        if not self.share < 1.0:
            raise ControlError(f"share is {self.share}; expected below 1: an arm without friction runs away")
        for name in ("coulomb", "viscous", "hold"):
            vector(name, getattr(self, name), np.size(getattr(self, name)), "")


@dataclass(frozen=True, slots=True)
class SpeedCap:
    """How fast a hand may move the arm. Raises ControlError for values that are not above zero."""

    tcp: float = 0.25
    """Speed of the tool centre point, m/s."""
    joint: float = 0.8
    """Part of the joint speed limits."""

    def __post_init__(self) -> None:
        number("tcp", self.tcp, above=True)
        number("joint", self.joint, above=True)


class FreeDrive:
    """Gravity and friction compensation on an arm of ``n`` joints; the reference is ignored.

    ``adds``: terms that the robot adds to our torque. ``bias`` (n,) N·m: torque that held the arm at standstill.
    ``q_min``, ``q_max`` (n,) rad: range of the joints, where the wall ends.
    """

    kind: Kind = "joint"

    def __init__(
        self,
        n: int,
        adds: AbstractSet[str],
        q_min: Array,
        q_max: Array,
        bias: Array,
        params: FreeDriveParams | None = None,
    ) -> None:
        self.params = p = FreeDriveParams() if params is None else params
        self._coulomb = p.share * vector("coulomb", p.coulomb, n, "N·m")
        self._viscous = p.share * vector("viscous", p.viscous, n, "N·m·s/rad")
        self._coriolis = "coriolis" not in adds
        self._gravity = "gravity" not in adds
        self._friction = "friction" not in adds
        if bias.shape != (n,) or not np.isfinite(bias).all():
            raise ControlError(f"bias is {bias}; expected {n} finite values in N·m")
        self._bias = bias.copy()
        self._low, self._high = q_min + p.wall, q_max - p.wall
        self._hold = vector("hold", p.hold, n, "N·m")
        self._anchor = np.zeros(n)
        self._felt = 0.0

    def reset(self, sample: RobotSample, dyn: Dynamics, tau_initial: Array | None = None) -> None:
        """Nothing fades in: at standstill the torque is the bias, which is what acts already."""
        self._felt = 0.0
        self._anchor = sample.q.copy()

    def torque(
        self, sample: RobotSample, dyn: Dynamics, reference: Reference, wrench_measured: Array | None, dt: float
    ) -> Array:
        p, qd = self.params, sample.qd
        alone = self._alone(wrench_measured, dt)
        acceleration: Array = -(p.damping + alone * (p.damping_alone - p.damping)) * qd
        # How deep each joint stands in its wall, positive where it has to be pushed up.
        depth = np.maximum(self._low - sample.q, 0.0) - np.maximum(sample.q - self._high, 0.0)
        if depth.any():
            omega = p.wall_bandwidth
            acceleration += omega * omega * depth - 2.0 * omega * qd * (depth != 0.0)
        tau: Array = self._bias + dyn.M.dot(acceleration)
        tau += self._held(sample.q, dyn.M, alone if wrench_measured is not None else p.hold_alone)
        if self._friction:
            # Given back to a hand only: as positive feedback it would shake a wrist that is being held.
            tau += (1.0 - alone) * (self._coulomb * np.tanh(qd / p.smooth) + self._viscous * qd)
        if self._coriolis:
            tau += dyn.Cqd
        if self._gravity:
            tau += dyn.g
        return tau

    def _held(self, q: Array, M: Array, part: float) -> Array:
        """The spring's torque (n,); its other end comes along where it would exceed ``part`` of its bound."""
        stiffness = self.params.hold_bandwidth**2
        longest = part * self._hold / (stiffness * M.diagonal())
        stretch = np.minimum(np.maximum(self._anchor - q, -longest), longest)
        self._anchor = q + stretch
        torque: Array = M.dot(stiffness * stretch)
        return torque

    def _alone(self, wrench: Array | None, dt: float) -> float:
        """1 where no hand is felt, 0 where one is for sure."""
        p = self.params
        force = math.sqrt(float(wrench[:3].dot(wrench[:3]))) if wrench is not None else 0.0
        if not math.isfinite(force):
            force = 0.0  # what is not known is no hand
        self._felt += (1.0 - math.exp(-2.0 * math.pi * p.low_pass * dt)) * (force - self._felt)
        return 1.0 - min(self._felt / p.hand, 1.0)

"""What is known about each joint of a cobot, and how its drive's integers become SI.

    tau_joint = permille/1000 · rated_torque · gear · efficiency · torque_sign
    q         = 2π · counts / (counts_per_rev · gear) · position_sign + position_offset

One gear efficiency for both directions of power flow: what is left belongs to friction, and its identification.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drivers.contract import Array

INT16_MAX = 32767


@dataclass(frozen=True)
class CobotJoint:
    """One joint: a CiA 402 drive, its motor and its gear. Raises ValueError for figures that no joint has."""

    node: int
    """CANopen node id, 1 to 127."""
    gear: float
    """Motor turns for one turn of the joint."""
    rated_torque_mNm: int
    """0x6076, mN·m at the motor; compared with what the drive says."""
    counts_per_rev: int = 131072
    """0x608F: position increments for one turn of the motor; compared with what the drive says."""
    efficiency: float = 1.0
    """Of the gear, as a constant factor of the torque."""
    torque_sign: int = 1
    """−1 where a positive target pushes the joint in its negative direction."""
    position_sign: int = 1
    position_offset: float = 0.0
    """Joint angle where the drive counts zero, rad."""
    tau_max: float = math.inf
    """Largest joint torque that is ever sent, N·m."""
    qd_max: float = math.pi
    """Data-sheet speed of the joint, rad/s."""
    channel: int = 0
    """Which of the arm's buses the drive hangs on."""

    def __post_init__(self) -> None:
        figures = (self.gear, self.efficiency, self.position_offset, self.qd_max)
        if not all(math.isfinite(value) for value in figures) or math.isnan(self.tau_max):
            raise ValueError(f"node {self.node}: a figure of the joint is not finite: {self}")
        if not 1 <= self.node <= 127:
            raise ValueError(f"node id {self.node}: CANopen has 1 to 127")
        if self.gear <= 0.0 or not 0.0 < self.efficiency <= 1.0 or self.tau_max <= 0.0 or self.qd_max <= 0.0:
            raise ValueError(f"node {self.node}: gear, tau_max and qd_max must be positive, efficiency in (0, 1]")
        if self.rated_torque_mNm <= 0 or self.counts_per_rev <= 0 or self.channel < 0:
            raise ValueError(f"node {self.node}: rated torque and counts per turn are positive, channels count from 0")
        if self.torque_sign not in (-1, 1) or self.position_sign not in (-1, 1):
            raise ValueError(f"node {self.node}: signs are 1 or -1")

    @property
    def tau_per_permille(self) -> float:
        """Joint torque of one per mille of the rated motor torque, N·m, with its sign."""
        return 1e-6 * self.rated_torque_mNm * self.gear * self.efficiency * self.torque_sign

    @property
    def q_per_count(self) -> float:
        """Joint angle of one increment, rad, with its sign."""
        return math.tau / (self.counts_per_rev * self.gear) * self.position_sign


class Scales:
    """The conversions of all joints at once."""

    def __init__(self, joints: Sequence[CobotJoint]) -> None:
        self.tau_unit: Array = np.array([joint.tau_per_permille for joint in joints])
        self.q_unit: Array = np.array([joint.q_per_count for joint in joints])
        self.q_offset: Array = np.array([joint.position_offset for joint in joints])
        self.permille_max: list[int] = [
            int(min(INT16_MAX, joint.tau_max / abs(joint.tau_per_permille))) for joint in joints
        ]
        """Largest amount of a target that is ever sent."""
        self._per_tau: list[float] = (1.0 / self.tau_unit).tolist()

    def q(self, counts: Sequence[int]) -> Array:
        """Joint positions (n,), rad."""
        return np.array(counts, dtype=np.float64) * self.q_unit + self.q_offset

    def qd(self, counts_per_s: Sequence[int]) -> Array:
        """Joint speeds (n,) from 0x606C in increments per second, rad/s."""
        return np.array(counts_per_s, dtype=np.float64) * self.q_unit

    def tau(self, permille: Sequence[int]) -> Array:
        """Joint torques (n,), N·m, from per mille of rated torque."""
        return np.array(permille, dtype=np.float64) * self.tau_unit

    def permille(self, tau: Array) -> list[int]:
        """Targets for joint torques ``tau`` (n,), N·m, rounded to the nearest. Raises ValueError for a torque that is
        not finite or beyond ``permille_max``."""
        out: list[int] = []
        for value, per, most in zip(tau.tolist(), self._per_tau, self.permille_max, strict=True):
            if not math.isfinite(value):
                raise ValueError(f"torque {value} on joint {len(out) + 1} is not finite")
            target = round(value * per)
            if not -most <= target <= most:
                raise ValueError(
                    f"torque {value:.4g} N·m on joint {len(out) + 1} is {target} ‰ of rated, at most {most} ‰ is sent"
                )
            out.append(target)
        return out

"""Between the joints of the world and the drives: gears, encoders, motor constants, noise; all joints at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.signal import butter

from drivers.cobot.model import CobotJoint
from drivers.contract import Array
from sim_mocks.profiles import Profile

_SPEED_CUTOFF = 60.0
"""Of the drives' speed estimate: second-order Butterworth on differences of the encoder, Hz."""
_OFFSET_SCALE = 0.05
"""The profile's ``tau_offset`` is in parts of this times the Coulomb friction."""


class JointSensing:
    """What encoders and current sensors make of the true state, and motors of the torque that the drives mean."""

    def __init__(self, joints: Sequence[CobotJoint], profile: Profile, dt: float, rng: np.random.Generator) -> None:
        n = len(joints)
        drive = profile.section("drive")
        noise = drive.section("tau_noise")
        self._rng = rng
        self._gear: Array = np.array([j.gear * j.position_sign for j in joints])
        self._offset: Array = np.array([j.position_offset for j in joints])
        self._counts: Array = np.array([float(j.counts_per_rev) for j in joints])
        encoder = profile.section("sensors").number("encoder_counts_motor")
        self._encoder: Array = np.minimum(self._counts, encoder) if encoder > 0.0 else self._counts
        self._filtered = encoder > 0.0
        # joint torque for one N·m of motor torque as the nameplate has it, and as it is
        self._nominal: Array = self._gear * np.array([j.efficiency for j in joints])
        self._true: Array = self._nominal * drive.vector("torque_constant_factor", 1.0)
        coulomb = profile.section("friction").vector("coulomb")
        self._tau_offset: Array = drive.vector("tau_offset") * _OFFSET_SCALE * coulomb
        self._floor, self._per_speed = noise.vector("floor"), noise.vector("per_velocity")
        self._per_torque = noise.number("per_torque")
        self._noisy = bool(self._floor.any() or self._per_speed.any() or self._per_torque)
        (self._b0, self._b1, self._b2), (_, self._a1, self._a2) = butter(2, min(_SPEED_CUTOFF, 0.4 / dt), fs=1.0 / dt)
        self._s1, self._s2 = np.zeros(n), np.zeros(n)
        self._last: Array | None = None
        self._dt = dt

    def joint_torque(self, motor: Sequence[float]) -> Array:
        """True joint torque (n,), N·m, for what the drives believe to produce (n,), N·m at the motor."""
        return np.array(motor) * self._true

    def nominal_torque(self, motor: Sequence[float]) -> Array:
        """The same by the nameplate."""
        return np.array(motor) * self._nominal

    def position(self, q: Array) -> Array:
        """Encoder increments (n,), whole numbers, for joint positions ``q`` (n,)."""
        turns = (q - self._offset) * self._gear / math.tau
        position: Array = np.floor(turns * self._encoder + 0.5) * (self._counts / self._encoder)
        return position

    def speed(self, position: Array, qd: Array) -> Array:
        """Motor speed (n,), rad/s, as the drives estimate it once per tick; the true one where sensors are exact."""
        if not self._filtered:
            return qd * self._gear
        if self._last is None:
            self._last = position
        x = (position - self._last) / self._counts * (math.tau / self._dt)
        self._last = position
        y = self._b0 * x + self._s1
        self._s1 = self._b1 * x - self._a1 * y + self._s2
        self._s2 = self._b2 * x - self._a2 * y
        speed: Array = y
        return speed

    def measured(self, motor: Sequence[float], qd: Array) -> Array:
        """Joint torque (n,), N·m, as motor current and nameplate tell it."""
        tau = self.nominal_torque(motor)
        if self._noisy:
            sigma = self._floor + self._per_torque * np.abs(tau) + self._per_speed * np.abs(qd)
            tau = tau + sigma * self._rng.standard_normal(len(tau))
        return tau + self._tau_offset

    def motor_torque(self, joint: Array) -> list[float]:
        """Motor torque by the nameplate for joint torque (n,), N·m."""
        torque: list[float] = (joint / self._nominal).tolist()
        return torque

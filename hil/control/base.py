"""What a controller is, how its parameters are checked, and how it takes over without a jump."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from drivers.contract import Array, RobotSample
from estimators.rigid_body import Dynamics
from hil.motion.base import Kind, Reference
from hil.motion.profiles import min_jerk


class ControlError(ValueError):
    """A parameter that no controller can work with, or a reference of the wrong kind."""


class Controller(Protocol):
    """Joint torque for one kind of reference.

    The torque returned is what *we* command: the total motor torque wanted minus the terms that the robot adds
    itself. It is not limited: soft saturation and gate come after.
    """

    kind: Kind

    def reset(self, sample: RobotSample, dyn: Dynamics, tau_initial: Array | None = None) -> None:
        """Take over from standstill in the pose of ``sample``.

        ``tau_initial`` (n,) N·m is the command that acts on the robot now (default: the middle of the sample's
        accepted bounds). The first torque returned equals it, and the difference to the control law fades out.
        """
        ...

    def torque(
        self, sample: RobotSample, dyn: Dynamics, reference: Reference, wrench_measured: Array | None, dt: float
    ) -> Array:
        """Torque command (n,) N·m, a fresh array, for the sample and the ``dyn`` computed from it.

        ``wrench_measured`` (6,) N, N·m: environment on robot at the TCP in base axes, None or NaN where there is no
        measurement. ``dt``: seconds since the call before. NaN in gives NaN out. Raises ControlError for a reference
        of the wrong kind.
        """
        ...


class Takeover:
    """Fades the difference between the torque found at takeover and the control law out over ``blend_time`` s."""

    def __init__(self, n: int, blend_time: float, adds_gravity: bool) -> None:
        self._blend_time = blend_time
        self._adds_gravity = adds_gravity
        self._zero = np.zeros(n)
        self._initial: Array | None = None
        self._offset = self._zero
        self._elapsed = math.inf

    def reset(self, sample: RobotSample, tau_initial: Array | None) -> None:
        """Remember the torque that acts now. Raises ControlError if ``tau_initial`` is not finite."""
        if tau_initial is None:
            initial = 0.5 * (sample.tau_accepted_lo + sample.tau_accepted_hi)
            if not np.isfinite(initial).all():
                initial = self._zero
        else:
            initial = np.array(tau_initial, dtype=np.float64)
            if initial.shape != self._zero.shape or not np.isfinite(initial).all():
                raise ControlError(f"tau_initial is {tau_initial}; expected {self._zero.shape[0]} finite values")
        # An arm that carries its weight on our torque, still held by its brakes, must get all of it at once: fading
        # from zero would let it fall.
        self._initial = initial if self._adds_gravity or initial.any() else None
        self._offset = self._zero
        self._elapsed = 0.0 if self._initial is not None else math.inf

    def difference(self, tau: Array) -> Array | None:
        """On the first call after ``reset``: what must be added to ``tau`` so that nothing jumps; then None."""
        if self._initial is None:
            return None
        difference = self._initial - tau
        self._initial = None
        return difference

    def fade(self, difference: Array) -> None:
        """Begin to fade ``difference`` (n,) N·m out."""
        self._offset = difference

    def apply(self, tau: Array, dt: float) -> Array:
        """``tau`` plus what is left of the difference ``dt`` s later."""
        if self._elapsed >= self._blend_time:
            return tau
        left = 1.0 - min_jerk(self._elapsed, self._blend_time)[0]
        self._elapsed += dt
        return tau + left * self._offset


def number(name: str, value: float, low: float = 0.0, above: bool = False) -> None:
    """Raises ControlError unless ``value`` is a number >= low (> low where ``above``); infinity is a number here."""
    if not (value > low if above else value >= low):
        raise ControlError(f"{name} is {value}; expected a number {'>' if above else '>='} {low}")


def vector(name: str, value: float | tuple[float, ...] | Array, n: int, unit: str) -> Array:
    """One number for all or ``n`` numbers, all finite and >= 0, as (n,). Raises ControlError."""
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 0:
        array = np.full(n, float(array))
    if array.shape != (n,) or not np.isfinite(array).all() or (array < 0.0).any():
        raise ControlError(f"{name} is {value}; expected one or {n} finite values >= 0 {unit}")
    return array

"""Motions of the TCP in a straight line, with the orientation held."""

from __future__ import annotations

import math

import numpy as np

from drivers.contract import Array
from hil.motion.base import CartesianReference, Kind, MotionError, not_started, positive
from hil.motion.profiles import Profile, min_jerk, min_jerk_duration


def vector3(name: str, value: Array) -> Array:
    """A finite vector of three as a copy. Raises MotionError with its name."""
    vector = np.array(value, dtype=np.float64)
    if vector.shape != (3,) or not np.isfinite(vector).all():
        raise MotionError(f"{name} is {value}; expected three finite values")
    return vector


def line_reference(x0: Array, direction: Array, s: Profile, R: Array) -> CartesianReference:
    """On the line from ``x0`` (3,) along ``direction`` (3,): distance, speed and acceleration in units of direction."""
    v = np.zeros(6)
    a = np.zeros(6)
    v[:3] = s[1] * direction
    a[:3] = s[2] * direction
    return CartesianReference(x0 + s[0] * direction, R, v, a, np.zeros(6))


class CartesianHold:
    """Keep the TCP in the pose it has at the start."""

    kind: Kind = "cartesian"

    def __init__(self, name: str = "hold") -> None:
        self.name = name
        self._pose: tuple[Array, Array] | None = None

    @property
    def duration(self) -> float:
        return math.inf

    def start(self, q: Array, x: Array, R: Array) -> None:
        self._pose = vector3("x", x), np.array(R)

    def at(self, t: float) -> CartesianReference:
        if self._pose is None:
            raise not_started(self.name)
        x, R = self._pose
        return line_reference(x, np.zeros(3), (0.0, 0.0, 0.0), R)

    def phase(self, t: float) -> str:
        return "hold"


class CartesianMove:
    """Minimum-jerk straight line of the TCP to ``target`` (3,) m, base frame, with peak speed ``speed`` m/s.

    Orientation held. Raises MotionError for values out of range.
    """

    kind: Kind = "cartesian"

    def __init__(self, target: Array, speed: float = 0.1, name: str = "line") -> None:
        self.name = name
        self.target = vector3("target", target)
        self._speed = positive("speed", speed)
        self._pose: tuple[Array, Array] | None = None
        self._delta = np.zeros(3)
        self._duration = math.nan

    @property
    def duration(self) -> float:
        if self._pose is None:
            raise not_started(self.name)
        return self._duration

    def start(self, q: Array, x: Array, R: Array) -> None:
        self._pose = vector3("x", x), np.array(R)
        self._delta = self.target - self._pose[0]
        self._duration = max(min_jerk_duration(float(np.linalg.norm(self._delta)), self._speed), 1e-3)

    def at(self, t: float) -> CartesianReference:
        if self._pose is None:
            raise not_started(self.name)
        x, R = self._pose
        return line_reference(x, self._delta, min_jerk(t, self._duration), R)

    def phase(self, t: float) -> str:
        return "move" if t < self.duration else "hold"

"""Polishing: press on a surface with a normal force and slide around a square."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from drivers.contract import Array
from hil.motion.base import CartesianReference, Kind, MotionError, not_started, positive
from hil.motion.cartesian import line_reference, vector3
from hil.motion.profiles import Cruise, Profile, min_jerk, min_jerk_duration


@dataclass(frozen=True, slots=True, eq=False)
class _Leg:
    """A straight piece: from ``x0`` along ``direction`` (unit or zero), pressing with ``force(t)`` N."""

    phase: str
    duration: float
    x0: Array
    direction: Array
    distance: Callable[[float], Profile]
    force: Callable[[float], float]


class PolishSquare:
    """Approach, touch, press, slide ``laps`` times around a square, release, lift.

    The surface passes through ``centre`` (3,) m, base frame, with ``normal`` (3,) pointing from it to the robot;
    ``side`` m, ``force`` N pressed into the surface, ``speed`` m/s along the edges. The square's edges are parallel
    to the base's x axis (y where x is the normal) projected on the surface. Without ``centre`` the square lies
    below the start pose, ``approach`` m along the normal. Phases:

    - ``approach``: minimum-jerk line to ``approach`` m above the first corner, peak ``travel_speed`` m/s;
    - ``descend``: minimum-jerk line to ``clearance`` m above the surface, peak ``touch_speed`` m/s;
    - ``press``: standing, the force rises over ``ramp`` s and settles for as long; from its first newton on the
      controller leaves the normal direction free, which closes the clearance;
    - ``slide``: along the edges, each from rest to rest with corners of ``corner_time`` s;
    - ``release``: standing, the force falls over ``ramp`` s;
    - ``lift``: minimum-jerk line back to ``approach`` above the surface.

    The orientation of the start is held. Raises MotionError for values out of range.
    """

    kind: Kind = "cartesian"

    def __init__(
        self,
        side: float = 0.1,
        force: float = 20.0,
        speed: float = 0.05,
        laps: int = 1,
        *,
        centre: Array | None = None,
        normal: Array | None = None,
        approach: float = 0.05,
        clearance: float = 0.002,
        ramp: float = 1.0,
        corner_time: float = 0.25,
        travel_speed: float = 0.1,
        touch_speed: float = 0.03,
        name: str = "polish",
    ) -> None:
        self.name = name
        self.side = positive("side", side)
        self.force = positive("force", force)
        self.speed = positive("speed", speed)
        self.approach = positive("approach", approach)
        self.ramp = positive("ramp", ramp)
        self.corner_time = positive("corner_time", corner_time)
        self.travel_speed = positive("travel_speed", travel_speed)
        self.touch_speed = positive("touch_speed", touch_speed)
        if laps < 1:
            raise MotionError(f"laps is {laps}; expected at least 1")
        if not (math.isfinite(clearance) and 0.0 <= clearance < approach):
            raise MotionError(f"clearance is {clearance} m; expected 0 or more and less than approach ({approach} m)")
        self.laps = laps
        self.clearance = clearance
        self.centre = None if centre is None else vector3("centre", centre)
        n = vector3("normal", np.array([0.0, 0.0, 1.0]) if normal is None else normal)
        length = float(np.linalg.norm(n))
        if length < 1e-9:
            raise MotionError("normal is zero; expected the direction from the surface to the robot")
        self.normal = n / length
        axis = np.array([1.0, 0.0, 0.0]) if abs(self.normal[0]) < 0.9 else np.array([0.0, 1.0, 0.0])
        u = axis - axis.dot(self.normal) * self.normal
        self._u = u / np.linalg.norm(u)
        self._v = np.array(np.cross(self.normal, self._u))
        self._legs: list[_Leg] = []
        self._ends: list[float] = []
        self._R = np.eye(3)

    @property
    def duration(self) -> float:
        if not self._legs:
            raise not_started(self.name)
        return self._ends[-1]

    def start(self, q: Array, x: Array, R: Array) -> None:
        x = vector3("x", x)
        self._R = np.array(R)
        n = self.normal
        centre = x - self.approach * n if self.centre is None else self.centre
        half = 0.5 * self.side
        offsets = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))
        corners = [centre + half * (a * self._u + b * self._v) + self.clearance * n for a, b in offsets]
        above = corners[0] + (self.approach - self.clearance) * n
        pressed = self.force
        ramp = self.ramp
        legs = [
            _line("approach", x, above, self.travel_speed),
            _line("descend", above, corners[0], self.touch_speed),
            _stand("press", corners[0], 2.0 * ramp, lambda t: pressed * min_jerk(t, ramp)[0]),
        ]
        edge = Cruise(self.side, self.speed, self.corner_time)
        for i in range(4 * self.laps):
            begin, end = corners[i % 4], corners[(i + 1) % 4]
            direction = (end - begin) / self.side
            legs.append(_Leg("slide", edge.duration, begin, direction, edge.at, lambda t: pressed))
        legs.append(_stand("release", corners[0], ramp, lambda t: pressed * (1.0 - min_jerk(t, ramp)[0])))
        legs.append(_line("lift", corners[0], above, self.touch_speed))
        self._legs = legs
        self._ends = np.cumsum([leg.duration for leg in legs]).tolist()

    def at(self, t: float) -> CartesianReference:
        leg, since = self._leg(t)
        reference = line_reference(leg.x0, leg.direction, leg.distance(since), self._R)
        newtons = leg.force(since)
        if newtons > 0.0:
            reference.force[:3] = -newtons * self.normal
        return reference

    def phase(self, t: float) -> str:
        return self._leg(t)[0].phase if t < self.duration else "hold"

    def _leg(self, t: float) -> tuple[_Leg, float]:
        if not self._legs:
            raise not_started(self.name)
        i = min(bisect_right(self._ends, t), len(self._legs) - 1)
        return self._legs[i], t - (self._ends[i - 1] if i else 0.0)


def _line(phase: str, begin: Array, end: Array, speed: float) -> _Leg:
    length = float(np.linalg.norm(end - begin))
    duration = max(min_jerk_duration(length, speed), 1e-3)
    return _Leg(phase, duration, begin, end - begin, lambda t: min_jerk(t, duration), lambda t: 0.0)


def _stand(phase: str, x: Array, duration: float, force: Callable[[float], float]) -> _Leg:
    return _Leg(phase, duration, x, np.zeros(3), lambda t: (0.0, 0.0, 0.0), force)

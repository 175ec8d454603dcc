"""Pick and place: joint moves between poses above and at an object, the jaws closed and opened where the arm stands."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from drivers.contract import Array
from estimators.rigid_body import RigidBodyModel
from hil.motion.base import JointReference, Kind, MotionError, not_started, positive
from hil.motion.inverse import mirrored_pose, mirrored_posture, solve
from hil.motion.profiles import min_jerk, min_jerk_duration

PHASES = ("approach", "descend", "close", "lift", "carry", "lower", "open", "retreat")


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where an object is grasped or put: ``xyz`` (3,) m of the TCP in the base frame, straight down.

    ``yaw`` rad turns the tool about the vertical; at 0 the TCP's x axis is the base's.
    """

    xyz: Array
    yaw: float = 0.0

    def pose(self, height: float = 0.0) -> tuple[Array, Array]:
        """Position (3,) and orientation (3, 3), ``height`` m above it."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        R = np.array([[c, s, 0.0], [s, -c, 0.0], [0.0, 0.0, -1.0]])
        return np.asarray(self.xyz, dtype=np.float64) + np.array([0.0, 0.0, height]), R


@dataclass(frozen=True, slots=True, eq=False)
class Waypoints:
    """Joint positions, (n,) rad each."""

    above_pick: Array
    pick: Array
    above_place: Array
    place: Array

    def back(self) -> Waypoints:
        """The way that brings the object back."""
        return Waypoints(self.above_place, self.place, self.above_pick, self.pick)


def waypoints(
    model: RigidBodyModel, pick: Place, place: Place, height: float, posture: Array, limits: tuple[Array, Array],
    mirrored: bool = False,
) -> Waypoints:  # fmt: skip
    """Joint positions for both places and for ``height`` m above them, within ``limits`` (q_min, q_max), (n,) rad.

    ``posture`` (n,) rad says where the elbow should be; ``mirrored``: everything as in a mirror in the base's x-z
    plane. Raises MotionError for a place that cannot be reached.
    """
    if mirrored:
        posture = mirrored_posture(model, posture)
    found: list[Array] = []
    for what, where in (("pick", pick), ("place", place)):
        above: Array = posture
        for name, up in ((f"above the {what} position", height), (f"the {what} position", 0.0)):
            x, R = mirrored_pose(*where.pose(up)) if mirrored else where.pose(up)
            # From above the object down to it: the posture of the first is what the second stays close to.
            above = solve(model, x, R, above, *limits, name)
            found.append(above)
    return Waypoints(*found)


class PickPlace:
    """Approach, descend, close, lift, carry, lower, open, retreat.

    Minimum-jerk moves between the joint positions of ``way``, each as fast as ``qd_max`` (n,) rad/s and ``qdd_max``
    (n,) rad/s² allow; ``vertical``: those to and from the object this many times slower. The arm stands for ``dwell`` s
    while the jaws close and while they open; :meth:`jaws` tells when. Ends above the place.

    Raises MotionError for values out of range.
    """

    kind: Kind = "joint"

    def __init__(
        self, way: Waypoints, qd_max: Array, qdd_max: Array, dwell: float = 1.0, vertical: float = 1.0,
        name: str = "pick_place",
    ) -> None:  # fmt: skip
        self.name, self.way = name, way
        self._n = way.pick.shape[0]
        self._qd_max, self._qdd_max = np.array(qd_max, dtype=np.float64), np.array(qdd_max, dtype=np.float64)
        for label, limit in (("qd_max", self._qd_max), ("qdd_max", self._qdd_max)):
            if limit.shape != (self._n,) or not (np.isfinite(limit) & (limit > 0.0)).all():
                raise MotionError(f"{label} is {limit}; expected {self._n} finite values > 0")
        self._dwell = positive("dwell", dwell)
        self._slower = positive("vertical", vertical)
        self._legs: Sequence[tuple[Array, Array]] = ()
        self._durations: list[float] = []
        self._ends: list[float] = []

    @property
    def duration(self) -> float:
        if not self._ends:
            raise not_started(self.name)
        return self._ends[-1]

    def start(self, q: Array, x: Array, R: Array) -> None:
        q = np.array(q, dtype=np.float64)
        if q.shape != (self._n,) or not np.isfinite(q).all():
            raise MotionError(f"motion {self.name!r} cannot begin: the arm's position reads {q}")
        w = self.way
        stations = (q, w.above_pick, w.pick, w.pick, w.above_pick, w.above_place, w.place, w.place, w.above_place)
        self._legs = list(pairwise(stations))
        self._durations = [self._time(phase, a, b) for phase, (a, b) in zip(PHASES, self._legs, strict=True)]
        self._ends = list(accumulate(self._durations))

    def at(self, t: float) -> JointReference:
        k, since = self._leg(t)
        begin, end = self._legs[k]
        s, sd, sdd = min_jerk(since, self._durations[k])
        way = end - begin
        return JointReference(begin + s * way, sd * way, sdd * way)

    def phase(self, t: float) -> str:
        k, _ = self._leg(t)
        return PHASES[k] if t < self.duration else "hold"

    def jaws(self, t: float) -> bool | None:
        """See :class:`hil.motion.base.GrippingMotion`: closed from ``close`` on, open from ``open`` on."""
        k, _ = self._leg(t)
        if k < PHASES.index("close"):
            return None
        return k < PHASES.index("open")

    def back(self) -> PickPlace:
        """The motion that takes the object where this one has put it, and brings it back."""
        return PickPlace(self.way.back(), self._qd_max, self._qdd_max, self._dwell, self._slower, f"{self.name} back")

    def _time(self, phase: str, begin: Array, end: Array) -> float:
        if phase in ("close", "open"):
            return self._dwell
        slower = self._slower if phase in ("descend", "lift", "lower", "retreat") else 1.0
        shortest = max(map(min_jerk_duration, end - begin, self._qd_max, self._qdd_max))
        # A move of no length still takes a moment, so that t/duration is defined.
        return max(slower * shortest, 1e-3)

    def _leg(self, t: float) -> tuple[int, float]:
        if not self._ends:
            raise not_started(self.name)
        k = min(bisect_right(self._ends, t), len(self._ends) - 1)
        return k, t - (self._ends[k - 1] if k else 0.0)

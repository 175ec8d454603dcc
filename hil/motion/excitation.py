"""Motions of an excitation plan: a way to where they begin, then a Fourier trajectory, or moves with dwells.

The way was proven when the plan was made for this cell. An arm that stands elsewhere when the motion begins is led to
it in a straight line of the joints if that is free, and not at all otherwise.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np

from drivers.contract import Array
from estimators.excitation import Fourier, Points
from hil.motion.base import JointReference, Kind, Motion, MotionError
from hil.motion.joint import JointMove
from hil.motion.profiles import min_jerk
from hil.motion.sequence import Sequence as MotionSequence

_APPROACH = "approach"
NEAR = 0.05
"""How far a joint may stand from where the way begins, rad, for the way to hold as proven."""


class FourierMotion:
    """One Fourier trajectory; begins and ends at rest in its middle posture, where the arm must stand."""

    kind: Kind = "joint"

    def __init__(self, fourier: Fourier, name: str = "fourier") -> None:
        self.name = name
        self.fourier = fourier
        self._n = fourier.mid.size
        omega = 2.0 * math.pi / fourier.period * np.arange(1.0, fourier.harmonics + 1.0)
        self._omega = omega
        a, b = fourier.a.T, fourier.b.T
        over, times = (1.0 / omega)[:, None], omega[:, None]
        # One product gives all: rows for sines, then cosines; columns q, qd, qdd.
        self._map = np.block([[a * over, b, -a * times], [-b * over, a, b * times]])

    @property
    def duration(self) -> float:
        return self.fourier.period

    def start(self, q: Array, x: Array, R: Array) -> None:
        off = np.abs(np.asarray(q) - self.fourier.mid)
        if q.shape != (self._n,) or not (off <= NEAR).all():
            raise MotionError(
                f"motion {self.name!r} begins at {np.round(self.fourier.mid, 3).tolist()} rad; the arm stands at "
                f"{np.round(q, 3).tolist()}: lead it there first"
            )

    def at(self, t: float) -> JointReference:
        n = self._n
        if not 0.0 < t < self.fourier.period:
            return JointReference(self.fourier.mid.copy(), np.zeros(n), np.zeros(n))
        angle = self._omega * t
        row = np.concatenate((np.sin(angle), np.cos(angle))).dot(self._map)
        return JointReference(row[:n] + self.fourier.mid, row[n : 2 * n], row[2 * n :])

    def phase(self, t: float) -> str:
        return "excite" if t < self.fourier.period else "hold"


class PointsMotion:
    """Minimum-jerk moves from point to point, with a dwell after each."""

    kind: Kind = "joint"

    def __init__(self, points: Points, name: str = "points") -> None:
        self.name = name
        self.points = points
        self._durations: list[float] = points.durations.tolist()
        self._ends: list[float] = list(accumulate(duration + points.dwell for duration in self._durations))

    @property
    def duration(self) -> float:
        return self._ends[-1]

    def start(self, q: Array, x: Array, R: Array) -> None:
        if q.shape != self.points.q[0].shape or not (np.abs(q - self.points.q[0]) <= NEAR).all():
            raise MotionError(
                f"motion {self.name!r} begins at {np.round(self.points.q[0], 3).tolist()} rad; the arm stands at "
                f"{np.round(q, 3).tolist()}: lead it there first"
            )

    def at(self, t: float) -> JointReference:
        k, since = self._place(t)
        s, sd, sdd = min_jerk(since, self._durations[k])
        way = self.points.q[k + 1] - self.points.q[k]
        return JointReference(self.points.q[k] + s * way, sd * way, sdd * way)

    def phase(self, t: float) -> str:
        k, since = self._place(t)
        return "move" if since < self._durations[k] else "dwell"

    def _place(self, t: float) -> tuple[int, float]:
        k = min(bisect_right(self._ends, t), len(self._ends) - 1)
        return k, t - (self._ends[k - 1] if k else 0.0)


class Excitation:
    """``core``, after moves along ``way`` (m, n) rad, whose last point is where the core begins.

    ``speed`` (n,) rad/s and ``acceleration`` (n,) rad/s² bound those moves. ``blocked(q, q_to)`` says in words what is
    in the way of a straight line of the joints, None if nothing: asked where the arm does not stand at ``way[0]``.
    """

    kind: Kind = "joint"

    def __init__(
        self,
        core: FourierMotion | PointsMotion,
        way: Array,
        speed: Array,
        acceleration: Array,
        blocked: Callable[[Array, Array], str | None],
        name: str,
    ) -> None:
        self.name, self.core, self.way = name, core, way
        self._speed, self._acceleration, self._blocked = speed, acceleration, blocked
        self._whole = self._moves(way[1:])

    @property
    def duration(self) -> float:
        return self._whole.duration

    def start(self, q: Array, x: Array, R: Array) -> None:
        points: Array = self.way[1:]
        if q.shape != self.way[0].shape or not np.isfinite(q).all():
            raise MotionError(f"motion {self.name!r} cannot begin: the arm's position reads {q}")
        if not (np.abs(q - self.way[0]) <= NEAR).all():
            if reason := self._blocked(q, self.way[-1]):
                raise MotionError(
                    f"motion {self.name!r} cannot begin: the arm stands at {np.round(q, 3).tolist()} rad, not where "
                    f"the plan expects it ({np.round(self.way[0], 3).tolist()}), and a straight line to the start is "
                    f"not free ({reason}): lead the arm home first"
                )
            points = self.way[-1:]
        whole = self._moves(points)
        whole.start(q, x, R)
        self._whole = whole

    def at(self, t: float) -> JointReference:
        reference = self._whole.at(t)
        assert isinstance(reference, JointReference)
        return reference

    def phase(self, t: float) -> str:
        name, _, phase = self._whole.phase(t).partition(": ")
        return name if name == _APPROACH else phase

    def _moves(self, points: Array) -> MotionSequence:
        moves: Sequence[Motion] = [
            JointMove(point, qd_max=self._speed, qdd_max=self._acceleration, name=_APPROACH) for point in points
        ]
        return MotionSequence([*moves, self.core], self.name)

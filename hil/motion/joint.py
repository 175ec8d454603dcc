"""Motions in joint space: hold, minimum-jerk move, sinusoids."""

from __future__ import annotations

import math

import numpy as np

from drivers.contract import Array
from hil.motion.base import JointReference, Kind, MotionError, not_started, positive
from hil.motion.profiles import min_jerk, min_jerk_duration


def _joint_vector(name: str, value: Array, n: int | None = None) -> Array:
    vector = np.array(value, dtype=np.float64)
    if vector.ndim != 1 or (n is not None and vector.shape != (n,)) or not np.isfinite(vector).all():
        raise MotionError(f"{name} is {value}; expected {n or 'one finite value per joint'}")
    return vector


class JointHold:
    """Stay where the arm stands at the start."""

    kind: Kind = "joint"

    def __init__(self, name: str = "hold") -> None:
        self.name = name
        self._q: Array | None = None

    @property
    def duration(self) -> float:
        return math.inf

    def start(self, q: Array, x: Array, R: Array) -> None:
        self._q = _joint_vector("q", q)

    def at(self, t: float) -> JointReference:
        if self._q is None:
            raise not_started(self.name)
        return JointReference(self._q.copy(), np.zeros_like(self._q), np.zeros_like(self._q))

    def phase(self, t: float) -> str:
        return "hold"


class JointMove:
    """Minimum-jerk move of all joints together to ``target`` (n,) rad.

    Give ``duration`` in s, or ``qd_max`` (n,) rad/s (and ``qdd_max`` (n,) rad/s²), from which the shortest duration
    follows that keeps them on every joint. Raises MotionError if neither is given or a value is not usable.
    """

    kind: Kind = "joint"

    def __init__(
        self,
        target: Array,
        *,
        duration: float | None = None,
        qd_max: Array | None = None,
        qdd_max: Array | None = None,
        name: str = "move",
    ) -> None:
        self.name = name
        self.target = _joint_vector("target", target)
        n = self.target.shape[0]
        if duration is None and qd_max is None:
            raise MotionError("a joint move needs a duration or qd_max; neither was given")
        self._given = None if duration is None else positive("duration", duration)
        self._qd_max = None if qd_max is None else _joint_vector("qd_max", qd_max, n)
        self._qdd_max = np.full(n, math.inf) if qdd_max is None else _joint_vector("qdd_max", qdd_max, n)
        for label, limit in (("qd_max", self._qd_max), ("qdd_max", self._qdd_max)):
            if limit is not None and not (limit > 0.0).all():
                raise MotionError(f"{label} is {limit}; expected values > 0")
        self._q: Array | None = None
        self._delta = np.zeros(n)
        self._duration = math.nan

    @property
    def duration(self) -> float:
        if self._q is None and self._given is None:
            raise not_started(self.name)
        return self._duration if self._given is None else self._given

    def start(self, q: Array, x: Array, R: Array) -> None:
        self._q = _joint_vector("q", q, self.target.shape[0])
        self._delta = self.target - self._q
        shortest = 0.0
        if self._qd_max is not None:
            shortest = max(map(min_jerk_duration, self._delta, self._qd_max, self._qdd_max))
        if self._given is not None and shortest > self._given * (1.0 + 1e-9):
            raise MotionError(
                f"duration is {self._given} s; within qd_max and qdd_max this move takes {shortest:.3f} s"
            )
        # A move of no length still takes a moment, so that t/duration is defined.
        self._duration = max(shortest, 1e-3)

    def at(self, t: float) -> JointReference:
        if self._q is None:
            raise not_started(self.name)
        s, sd, sdd = min_jerk(t, self.duration)
        return JointReference(self._q + s * self._delta, sd * self._delta, sdd * self._delta)

    def phase(self, t: float) -> str:
        return "move" if t < self.duration else "hold"


class JointSinusoids:
    """Each joint swings about the start: ``amplitude`` (n,) rad, ``frequency`` (n,) Hz, fading in and out.

    The amplitude follows a minimum-jerk step up over ``ramp`` s and down over the last ``ramp`` s of ``duration`` s,
    so the motion starts and ends at rest in the start pose. Raises MotionError for values out of range.
    """

    kind: Kind = "joint"

    def __init__(
        self, amplitude: Array, frequency: Array, duration: float, ramp: float = 1.0, name: str = "sinusoids"
    ) -> None:
        self.name = name
        self.amplitude = _joint_vector("amplitude", amplitude)
        self._omega = 2.0 * math.pi * _joint_vector("frequency", frequency, self.amplitude.shape[0])
        if (self._omega < 0.0).any():
            raise MotionError(f"frequency is {frequency}; expected values >= 0 Hz")
        self._duration = positive("duration", duration)
        self._ramp = positive("ramp", ramp)
        if 2.0 * ramp > duration:
            raise MotionError(f"ramp is {ramp} s and duration {duration} s; fading in and out must fit into it")
        self._q: Array | None = None

    @property
    def duration(self) -> float:
        return self._duration

    def start(self, q: Array, x: Array, R: Array) -> None:
        self._q = _joint_vector("q", q, self.amplitude.shape[0])

    def at(self, t: float) -> JointReference:
        if self._q is None:
            raise not_started(self.name)
        f, fd, fdd = min_jerk(t, self._ramp)
        if t > self._duration - self._ramp:
            f, fd, fdd = min_jerk(self._duration - t, self._ramp)
            fd = -fd
        w = self._omega
        angle = w * t
        s = self.amplitude * np.sin(angle)
        c = self.amplitude * w * np.cos(angle)
        return JointReference(self._q + f * s, fd * s + f * c, (fdd - f * w * w) * s + (2.0 * fd) * c)

    def phase(self, t: float) -> str:
        if t < self._ramp:
            return "fade in"
        if t < self._duration - self._ramp:
            return "swing"
        return "fade out" if t < self._duration else "hold"

"""Scalar profiles from 0 to 1 or 0 to a length, at rest at both ends, with first and second derivatives."""

from __future__ import annotations

from dataclasses import dataclass

MIN_JERK_SPEED = 1.875
"""Peak speed of a minimum-jerk move of unit length and duration: 15/8."""
MIN_JERK_ACCELERATION = 5.773502691896258
"""Its peak acceleration: 10/√3."""

Profile = tuple[float, float, float]


def min_jerk(t: float, duration: float) -> Profile:
    """Minimum-jerk step from 0 to 1 within ``duration`` s: value, 1/s, 1/s². Constant outside."""
    if t <= 0.0:
        return 0.0, 0.0, 0.0
    if t >= duration:
        return 1.0, 0.0, 0.0
    u = t / duration
    w = 1.0 - u
    return (
        u * u * u * (10.0 + u * (6.0 * u - 15.0)),
        30.0 * (u * w) ** 2 / duration,
        60.0 * u * w * (1.0 - 2.0 * u) / (duration * duration),
    )


def min_jerk_duration(distance: float, speed: float, acceleration: float = float("inf")) -> float:
    """Shortest duration, s, of a minimum-jerk move over ``distance`` that keeps both limits (same length unit)."""
    d = abs(distance)
    return float(max(MIN_JERK_SPEED * d / speed, (MIN_JERK_ACCELERATION * d / acceleration) ** 0.5))


@dataclass(frozen=True, slots=True)
class Cruise:
    """A straight path of ``length`` at constant ``speed`` with minimum-jerk corners of ``ramp`` s.

    The speed follows the minimum-jerk step, so acceleration is continuous and zero at both ends. On a path too short
    to reach ``speed`` the peak is lower. Both in the unit of length of the caller.
    """

    length: float
    speed: float
    ramp: float

    @property
    def peak(self) -> float:
        """The speed that is reached: each ramp covers peak·ramp/2."""
        return min(self.speed, self.length / self.ramp)

    @property
    def duration(self) -> float:
        """Seconds from rest to rest."""
        return self.length / self.peak + self.ramp if self.length > 0.0 else 0.0

    def at(self, t: float) -> Profile:
        """Distance, speed and acceleration ``t`` seconds after the start."""
        total = self.duration
        if t <= 0.0 or total == 0.0:
            return 0.0, 0.0, 0.0
        if t >= total:
            return self.length, 0.0, 0.0
        if t > total / 2.0:
            s, sd, sdd = self.at(total - t)
            return self.length - s, sd, -sdd
        if t >= self.ramp:
            return self.peak * (t - self.ramp / 2.0), self.peak, 0.0
        step, rate, _ = min_jerk(t, self.ramp)
        u = t / self.ramp
        # Integral of the step: u⁴ (5/2 − 3 u + u²) times the ramp.
        travelled = self.ramp * u * u * u * u * (2.5 + u * (u - 3.0))
        return self.peak * travelled, self.peak * step, self.peak * rate

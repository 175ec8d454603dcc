"""Force regulation along one direction: integral feedback on the measured contact force, bounded and gated.

Feed-forward alone presses with the wrong force, because the robot's own gravity model and the friction in its joints
stand between torque and tip. The integral takes that error out where a wrench sensor is there to see it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hil.control.base import number


@dataclass(frozen=True, slots=True)
class ForceParams:
    """Force feedback while a reference presses. Raises ControlError if out of range."""

    ki: float = 10.0
    """Integral gain, 1/s: a force error fades with time constant 1/ki; 0: feed-forward only."""
    low_pass: float = 16.0
    """Cut-off of the low-pass on the measured force, Hz."""
    limit: float = 30.0
    """Largest correction, N: what gravity error and friction can amount to at the tip."""
    contact: float = 2.0
    """Measured force from which there is contact, N; lost below a quarter of it."""
    search_rate: float = 5.0
    """Before there is contact the correction grows no faster than this, N/s, so that the surface is met gently."""

    def __post_init__(self) -> None:
        number("ki", self.ki)
        number("low_pass", self.low_pass, above=True)
        number("limit", self.limit)
        number("contact", self.contact, above=True)
        number("search_rate", self.search_rate)


class ForceLoop:
    """State of the force feedback along the pressing direction. Forces are what the robot exerts, N."""

    def __init__(self, params: ForceParams) -> None:
        self.params = params
        self.begin(0.0)

    def begin(self, correction: float) -> None:
        """Start to press with this correction already acting (the disturbance that the spring held until now)."""
        limit = self.params.limit
        self.correction = min(max(correction, -limit), limit)
        self.contact = False
        self._filtered = math.nan

    def update(self, wanted: float, measured: float, dt: float) -> float:
        """The correction to add to the wanted force; frozen while ``measured`` is NaN."""
        p = self.params
        if not (math.isfinite(measured) and dt > 0.0):
            return self.correction
        if math.isnan(self._filtered):
            self._filtered = measured
        else:
            self._filtered += (1.0 - math.exp(-2.0 * math.pi * p.low_pass * dt)) * (measured - self._filtered)
        self.contact = self._filtered > (0.25 * p.contact if self.contact else p.contact)
        if p.ki == 0.0:
            return self.correction
        rate = p.ki * (wanted - self._filtered)
        if not self.contact:
            rate = min(max(rate, -p.search_rate), p.search_rate)
        self.correction = min(max(self.correction + rate * dt, -p.limit), p.limit)
        return self.correction

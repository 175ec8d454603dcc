"""Limits of contact force and pressure, from a table that the cell's owner supplies with its source.

The terms are those of ISO 10218-2:2025 and ISO/TS 15066: a *transient* contact is a blow that the person can retreat
from and lasts less than half a second; a *quasi-static* one clamps, and lasts. The standards' numbers are copyrighted
and are not part of this toolkit. What is judged is the contact force that the observer sees at the TCP, with its 95 %
band on top: a coarse observer stops the arm earlier.

A program on a PC is no rated safety function, and this does not replace the measurement that the standards ask for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from drivers.contract import Array
from safety.faults import FaultCode, FaultReport, Findings
from safety.limits import LimitsError

TRANSIENT_TIME = 0.5
"""Longest transient contact, s (ISO/TS 15066, 3.4 and 3.5)."""
BAND = 1.96
"""Standard deviations of a two-sided 95 % band."""


@dataclass(frozen=True)
class ContactLimits:
    """Force limits in force for one cell, N, pressures already turned into forces. Raises LimitsError unless
    ``0 < quasi_static ≤ transient``, both finite, and both words are there."""

    transient: float
    quasi_static: float
    by: str
    """What binds: body region, force or pressure."""
    source: str
    """Where the numbers come from, in the words of who supplied them."""

    def __post_init__(self) -> None:
        numbers = (self.quasi_static, self.transient)
        if not all(map(math.isfinite, numbers)) or not 0.0 < self.quasi_static <= self.transient:
            raise LimitsError(
                [f"contact limits: read quasi-static {self.quasi_static:g} N, transient {self.transient:g} N; expected "
                 "0 < quasi-static ≤ transient"]
            )  # fmt: skip
        if not self.by or not self.source:
            raise LimitsError(["contact limits: they need a source, and a word on what binds"])


@dataclass(frozen=True, slots=True)
class Band:
    """A force magnitude and its 95 % band, N; NaN where it is not known."""

    force: float
    upper: float


def force_band(force: Array, covariance: Array) -> Band:
    """Magnitude of ``force`` (3,) N with the band from its ``covariance`` (3, 3) N² along itself, to first order.

    NaN where anything is not finite or the variance along the force is negative. At zero force, which has no
    direction, the band is that of the trace: no direction has more.
    """
    fx, fy, fz = force.tolist()
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = covariance.tolist()
    squared = fx * fx + fy * fy + fz * fz
    if squared > 0.0:
        along = fx * fx * xx + fy * fy * yy + fz * fz * zz
        across = fx * fy * (xy + yx) + fx * fz * (xz + zx) + fy * fz * (yz + zy)
        variance = (along + across) / squared
    else:
        variance = xx + yy + zz
    # One sum is finite only where all of it is.
    if not math.isfinite(squared + variance + xx + yy + zz) or variance < 0.0 or min(xx, yy, zz) < 0.0:
        return Band(math.nan, math.nan)
    size = math.sqrt(squared)
    return Band(size, size + BAND * math.sqrt(variance))


class ContactMonitor:
    """The contact limits of one arm; call :meth:`check` once per cycle while commands are permitted.

    Time above the quasi-static limit adds up, and is taken back at the same pace below it: a force that swings about
    the limit clamps as well.
    """

    def __init__(self, limits: ContactLimits, patience: float = 0.05) -> None:
        """``patience``: how long the force may be unknown, s. Raises LimitsError where it is not above zero."""
        if not (math.isfinite(patience) and patience > 0.0):
            raise LimitsError([f"patience: read {patience}, expected seconds above zero"])
        self.limits = limits
        self._patience = patience
        self.reset()

    def reset(self) -> None:
        """Forget what was felt."""
        self.above_for = 0.0
        """Time above the quasi-static limit, s, at most :data:`TRANSIENT_TIME` and a cycle."""
        self._unknown_for = 0.0

    def check(self, force: Array, covariance: Array, dt: float, tick: int, now_ns: int) -> list[FaultReport]:
        """All faults of this cycle. ``force`` (3,) N and ``covariance`` (3, 3) N² at the TCP, NaN where unknown; ``dt``
        seconds since the check before. A ``dt`` that is no positive number counts as the whole patience: time that
        is not known is not short."""
        found, limits = Findings(tick, now_ns), self.limits
        dt = dt if math.isfinite(dt) and dt > 0.0 else self._patience
        band = force_band(force, covariance)
        if math.isnan(band.upper):
            self._unknown_for += dt
            # Nobody knows that the force went down.
            self.above_for += dt if self.above_for > 0.0 else 0.0
            if self._unknown_for > self._patience:
                found.add(FaultCode.CONTACT_UNKNOWN, self._unknown_for, self._patience)
        else:
            self._unknown_for = 0.0
            above = band.upper > limits.quasi_static
            self.above_for = self.above_for + dt if above else max(0.0, self.above_for - dt)
            if band.upper > limits.transient:
                found.add(FaultCode.CONTACT_TRANSIENT, band.upper, limits.transient, detail=self._words(band))
        if self.above_for > TRANSIENT_TIME:
            lasted = f"for {self.above_for:.2f} s, {self._words(band)}"
            found.add(FaultCode.CONTACT_QUASI_STATIC, band.upper, limits.quasi_static, detail=lasted)
            self.above_for = TRANSIENT_TIME
        return found.reports

    def _words(self, band: Band) -> str:
        seen = f"{band.force:.3g} N seen" if math.isfinite(band.force) else "force unknown now"
        return f"{seen} and its 95 % band; {self.limits.by}, {self.limits.source}"

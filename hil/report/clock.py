"""Which clock a run kept, and what the operating system granted it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hil.report.timing import Quantiles, durations, quantiles
from hil.telemetry.log import Log


@dataclass(frozen=True, slots=True)
class Clock:
    """Whose time a run was in."""

    realtime: bool | None
    """The wall clock's, and nobody waited for us; None if the log does not say."""
    paced: bool
    """Lockstep that was never faster than real time."""
    granted: tuple[str, ...]
    """What the operating system granted."""
    refused: tuple[str, ...]
    """What it refused."""
    in_a_row: int
    """Most ticks skipped in a row."""
    wake: Quantiles | None
    """From the packet's arrival in the kernel to our waking, s; None where it was not measured."""

    @property
    def sentence(self) -> str:
        """In words, for the verdict."""
        if self.realtime is None:
            return "unknown"
        if not self.realtime:
            return "no: lockstep, tied to real time" if self.paced else "no: lockstep, as fast as it went"
        words = "yes: " + (", ".join(self.granted) or "no privileges")
        return f"{words}; refused: {', '.join(self.refused)}" if self.refused else words


def clock_of(log: Log) -> Clock:
    """What ``log`` says about its clock."""
    realtime = log.meta("run", "realtime")
    grants = log.meta("realtime", "grants")
    found = [g for g in grants if isinstance(g, Mapping)] if isinstance(grants, list) else []
    late = durations(log, "wall_late_ns")
    return Clock(
        realtime=realtime if isinstance(realtime, bool) else None,
        paced=log.meta("run", "paced") is not False,
        granted=tuple(str(g.get("what")) for g in found if g.get("granted")),
        refused=tuple(str(g.get("what")) for g in found if not g.get("granted")),
        in_a_row=_in_a_row(log),
        wake=quantiles(late) if realtime and len(late) else None,
    )


def _in_a_row(log: Log) -> int:
    if "skipped" not in (log.cycle.dtype.names or ()) or len(log.cycle) < 2:
        return 0
    return max(0, int(np.diff(log.cycle["skipped"]).max()))

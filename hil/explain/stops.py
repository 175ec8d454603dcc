"""The stops in a log: what tripped, which stop was asked for, and what the arm did until it stood."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hil.telemetry.log import Log
from hil.telemetry.row import TIMING
from hil.telemetry.schema import Event
from safety.faults import SPECS, FaultCode
from safety.stops import StopParams

Array = npt.NDArray[np.float64]
Table = npt.NDArray[Any]

STANDSTILL_SPEED = StopParams().standstill_speed
"""rad/s; a joint that is slower stands."""
STANDSTILL_S = StopParams().standstill_time
"""For so long all joints must have been that slow."""
NEEDED = frozenset(("tick", "t_ns", "q", "qd", "stop_category", "fault"))
"""Fields of ``/cycle`` without which nothing can be said about a stop."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The part of a log that explaining needs; a supervisor makes one of its own last seconds."""

    rows: Table
    """Of ``/cycle``, shape (N,)."""
    timing: Table | None
    """Of ``/timing``, one for each of ``rows``; None where it is not known."""
    events: Sequence[Event]
    meta: Callable[[str, str], Any]
    """Table and key of the metadata → value; None where there is none."""

    @classmethod
    def of(cls, log: Log) -> View:
        """The whole log."""
        timing = log.channels.get(TIMING)
        same = timing is not None and len(timing) == len(log.cycle)
        return cls(log.cycle, timing if same else None, log.events, log.meta)

    def has(self, *names: str) -> bool:
        """Whether the rows hold all these fields."""
        return set(names) <= set(self.rows.dtype.names or ())

    def column(self, name: str) -> Table:
        """A field of the rows, of either channel. Raises KeyError."""
        if self.has(name):
            return np.asarray(self.rows[name])
        if self.timing is not None and name in (self.timing.dtype.names or ()):
            return np.asarray(self.timing[name])
        raise KeyError(name)

    @property
    def period(self) -> float:
        """Median distance of the rows, s; 1 ms where that is not known."""
        if len(self.rows) < 2:
            return 1e-3
        return float(np.median(np.diff(self.rows["t_ns"]))) * 1e-9 or 1e-3


@dataclass(frozen=True, slots=True)
class Tripped:
    """One fault of a stop."""

    code: FaultCode | None
    """None for a fault that today's registry does not know."""
    headline: str
    value: float
    """What was read; NaN where the fault has no number, or the log does not hold it."""
    limit: float
    joint: int | None
    """Counted from 0; None where it is not about one joint."""
    tick: int
    after: float
    """Since the stop's beginning, s."""

    @property
    def unit(self) -> str:
        """SI unit of value and limit."""
        return "" if self.code is None else SPECS[self.code].unit

    @property
    def margin(self) -> float:
        """By how much the value is beyond its limit, as a negative number; NaN where either is not known."""
        return -abs(abs(self.value) - abs(self.limit))


@dataclass(frozen=True, slots=True, eq=False)
class Stop:
    """One stop, and what the arm did in it."""

    begin: int
    """Its first row."""
    over: int
    """The row after its last."""
    category: int
    """The most severe IEC 60204-1 category that was asked for; -1: nothing moved, so nothing was stopped."""
    tripped: tuple[Tripped, ...]
    """In the order in which they came; none where a person, or the run's end, asked for the stop."""
    asked: str
    """Who asked for it where nothing tripped, in words."""
    planned: bool
    """It is the run's own end."""
    time: float
    """From its first row until every joint stood, s; NaN where that was not seen."""
    distance: Array
    """Largest distance of each joint from where the stop began, (n,) rad; NaN where nothing was seen."""
    speed: Array
    """Speed of each joint when it began, (n,) rad/s."""
    off: float
    """From its first row until the power was taken away, s; NaN where it was not."""


def find_stops(view: View) -> list[Stop]:
    """All stops of ``view``, the oldest first; faults that were latched while nothing moved among them."""
    rows = view.rows
    if not len(rows) or not set(rows.dtype.names or ()) >= NEEDED:
        return []
    asked = (rows["stop_category"] >= 0) | (rows["fault"] != 0)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], asked, [False])).astype(np.int8)))
    stops = [_stop(view, int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    died = next((e.text for e in view.events if e.kind == "died"), "")
    if died and not asked[-1]:
        # What the arm did then, nobody saw.
        nothing = np.full(rows["q"].shape[1], math.nan)
        last, speed = len(rows) - 1, np.abs(rows["qd"][-1])
        stops.append(Stop(last, last + 1, -1, (), died, False, math.nan, nothing, speed, math.nan))
    return stops


def _stop(view: View, begin: int, end: int) -> Stop:
    rows = view.rows
    category = rows["stop_category"][begin:end]
    under_way = np.flatnonzero(category >= 0)
    over = begin + int(under_way[-1]) + 1 if len(under_way) else begin + 1
    first, last = int(rows["tick"][begin]), int(rows["tick"][end - 1])
    t_ns = int(rows["t_ns"][begin])
    # Between two cycles an event carries the tick of the cycle before.
    within = [e for e in view.events if first - 1 <= e.tick <= last]
    tripped = tuple(_tripped(event, t_ns) for event in within if event.kind == "fault")
    off = next(((e.t_ns - t_ns) * 1e-9 for e in within if e.kind == "off"), math.nan)
    note = _asked_by([e for e in view.events if first - 50 <= e.tick <= first + 1])
    planned = not tripped and not note and view.meta("run", "operated") is False and end == len(rows)
    asked = "" if tripped else note or ("the run came to its end" if planned else "asked for; no check tripped")
    # The joints are followed until the brakes have closed: an arm may sag into them.
    time, distance = _followed(rows[begin : max(over, min(end, over + round(0.1 / view.period)))])
    worst = int(category[under_way].min()) if len(under_way) else -1
    return Stop(begin, over, worst, tripped, asked, planned, time, distance, np.abs(rows["qd"][begin]), off)


def _asked_by(events: Sequence[Event]) -> str:
    """Who asked for a stop, by the events around its beginning; empty where none of them says so."""
    for event in events:
        if event.kind in ("note", "down") or (event.kind == "verb" and event.data.get("verb") == "stop"):
            return event.text
    return ""


def _followed(rows: Table) -> tuple[float, Array]:
    """Time to standstill, and largest distance of each joint."""
    q, qd = rows["q"], np.abs(rows["qd"])
    seen = np.isfinite(q).all(axis=1)
    if "arm_valid" in (rows.dtype.names or ()):
        seen &= rows["arm_valid"] != 0
    if not seen.any():
        return math.nan, np.full(q.shape[1], math.nan)
    distance: Array = np.abs(q[seen] - q[seen][0]).max(axis=0)
    moving = ~(qd.max(axis=1) <= STANDSTILL_SPEED) | ~seen
    t = (rows["t_ns"] - rows["t_ns"][0]) * 1e-9
    # The first time at which it stands for long enough; closing brakes may shake it once more.
    edges = np.flatnonzero(np.diff(np.concatenate(([True], moving, [True])).astype(np.int8)))
    for stood, moved in zip(edges[::2], edges[1::2], strict=True):
        if t[moved - 1] - t[stood] >= STANDSTILL_S - 1.5 * (t[1] - t[0] if len(t) > 1 else 0.0):
            return float(t[stood]), distance
    return math.nan, distance


def _tripped(event: Event, t_ns: int) -> Tripped:
    data = event.data
    try:
        code = FaultCode(data.get("code"))
    except ValueError:
        code = None
    joint = data.get("joint")
    return Tripped(
        code,
        event.text,
        _number(data.get("value")),
        _number(data.get("limit")),
        joint if isinstance(joint, int) else None,
        event.tick,
        (event.t_ns - t_ns) * 1e-9,
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan

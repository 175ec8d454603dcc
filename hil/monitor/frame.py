"""Everything that the monitor shows at one moment, as plain values.

SI units; NaN where nothing is known. A frame knows neither where it came from nor how it is drawn.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from math import nan

OLD_AFTER = 0.5
"""Age from which cycle data are called old, s."""
SIX = (nan,) * 6


class Mood(enum.Enum):
    """What a colour says, next to the word that says it too."""

    GOOD = "good"
    ACTIVE = "active"
    ATTENTION = "attention"
    BAD = "bad"
    UNKNOWN = "unknown"


class Link(enum.Enum):
    """Where the source of the frames is."""

    LIVE = "live"
    """The cell answers."""
    SILENT = "silent"
    """The cell's process is there and does not answer."""
    GONE = "gone"
    """No such cell runs now."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One latched fault in words."""

    headline: str
    causes: tuple[str, ...]
    remedy: str


@dataclass(frozen=True, slots=True)
class Safety:
    """The safety state for an operator."""

    word: str
    sentence: str
    advice: str
    """What to do next; empty for nothing."""
    mood: Mood
    since: str = ""
    """Time of day, HH:MM:SS."""
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Joint:
    """One joint against its limits."""

    name: str
    q: float
    q_min: float
    q_max: float
    qd: float
    qd_max: float
    tau: float
    tau_max: float


@dataclass(frozen=True, slots=True)
class Wrench:
    """Contact wrench at the TCP, base axes, environment on robot: (6,) each, N and N·m."""

    estimated: tuple[float, ...] = SIX
    estimated_sd: tuple[float, ...] = SIX
    measured: tuple[float, ...] | None = None
    """None in a cell without a wrench sensor."""
    contact: int = -1
    """1 for contact, 0 for none, -1 unknown, by the observer's detector."""
    level: float = nan
    """Its statistic by its threshold; NaN where there is none."""


@dataclass(frozen=True, slots=True)
class CycleTimes:
    """How long the newest cycles took by the wall clock, s."""

    count: int = 0
    """Cycles that the quantiles are of."""
    p50: float = nan
    p99: float = nan
    max: float = nan
    period: float = nan
    rate: float = nan
    """Cycles per second of wall-clock time."""
    missed: int = 0
    """Cycles seen that took longer than the period."""
    seen: int = 0
    """Cycles seen since the monitor was attached."""
    unseen: int = 0
    """Cycles in between whose rows did not get here; the cell had them."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device and its link."""

    name: str
    kind: str
    state: str
    valid: bool
    age: float = nan
    """Age of its newest frame, s."""
    quality: float = nan
    """0 to 1."""
    gaps: int = 0
    refused: int = 0
    notes: tuple[str, ...] = ()
    """Flags, and what is not as usual."""


@dataclass(frozen=True, slots=True)
class FeedForward:
    """A learnt feed-forward torque and the stiffness that follows its uncertainty, each joint."""

    kp: tuple[float, ...]
    """N·m/rad."""
    sd: tuple[float, ...]
    """N·m."""
    mass: float = nan
    """Estimated load, kg; NaN: not estimated."""
    mass_sd: float = nan
    """kg."""
    version: int = -1
    """Of the model that is learnt on; -1: it is not."""


@dataclass(frozen=True, slots=True)
class MotionProgress:
    """The motion under way."""

    name: str
    elapsed: float
    duration: float
    """s; 0 where it has no end."""


@dataclass(frozen=True, slots=True)
class EventLine:
    """Something that happened."""

    time: str
    """HH:MM:SS."""
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Frame:
    """One moment of one cell."""

    cell: str
    link: Link
    safety: Safety
    mocks: bool | None = None
    """Simulated devices; None: not known yet."""
    age: float = nan
    """Age of the newest cycle's data, s; NaN before the first."""
    motion: MotionProgress | None = None
    motions: tuple[str, ...] = ()
    log: str = ""
    """The log that is being written; empty for none."""
    joints: tuple[Joint, ...] = ()
    wrench: Wrench = field(default_factory=Wrench)
    cycle: CycleTimes = field(default_factory=CycleTimes)
    devices: tuple[Device, ...] = ()
    feed_forward: FeedForward | None = None
    """None where no controller of that kind runs now."""
    events: tuple[EventLine, ...] = ()
    """Oldest first."""

    @property
    def old(self) -> bool:
        """The figures of the cycle are not those of now."""
        return not self.age <= OLD_AFTER

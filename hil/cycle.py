"""What one cycle of the supervisor holds, as its recorder sees it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from drivers.contract import Array, LinkHealth, RobotSample, TorqueCommand, WrenchSample
from estimators.rigid_body import Dynamics
from hil.control.shown import Shown
from hil.gripping import Grip
from hil.motion import Reference
from hil.realtime.skips import TickCount
from safety.states import SafetyMachine


@dataclass(slots=True, eq=False)
class Estimate:
    """What the estimators made of one sample. NaN until there is one."""

    tau_ext: Array
    P: Array
    wrench: Array
    """Contact wrench from joint torques, at the TCP, base axes, environment on robot, (6,)."""
    wrench_cov: Array
    wrench_ft: Array
    """The same from the F/T sensor, (6,)."""
    nis: float = math.nan
    """Normalised innovation squared of the observer's last step; NaN where it has none."""
    contact: int = -1
    """1 for contact, 0 for none, -1 unknown, by the observer's own detector (:mod:`estimators.kvark.detection`)."""
    contact_level: float = math.nan
    """The detector's statistic by its threshold; NaN unknown."""
    known: bool = False
    """The observer has made something of this very cycle's sample; else all of the above is old or NaN."""


@dataclass(slots=True, eq=False)
class Decision:
    """What one cycle decided; the arrays are NaN where nothing was commanded."""

    wanted: Array
    tau: Array
    q_ref: Array
    limited: npt.NDArray[np.int64]
    sent: bool = False


class CycleView(Protocol):
    """The state of a supervisor at the end of a cycle."""

    machine: SafetyMachine
    phase: str
    tick: int
    sample: RobotSample | None
    wrench: WrenchSample | None
    estimate: Estimate
    dyn: Dynamics | None
    reference: Reference | None
    gains: Shown | None
    """What a controller with a learnt feed-forward did in this cycle; None where none ran."""
    stop_category: int
    skips: TickCount
    late_ns: int
    asked: TorqueCommand | None
    """What a controller or a program asked for in this cycle; None where none did."""
    judged_ns: int
    """When the gate last judged a command in this cycle; -1 if it judged none."""
    compared: int
    """1 if joint torques and wrench sensor were compared, 0 if not, -1 if nothing was checked."""

    @property
    def health(self) -> LinkHealth: ...

    @property
    def sensor_health(self) -> LinkHealth | None: ...

    @property
    def moving(self) -> bool: ...

    @property
    def grip(self) -> Grip | None: ...


class RowWriter(Protocol):
    """Where the supervisor's rows and events go."""

    def begin(self, tick: int, t_ns: int) -> None:
        """A cycle begins: what happens from now on belongs to this tick."""
        ...

    def write(self, cycle: CycleView, decision: Decision, woke: int, read_ns: int, write_ns: int) -> None:
        """Record one cycle; ``woke`` and the two durations are wall-clock ns."""
        ...

    def event(self, kind: str, text: str, **data: Any) -> None:
        """Record that something happened."""
        ...

"""The state machine of the supervisor: pure, total, and never moving on by itself.

::

    OFFLINE ──DEVICES_READY──► READY ──ENABLE──► ENABLED ──STOP, FAULT, DEVICES_LOST──► STOPPING
       ▲                        │ ▲                                                        │
       └──────DEVICES_LOST──────┘ └──────────── STANDSTILL, nothing latched ───────────────┤
                                ▲                                                          │
                                └─ACKNOWLEDGE, devices healthy── FAULTED ◄──STANDSTILL─────┘

A fault latches. It is cleared by ACKNOWLEDGE in FAULTED and by nothing else, some not even by that, and after it the
arm is READY, not ENABLED: a person starts anew.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from safety.faults import FaultCode, FaultReport, Findings, final


class State(enum.Enum):
    OFFLINE = "offline"
    """A device is missing or not valid."""
    READY = "ready"
    """Devices are fit; nothing is commanded."""
    ENABLED = "enabled"
    """A motion may command."""
    STOPPING = "stopping"
    """The stop controller commands, or the power is going away."""
    FAULTED = "faulted"
    """The arm stands, a fault is latched."""


class Event(enum.Enum):
    DEVICES_READY = "devices ready"
    DEVICES_LOST = "devices lost"
    ENABLE = "enable"
    STOP = "stop"
    FAULT = "fault"
    STANDSTILL = "standstill"
    """The stop is completed (``StopStep`` of kind DONE)."""
    ACKNOWLEDGE = "acknowledge"


class Context(NamedTuple):
    """What a transition depends on besides state and event."""

    healthy: bool
    """All devices are there and valid now."""
    latched: bool
    """A fault is latched, the one of this event included."""
    held: bool = False
    """A stop of category 2 has brought the arm to rest and holds it under power."""
    final: bool = False
    """A latched fault can never be cleared in this run."""


class Transition(NamedTuple):
    state: State
    accepted: bool
    """False: the request was refused and nothing changed."""
    reason: str
    """One sentence for a person."""


_S, _E = State, Event
_TABLE: dict[tuple[State, Event], Transition] = {
    (_S.OFFLINE, _E.DEVICES_READY): Transition(_S.READY, True, "all devices are ready"),
    (_S.OFFLINE, _E.DEVICES_LOST): Transition(_S.OFFLINE, True, "devices are still missing"),
    (_S.OFFLINE, _E.ENABLE): Transition(_S.OFFLINE, False, "cannot enable: a device is missing or not valid"),
    (_S.OFFLINE, _E.STOP): Transition(_S.OFFLINE, True, "nothing moves"),
    (_S.OFFLINE, _E.FAULT): Transition(_S.FAULTED, True, "fault latched"),
    (_S.OFFLINE, _E.STANDSTILL): Transition(_S.OFFLINE, True, "nothing was moving"),
    (_S.OFFLINE, _E.ACKNOWLEDGE): Transition(_S.OFFLINE, False, "no fault is latched"),
    (_S.READY, _E.DEVICES_READY): Transition(_S.READY, True, "already ready"),
    (_S.READY, _E.DEVICES_LOST): Transition(_S.OFFLINE, True, "a device is gone"),
    (_S.READY, _E.STOP): Transition(_S.READY, True, "nothing moves"),
    (_S.READY, _E.FAULT): Transition(_S.FAULTED, True, "fault latched"),
    (_S.READY, _E.STANDSTILL): Transition(_S.READY, True, "nothing was moving"),
    (_S.READY, _E.ACKNOWLEDGE): Transition(_S.READY, False, "no fault is latched"),
    (_S.ENABLED, _E.DEVICES_READY): Transition(_S.ENABLED, True, "already enabled"),
    (_S.ENABLED, _E.DEVICES_LOST): Transition(_S.STOPPING, True, "a device is gone: stopping"),
    (_S.ENABLED, _E.ENABLE): Transition(_S.ENABLED, False, "already enabled"),
    (_S.ENABLED, _E.STOP): Transition(_S.STOPPING, True, "stopping"),
    (_S.ENABLED, _E.FAULT): Transition(_S.STOPPING, True, "fault latched: stopping"),
    (_S.ENABLED, _E.STANDSTILL): Transition(_S.ENABLED, False, "no stop was under way"),
    (_S.ENABLED, _E.ACKNOWLEDGE): Transition(_S.ENABLED, False, "no fault is latched"),
    (_S.STOPPING, _E.DEVICES_READY): Transition(_S.STOPPING, True, "still stopping"),
    (_S.STOPPING, _E.DEVICES_LOST): Transition(_S.STOPPING, True, "a device is gone: still stopping"),
    (_S.STOPPING, _E.STOP): Transition(_S.STOPPING, True, "already stopping"),
    (_S.STOPPING, _E.FAULT): Transition(_S.STOPPING, True, "fault latched: still stopping"),
    (_S.STOPPING, _E.ACKNOWLEDGE): Transition(_S.STOPPING, False, "cannot acknowledge: the arm is stopping"),
    (_S.FAULTED, _E.DEVICES_READY): Transition(_S.FAULTED, True, "devices are ready; the fault is still latched"),
    (_S.FAULTED, _E.DEVICES_LOST): Transition(_S.FAULTED, True, "a device is gone; the fault is still latched"),
    (_S.FAULTED, _E.ENABLE): Transition(_S.FAULTED, False, "cannot enable: acknowledge the fault first"),
    (_S.FAULTED, _E.STOP): Transition(_S.FAULTED, True, "nothing moves"),
    (_S.FAULTED, _E.FAULT): Transition(_S.FAULTED, True, "another fault latched"),
    (_S.FAULTED, _E.STANDSTILL): Transition(_S.FAULTED, True, "nothing was moving"),
}
"""Every transition that does not depend on the context."""


def transition(state: State, event: Event, context: Context) -> Transition:
    """Where ``event`` leads from ``state``; defined for every pair."""
    if (state, event) == (State.READY, Event.ENABLE):
        if context.healthy:
            return Transition(State.ENABLED, True, "enabled")
        return Transition(State.READY, False, "cannot enable: a device is missing or not valid")
    if (state, event) == (State.STOPPING, Event.ENABLE):
        # Power never went: a person who asks anew may go on from where the stop holds the arm, unless it was a fault.
        if context.held and context.healthy and not context.latched:
            return Transition(State.ENABLED, True, "enabled anew, from where the stop held the arm")
        return Transition(State.STOPPING, False, "cannot enable: the arm is stopping")
    if (state, event) == (State.STOPPING, Event.STANDSTILL):
        if context.latched:
            return Transition(State.FAULTED, True, "the arm stands; acknowledge the fault to go on")
        if context.healthy:
            return Transition(State.READY, True, "the arm stands")
        return Transition(State.OFFLINE, True, "the arm stands; its link is not ready for another start yet")
    if (state, event) == (State.FAULTED, Event.ACKNOWLEDGE):
        if context.final:
            return Transition(State.FAULTED, False, "cannot acknowledge: this fault ends the run; begin a new one")
        if context.healthy:
            return Transition(State.READY, True, "fault acknowledged")
        return Transition(State.FAULTED, False, "cannot acknowledge: a device is missing or not valid")
    return _TABLE[state, event]


class Entry(NamedTuple):
    """One line of the history."""

    t_ns: int
    event: Event
    before: State
    result: Transition


class SafetyMachine:
    """The present state, the latched faults, and how it came to them."""

    def __init__(self, history: int = 256) -> None:
        """``history``: how many events are remembered."""
        self.state = State.OFFLINE
        self.faults: list[FaultReport] = []
        """Latched faults in the order in which they came, the first of each kind and joint only."""
        self.history: deque[Entry] = deque(maxlen=history)

    @property
    def permitted(self) -> bool:
        """Commands may be sent: by a motion while ENABLED, by the stop controller while STOPPING."""
        return self.state in (State.ENABLED, State.STOPPING)

    @property
    def first(self) -> FaultReport | None:
        """The fault that came first: usually the cause of the others."""
        return self.faults[0] if self.faults else None

    def handle(
        self, event: Event, *, healthy: bool, t_ns: int, faults: Sequence[FaultReport] = (), held: bool = False
    ) -> Transition:
        """Apply one event; ``held``: see :class:`Context`.

        ``faults`` are latched and go with FAULT (a FAULT without any latches one of its own).

        ``faults`` given with any other event make it a FAULT: they are never lost. A device that goes while the arm
        may move is a fault.
        """
        if faults:
            event = Event.FAULT
        elif event is Event.FAULT:
            faults = self._own(FaultCode.INTERNAL_ERROR, "a fault was raised without a report", t_ns)
        elif event is Event.DEVICES_LOST and self.permitted:
            faults = self._own(FaultCode.DEVICE_LOST, "", t_ns)
        known = {(fault.code, fault.joint) for fault in self.faults}
        for fault in faults:
            if (fault.code, fault.joint) not in known:
                known.add((fault.code, fault.joint))
                self.faults.append(fault)
        before = self.state
        result = transition(before, event, Context(healthy, bool(self.faults), held, final(self.faults)))
        self.state = result.state
        if event is Event.ACKNOWLEDGE and result.accepted:
            self.faults = []
        self.history.append(Entry(t_ns, event, before, result))
        return result

    @staticmethod
    def _own(code: FaultCode, detail: str, t_ns: int) -> list[FaultReport]:
        found = Findings(-1, t_ns)
        found.add(code, detail=detail)
        return found.reports

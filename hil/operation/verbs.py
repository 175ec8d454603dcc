"""What each verb may do in each situation of the cell: one pure, total function.

:func:`decide` looks at a request and at a :class:`Context` and says accepted or refused, with the sentence that the
person who asked will read. It moves nothing. ``docs/operation.md`` holds its whole table.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import NamedTuple

from drivers.gripper import GripState
from hil.operation.messages import (
    Acknowledge,
    Down,
    Enable,
    Grip,
    Guide,
    Home,
    Jog,
    Mark,
    Record,
    Request,
    Start,
    Status,
    Stop,
    Tare,
)
from safety.states import State

GUIDE = "guide"
"""Name of the task that lets a hand move the arm."""
JOG_MAX = 10.0
"""Largest jog, degrees: a step that a person can follow with eye and hand."""


class Situation(enum.Enum):
    """The states of an operated cell as an operator tells them apart."""

    OFFLINE = "offline"
    """A device is missing; no fault is latched."""
    CHECKING = "checking"
    """Standstill check and tare are due or under way; the brakes are closed."""
    READY = "ready"
    """Checked; nothing is commanded."""
    STARTING = "starting"
    """Enabled; the robot is about to follow."""
    HOLDING = "holding"
    """The arm is held under command."""
    MOVING = "moving"
    """A motion is under way."""
    GUIDING = "guided by hand"
    """The arm gives way to a hand, or is about to."""
    STOPPING = "stopping"
    """A stop of category 0 or 1 is under way."""
    STOP_HOLDS = "held by a stop"
    """A stop of category 2 brakes and then holds the arm."""
    FAULTED = "faulted"
    """The arm stands, a fault is latched, all devices are there."""
    FAULTED_OFFLINE = "faulted, device missing"
    ENDING = "ending"
    """The cell is going down."""


@dataclass(frozen=True)
class Context:
    """All that an answer depends on; positions in rad."""

    state: State
    checked: bool = True
    """Standstill check and tare are done, and no device was gone since."""
    task: str = ""
    """What is under way: ``tare``, ``enable`` or a motion."""
    motion: str = ""
    """The motion under way, empty for holding."""
    progress: str = ""
    """How far it is, in words."""
    ending: bool = False
    healthy: bool = True
    missing: str = ""
    """What keeps the cell from being ready, in words."""
    reopening: bool = False
    """Only this keeps it from being ready: a stop without a fault closed the robot's link a moment ago."""
    fault: str = ""
    """Headline of the fault that came first, empty for none."""
    since: str = ""
    """Time of day at which the fault was latched, or the present state was entered."""
    stop_category: int = -1
    log: str = ""
    """Name of the log that is being written, empty for none."""
    motions: tuple[str, ...] = ()
    q: tuple[float, ...] = ()
    q_min: tuple[float, ...] = ()
    """Bounds for the target of a jog."""
    q_max: tuple[float, ...] = ()
    standing: bool = False
    """The stop under way has seen the arm stand."""
    grip: GripState | None = None
    """The jaws of the gripper; None in a cell without one."""
    load_unknown: str = ""
    """Why nobody knows what the jaws hold; empty where it is known."""

    @property
    def situation(self) -> Situation:
        """Total over everything that a context can be."""
        if self.ending:
            return Situation.ENDING
        if self.state is State.STOPPING:
            return Situation.STOP_HOLDS if self.stop_category == 2 else Situation.STOPPING
        if self.state is State.FAULTED:
            return Situation.FAULTED if self.healthy else Situation.FAULTED_OFFLINE
        if self.state is State.ENABLED:
            if self.task == GUIDE:
                return Situation.GUIDING
            if self.motion:
                return Situation.MOVING
            return Situation.STARTING if self.task else Situation.HOLDING
        if self.state is State.READY:
            return Situation.READY if self.checked and not self.task else Situation.CHECKING
        return Situation.OFFLINE


class Verdict(NamedTuple):
    accepted: bool
    sentence: str
    """One sentence for a person."""


def decide(request: Request, context: Context) -> Verdict:
    """Whether ``request`` may be carried out now, and why not."""
    situation = context.situation
    match request:
        case Status():
            return Verdict(True, describe(context))
        case Mark():
            return Verdict(True, "noted")
        case Stop():
            return _stop(request, context)
        case Down():
            return Verdict(True, _going_down(situation))
        case Record():
            return _record(request, context)
        case Acknowledge():
            return _acknowledge(context)
        case Enable() if situation is Situation.READY:
            return Verdict(True, "enabling: the robot opens its brakes and is held where it stands")
        case Enable() if situation is Situation.STOP_HOLDS and context.standing:
            return Verdict(True, "enabled again: the arm is held where the stop left it")
        case Enable() if situation in _ENABLED:
            return Verdict(False, f"already enabled: {describe(context)}")
        case Guide(held=False):
            guiding = situation is Situation.GUIDING
            return Verdict(True, "the key was let go: braking" if guiding else "nothing gives way")
        case Guide() if situation is Situation.GUIDING:
            return Verdict(True, describe(context))
        case Guide() if situation is Situation.HOLDING or (situation is Situation.STOP_HOLDS and context.standing):
            return Verdict(True, "hands off for half a second, then the arm gives way while the key is held")
        case Grip():
            return _grip(request, context)
        case Tare() if situation is Situation.READY and context.load_unknown:
            return Verdict(False, context.load_unknown)
        case Start() | Home() | Jog() if situation is Situation.HOLDING and context.grip is GripState.MOVING:
            return Verdict(False, "the jaws of the gripper are on their way; wait until they are there")
        case Tare() if situation is Situation.READY:
            return Verdict(True, "checking and taring; touch neither arm nor tool for a second")
        case Tare() if situation in _ENABLED:
            return Verdict(False, "a tare needs the arm at rest with its brakes closed; `hil stop` first")
        case Start() if situation is Situation.HOLDING:
            return _start(request, context)
        case Home() if situation is Situation.HOLDING:
            return Verdict(True, "moving home")
        case Jog() if situation is Situation.HOLDING:
            return _jog(request, context)
        case _ if situation is Situation.OFFLINE and context.reopening:
            return Verdict(False, describe(context) + "; wait a moment")
        case _:
            return Verdict(False, describe(context) + _ADVICE[situation])


_ENABLED = (Situation.STARTING, Situation.HOLDING, Situation.MOVING, Situation.GUIDING)
_ADVICE = {
    Situation.OFFLINE: "; bring the device back",
    Situation.CHECKING: "; wait until it is done, about a second",
    Situation.READY: "; `hil enable` first",
    Situation.STARTING: "; wait a moment",
    Situation.HOLDING: "",
    Situation.MOVING: "; wait for its end, or `hil stop`",
    Situation.STOPPING: "; wait until the arm stands",
    Situation.GUIDING: "; let go of the key first",
    Situation.STOP_HOLDS: "; `hil enable` goes on from there once it stands, `hil stop` takes the power away",
    Situation.FAULTED: "; acknowledge first",
    Situation.FAULTED_OFFLINE: "; bring the device back, then acknowledge",
    Situation.ENDING: "",
}


_GRIP_ADVICE = {
    Situation.STOP_HOLDS: "; wait until the arm stands",
    Situation.FAULTED_OFFLINE: "; bring the device back first",
}
"""Where the jaws wait for something else than a motion would."""


def describe(context: Context) -> str:
    """Where the cell is, in words."""
    c = context
    faulted = f"faulted since {c.since}: {c.fault}"
    match c.situation:
        case Situation.OFFLINE if c.reopening:
            return f"stopped; the stop closed the robot's link, which opens again by itself ({c.missing})"
        case Situation.OFFLINE:
            return f"offline since {c.since}: {c.missing}"
        case Situation.CHECKING:
            return "standstill check and tare are under way"
        case Situation.READY:
            return "ready, not enabled"
        case Situation.STARTING:
            return "the robot is beginning to take commands"
        case Situation.HOLDING:
            return "enabled, the arm is held"
        case Situation.MOVING:
            return f"motion {c.motion!r} is under way ({c.progress})"
        case Situation.GUIDING:
            return "the arm gives way to your hand" if c.motion else "hands off: the arm is about to give way"
        case Situation.STOPPING:
            why = f" because of a fault: {c.fault}" if c.fault else ""
            return f"the arm is stopping (category {c.stop_category}){why}"
        case Situation.STOP_HOLDS:
            return "a stop of category 2 holds the arm under power"
        case Situation.FAULTED:
            return faulted
        case Situation.FAULTED_OFFLINE:
            return f"{faulted}; now {c.missing}"
        case Situation.ENDING:
            return "the cell is going down"


def _stop(request: Stop, context: Context) -> Verdict:
    if context.state is State.ENABLED:
        return Verdict(True, f"stopping (category {request.category})")
    if context.state is State.STOPPING:
        if request.category < context.stop_category:
            return Verdict(True, f"stopping more severely (category {request.category})")
        return Verdict(True, f"already stopping (category {context.stop_category})")
    return Verdict(True, "nothing moves")


def _going_down(situation: Situation) -> str:
    if situation is Situation.ENDING:
        return "already going down"
    if situation in (*_ENABLED, Situation.STOP_HOLDS):
        return "stopping, then going down"
    return "going down"


def _record(request: Record, context: Context) -> Verdict:
    if context.ending:
        return Verdict(False, "the cell is going down")
    if request.on:
        return Verdict(False, f"already recording to {context.log}") if context.log else Verdict(True, "recording")
    return Verdict(True, f"{context.log} is complete") if context.log else Verdict(False, "nothing is being recorded")


def _acknowledge(context: Context) -> Verdict:
    situation = context.situation
    if situation is Situation.FAULTED:
        return Verdict(True, "fault acknowledged; check and tare run again, then nothing moves until you enable")
    if situation is Situation.FAULTED_OFFLINE:
        return Verdict(False, f"cannot acknowledge yet: {context.missing}; bring the device back first")
    if context.state is State.STOPPING and context.fault:
        return Verdict(False, f"{describe(context)}; acknowledge when it stands")
    return Verdict(False, "no fault is latched")


def _grip(request: Grip, context: Context) -> Verdict:
    """Jaws move while the arm stands, and while nothing is being measured; no stop and no fault ever opens them."""
    situation = context.situation
    if context.grip is None:
        return Verdict(False, "this cell has no gripper")
    held = situation is Situation.HOLDING or (situation is Situation.STOP_HOLDS and context.standing)
    if not held and situation not in (Situation.READY, Situation.FAULTED):
        return Verdict(False, describe(context) + _GRIP_ADVICE.get(situation, _ADVICE[situation]))
    if request.close:
        return Verdict(True, "the jaws close")
    falls = "; what they hold falls" if context.grip is GripState.HOLDING else ""
    return Verdict(True, f"the jaws open{falls}")


def _start(request: Start, context: Context) -> Verdict:
    if request.motion not in context.motions:
        there = ", ".join(context.motions) or "none"
        return Verdict(False, f"this cell has no motion {request.motion!r}; it has: {there}")
    return Verdict(True, f"motion {request.motion!r} begins")


def _jog(request: Jog, context: Context) -> Verdict:
    n, joint, degrees = len(context.q), request.joint, request.degrees
    if not 1 <= joint <= n:
        return Verdict(False, f"there is no joint A{joint}; there are A1 to A{n}")
    if not 0.0 < abs(degrees) <= JOG_MAX:
        return Verdict(False, f"a jog goes by up to {JOG_MAX:g}° either way, not by {degrees:g}°")
    target = context.q[joint - 1] + math.radians(degrees)
    low, high = context.q_min[joint - 1], context.q_max[joint - 1]
    if not low <= target <= high:
        return Verdict(
            False,
            f"A{joint} would end at {math.degrees(target):.1f}°; allowed are "
            f"{math.degrees(low):.1f}° to {math.degrees(high):.1f}°",
        )
    return Verdict(True, f"A{joint} moves by {degrees:+g}°")

"""The words for each situation of a cell, what to do next in it, and the colour that goes with them."""

from __future__ import annotations

from hil.monitor.frame import Mood
from hil.operation.verbs import Situation
from safety.states import State

WORDS: dict[Situation, tuple[str, Mood, str]] = {
    Situation.OFFLINE: ("OFFLINE", Mood.ATTENTION, "bring the device back; the cell connects by itself"),
    Situation.CHECKING: ("CHECKING", Mood.ATTENTION, "touch neither arm nor tool for a second"),
    Situation.READY: ("READY", Mood.GOOD, "`hil enable` holds the arm under command"),
    Situation.STARTING: ("STARTING", Mood.ACTIVE, "wait a moment; space stops"),
    Situation.HOLDING: ("HOLDING", Mood.ACTIVE, "`hil start MOTION` moves; space stops"),
    Situation.MOVING: ("MOVING", Mood.ACTIVE, "keep clear of the arm; space stops it"),
    Situation.GUIDING: ("GUIDED BY HAND", Mood.ACTIVE, "letting go of the key brakes; space stops"),
    Situation.STOPPING: ("STOPPING", Mood.ATTENTION, "wait until the arm stands"),
    Situation.STOP_HOLDS: ("HELD BY A STOP", Mood.ATTENTION, "`hil enable` goes on; space takes the power away"),
    Situation.FAULTED: ("FAULTED", Mood.BAD, "mend the cause, then `a` acknowledges"),
    Situation.FAULTED_OFFLINE: ("FAULTED, DEVICE MISSING", Mood.BAD, "bring the device back, then `a` acknowledges"),
    Situation.ENDING: ("GOING DOWN", Mood.ATTENTION, "the arm stops, then the cell ends"),
}
"""Word, mood and advice."""

STATE_WORDS: dict[State, tuple[str, Mood]] = {
    State.OFFLINE: ("OFFLINE", Mood.ATTENTION),
    # Checked or not, the row does not tell.
    State.READY: ("NOT ENABLED", Mood.ATTENTION),
    State.ENABLED: ("ENABLED", Mood.ACTIVE),
    State.STOPPING: ("STOPPING", Mood.ATTENTION),
    State.FAULTED: ("FAULTED", Mood.BAD),
}
"""For the moment in which only the newest row is known, not the cell's own words."""


def words(situation: str) -> tuple[str, Mood, str]:
    """Word, mood and advice; a situation of a newer cell is told as it stands."""
    try:
        return WORDS[Situation(situation)]
    except ValueError:
        return situation.upper(), Mood.UNKNOWN, ""

"""A frame from what a cell tells: its status (some times a second) and its newest row (every cycle)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any

import numpy as np

from hil.monitor.frame import (
    SIX,
    CycleTimes,
    Device,
    EventLine,
    Fault,
    FeedForward,
    Frame,
    Joint,
    Link,
    Mood,
    MotionProgress,
    Safety,
    Wrench,
)
from hil.monitor.words import STATE_WORDS, words
from safety.states import State

EVENTS_KEPT = 200
_STATES = tuple(State)
"""By the number that a row gives its state, see :data:`hil.recording.STATE_NUMBERS`."""
_HIDDEN = frozenset({"phase"})
"""Kinds of events that tell a reader of the log something, and an operator nothing."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a source knows at one moment."""

    cell: str
    link: Link
    link_sentence: str = ""
    """What is the matter with the link; empty while it is live."""
    status: dict[str, Any] | None = None
    """The last answer to ``status``."""
    row: np.void | None = None
    age: float = nan
    """Age of ``row``, s."""
    cycle: CycleTimes = field(default_factory=CycleTimes)
    events: Sequence[EventLine] = ()


def build(known: Known) -> Frame:
    """The frame; a value that is missing or no number is NaN, whatever the cell told instead."""
    told = known.status or {}
    row = known.row
    return Frame(
        cell=known.cell,
        link=known.link,
        safety=_safety(known, told),
        mocks=told.get("mocks"),
        age=known.age,
        motion=_motion(told, row),
        motions=tuple(told.get("motions", ())),
        log=told.get("log") or "",
        joints=_joints(told.get("joints", {}), row),
        wrench=_wrench(told.get("wrench", {}), row),
        cycle=known.cycle,
        devices=tuple(_device(device) for device in told.get("devices", ())),
        feed_forward=_feed_forward(row),
        events=tuple(known.events),
    )


def state_of(row: np.void) -> str:
    """Name of the safety state in a row; empty for a number that is none."""
    number = int(row["safety_state"])
    return _STATES[number].value if 0 <= number < len(_STATES) else ""


def event_line(told: dict[str, Any]) -> EventLine | None:
    """An event of a status for the eye; None for one that is not worth it."""
    kind = str(told.get("kind", ""))
    if kind in _HIDDEN:
        return None
    return EventLine(str(told.get("time", ""))[11:19], kind, str(told.get("text", "")))


def _safety(known: Known, told: dict[str, Any]) -> Safety:
    if known.link is not Link.LIVE or not told:
        return _not_known(known, told)
    word, mood, advice = words(str(told.get("situation", "")))
    sentence, since = str(told.get("sentence", "")), str(told.get("since", ""))[11:19]
    faults = tuple(map(_fault, told.get("faults", ())))
    row = known.row
    if row is not None and int(row["tick"]) >= int(told.get("tick", 0)):
        now = state_of(row)
        if now and now != told.get("state"):
            # The state changed after the cell last told it in words; those come with its next answer.
            word, mood = STATE_WORDS[State(now)]
            return Safety(word, "just now; the cell's own words follow", "", mood)
    return Safety(word, sentence, advice, mood, since, faults)


def _not_known(known: Known, told: dict[str, Any]) -> Safety:
    last = f"last known: {words(str(told['situation']))[0]}" if told else ""
    if known.link is Link.GONE:
        return Safety("NO CELL", known.link_sentence, last, Mood.UNKNOWN)
    if known.link is Link.SILENT:
        return Safety("NO ANSWER", known.link_sentence, last, Mood.BAD)
    return Safety("ATTACHING", known.link_sentence or "waiting for the cell's first answer", "", Mood.UNKNOWN)


def _fault(told: dict[str, Any]) -> Fault:
    causes = tuple(str(cause) for cause in told.get("causes", ()))
    return Fault(str(told.get("headline", "")), causes, str(told.get("remedy", "")))


def _motion(told: dict[str, Any], row: np.void | None) -> MotionProgress | None:
    name = told.get("motion")
    if not name:
        return None
    elapsed, duration = _number(told.get("elapsed")), _number(told.get("duration"))
    if row is not None:
        # Between two answers the cell's own clock goes on in its rows.
        elapsed += max(0.0, (int(row["t_ns"]) - int(told.get("t_ns", 0))) * 1e-9)
    return MotionProgress(str(name), min(elapsed, duration) if duration else elapsed, duration)


def _joints(told: dict[str, Any], row: np.void | None) -> tuple[Joint, ...]:
    limits = [_vector(told.get(key)) for key in ("q_min", "q_max", "qd_max", "tau_max")]
    measured = [_vector(told.get(key)) if row is None else row[key].tolist() for key in ("q", "qd", "tau")]
    n = max(map(len, limits + measured))
    full = [values + [nan] * (n - len(values)) for values in measured + limits]
    return tuple(
        Joint(f"A{number}", q, q_min, q_max, qd, qd_max, tau, tau_max)
        for number, (q, qd, tau, q_min, q_max, qd_max, tau_max) in enumerate(zip(*full, strict=True), 1)
    )


def _wrench(told: dict[str, Any], row: np.void | None) -> Wrench:
    measured = told.get("measured")
    if row is None:
        felt = None if measured is None else _six(_vector(measured))
        return Wrench(_six(_vector(told.get("estimated"))), SIX, felt)
    seen: tuple[float, ...] | None = tuple(row["wrench_ft"].tolist())
    if measured is None and not any(map(math.isfinite, seen or ())):
        seen = None
    estimated, sd = tuple(row["wrench_est"].tolist()), tuple(row["wrench_est_sd"].tolist())
    if "contact" not in (row.dtype.names or ()):
        return Wrench(estimated, sd, seen)
    return Wrench(estimated, sd, seen, int(row["contact"]), float(row["contact_level"]))


def _feed_forward(row: np.void | None) -> FeedForward | None:
    if row is None or "ff_version" not in (row.dtype.names or ()) or not np.isfinite(row["tau_ff_sd"]).all():
        return None
    kp, sd = tuple(row["kp"].tolist()), tuple(row["tau_ff_sd"].tolist())
    return FeedForward(kp, sd, float(row["load_mass"]), float(row["load_mass_sd"]), int(row["ff_version"]))


def _device(told: dict[str, Any]) -> Device:
    notes = [str(flag) for flag in told.get("flags", ()) if flag != told.get("state")]
    if (safety := told.get("safety", "NORMAL")) not in ("NORMAL", "UNKNOWN"):
        notes.append(f"safety {str(safety).lower().replace('_', ' ')}")
    if (drives := told.get("drives_on")) is not None:
        notes.append(f"drives {'on' if drives else 'off'}")
    if (mode := told.get("mode", "UNKNOWN")) != "UNKNOWN":
        notes.append(f"mode {str(mode).lower()}")
    return Device(
        name=str(told.get("name", "")),
        kind=str(told.get("kind", "")),
        state=str(told.get("state", "")),
        valid=bool(told.get("valid")),
        age=_number(told.get("age_ms")) * 1e-3,
        quality=_number(told.get("quality")),
        gaps=int(told.get("gaps", 0)),
        refused=int(told.get("rejected", 0)),
        notes=tuple(notes),
    )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else nan


def _vector(values: Any) -> list[float]:
    return [_number(value) for value in values] if isinstance(values, list) else []


def _six(values: list[float]) -> tuple[float, ...]:
    return tuple((values + list(SIX))[:6])

"""The colours by what they say. None of them says anything that a word or a sign beside it does not say too."""

from __future__ import annotations

from hil.monitor.frame import Mood

GROUND = "#11161d"
RAISED = "#1b232d"
EDGE = "#303c4a"
INK = "#d5dde6"
SOFT = "#8a98a8"
FAINT = "#445162"
OLD = "#5d6b7b"
"""Figures that are not those of now."""
CALM = "#6cb2e8"
NEAR = "#f2b84b"
AT = "#ff6b6b"

MOODS: dict[Mood, tuple[str, str]] = {
    Mood.GOOD: ("●", "#4fc48d"),
    Mood.ACTIVE: ("▶", "#6cb2e8"),
    Mood.ATTENTION: ("▲", "#f2b84b"),
    Mood.BAD: ("✖", "#ff6b6b"),
    Mood.UNKNOWN: ("?", "#9aa7b5"),
}
"""Sign and colour."""

_LEVELS = {"CALM": CALM, "NEAR": f"bold {NEAR}", "AT": f"bold {AT}", "UNKNOWN": FAINT}


def style_of(level: str) -> str:
    """Style for the name of a :class:`hil.monitor.bars.Level`."""
    return _LEVELS[level]

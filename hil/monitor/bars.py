"""Bars of characters: a value against its limits.

Filled and empty parts differ in shape as well as in colour (``━`` and ``─``), so that a bar can be read in one colour.
"""

from __future__ import annotations

import enum
import math

from rich.text import Text

from hil.monitor.palette import CALM, FAINT, style_of

NEAR_FROM = 0.75
"""Share of a limit from which a value is near it."""
AT_FROM = 0.95

_FULL, _EMPTY, _LEFT, _RIGHT, _MIDDLE, _MARK, _NONE = "━", "─", "╸", "╺", "│", "●", "·"


class Level(enum.Enum):
    """How close a value is to its limit."""

    CALM = ""
    NEAR = "!"
    AT = "!!"
    UNKNOWN = "?"


def closeness(value: float, low: float, high: float) -> float:
    """0 in the middle between the limits, 1 at one of them, more beyond; NaN where one of the three is unknown."""
    half = (high - low) / 2
    if not (math.isfinite(value) and math.isfinite(half) and half > 0.0):
        return math.nan
    return abs(value - (low + half)) / half


def level(share: float) -> Level:
    """The level of a closeness."""
    if not math.isfinite(share):
        return Level.UNKNOWN
    if share >= AT_FROM:
        return Level.AT
    return Level.NEAR if share >= NEAR_FROM else Level.CALM


def span_bar(value: float, low: float, high: float, width: int) -> Text:
    """Where ``value`` stands between ``low`` and ``high``; ``width`` characters."""
    share = closeness(value, low, high)
    if math.isnan(share):
        return Text(_NONE * width, FAINT)
    place = round(min(1.0, max(0.0, (value - low) / (high - low))) * (width - 1))
    bar = Text(_EMPTY * width, FAINT)
    middle = width // 2
    bar.plain = bar.plain[:middle] + _MIDDLE + bar.plain[middle + 1 :]
    bar.plain = bar.plain[:place] + _MARK + bar.plain[place + 1 :]
    bar.stylize(style_of(level(share).name), place, place + 1)
    return bar


def signed_bar(value: float, limit: float, width: int) -> Text:
    """``value`` from the middle towards its side, full at ±``limit``; ``width`` is odd; in half characters."""
    share = closeness(value, -limit, limit)
    if math.isnan(share):
        return Text(_NONE * width, FAINT)
    side = (width - 1) // 2
    halves = round(min(1.0, share) * 2 * side)
    full, half = divmod(halves, 2)
    style = style_of(level(share).name)
    rest = Text(_EMPTY * (side - full - half), FAINT)
    middle, empty = Text(_MIDDLE, FAINT), Text(_EMPTY * side, FAINT)
    if value < 0.0:
        return Text.assemble(rest, (_RIGHT * half + _FULL * full, style), middle, empty)
    return Text.assemble(empty, middle, (_FULL * full + _LEFT * half, style), rest)


def share_bar(share: float, width: int) -> Text:
    """0 to 1 from left to right."""
    if not math.isfinite(share):
        return Text(_NONE * width, FAINT)
    full, half = divmod(round(min(1.0, max(0.0, share)) * 2 * width), 2)
    filled = _FULL * full + _LEFT * half
    return Text.assemble((filled, CALM), (_EMPTY * (width - len(filled)), FAINT))

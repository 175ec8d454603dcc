"""Pieces of text that the panels share."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rich.text import Text

from hil.monitor.frame import Frame
from hil.monitor.palette import NEAR, SOFT

Lines = list[Text]
Part = Text | tuple[str, str]


def line(left: Iterable[Part], right: Text | None, width: int) -> Text:
    """``left`` and ``right`` at the two ends of one line; the left gives way, with an ellipsis."""
    text = Text.assemble(*left, no_wrap=True)
    room = width - (right.cell_len + 2 if right is not None else 0)
    text.truncate(max(0, room), overflow="ellipsis", pad=right is not None)
    return text if right is None else Text.assemble(text, "  ", right, no_wrap=True)


def wrap(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` characters, at least one line; only a longer word is longer."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def figure(value: float, width: int, digits: int = 1) -> str:
    """A number, right-aligned; a dash where it is unknown."""
    if not math.isfinite(value):
        return "–".rjust(width)
    return f"{round(value, digits) + 0.0:{width}.{digits}f}"  # + 0.0, because -0.0 flickers


def age(frame: Frame) -> Text:
    """How old the cycle's figures are, in words."""
    if not math.isfinite(frame.age):
        return Text("no data yet", f"bold {NEAR}")
    if frame.old:
        return Text(f"old: {frame.age:.1f} s", f"bold {NEAR}")
    # Rounded up: the next frame is as old again, and figures that flicker tell nothing.
    return Text(f"data {0.1 * max(1, math.ceil(10 * frame.age)):.1f} s old", SOFT)

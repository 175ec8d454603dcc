"""What the parts of the first screen say about the cell as a whole: safety state, faults, events.

Each panel is a pure function: frame in, lines of text for a given width out. ``full`` asks for the lines that a tall
terminal has room for. :mod:`hil.monitor.widgets` draws them; the panels of figures are in :mod:`hil.monitor.figures`.
"""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text

from hil.monitor.bars import share_bar
from hil.monitor.frame import Frame, Link
from hil.monitor.palette import AT, GROUND, INK, MOODS, NEAR, SOFT
from hil.monitor.text import Lines, Part, age, line, wrap

Panel = Callable[[Frame, int, bool], Lines]

WIDE = 104
"""Width from which limits are written beside the bars."""
_SENTENCE_LINES = 2
_LINES_SHORT = 6
"""Lines that faults and devices have together on a short terminal."""


def safety(frame: Frame, width: int, full: bool) -> Lines:
    """State and sentence, wrapped; what to do next and the data's age; the motion under way and the cell."""
    told = frame.safety
    sign, colour = MOODS[told.mood]
    word = Text(f" {sign} {told.word} ", f"bold {GROUND} on {colour}")
    # The sentence of a fault says since when itself.
    since = Text(f"since {told.since}", SOFT) if told.since and told.since not in told.sentence else None
    indent = word.cell_len + 2
    room = max(20, width - indent - (0 if since is None else since.cell_len + 2))
    first, *more = wrap(told.sentence, room)
    if len(more) >= _SENTENCE_LINES:
        more = [*more[: _SENTENCE_LINES - 2], " ".join(more[_SENTENCE_LINES - 2 :])]
    lines = [line([word, ("  ", ""), (first, colour)], since, width)]
    lines += [line([(" " * indent, ""), (piece, colour)], None, width) for piece in more]
    label = "next" if frame.link is Link.LIVE else ""
    advice: list[Part] = [(f"{label:<8}", SOFT), (told.advice, INK)] if told.advice else []
    return [*lines, line(advice, age(frame), width), _motion(frame, width)]


def _motion(frame: Frame, width: int) -> Text:
    known = frame.mocks is not None
    right = Text.assemble((frame.cell, f"bold {INK}"))
    if known:
        log = f"log {frame.log if width >= WIDE else 'on'}" if frame.log else "log off"
        right.append(f"  {'simulated' if frame.mocks else 'real'}  {log}", SOFT)
    motion = frame.motion
    if motion is None:
        there = f"none; there are {', '.join(frame.motions)}" if frame.motions else "none"
        return line([("motion  ", SOFT), (there, SOFT)] if known else [], right, width)
    parts: list[Part] = [("motion  ", SOFT), (f"{motion.name}  ", INK)]
    if motion.duration > 0.0:
        parts += [
            share_bar(motion.elapsed / motion.duration, max(8, width // 8)),
            (f"  {motion.elapsed:.1f}/{motion.duration:.1f} s", INK),
        ]
    else:
        parts.append((f"{motion.elapsed:.1f} s, without an end", INK))
    return line(parts, right, width)


def faults(frame: Frame, width: int, full: bool) -> Lines:
    """What mends the first latched fault, its likely causes, the other faults by name; empty without a fault."""
    latched = frame.safety.faults
    if not latched:
        return []
    first, others = latched[0], latched[1:]
    lines: Lines = []
    if first.headline not in frame.safety.sentence:
        lines.append(line([("✖ ", AT), (first.headline, f"bold {AT}")], None, width))
    lines += _labelled("mend", first.remedy, INK, width)
    also = [piece for fault in others for piece in _labelled("also", fault.headline, AT, width)]
    causes = _labelled("likely", "; ".join(first.causes), SOFT, width) if first.causes else []
    if full:
        return [*lines, *also, *causes]
    if len(others) > 1:
        also = [line([("also    ", SOFT), (f"{len(others)} more: {others[0].headline} …", AT)], None, width)]
    room = max(2, _LINES_SHORT - len(frame.devices))
    return [*lines[: room - bool(also)], *also[:1], *causes][:room]


def _labelled(label: str, text: str, style: str, width: int) -> Lines:
    pieces = wrap(text, width - 8)
    return [
        line([(f"{label if number == 0 else '':<8}", SOFT), (piece, style)], None, width)
        for number, piece in enumerate(pieces)
    ]


def events(frame: Frame, width: int, full: bool) -> Lines:
    """Every event that is kept, oldest first; who draws them takes the last."""
    return [
        line([(f"{event.time}  ", SOFT), (event.text, _EVENT_STYLES.get(event.kind, INK))], None, width)
        for event in frame.events
    ]


_EVENT_STYLES = {"fault": AT, "monitor": SOFT, "mark": NEAR}

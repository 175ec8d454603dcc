"""What each part of the first screen says, as lines of text for a given width; drawn by :mod:`hil.monitor.widgets`.

Pure: frame in, text out. ``full`` asks for the lines that a tall terminal has room for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from rich.text import Text

from hil.monitor.bars import closeness, level, share_bar, signed_bar, span_bar
from hil.monitor.frame import Device, Frame, Joint
from hil.monitor.palette import AT, FAINT, GROUND, INK, MOODS, NEAR, OLD, SOFT, style_of

Lines = list[Text]
Panel = Callable[[Frame, int, bool], Lines]

_MARK_WIDTH = 3
_WIDE = 108
"""Width from which limits are written beside the bars."""


def line(left: Iterable[Text | tuple[str, str]], right: Text | None, width: int) -> Text:
    """``left`` and ``right`` at the two ends of one line; the left gives way, with an ellipsis."""
    text = Text.assemble(*left, no_wrap=True)
    room = width - (right.cell_len + 2 if right is not None else 0)
    text.truncate(max(0, room), overflow="ellipsis", pad=right is not None)
    return text if right is None else Text.assemble(text, "  ", right, no_wrap=True)


def figure(value: float, width: int, digits: int = 1) -> str:
    """A number, right-aligned; a dash where it is unknown."""
    return f"{value:{width}.{digits}f}" if math.isfinite(value) else "–".rjust(width)


def age(frame: Frame) -> Text:
    """How old the cycle's figures are, in words."""
    if not math.isfinite(frame.age):
        return Text("no data yet", f"bold {NEAR}")
    if frame.old:
        return Text(f"old: {frame.age:.1f} s", f"bold {NEAR}")
    return Text(f"data {1e3 * frame.age:.0f} ms old", SOFT)


def safety(frame: Frame, width: int, full: bool) -> Lines:
    """State and sentence, wrapped; what to do next and the data's age; the motion under way and the cell."""
    told = frame.safety
    sign, colour = MOODS[told.mood]
    word = Text(f" {sign} {told.word} ", f"bold {GROUND} on {colour}")
    # The sentence of a fault says since when itself.
    since = Text(f"since {told.since}", SOFT) if told.since and told.since not in told.sentence else None
    indent = word.cell_len + 2
    room = width - indent - (0 if since is None else since.cell_len + 2)
    first, *more = wrap(told.sentence, max(20, room))
    lines = [line([word, ("  ", ""), (first, colour)], since, width)]
    lines += [line([(" " * indent, ""), (piece, colour)], None, width) for piece in more[:2]]
    advice = [("next    ", SOFT), (told.advice, INK)] if told.advice else []
    return [*lines, line(advice, age(frame), width), _motion(frame, width)]


def _motion(frame: Frame, width: int) -> Text:
    devices = {True: "simulated", False: "real", None: ""}[frame.mocks]
    log = f"log {frame.log}" if frame.log else "no log"
    right = Text.assemble((frame.cell, f"bold {INK}"), (f"  {devices}  {log}" if devices else "", SOFT))
    motion = frame.motion
    if motion is None:
        there = f"none; there are {', '.join(frame.motions)}" if frame.motions else "none"
        return line([("motion  ", SOFT), (there, SOFT)], right, width)
    parts: list[Text | tuple[str, str]] = [("motion  ", SOFT), (f"{motion.name}  ", INK)]
    if motion.duration > 0.0:
        parts += [
            share_bar(motion.elapsed / motion.duration, max(8, width // 8)),
            (f"  {motion.elapsed:.1f} of {motion.duration:.1f} s", INK),
        ]
    else:
        parts.append((f"{motion.elapsed:.1f} s, without an end", INK))
    return line(parts, right, width)


def faults(frame: Frame, width: int, full: bool) -> Lines:
    """What the first latched fault is and what mends it; the others by name. Wrapped; empty without a fault."""
    latched = frame.safety.faults
    if not latched:
        return []
    first = latched[0]
    parts = [("✖ ", first.headline, f"bold {AT}"), ("mend    ", first.remedy, INK)]
    if first.causes:
        parts.append(("likely  ", "; ".join(first.causes), SOFT))
    for other in latched[1:]:
        parts.insert(1, ("also    ", other.headline, AT))
    lines: Lines = []
    for label, text, style in parts:
        wrapped = wrap(text, width - len(label))
        lines += [
            Text.assemble((label if number == 0 else " " * len(label), SOFT), (piece, style), no_wrap=True)
            for number, piece in enumerate(wrapped)
        ]
    return lines


def wrap(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` characters."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def joints(frame: Frame, width: int, full: bool) -> Lines:
    """One line a joint: position, velocity, torque as figures and as bars between their limits."""
    group = (width - 3) // 3
    wide = width >= _WIDE
    stale = Text(f"old: {frame.age:.1f} s", f"bold {NEAR}") if frame.old and math.isfinite(frame.age) else None
    titles = [f"{title:<{group}}" for title in ("position °", "velocity °/s", "torque N·m")]
    head = line([("   ", SOFT), *((title, SOFT) for title in titles)], stale, width)
    if not frame.joints:
        return [head, Text("   no joint data yet", SOFT)]
    return [head] + [_joint(joint, group, wide, frame.old) for joint in frame.joints]


def _joint(joint: Joint, group: int, wide: bool, old: bool) -> Text:
    q, low, high, qd, qd_max = map(math.degrees, (joint.q, joint.q_min, joint.q_max, joint.qd, joint.qd_max))
    figures = (
        (q, closeness(q, low, high)),
        (qd, closeness(qd, -qd_max, qd_max)),
        (joint.tau, closeness(joint.tau, -joint.tau_max, joint.tau_max)),
    )
    bar = group - 8 - _MARK_WIDTH - (11 if wide else 0)
    bar = max(5, bar - 1 + bar % 2)
    bars = (span_bar(q, low, high, bar), signed_bar(qd, qd_max, bar), signed_bar(joint.tau, joint.tau_max, bar))
    limits = (f"{low:.0f}…{high:.0f}", f"±{qd_max:.0f}", f"±{joint.tau_max:.0f}")
    ink = OLD if old else INK
    text = Text(f"{joint.name:<3}", style=f"bold {ink}", no_wrap=True)
    for (value, share), drawn, limit in zip(figures, bars, limits, strict=True):
        start = len(text)
        near = level(share)
        text.append(figure(value, 7), ink)
        text.append(" ")
        text.append_text(drawn)
        text.append(f" {near.value:<2}", style_of(near.name))
        if wide:
            text.append(f"{limit if math.isfinite(share) else '':<11}", SOFT)
        text.append(" " * (group - (len(text) - start)))
    if old:
        # Grey through and through: nothing in colour may be taken for the state of now.
        return Text(text.plain, OLD, no_wrap=True)
    return text


def wrench(frame: Frame, width: int, full: bool) -> Lines:
    """The contact wrench per axis, estimated from joint torques and measured by the sensor."""
    told = frame.wrench
    axes = ("Fx", "Fy", "Fz", "Mx", "My", "Mz")
    column = max(7, min(10, (width - 12 - 10) // 6))
    title = "contact"
    head = Text(f"{title:<11}" + "".join(f"{axis:>{column}}" for axis in axes), SOFT, no_wrap=True)
    head.append(f"{'|F| N':>9}", SOFT)
    ink = OLD if frame.old else INK
    rows = [("estimated", told.estimated)]
    if full:
        rows.append(("± 95 %", tuple(1.96 * sd for sd in told.estimated_sd)))
    if told.measured is not None:
        rows.append(("measured", told.measured))
    lines = [head]
    for name, values in rows:
        text = Text(f"{name:<11}", SOFT, no_wrap=True)
        style = SOFT if name.startswith("±") else ink
        for number, value in enumerate(values):
            text.append(figure(value, column, 1 if number < 3 else 2), style)
        if not name.startswith("±"):
            text.append(figure(math.sqrt(sum(value * value for value in values[:3])), 9), f"bold {ink}")
        lines.append(text)
    if told.measured is None:
        lines.append(Text(f"{'measured':<11}no force/torque sensor", SOFT, no_wrap=True))
    return lines


def cycle(frame: Frame, width: int, full: bool) -> Lines:
    """Durations of the cycle's work against its period."""
    told = frame.cycle
    ink = OLD if frame.old else INK
    if not told.count:
        return [Text(f"{'cycle':<11}no cycle seen yet", SOFT, no_wrap=True)]
    share = told.max / told.period
    near = level(share)
    times = [
        (f"p50 {1e6 * told.p50:.0f}  p99 {1e6 * told.p99:.0f}  max ", ink),
        (f"{1e6 * told.max:.0f}{near.value if near.value != '?' else ''}", ink if frame.old else style_of(near.name)),
        (f" of {1e6 * told.period:.0f} µs" if math.isfinite(told.period) else " µs", ink),
    ]
    missed = [(f"missed {told.missed} of {told.seen}", ink if not told.missed else f"bold {NEAR}")]
    rate = Text(f"{told.rate:.0f}/s" if math.isfinite(told.rate) else "", SOFT)
    if not full:
        return [line([("cycle      ", SOFT), *times, ("   ", ""), *missed], rate, width)]
    lines = [
        line([("work       ", SOFT), *times], Text(f"last {told.count}", SOFT), width),
        line([("cycles     ", SOFT), *missed], rate, width),
    ]
    if told.unseen:
        lines.append(line([("           ", ""), (f"{told.unseen} cycles did not get here; the log has them", SOFT)], None, width))
    return lines


def devices(frame: Frame, width: int, full: bool) -> Lines:
    """One line a device: sign, name, state, age and the link's figures."""
    if not frame.devices:
        return [Text("no device known yet", SOFT)]
    names = max(len(device.name) for device in frame.devices)
    kinds = max(len(device.kind) for device in frame.devices)
    return [_device(device, names, kinds, width) for device in frame.devices]


def _device(device: Device, names: int, kinds: int, width: int) -> Text:
    sign, colour = MOODS_OF_DEVICE[device.valid]
    state = device.state if device.valid else f"{device.state}, not valid"
    parts: list[Text | tuple[str, str]] = [
        (f"{sign} ", colour),
        (f"{device.name:<{names}}  ", f"bold {INK}"),
        (f"{device.kind:<{kinds}}  ", SOFT),
        (f"{state:<12}", INK if device.valid else f"bold {AT}"),
    ]
    if math.isfinite(device.age):
        parts.append((f"  {1e3 * device.age:.1f} ms", INK))
    if math.isfinite(device.quality):
        parts.append((f"  quality {100 * device.quality:.0f} %", INK))
    if device.gaps or device.refused:
        parts.append((f"  gaps {device.gaps}  refused {device.refused}", SOFT))
    if device.notes:
        parts.append((f"  {', '.join(device.notes)}", SOFT))
    return line(parts, None, width)


MOODS_OF_DEVICE = {True: ("●", "#4fc48d"), False: ("✖", AT)}


def events(frame: Frame, width: int, full: bool) -> Lines:
    """Every event that is kept, oldest first; who draws them takes the last."""
    return [
        line([(f"{event.time}  ", FAINT if event.kind == "task" else SOFT), (event.text, _event_style(event.kind))], None, width)
        for event in frame.events
    ]


def _event_style(kind: str) -> str:
    return {"fault": AT, "monitor": SOFT, "mark": NEAR}.get(kind, INK)

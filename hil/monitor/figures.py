"""The panels of figures: joints, wrench, cycle time, devices. What a panel is tells :mod:`hil.monitor.panels`."""

from __future__ import annotations

import math

from rich.text import Text

from hil.monitor.bars import closeness, level, signed_bar, span_bar
from hil.monitor.frame import Device, FeedForward, Frame, Joint, Link, Mood
from hil.monitor.palette import AT, INK, MOODS, NEAR, OLD, SOFT, style_of
from hil.monitor.panels import WIDE
from hil.monitor.text import Lines, Part, figure, line

_LABEL = 3
_FIGURE = 8
_MARK = 3
_LIMITS = (10, 6, 6)
"""Widths of the limits of position, velocity and torque."""
_NAME = 11


def joints(frame: Frame, width: int, full: bool) -> Lines:
    """One line a joint: position, velocity, torque as figures and as bars between their limits."""
    wide = width >= WIDE
    extra = _LIMITS if wide else (0, 0, 0)
    bar = (width - _LABEL - 3 * (_FIGURE + _MARK) - sum(extra)) // 3
    bar = max(5, bar - 1 + bar % 2)
    stale = Text(f"old: {frame.age:.1f} s", f"bold {NEAR}") if frame.old and math.isfinite(frame.age) else None
    titles = zip(("position °", "velocity °/s", "torque N·m"), extra, strict=True)
    head = "".join(f"{title:<{_FIGURE + bar + _MARK + more}}" for title, more in titles)
    lines = [line([(" " * _LABEL, ""), (head.rstrip(), SOFT)], stale, width)]
    if not frame.joints:
        return [*lines, Text("   no joint data yet", SOFT)]
    drawn = [_joint(joint, bar, extra) for joint in frame.joints]
    if frame.old:
        # Grey through and through: nothing in colour may be taken for the state of now.
        drawn = [Text(text.plain, OLD, no_wrap=True) for text in drawn]
    return lines + drawn


def _joint(joint: Joint, bar: int, extra: tuple[int, ...]) -> Text:
    q, low, high, qd, qd_max = map(math.degrees, (joint.q, joint.q_min, joint.q_max, joint.qd, joint.qd_max))
    tau, tau_max = joint.tau, joint.tau_max
    groups = (
        (q, closeness(q, low, high), span_bar(q, low, high, bar), f"{low:.0f}…{high:.0f}"),
        (qd, closeness(qd, -qd_max, qd_max), signed_bar(qd, qd_max, bar), f"±{qd_max:.0f}"),
        (tau, closeness(tau, -tau_max, tau_max), signed_bar(tau, tau_max, bar), f"±{tau_max:.0f}"),
    )
    text = Text.assemble((f"{joint.name:<{_LABEL}}", f"bold {SOFT}"), no_wrap=True)
    for (value, share, drawn, limit), more in zip(groups, extra, strict=True):
        near = level(share)
        text.append(figure(value, _FIGURE - 1) + " ", INK)
        text.append_text(drawn)
        mark = near.value if math.isfinite(value) else ""
        text.append(f" {mark:<{_MARK - 1}}", style_of(near.name))
        if more:
            text.append(f" {limit if math.isfinite(share) else '':<{more - 1}}", SOFT)
    return text


def wrench(frame: Frame, width: int, full: bool) -> Lines:
    """The contact wrench per axis, estimated from joint torques and measured by the sensor."""
    told = frame.wrench
    column = max(7, min(9, (width - _NAME - 9) // 6))
    axes = "".join(f"{axis:>{column}}" for axis in ("Fx", "Fy", "Fz", "Mx", "My", "Mz"))
    # Short terminals have no line for the detector: the heading tells.
    touched = told.contact == 1 and not frame.old
    heading = ("CONTACT", f"bold {NEAR}") if touched and not full else ("contact", SOFT)
    lines = [Text.assemble((f"{heading[0]:<{_NAME}}", heading[1]), (f"{axes}{'|F|':>9}", SOFT), no_wrap=True)]
    ink = OLD if frame.old else INK
    lines.append(_axes("estimated", told.estimated, column, ink))
    if full:
        band = tuple(1.96 * sd for sd in told.estimated_sd)
        lines.append(_axes("  ± 95 %", band, column, OLD if frame.old else SOFT, total=False))
    if told.measured is None:
        lines.append(Text(f"{'measured':<{_NAME}}no force/torque sensor", SOFT, no_wrap=True))
    else:
        lines.append(_axes("measured", told.measured, column, ink))
    if full and math.isfinite(told.level):
        said = f"{_SENSED.get(told.contact, 'unknown')}, at {told.level:.2f} of the detector's threshold"
        lines.append(Text.assemble((f"{'detected':<{_NAME}}", SOFT), (said, ink), no_wrap=True))
    return lines


_SENSED = {1: "contact", 0: "none"}


def _axes(name: str, values: tuple[float, ...], column: int, style: str, total: bool = True) -> Text:
    text = Text.assemble((f"{name:<{_NAME}}", SOFT), no_wrap=True)
    for number, value in enumerate(values):
        text.append(figure(value, column, 1 if number < 3 else 2), style)
    if total:
        text.append(figure(math.hypot(*values[:3]), 9), f"bold {style}")
    return text


def cycle(frame: Frame, width: int, full: bool) -> Lines:
    """Durations of the cycle's work against its period."""
    told = frame.cycle
    ink = OLD if frame.old else INK
    if not told.count:
        return [Text(f"{'cycle' if not full else '':<{_NAME}}no cycle seen yet", SOFT, no_wrap=True)]
    near = level(told.max / told.period)
    most = "" if frame.old or near.value in ("", "?") else f" {near.value}"
    times: list[Part] = [(f"p50 {1e6 * told.p50:.0f}  p99 {1e6 * told.p99:.0f}  ", ink)]
    highest = (f"max {1e6 * told.max:.0f} µs{most}", style_of(near.name) if most else ink)
    missed = (f"missed {told.missed} of {told.seen}", f"bold {NEAR}" if told.missed and not frame.old else ink)
    rate = Text(f"{told.rate:.0f}/s" if math.isfinite(told.rate) else "", SOFT)
    if not full:
        return [line([(f"{'cycle':<{_NAME}}", SOFT), *times, highest, ("   ", ""), missed], rate, width)]
    period = f"{1e6 * told.period:.0f} µs" if math.isfinite(told.period) else "not known"
    lines = [
        line([("work    ", SOFT), *times], Text(f"last {told.count}", SOFT), width),
        line([("        ", SOFT), highest], None, width),
        line([("period  ", SOFT), (period, ink)], rate, width),
        line([("        ", SOFT), missed], None, width),
    ]
    if told.unseen:
        lines.append(line([("        ", SOFT), (f"{told.unseen} cycles not seen here", SOFT)], None, width))
    return lines


def devices(frame: Frame, width: int, full: bool) -> Lines:
    """One line a device: sign, name, state, age and the link's figures; one for a learnt feed-forward."""
    if not frame.devices:
        return [Text("no device known yet", SOFT)]
    names = max(len(device.name) for device in frame.devices)
    kinds = max(len(device.kind) for device in frame.devices)
    lines = [_device(device, names, kinds, width) for device in frame.devices]
    if frame.feed_forward is not None:
        lines.append(_feed_forward(frame.feed_forward, width))
    if frame.link is not Link.LIVE:
        return [Text(f"?{text.plain[1:]}", OLD, no_wrap=True) for text in lines]
    return lines


def _device(device: Device, names: int, kinds: int, width: int) -> Text:
    sign, colour = MOODS[Mood.GOOD if device.valid else Mood.BAD]
    state = device.state if device.valid else f"{device.state}, not valid"
    parts: list[Part] = [
        (f"{sign} ", colour),
        (f"{device.name:<{names}}  ", f"bold {INK}"),
        (f"{device.kind:<{kinds}}  ", SOFT),
        (f"{state:<10}", INK if device.valid else f"bold {AT}"),
    ]
    if math.isfinite(device.age):
        parts.append((f" {1e3 * device.age:5.1f} ms", INK))
    if math.isfinite(device.quality):
        parts.append((f"  quality {100 * device.quality:.0f} %", INK))
    if device.gaps or device.refused:
        parts.append((f"  gaps {device.gaps}  refused {device.refused}", SOFT))
    if device.notes:
        parts.append((f"  {', '.join(device.notes)}", SOFT))
    return line(parts, None, width)


def _feed_forward(told: FeedForward, width: int) -> Text:
    """Load and version first: a narrow terminal cuts the rest."""
    parts: list[Part] = [("≈ ", SOFT), ("learnt", f"bold {INK}")]
    if math.isfinite(told.mass):
        parts.append((f"  load {told.mass:.2f} ± {told.mass_sd:.2f} kg", INK))
    if told.version >= 0:
        parts.append((f"  version {told.version}", SOFT))
    parts.append((f"  kp {' '.join(f'{value:.0f}' for value in told.kp)} N·m/rad", INK))
    parts.append((f"  σ {' '.join(f'{value:.2g}' for value in told.sd)} N·m", SOFT))
    return line(parts, None, width)

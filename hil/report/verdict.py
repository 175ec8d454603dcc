"""The verdict table: the same rows in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table

from hil.report.summary import Summary, Tracking, WrenchAgreement
from hil.report.timing import NOT_JUDGED, TimingSummary

FORCE_TOLERANCE = 0.15
"""Share of the reference by which the mean pressing force may be off before the verdict says so."""
OBSERVER_TOLERANCE = 4.0
"""N rms per axis while pressing, by which the observer may differ from the F/T sensor: a fifth of the usual 20 N."""


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One line of the verdict."""

    name: str
    value: str
    expected: str = ""
    ok: bool | None = None
    """None: neither passed nor failed; a figure for information, or a warning."""
    warn: bool = False
    """With ``ok`` None: something to look at, which by itself does not fail the run."""

    @property
    def mark(self) -> str:
        """``✓`` passed, ``✗`` failed, ``!`` warning, ``·`` for information."""
        return "!" if self.ok is None and self.warn else {True: "✓", False: "✗", None: "·"}[self.ok]

    @property
    def expectation(self) -> str:
        """What stands under "expected"."""
        return self.expected or ("" if self.ok is not None else "for information, not judged")


def verdict_rows(summary: Summary) -> list[VerdictRow]:
    """What a log says by itself; callers with expectations of their own add rows before these."""
    rows = [_recorded(summary), _faults(summary), *_tracking(summary.tracking)]
    if summary.torque_share is not None:
        joint = max(range(len(summary.torque_share)), key=summary.torque_share.__getitem__)
        share = summary.torque_share[joint]
        value = f"{share * 100:.0f} % of A{joint + 1}'s limit"
        rows.append(VerdictRow("largest torque", value, "at most 100 %", share <= 1.0))
    if summary.saturated:
        rows.append(VerdictRow("torque limited", f"in {summary.saturated * 100:.2f} % of the cycles"))
    if summary.force is not None:
        force = summary.force
        value = f"{force.mean:.1f} ± {force.sd:.1f} N over {force.seconds:.1f} s"
        near = abs(force.mean - force.reference) <= FORCE_TOLERANCE * force.reference
        rows.append(VerdictRow("pressing force", value, f"{force.reference:.0f} N ± {FORCE_TOLERANCE:.0%}", near))
    if summary.wrench is not None:
        rows += _observer(summary.wrench, summary.motor_side)
    if summary.timing is not None:
        rows.append(_timing(summary.timing))
    rows += _clock(summary)
    rows.append(_frames(summary))
    return rows


def _observer(wrench: WrenchAgreement, motor_side: bool) -> list[VerdictRow]:
    """The observer against the F/T sensor, both at the TCP in base axes, environment on robot."""
    rows = [VerdictRow("observer", wrench.observer)] if wrench.observer else []
    inside = f"{wrench.in_band * 100:.0f} % inside the 95 % band"
    if wrench.rms_pressing is None:
        value = f"{max(wrench.rms_force):.1f} N rms on the worst axis, {inside}"
        rows.append(VerdictRow("observer against F/T", value))
    else:
        if wrench.in_band_pressing is not None:
            inside += f", {wrench.in_band_pressing * 100:.0f} % while pressing"
        value = f"{wrench.rms_pressing:.1f} N rms on the worst axis while pressing, {inside}"
        expected = f"at most {OBSERVER_TOLERANCE:.0f} N rms"
        # Friction of the gears is in the motors' torque, and how much of it an observer knows is its own affair.
        ok = None if motor_side else wrench.rms_pressing <= OBSERVER_TOLERANCE
        rows.append(VerdictRow("observer against F/T", value, "" if motor_side else expected, ok))
    if wrench.nis is not None:
        rows.append(VerdictRow("observer's innovations", f"NIS {wrench.nis:.2f} for each joint (1: noise is right)"))
    if wrench.contacts is not None:
        times, seconds = wrench.contacts
        rows.append(VerdictRow("contact detected", f"{times} time{'s' * (times != 1)}, {seconds:.1f} s in all"))
    if wrench.known < 1.0:
        rows.append(VerdictRow("observer knew nothing", f"in {(1.0 - wrench.known) * 100:.2f} % of the cycles"))
    return rows


def _recorded(summary: Summary) -> VerdictRow:
    value = f"{summary.rows} rows, {summary.duration_s:.1f} s"
    if summary.every > 1:
        value += f", each {summary.every}th looked at: shorter events may be missed"
    if summary.truncated:
        value += ", cut"
    elif summary.ended:
        value += f", ended: {summary.ended}"
    if summary.damaged:
        value += f", damaged in {summary.damaged} place{'s' * (summary.damaged > 1)}"
    return VerdictRow("recorded", value, "complete", summary.complete)


def _faults(summary: Summary) -> VerdictRow:
    if summary.faults:
        return VerdictRow("faults", ", ".join(e.text for e in summary.faults[:3]), "none", False)
    if not summary.complete:
        return VerdictRow("faults", "unknown: the log is not complete", "none", warn=True)
    return VerdictRow("faults", "none", "none", True)


def _tracking(phases: Sequence[Tracking]) -> list[VerdictRow]:
    rows = []
    for unit, scale, shown, name in (("rad", 1e3, "mrad", "joint tracking"), ("m", 1e3, "mm", "TCP tracking")):
        of_unit = [phase for phase in phases if phase.unit == unit]
        if not of_unit:
            continue
        worst, largest = max(of_unit, key=lambda p: p.rms), max(of_unit, key=lambda p: p.peak)
        value = f"{worst.rms * scale:.2f} {shown} rms{_of(worst.rms_joint)} in {worst.phase}, "
        value += f"largest {largest.peak * scale:.2f} {shown}{_of(largest.peak_joint)} in {largest.phase}"
        rows.append(VerdictRow(f"{name}, worst phase", value))
    return rows


def _of(joint: int | None) -> str:
    return "" if joint is None else f" (A{joint})"


def _timing(timing: TimingSummary) -> VerdictRow:
    answer = timing.answer
    value = f"p50 {answer.p50 * 1e6:.0f}, p99.9 {answer.p999 * 1e6:.0f} µs"
    if timing.verdict == NOT_JUDGED:
        return VerdictRow("cycle time", value, "not judged: the run was not tied to real time")
    poor = timing.verdict == "poor"
    # A slow PC is no fault of the run: it is told, and fails nothing.
    return VerdictRow("cycle time", f"{timing.verdict}: {value}", "good or fair", None if poor else True, warn=poor)


def _clock(summary: Summary) -> list[VerdictRow]:
    clock = summary.clock
    if clock.realtime is None:
        return []
    rows = [VerdictRow("real time", clock.sentence, warn=bool(clock.refused))]
    if not clock.realtime:
        return rows
    if clock.wake is not None:
        wake = f"p50 {clock.wake.p50 * 1e6:.0f}, p99.9 {clock.wake.p999 * 1e6:.0f}, max {clock.wake.max * 1e6:.0f} µs"
        rows.append(VerdictRow("packet to wake-up", wake))
    value = f"{summary.skipped} of {summary.rows + summary.skipped}"
    value += f", at most {clock.in_a_row} in a row" if summary.skipped else ""
    # Which ones a PC misses is no fault of the run as long as no limit of age was passed: that would be a fault.
    rows.append(VerdictRow("ticks skipped", value, "none", None if summary.skipped else True, warn=True))
    return rows


def _frames(summary: Summary) -> VerdictRow:
    if not summary.rows:
        return VerdictRow("frames", "unknown: no rows", "none lost", warn=True)
    counts = {
        "arm missing": summary.gaps,
        "arm refused": summary.rejected,
        "F/T missing": summary.ft_gaps,
        "F/T refused": summary.ft_rejected,
        "ticks without the arm": summary.stale,
        "not recorded": summary.missed,
    }
    found = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    if not summary.complete:
        value = f"{found}; the rest is unknown" if found else "unknown: the log is not complete"
        return VerdictRow("frames", value, "none lost", warn=True)
    return VerdictRow("frames", found or "none lost", "none lost", None if found else True, warn=bool(found))


def verdict_table(rows: Sequence[VerdictRow], title: str = "") -> Table:
    """The rows as a rich table."""
    table = Table(title=title or None, title_justify="left", show_edge=False, pad_edge=False)
    for heading in ("", "what", "measured", "expected"):
        table.add_column(heading)
    colours = {"✓": "green", "✗": "red", "!": "yellow", "·": "dim"}
    for row in rows:
        mark = f"[{colours[row.mark]}]{row.mark}[/]"
        table.add_row(mark, escape(row.name), escape(row.value), f"[dim]{escape(row.expectation)}[/]")
    return table

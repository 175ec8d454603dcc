"""The verdict table: the same rows in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from hil.report.summary import Summary

FORCE_TOLERANCE = 0.15
"""Share of the reference by which the mean pressing force may be off before the verdict says so."""


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One line of the verdict."""

    name: str
    value: str
    expected: str = ""
    ok: bool | None = None
    """None: a figure for information, without a judgement."""


def verdict_rows(summary: Summary) -> list[VerdictRow]:
    """What a log says by itself; callers with expectations of their own add rows before these."""
    length = f"{summary.rows} rows, {summary.duration_s:.1f} s"
    rows = [VerdictRow("recorded", length, "complete", not summary.truncated)]
    faults = ", ".join(e.text for e in summary.faults[:3]) or "none"
    rows.append(VerdictRow("faults", faults, "none", not summary.faults))
    worst: dict[str, float] = {}
    for phase in summary.tracking:
        worst[phase.unit] = max(worst.get(phase.unit, 0.0), phase.rms)
    if "rad" in worst:
        rows.append(VerdictRow("joint tracking, worst phase", f"{worst['rad'] * 1e3:.2f} mrad rms"))
    if "m" in worst:
        rows.append(VerdictRow("TCP tracking, worst phase", f"{worst['m'] * 1e3:.2f} mm rms"))
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
        largest = max(summary.wrench.rms_force)
        value = f"{largest:.1f} N rms, {summary.wrench.in_band * 100:.0f} % inside the 95 % band"
        rows.append(VerdictRow("observer against F/T", value))
    if summary.timing is not None:
        answer = summary.timing.answer
        value = f"{summary.timing.verdict}: p50 {answer.p50 * 1e6:.0f}, p99.9 {answer.p999 * 1e6:.0f} µs"
        rows.append(VerdictRow("cycle time", value, "good or fair", summary.timing.verdict != "poor" or None))
    lost = summary.gaps + summary.rejected + summary.missed
    value = f"missing {summary.gaps}, refused {summary.rejected}, not recorded {summary.missed}"
    rows.append(VerdictRow("frames", value, "none lost", lost == 0 or None))
    return rows


def verdict_table(rows: Sequence[VerdictRow], title: str = "") -> Table:
    """The rows as a rich table."""
    table = Table(title=title or None, title_justify="left", show_edge=False, pad_edge=False)
    for heading in ("", "what", "measured", "expected"):
        table.add_column(heading)
    for row in rows:
        mark = {True: "[green]✓[/]", False: "[red]✗[/]", None: "[dim]·[/]"}[row.ok]
        table.add_row(mark, row.name, row.value, f"[dim]{row.expected}[/]")
    return table

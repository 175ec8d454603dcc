"""One stop as a log of its own, in the schemas of a run's log, so that everything that reads logs reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hil.telemetry.export import replacing
from hil.telemetry.mcapfile import LogWriter
from hil.telemetry.recorder import Meta
from hil.telemetry.row import RowLayout
from hil.telemetry.schema import Event, event_time

OVER = "the flight recorder has what it wants"
"""Reason of the end of such a log: nothing is missing."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Rows around one stop, with the events of that time."""

    rows: bytes
    """Whole rows, one after the other."""
    phases: Sequence[bytes]
    """Encoded events that name the phases."""
    events: Sequence[bytes]
    """Encoded events of the time of the rows, oldest first."""
    missed: int
    """Rows between the first and the last that could not be kept."""


def write_excerpt(path: Path, meta: Meta, layout: RowLayout, excerpt: Excerpt, told: dict[str, str]) -> None:
    """Write ``path`` whole or not at all. ``told``: what goes into the log's metadata as ``flight``. Raises OSError."""
    size, split, stamp = len(layout.blank), layout.split, layout.cycle.offsets[1] + 8
    tick_at, t_at = layout.cycle.offsets[:2]
    with replacing(path) as part:
        writer = LogWriter(part, {**meta.metadata, "flight": told}, meta.attachments)
        try:
            tick, t_ns, rows = -1, 0, memoryview(excerpt.rows)
            for event in (*excerpt.phases, *excerpt.events):
                writer.encoded_event(event, event_time(event))
            count = len(rows) // size
            for k in range(count):
                row = rows[k * size : (k + 1) * size]
                tick, t_ns = _number(row, tick_at), _number(row, t_at)
                # Tick and time stand in both messages; the publisher, which copies them across, has not seen this row.
                writer.row(bytes(row[:split]), bytes(row[:stamp]) + bytes(row[split + stamp :]), t_ns)
            if excerpt.missed:
                text = f"{excerpt.missed} row(s) were overwritten before the flight recorder could keep them"
                writer.event(Event(tick, t_ns, "gap", text, {"missed": excerpt.missed}))
            data = {"rows": count, "missed": excerpt.missed, "reason": OVER}
            writer.event(Event(tick, t_ns, "recorded", f"recording ended: {OVER}; {count} rows", data))
        finally:
            writer.finish()


def _number(row: memoryview, at: int) -> int:
    return int.from_bytes(row[at : at + 8], "little", signed=True)

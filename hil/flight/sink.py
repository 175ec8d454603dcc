"""Between the supervisor's writer and the publisher: rows and events also go into the flight recorder's memory."""

from __future__ import annotations

from typing import Any, Protocol

from hil.flight.ring import FlightRing
from hil.recording import RowSink
from hil.telemetry.schema import Event


class BodySink(RowSink, Protocol):
    """A sink whose row under way can be read: a :class:`hil.telemetry.publisher.Publisher`."""

    @property
    def body(self) -> memoryview:
        """The row as it stands."""
        ...


class FlightSink:
    """A :class:`hil.recording.RowSink` that passes everything on to ``inner`` and keeps a copy in ``ring``."""

    def __init__(self, inner: BodySink, ring: FlightRing) -> None:
        self._inner = inner
        self._ring = ring
        self.slots: dict[str, Any] = inner.slots
        self._tick, self._t_ns = inner.slots["tick"], inner.slots["t_ns"]
        self._names: set[tuple[int, str]] = set()

    def clear(self) -> None:
        self._inner.clear()

    def publish(self) -> None:
        # The copy first: whatever becomes of the publisher, this row is kept.
        self._ring.add(self._inner.body)
        self._inner.publish()

    def event(self, kind: str, text: str, **data: Any) -> None:
        self._ring.event(self._stamped(kind, text, data))
        self._inner.event(kind, text, **data)

    def phase(self, name: str) -> int:
        index = self._inner.phase(name)
        if (index, name) not in self._names:
            self._names.add((index, name))
            data = {"index": index, "name": name}
            self._ring.phase(self._stamped("phase", f"phase {index} is '{name}'", data))
        return index

    def _stamped(self, kind: str, text: str, data: dict[str, Any]) -> Event:
        tick = self._tick[()] if self._ring.rows or self._t_ns[()] else -1
        return Event(tick, self._t_ns[()], kind, text, data)

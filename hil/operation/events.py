"""The last events of a running cell, kept for whoever attaches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

from hil.cycle import CycleView, Decision, RowWriter

KEPT = 200


class RememberingWriter:
    """A :class:`hil.cycle.RowWriter` that passes everything on and remembers the last events."""

    def __init__(self, inner: RowWriter, clock: Callable[[], datetime] = datetime.now) -> None:
        self._inner = inner
        self._clock = clock
        self._kept: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._next = 0

    def begin(self, tick: int, t_ns: int) -> None:
        self._inner.begin(tick, t_ns)

    def write(self, cycle: CycleView, decision: Decision, woke: int, read_ns: int, write_ns: int) -> None:
        self._inner.write(cycle, decision, woke, read_ns, write_ns)

    def event(self, kind: str, text: str, **data: Any) -> None:
        self._inner.event(kind, text, **data)
        if kind == "ask":
            return  # the verb that asked is told anyway
        time = self._clock().isoformat(timespec="milliseconds")
        self._kept.append({"number": self._next, "time": time, "kind": kind, "text": text})
        self._next += 1

    def after(self, number: int) -> list[dict[str, Any]]:
        """The events with a higher number that are still kept, oldest first: number, time, kind, text."""
        return [event for event in self._kept if event["number"] > number]

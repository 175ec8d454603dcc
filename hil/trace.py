"""What the cycles of a session recorded: arrays with names and units, kept in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hil.cycle import CycleView, Decision, RowWriter
from hil.recording import TelemetryWriter
from hil.telemetry.publisher import row_slots
from hil.telemetry.row import FIELDS, row_layout

_DOCS = {field.name: field for field in FIELDS}


class Trace(Mapping[str, npt.NDArray[Any]]):
    """Cycles in a row: ``trace["q"]`` is (T, n), ``trace["t"]`` (T,) s since the first of them.

    The names are those of the log, see ``hil log info`` or :meth:`describe`; what was not known is NaN.
    """

    def __init__(self, rows: npt.NDArray[Any], phases: Mapping[int, str]) -> None:
        self._rows = rows
        self._phases = dict(phases)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        if name == "t":
            t_ns = self._rows["t_ns"]
            seconds: npt.NDArray[Any] = (t_ns - t_ns[0]) * 1e-9 if len(t_ns) else np.zeros(0)
            return seconds
        if name not in _DOCS:
            raise KeyError(f"there is no quantity {name!r}; there are: t, {', '.join(_DOCS)}")
        return np.array(self._rows[name])

    def __iter__(self) -> Iterator[str]:
        return iter(("t", *_DOCS))

    def __len__(self) -> int:
        return 1 + len(_DOCS)

    @property
    def cycles(self) -> int:
        """Number of cycles T."""
        return len(self._rows)

    def unit(self, name: str) -> str:
        """SI unit; one entry for each value, comma-separated, where they differ."""
        return "s" if name == "t" else _DOCS[name].unit

    def describe(self, name: str) -> str:
        """Meaning, shape of one cycle's value, and unit."""
        if name == "t":
            return "time since the first cycle [s]"
        shape, unit = self._rows[name].shape[1:], self.unit(name)
        return f"{_DOCS[name].doc}{f', {shape}' if shape else ''}{f' [{unit}]' if unit else ''}"

    def phases(self) -> list[str]:
        """Name of what was going on in each cycle."""
        return [self._phases.get(int(number), "") for number in self._rows["phase"]]

    def __repr__(self) -> str:
        return f"Trace of {self.cycles} cycles; names: t, {', '.join(_DOCS)}"


class TraceBuffer:
    """Keeps the rows of cycles; takes the place of a publisher under :class:`hil.recording.TelemetryWriter`."""

    def __init__(self, n: int) -> None:
        self._layout = row_layout(n)
        self._row = bytearray(self._layout.blank)
        self.slots: dict[str, Any] = row_slots(memoryview(self._row), self._layout.dtype)
        self._rows: list[bytes] = []
        self._phases: dict[str, int] = {}
        self.events: list[tuple[str, str]] = []
        """Kind and text of everything that happened so far."""

    def clear(self) -> None:
        self._row[:] = self._layout.blank

    def publish(self) -> None:
        self._rows.append(bytes(self._row))

    def event(self, kind: str, text: str, **data: Any) -> None:
        self.events.append((kind, text))

    def phase(self, name: str) -> int:
        return self._phases.setdefault(name, len(self._phases))

    def take(self) -> Trace:
        """The cycles since the last call; they are forgotten here."""
        rows = np.frombuffer(b"".join(self._rows), dtype=self._layout.dtype)
        self._rows = []
        return Trace(rows, {number: name for name, number in self._phases.items()})


class SessionWriter:
    """Rows and events to the buffer of a session, and to the log while one is being written."""

    def __init__(self, buffer: TraceBuffer) -> None:
        self._buffer = TelemetryWriter(buffer)
        self.log: RowWriter | None = None

    def begin(self, tick: int, t_ns: int) -> None:
        self._buffer.begin(tick, t_ns)
        if self.log is not None:
            self.log.begin(tick, t_ns)

    def write(self, cycle: CycleView, decision: Decision, woke: int, read_ns: int, write_ns: int) -> None:
        self._buffer.write(cycle, decision, woke, read_ns, write_ns)
        if self.log is not None:
            self.log.write(cycle, decision, woke, read_ns, write_ns)

    def event(self, kind: str, text: str, **data: Any) -> None:
        self._buffer.event(kind, text, **data)
        if self.log is not None:
            self.log.event(kind, text, **data)

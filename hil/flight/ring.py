"""The last seconds of a run in shared memory, which outlive the process that wrote them.

The supervisor writes each finished row into an anonymous file in memory (``memfd``); the program that started the run
maps the same file and reads behind it. So nothing is left to be saved by a supervisor that is killed, the cycle pays
one copy, and nobody waits for anybody: the one writer says how many rows there are *after* it has written each, and
the reader takes care not to be a whole ring behind. (Plain stores in program order, as x86-64 keeps them; where a
machine may reorder them, the reader's distance of milliseconds does.)

Beside the rows there are the last events, in slots of fixed size, and the names of the phases, which are never
overwritten because a row of any age refers to them.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass, replace

from hil.telemetry.row import RowLayout, row_layout
from hil.telemetry.schema import Event, encode_event

SECONDS = 8.0
"""How far the rows reach back: the time before a stop, and what the reader may be late."""
_MAGIC = 0x01474E4952_4C49_48  # "HIL RING", version 1
_HEAD = 4096
_PHASES = 32 * 1024
_SLOTS = 256
_SLOT = 6 * 1024
_LONGEST_TEXT = 2000
_LENGTH = struct.Struct("<I")
_STAMP = struct.Struct("<QI")  # number of the event, its length
# Numbers in the header, eight bytes each.
_N, _CAPACITY, _ROWS, _EVENTS, _PHASE_BYTES = range(1, 6)


class RingError(RuntimeError):
    """The memory handed over is no ring of this version."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a reader found since it last looked."""

    rows: bytes
    """Whole rows, one after the other."""
    count: int
    missed: int
    """Rows that were overwritten before they were read."""
    events: list[bytes]
    """Encoded events."""


class FlightRing:
    """Both ends of the memory: one writer (:meth:`add`, :meth:`event`, :meth:`phase`), one reader (:meth:`take`)."""

    def __init__(self, fd: int) -> None:
        """Map the memory of :meth:`create`; ``fd`` stays the caller's. Raises RingError, OSError."""
        size = os.fstat(fd).st_size
        if size < _HEAD:
            raise RingError(f"the flight recorder's memory has {size} bytes, expected at least {_HEAD}")
        self.fd = fd
        # Populated now: a page that is touched for the first time in a cycle would cost that cycle.
        self._map = mmap.mmap(fd, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
        self._view = memoryview(self._map)
        self._head = self._view[:64].cast("q")
        if self._head[0] != _MAGIC:
            raise RingError(f"the flight recorder's memory begins with {self._head[0]:#x}, expected {_MAGIC:#x}")
        self.n = self._head[_N]
        self.layout: RowLayout = row_layout(self.n)
        self._capacity = self._head[_CAPACITY]
        self._size = len(self.layout.blank)
        self._rows_at = _HEAD + _PHASES + _SLOTS * _SLOT
        expected = self._rows_at + self._capacity * self._size
        if size != expected:
            raise RingError(
                f"the flight recorder's memory has {size} bytes, expected {expected} "
                f"for {self._capacity} rows of {self.n} joints: both processes must run the same version"
            )
        self._place = 0  # of the next row to write
        self._read = self._events_read = 0

    @classmethod
    def create(cls, n: int, period: float, seconds: float = SECONDS) -> FlightRing:
        """New memory for rows of ``n`` joints, one each ``period`` s; a child gets ``fd`` only if it is passed on.

        Raises OSError where there is no such memory.
        """
        capacity = max(16, round(seconds / period))
        size = _HEAD + _PHASES + _SLOTS * _SLOT + capacity * len(row_layout(n).blank)
        fd = os.memfd_create("hil-flight", os.MFD_CLOEXEC)
        try:
            os.ftruncate(fd, size)
            head = struct.pack("<8q", _MAGIC, n, capacity, 0, 0, 0, 0, 0)
            os.pwrite(fd, head, 0)
            return cls(fd)
        except BaseException:
            os.close(fd)
            raise

    @property
    def rows(self) -> int:
        """Rows written so far."""
        return self._head[_ROWS]

    def close(self) -> None:
        """Unmap it; the file descriptor stays open."""
        self._head.release()
        self._view.release()
        self._map.close()

    # The writer

    def add(self, row: memoryview | bytes) -> None:
        """One row, as :func:`hil.telemetry.row.row_layout` lays it out; about a microsecond."""
        at = self._rows_at + self._place * self._size
        self._view[at : at + self._size] = row
        self._place = 0 if self._place + 1 == self._capacity else self._place + 1
        self._head[_ROWS] += 1

    def event(self, event: Event) -> None:
        """One event; a very long one (a traceback) loses the end of its text."""
        data = encode_event(event)
        room = _SLOT - _STAMP.size
        if len(data) > room:
            data = encode_event(replace(event, text=event.text[:_LONGEST_TEXT] + " …", data={}))
        number = self._head[_EVENTS]
        at = _HEAD + _PHASES + number % _SLOTS * _SLOT
        _STAMP.pack_into(self._map, at, number, len(data))
        self._view[at + _STAMP.size : at + _STAMP.size + len(data)] = data
        self._head[_EVENTS] = number + 1

    def phase(self, event: Event) -> None:
        """The event that names a phase; kept for good, as far as there is room (hundreds of them)."""
        data = encode_event(event)
        used = self._head[_PHASE_BYTES]
        if used + _LENGTH.size + len(data) > _PHASES:
            return
        at = _HEAD + used
        _LENGTH.pack_into(self._map, at, len(data))
        self._view[at + _LENGTH.size : at + _LENGTH.size + len(data)] = data
        self._head[_PHASE_BYTES] = used + _LENGTH.size + len(data)

    # The reader

    def take(self, most: int | None = None) -> Taken:
        """Everything since the last call, or its last ``most`` rows (what is left out then counts as seen).

        Rows that were overwritten meanwhile are counted as missed.
        """
        written = self._head[_ROWS]
        begin = max(self._read, written - most) if most is not None else self._read
        first = max(begin, written - self._capacity)
        rows = self._copy(first, written)
        # The writer went on while we copied: what it has reached by now is not what it was.
        overrun = min(max(0, self._head[_ROWS] + 1 - self._capacity - first), written - first)
        rows = rows[overrun * self._size :]
        self._read = written
        return Taken(rows, written - first - overrun, first + overrun - begin, self._take_events())

    def last(self, count: int) -> bytes:
        """The last ``count`` rows, for the writer itself."""
        written = self._head[_ROWS]
        return self._copy(max(0, written - min(count, self._capacity)), written)

    def phases(self) -> list[bytes]:
        """The encoded events that name the phases."""
        used, at, found = self._head[_PHASE_BYTES], 0, []
        while at < used:
            (length,) = _LENGTH.unpack_from(self._map, _HEAD + at)
            at += _LENGTH.size
            found.append(bytes(self._view[_HEAD + at : _HEAD + at + length]))
            at += length
        return found

    def _copy(self, first: int, stop: int) -> bytes:
        a, b = first % self._capacity, stop % self._capacity
        view, at, size = self._view, self._rows_at, self._size
        if first == stop:
            return b""
        if a < b:
            return bytes(view[at + a * size : at + b * size])
        return bytes(view[at + a * size : at + self._capacity * size]) + bytes(view[at : at + b * size])

    def _take_events(self) -> list[bytes]:
        written = self._head[_EVENTS]
        found = []
        for number in range(max(self._events_read, written - _SLOTS), written):
            at = _HEAD + _PHASES + number % _SLOTS * _SLOT
            stamp, length = _STAMP.unpack_from(self._map, at)
            if stamp == number and length <= _SLOT - _STAMP.size:
                found.append(bytes(self._view[at + _STAMP.size : at + _STAMP.size + length]))
        self._events_read = written
        return found

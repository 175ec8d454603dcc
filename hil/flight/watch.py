"""Follows the rows of a running cell, in the program that started it, and writes one file for each stop.

A stop begins with the first row that asks for one, or in which a fault is latched; it is over when the arm stands
with its power gone, or held. What is written reaches from ``BEFORE`` before its beginning to ``AFTER`` after its end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hil.flight.file import Excerpt, write_excerpt
from hil.flight.ring import FlightRing
from hil.recording import STATE_NUMBERS
from hil.telemetry.recorder import Meta
from hil.telemetry.schema import Event, encode_event, event_time
from safety.states import State
from safety.stops import StopParams

STOPS = "stops"
"""Folder of the files, in the run's folder."""
BEFORE, AFTER = 2.5, 1.0
"""s; at least 2 and 1 are promised."""
LONGEST = 60.0
"""s of one stop, after which its file is closed."""
MOST_FILES = 200
"""Files of one run: a cell that is stopped more often fills no disk."""
_PERMITTED = (STATE_NUMBERS[State.ENABLED], STATE_NUMBERS[State.STOPPING])
_HOLD = 2
_STILL = StopParams().standstill_speed
_STOOD = 0.1
"""s of standstill after which a stop that holds the arm is over."""


class FlightWatch:
    """The reader of a :class:`hil.flight.ring.FlightRing`; :meth:`poll` now and then, :meth:`finish` at the end."""

    def __init__(self, ring: FlightRing, folder: Path, period: float, meta: Callable[[], Meta]) -> None:
        """``folder``: the run's; ``period`` s: of the rows; ``meta``: what the log says of the run, asked for late."""
        self._ring = ring
        self._folder = folder / STOPS
        self._meta = meta
        self._layout = ring.layout
        self._size = len(ring.layout.blank)
        self._before = round(BEFORE / period)
        self._after = round(AFTER / period)
        self._longest = round(LONGEST / period)
        self._stood_rows = round(_STOOD / period)
        self._kept: deque[bytes] = deque(maxlen=self._before)
        """Rows before a stop."""
        self._events: deque[bytes] = deque(maxlen=1000)
        self._rows: list[bytes] = []
        """Rows of the stop under way, those before it included."""
        self._collecting = False
        self._missed = 0
        self._over_for = self._still_for = 0
        self._spent = False
        """The stop that is still asked for, or the fault that is still latched, has its file."""
        self._fault = False
        """A fault is in the stop under way, or in the one whose file was written last."""
        self._last_state = -1
        self.files: list[Path] = []
        self.problems: list[str] = []
        """Why a file could not be written."""

    def poll(self) -> None:
        """Take what is new, and write what is complete."""
        # Far more than a stop's time behind, the older part would only be copied to be thrown away.
        taken = self._ring.take()
        self._events.extend(taken.events)
        if taken.missed and self._collecting:
            self._missed += taken.missed
        elif taken.missed:
            self._kept.clear()
        if not taken.count:
            return
        table = np.frombuffer(taken.rows, dtype=self._layout.dtype)
        still = np.abs(table["qd"]).max(axis=1) <= _STILL
        for k in range(taken.count):
            row = taken.rows[k * self._size : (k + 1) * self._size]
            self._take(row, int(table["stop_category"][k]), bool(table["fault"][k]), bool(still[k]))
        self._last_state = int(table["safety_state"][-1])

    def finish(self, died: bool, planned: bool) -> None:
        """The supervisor has ended: write what is under way. Its stop may have been the run's own end (``planned``),
        which is written only where a fault was latched; ``died``: it was killed, and what it did last is worth a file
        where it commanded the arm."""
        self.poll()
        if died and not self._collecting and self._last_state in _PERMITTED:
            self._collecting, self._rows = True, list(self._kept)
        if died and self._collecting:
            last = np.frombuffer(self._rows[-1], dtype=self._layout.dtype)[0]
            tick, t_ns = int(last["tick"]), int(last["t_ns"])
            text = "the supervisor's process died here; the arm was left to its own watchdog"
            self._events.append(encode_event(Event(tick, t_ns, "died", text)))
        if self._collecting and (self._fault or not planned):
            self._write()

    def _take(self, row: bytes, category: int, fault: bool, still: bool) -> None:
        asked = category >= 0 or fault
        if not self._collecting:
            if not asked:
                self._spent = self._fault = False
            elif not self._spent or (fault and not self._fault):
                self._collecting = True
                self._rows = list(self._kept)
                self._over_for = self._still_for = self._missed = 0
        self._kept.append(row)
        if not self._collecting:
            return
        self._rows.append(row)
        self._fault = self._fault or fault
        self._still_for = self._still_for + 1 if still else 0
        # A hold lasts as long as people like; the stop is over when the arm was seen standing in it.
        held = category == _HOLD and self._still_for >= self._stood_rows
        self._over_for = self._over_for + 1 if category < 0 or held else 0
        if self._over_for > self._after or len(self._rows) > self._longest:
            self._spent = True
            self._write()

    def _write(self) -> None:
        rows, self._rows = self._rows, []
        self._collecting = False
        if len(self.files) >= MOST_FILES:
            return
        try:
            self._folder.mkdir(exist_ok=True)
            number = len(list(self._folder.glob("*.mcap"))) + 1
            path = self._folder / f"{number:04d}.mcap"
            meta = self._meta()
            first = np.frombuffer(rows[0], dtype=self._layout.dtype)["t_ns"][0]
            events = [event for event in self._events if event_time(event) >= first]
            excerpt = Excerpt(b"".join(rows), self._ring.phases(), events, self._missed)
            write_excerpt(path, meta, self._layout, excerpt, {"stop": str(number)})
            self.files.append(path)
        except (OSError, ValueError, KeyError) as error:
            self.problems.append(f"the flight recorder could not write a stop: {error}")


def write_orphaned(ring: FlightRing, folder: Path, period: float, meta: Path) -> None:
    """What the supervisor does at its end where the program that started the run is gone: write what the ring holds."""
    watch = FlightWatch(ring, folder, period, lambda: Meta.load(meta))
    watch.finish(died=False, planned=False)

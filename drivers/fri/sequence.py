"""Order of the controller's frames by their 32-bit counter: which is newest, which are missing, late or doubled."""

from __future__ import annotations

import enum

from drivers.fri.wire import UINT32

MAX_JUMP = 63
"""A counter that moves by more than this many frames at once is not believed until a second frame goes on from it.
Small, because a wrong counter that is believed makes all true ones look old until they have caught up with it."""
_WINDOW = MAX_JUMP + 1
_HALF = 1 << 31


def ahead(a: int, b: int) -> int:
    """How many counts ``a`` is ahead of ``b`` (negative: behind), with the wrap of 32-bit counters."""
    return ((a - b + _HALF) & UINT32) - _HALF


class Arrival(enum.Enum):
    """What a good frame is by its counter."""

    FIRST = "the first frame, or the first of a sender that started anew"
    NEWEST = "newer than all before"
    DUPLICATE = "seen before"
    REORDERED = "older than the newest, and not seen before"
    JUMP = "implausibly far from the newest"


class SequenceWindow:
    """Keeps the newest counter and which of the 64 before it have been seen.

    A controller that starts anew counts from 0 again, and a broken counter can lie anywhere; both look like a jump.
    The second frame tells them apart: only a new start goes on from the jump. An outage of more than ``MAX_JUMP``
    frames is such a new start as well, and what it lost is not counted as gaps.
    """

    def __init__(self) -> None:
        self.newest = -1
        """Counter of the newest frame; -1 before the first."""
        self.step = 0
        """Frames from the newest-but-one to the newest; 0 at the first."""
        self.gaps = 0
        """Frames missing until now; one that arrives late after all is taken off again."""
        self._seen = 0
        self._suspect = -1

    def restart(self) -> None:
        """Forget the counter (not the number of gaps): whatever comes next is the first."""
        self.newest = -1
        self._suspect = -1

    def judge(self, seq: int) -> Arrival:
        """Place a frame with counter ``seq`` (0 … 2³²−1) and take note of it."""
        if self.newest < 0:
            return self._start(seq)
        step = ahead(seq, self.newest)
        if 0 < step <= MAX_JUMP:
            self.gaps += step - 1
            self._seen = ((self._seen << step) | 1) & ((1 << _WINDOW) - 1)
            self.newest = seq
            self.step = step
            self._suspect = -1
            return Arrival.NEWEST
        if -MAX_JUMP <= step <= 0:
            bit = 1 << -step
            if self._seen & bit:
                return Arrival.DUPLICATE
            self._seen |= bit
            self.gaps = max(0, self.gaps - 1)
            return Arrival.REORDERED
        if self._suspect >= 0 and 0 < ahead(seq, self._suspect) <= MAX_JUMP:
            return self._start(seq)
        self._suspect = seq
        return Arrival.JUMP

    def _start(self, seq: int) -> Arrival:
        self.newest = seq
        self.step = 0
        # What came before the first frame was never missed: late ones of it must not repair gaps.
        self._seen = (1 << _WINDOW) - 1
        self._suspect = -1
        return Arrival.FIRST

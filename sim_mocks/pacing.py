"""When the next tick of a mock cell is due by the wall clock."""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Callable

_PR_SET_TIMERSLACK = 29


class Pacer:
    """Ties lockstep to the wall clock. After an overrun the schedule moves: late, never in a burst."""

    def __init__(self, dt_ns: int) -> None:
        self._dt_ns = dt_ns
        self._due = 0
        self.skipped_ns = 0
        """Wall-clock time by which the schedule has been moved, ns."""

    def wait(self) -> None:
        """Sleep until the next tick is due."""
        now = time.monotonic_ns()
        if self._due == 0:
            self._due = now
        if now < self._due:
            time.sleep((self._due - now) * 1e-9)
        elif now - self._due > self._dt_ns:
            self.skipped_ns += now - self._due
            self._due = now
        self._due += self._dt_ns


class WallPacer:
    """A grid of absolute times, as a robot controller's interrupt makes it.

    Who comes too late for a time of the grid takes the newest that has passed and leaves out those before it: ticks
    are skipped, and no two ever follow each other faster because one was late.
    """

    def __init__(
        self,
        period_ns: int,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._period = period_ns
        self._clock, self._sleep = clock, sleep
        self._due = -1
        self.skipped = 0
        """Ticks left out so far."""
        self.late_max_ns = 0
        """Longest time after its due time at which a tick began, skipped ones counted as late."""

    def wait(self) -> None:
        """Sleep until the next tick is due; the first is due at once."""
        now = self._clock()
        if self._due < 0:
            self._due = now
        while now < self._due:  # a sleep may end a little early
            self._sleep((self._due - now) * 1e-9)
            now = self._clock()
        late = now - self._due
        self.late_max_ns = max(self.late_max_ns, late)
        skipped = late // self._period
        self.skipped += skipped
        self._due += (skipped + 1) * self._period


def sharpen_timers() -> None:
    """Ask the kernel not to delay this thread's timers in order to save power (50 µs by default, prctl(2)).

    Without effect where the kernel does not know it; a thread under SCHED_FIFO has no such delay anyway.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)

"""Wall-clock measurement of the cycle, apart from the time that the cycle lives in."""

from __future__ import annotations

import time

from drivers.contract import Ticks


class TimedTicks:
    """Ticks that remember when the last wait ended, so that waiting is not counted as work.

    The wall clock is read here and nowhere else in the cycle's time base: in lockstep ``now_ns`` is virtual.
    """

    __slots__ = ("_inner", "woke_ns")

    def __init__(self, inner: Ticks) -> None:
        self._inner = inner
        self.woke_ns = time.monotonic_ns()

    def now_ns(self) -> int:
        return self._inner.now_ns()

    def wait(self, fd: int, timeout_ns: int) -> bool:
        readable = self._inner.wait(fd, timeout_ns)
        self.woke_ns = time.monotonic_ns()
        return readable

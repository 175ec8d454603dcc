"""CPU time of other processes."""

from __future__ import annotations

import time


class CpuTimes:
    """CPU time that processes used, s, by name."""

    def __init__(self, pids: dict[str, int]) -> None:
        # The clock of another process, as clock_getcpuclockid(3) of the C library makes its number.
        self._clocks = {name: (~pid << 3) | 2 for name, pid in pids.items()}
        self._begin: dict[str, float] = {}

    def begin(self) -> None:
        self._begin = self._now()

    def end(self) -> dict[str, float]:
        """Time used since :meth:`begin`."""
        return {name: used - self._begin[name] for name, used in self._now().items()}

    def _now(self) -> dict[str, float]:
        return {name: time.clock_gettime(clock) for name, clock in self._clocks.items()}

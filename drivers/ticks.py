"""Time and waiting in wall-clock time."""

from __future__ import annotations

import select
import time


class WallClock:
    """:class:`drivers.contract.Ticks` on the monotonic clock."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._fd = -1

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def wait(self, fd: int, timeout_ns: int) -> bool:
        if fd != self._fd:
            if self._fd >= 0:
                self._poll.unregister(self._fd)
            self._poll.register(fd, select.POLLIN)
            self._fd = fd
        return bool(self._poll.poll(max(0.0, timeout_ns / 1e6)))

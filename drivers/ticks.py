"""Time and waiting in wall-clock time."""

from __future__ import annotations

import select
import time


class WallClock:
    """:class:`drivers.contract.Ticks` on the monotonic clock."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def wait(self, fd: int, timeout_ns: int) -> bool:
        # select(2) takes microseconds; poll(2) would round a deadline of 1.5 ms up to 2.
        return bool(select.select((fd,), (), (), max(0, timeout_ns) * 1e-9)[0])

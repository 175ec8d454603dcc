"""Wall-clock measurement of the cycle, apart from the time that the cycle lives in."""

from __future__ import annotations

import fcntl
import struct
import time
from collections.abc import Callable

from drivers.contract import Ticks

_SIOCGSTAMPNS = 0x8907
_TIMESPEC = struct.Struct("@ll")


class TimedTicks:
    """Ticks that remember when the last wait ended, so that waiting is not counted as work.

    The wall clock is read here and nowhere else in the cycle's time base: in lockstep ``now_ns`` is virtual.
    """

    __slots__ = ("_fd", "_inner", "_stamp", "_stamps", "_woke_real_ns", "meanwhile", "woke_ns")

    def __init__(self, inner: Ticks, stamps: bool = False) -> None:
        """``stamps``: know how long a packet lay in the kernel, for two microseconds a cycle; see :meth:`late_ns`."""
        self._inner = inner
        self.meanwhile: Callable[[], object] | None = None
        """Called after each wait: what else has to be looked after while a device takes long to open."""
        self._stamps = stamps
        self._stamp = bytearray(_TIMESPEC.size)
        self._fd = -1
        self._woke_real_ns = 0
        self.woke_ns = time.monotonic_ns()

    def now_ns(self) -> int:
        return self._inner.now_ns()

    def wait(self, fd: int, timeout_ns: int) -> bool:
        readable = self._inner.wait(fd, timeout_ns)
        self.woke_ns = time.monotonic_ns()
        if self._stamps:
            self._fd = fd if readable else -1
            self._woke_real_ns = time.time_ns()
        if self.meanwhile is not None:
            self.meanwhile()
        return readable

    def late_ns(self) -> int:
        """From the arrival, in the kernel, of the packet that was last read to the end of the wait; 0 where unknown.

        To be called after reading. Linux stamps arriving packets (SIOCGSTAMPNS, socket(7)) by the time of day; a
        packet that arrived during the cycle before counts as waiting until this one.
        """
        if not self._stamps or self._fd < 0:
            return 0
        try:
            fcntl.ioctl(self._fd, _SIOCGSTAMPNS, self._stamp, True)
        except OSError:  # no packet yet, or no socket
            return 0
        seconds, ns = _TIMESPEC.unpack(self._stamp)
        late: int = self._woke_real_ns - seconds * 1_000_000_000 - ns
        return max(0, late)

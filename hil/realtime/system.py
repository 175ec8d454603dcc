"""The calls to the operating system that a real-time run makes, behind a protocol so that tests can refuse them."""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Collection
from typing import Any, Protocol

_MCL_CURRENT, _MCL_FUTURE = 1, 2
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_RESERVE = 32 << 20
"""Bytes of heap that are taken once and given back to the allocator, never to the system."""
_BLOCK = 240
"""Bytes of a small object; pymalloc serves up to 512."""
_KEEP_EACH = 500
"""Of so many small objects one is kept: a dozen in each arena of 1 MiB, so that none is given back."""


class System(Protocol):
    """What is asked of Linux; every method raises OSError where it is refused. ``pid`` 0 is this process."""

    def cpus(self, pid: int) -> set[int]:
        """CPUs on which the main thread of ``pid`` may run."""
        ...

    def pin(self, pid: int, cpus: Collection[int]) -> None:
        """Let it run on these CPUs only."""
        ...

    def set_fifo(self, pid: int, priority: int) -> None:
        """SCHED_FIFO with ``priority``; processes and threads begun from it are ordinary ones again."""
        ...

    def lock_memory(self) -> None:
        """Keep all memory of this process, present and future, in RAM, and reserve some."""
        ...

    def limit(self, which: int) -> int:
        """Soft limit (``resource.RLIMIT_…``) of this process; -1 for none."""
        ...


class Linux:
    """:class:`System` as it is."""

    def __init__(self) -> None:
        self._kept: list[bytes] = []

    def cpus(self, pid: int) -> set[int]:
        return os.sched_getaffinity(pid)

    def pin(self, pid: int, cpus: Collection[int]) -> None:
        os.sched_setaffinity(pid, cpus)

    def set_fifo(self, pid: int, priority: int) -> None:
        os.sched_setscheduler(pid, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))

    def lock_memory(self) -> None:
        libc: Any = ctypes.CDLL(None, use_errno=True)
        if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        # What is freed stays with the process: taken anew it costs no page fault and no system call.
        libc.mallopt(_M_TRIM_THRESHOLD, -1)
        libc.mallopt(_M_MMAP_MAX, 0)
        bytearray(_RESERVE)  # freed at once
        self._kept = [bytes(_BLOCK) for _ in range(_RESERVE // _BLOCK)][::_KEEP_EACH]

    def limit(self, which: int) -> int:
        soft = resource.getrlimit(which)[0]
        return -1 if soft == resource.RLIM_INFINITY else soft

"""Asking for real-time privileges, and saying what became of it: granted, or why not and what mends it.

A run goes on without what it does not get, unless the cell file says ``required: true``: an ordinary process on an
idle machine keeps most of its ticks, and which ones it missed is counted.
"""

from __future__ import annotations

import errno
import getpass
import os
import resource
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from drivers.errors import DriverError
from hil.cell.realtime import RealTime
from hil.realtime.system import Linux, System

LIMITS_FILE = "/etc/security/limits.d/99-realtime.conf"


class RealTimeRefused(DriverError):
    """The system grants less than the cell file requires; the message says what, why, and what mends it."""


@dataclass(frozen=True)
class Grant:
    """One thing that was asked for."""

    what: str
    granted: bool
    why: str = ""
    """Why it was refused."""
    mend: str = ""

    def __str__(self) -> str:
        return self.what if self.granted else f"{self.what} was refused: {self.why}; {self.mend}"

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


class Placement:
    """Where the processes of one run are put, and with which priority; every answer is kept in :attr:`grants`."""

    def __init__(self, settings: RealTime, system: System | None = None) -> None:
        self._settings = settings
        self._system = Linux() if system is None else system
        self._everywhere = self._system.cpus(0)
        self.grants: list[Grant] = []

    def enter(self, mock_pid: int | None = None) -> None:
        """Ask for everything that the cell file wants for this process, the supervisor, and for its mock.

        To be called once, before the recorder is started: it, and ZeroMQ's thread, begin as ordinary ones. The mock
        stands for a robot controller, which nothing on this computer can hold up: it gets one priority more. Raises
        RealTimeRefused if something is refused that is required.
        """
        want = self._settings
        if want.cpus.recorder:  # tried here, so that the log can say it from its first row on
            self._pin(0, want.cpus.recorder, "the recorder")
            self._system.pin(0, self._everywhere)
        if want.cpus.supervisor:
            self._pin(0, want.cpus.supervisor, "the supervisor")
        if want.lock_memory:
            self._lock()
        if mock_pid is not None:
            self.place_mock(mock_pid)
        if isinstance(want.priority, int):
            self._fifo(0, want.priority, "the supervisor")
        refused = [grant for grant in self.grants if not grant.granted]
        if refused and want.required:
            raise RealTimeRefused(
                "The cell file requires real-time privileges (realtime.required: true), and nothing was started. "
                + " ".join(f"{grant}." for grant in refused)
            )

    def place_mock(self, pid: int) -> None:
        """Ask for what the cell file wants for its mock."""
        want = self._settings
        if want.cpus.mock:
            self._pin(pid, want.cpus.mock, "the mock")
        if isinstance(want.priority, int):
            self._fifo(pid, want.priority + 1, "the mock")

    def place_recorder(self, pid: int) -> None:
        """Put the recorder on its CPUs, or on all: it inherits those of the process that started it."""
        wanted = self._settings.cpus.recorder
        refused = any(not grant.granted and grant.what.endswith("the recorder") for grant in self.grants)
        try:
            self._system.pin(pid, self._everywhere if refused or not wanted else wanted)
        except OSError:  # it has just died; whoever waits for it will say so
            return

    def _pin(self, pid: int, cpus: Sequence[int], whom: str) -> None:
        numbers = ", ".join(map(str, cpus))
        what = f"CPU {numbers} for {whom}"
        try:
            self._system.pin(pid, cpus)
        except OSError as error:
            there = ", ".join(map(str, sorted(self._everywhere)))
            self._refused(what, error, f"name CPUs that are there and allowed ({there}) in realtime.cpus")
            return
        self.grants.append(Grant(what, True))

    def _fifo(self, pid: int, priority: int, whom: str) -> None:
        what = f"SCHED_FIFO {priority} for {whom}"
        try:
            self._system.set_fifo(pid, priority)
        except OSError as error:
            limit = self._system.limit(resource.RLIMIT_RTPRIO)
            self._refused(what, error, mend_limits(f"`ulimit -r` is {limit}"))
            return
        self.grants.append(Grant(what, True))

    def _lock(self) -> None:
        what = "memory locked"
        try:
            self._system.lock_memory()
        except OSError as error:
            limit = self._system.limit(resource.RLIMIT_MEMLOCK)
            self._refused(what, error, mend_limits(f"`ulimit -l` is {'unlimited' if limit < 0 else limit // 1024}"))
            return
        self.grants.append(Grant(what, True))

    def _refused(self, what: str, error: OSError, mend: str) -> None:
        why = {errno.EPERM: "not permitted", errno.ENOMEM: "more than the limit", errno.EAGAIN: "more than the limit"}
        words = why.get(error.errno or 0, (error.strerror or str(error)).lower())
        self.grants.append(Grant(what, False, words, mend))


def mend_limits(found: str) -> str:
    """How an ordinary user is allowed priorities and locked memory; ``found`` is what the limit is now."""
    user, interpreter = getpass.getuser(), os.path.realpath(sys.executable)
    return (
        f"{found}: put the lines '{user} - rtprio 99' and '{user} - memlock unlimited' into {LIMITS_FILE} and log in "
        f"anew, or allow it to this interpreter alone: sudo setcap cap_sys_nice,cap_ipc_lock+ep {interpreter}"
    )


def all_granted(grants: Collection[Grant]) -> bool:
    """Nothing was refused."""
    return all(grant.granted for grant in grants)


def describe(grants: Sequence[Grant]) -> str:
    """``SCHED_FIFO 80 for the supervisor, memory locked; refused: CPU 9 for the recorder``."""
    got = ", ".join(grant.what for grant in grants if grant.granted)
    refused = ", ".join(grant.what for grant in grants if not grant.granted)
    if not grants:
        return "nothing asked of the system"
    return "; ".join(filter(None, (got or "no privileges", refused and f"refused: {refused}")))

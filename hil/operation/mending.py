"""Brings devices back that were gone, between the cycles and only while nothing is enabled.

It opens what can be opened anew and never does more: a fault stays latched until a person acknowledges it, and
nothing is enabled by it.
"""

from __future__ import annotations

from collections.abc import Callable

from drivers.contract import ArmState, Reopens
from hil.supervisor import Supervisor

RETRY_NS = 1_000_000_000
"""Pause between two attempts."""
SILENT_NS = 500_000_000
"""A sensor that was silent for so long is opened anew: it was reset, or its line hangs."""


class Mender:
    """Watches the devices of one cell."""

    def __init__(self, supervisor: Supervisor, reconnect: Callable[[], bool] | None = None) -> None:
        """``reconnect`` finds again what stands behind the devices of a mock cell; None where there is nothing."""
        self._supervisor = supervisor
        self._reconnect = reconnect
        self._next_ns = 0
        self._reset_seen = False

    def look(self) -> bool:
        """Look at this cycle's samples; whether a device is gone that must be checked anew when it is back."""
        sample, wrench = self._supervisor.sample, self._supervisor.wrench
        gone = sample is None or sample.state is ArmState.DISCONNECTED
        if wrench is not None and wrench.flags:
            if "clock_jump" in wrench.flags:
                self._reset_seen = True
            gone = gone or not wrench.flags.isdisjoint(("unplugged", "reopening"))
        return gone or self._reset_seen

    def mend(self) -> None:
        """Try to bring back what is gone; call only while nothing is enabled."""
        supervisor = self._supervisor
        now = supervisor.parts.ticks.now_ns()
        if now < self._next_ns:
            return
        self._next_ns = now + RETRY_NS
        if self._reconnect is not None:
            self._reconnect()
        sensor, wrench = _reopens(supervisor.parts.sensor), supervisor.wrench
        if sensor is None or wrench is None or sensor.reopening:
            return
        if "unplugged" in wrench.flags or self._reset_seen or wrench.age_ns > SILENT_NS:
            self._reset_seen = False
            sensor.reopen()

    def trouble(self) -> str:
        """Why the last attempt failed, in words; empty where none did."""
        sensor = _reopens(self._supervisor.parts.sensor)
        return "" if sensor is None else sensor.trouble


def _reopens(device: object) -> Reopens | None:
    return device if isinstance(device, Reopens) else None

"""Brings devices back that were gone, between the cycles and only while nothing is enabled.

It opens what can be opened anew and never does more: a fault stays latched until a person acknowledges it, and
nothing is enabled by it.
"""

from __future__ import annotations

from collections.abc import Callable

from drivers.contract import ArmState, ProblemKind, Reopens
from hil.supervisor import Supervisor

RETRY_NS = 1_000_000_000
"""Pause between two attempts."""
SILENT_NS = 500_000_000
"""A sensor that was silent for so long is opened anew: it was reset, or its line hangs."""


_SET_UP_ANEW = frozenset({ProblemKind.NODE_RESTARTED, ProblemKind.NODE_STATE, ProblemKind.ADAPTER_LOST})
"""Problems of an arm that only opening it anew ends. A node that is silent is none: it answers again with its settings,
or it says that it started anew."""


class Mender:
    """Watches the devices of one cell."""

    def __init__(self, supervisor: Supervisor, reconnect: Callable[[], bool] | None = None) -> None:
        """``reconnect`` finds again what stands behind the devices of a mock cell; None where there is nothing."""
        self._supervisor = supervisor
        self._reconnect = reconnect
        self._next_ns = 0
        self._reset_seen = False
        self._sensor_read = False
        """The sensor is read while the arm is being opened, so that nothing of its stream is lost."""

    def look(self) -> bool:
        """Look at this cycle's samples; whether a device is gone that must be checked anew when it is back."""
        sample, wrench = self._supervisor.sample, self._supervisor.wrench
        if self._sensor_read:
            self._sensor_read = False
            self._supervisor.parts.ticks.meanwhile = None
        gone = sample is None or sample.state is ArmState.DISCONNECTED or self._arm_lost_its_settings()
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
        self._mend_arm()
        sensor, wrench = _reopens(supervisor.parts.sensor), supervisor.wrench
        if sensor is None or wrench is None or sensor.reopening:
            return
        if "unplugged" in wrench.flags or self._reset_seen or wrench.age_ns > SILENT_NS:
            self._reset_seen = False
            sensor.reopen()

    def _mend_arm(self) -> None:
        """The arm is opened anew where it could not come back otherwise: in its next cycle, which lasts as long."""
        parts = self._supervisor.parts
        arm = _reopens(parts.arm)
        # What its last attempt ran into keeps it closed: there is nothing to be heard, so it is tried again.
        if arm is not None and (self._arm_lost_its_settings() or arm.trouble):
            parts.ticks.meanwhile = None if parts.sensor is None else parts.sensor.poll
            self._sensor_read = True
            arm.reopen()

    def _arm_lost_its_settings(self) -> bool:
        arm = self._supervisor.parts.arm
        if _reopens(arm) is None:
            return False
        return any(problem.kind in _SET_UP_ANEW for problem in arm.health().problems)

    def trouble(self) -> str:
        """Why the last attempt on the sensor failed, in words; empty where none did. The arm's own are among the flags
        of its link."""
        sensor = _reopens(self._supervisor.parts.sensor)
        return "" if sensor is None else sensor.trouble


def _reopens(device: object) -> Reopens | None:
    return device if isinstance(device, Reopens) else None

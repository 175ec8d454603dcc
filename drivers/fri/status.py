"""What the controller reports about itself, in the words of the contract."""

from __future__ import annotations

from drivers.contract import LinkHealth, OperationMode, SafetyState
from drivers.fri.records import Monitoring
from drivers.fri.session import Session
from drivers.fri.versions import recognise
from drivers.fri.wire import (
    JOINTS,
    ClientCommandMode,
    ControlMode,
    DriveState,
    Quality,
    SessionState,
    WireMode,
    WireSafety,
)

_SAFETY: dict[int, SafetyState] = {
    WireSafety.NORMAL_OPERATION: SafetyState.NORMAL,
    # One wire value stands for stop 0 and stop 1: the worse is assumed.
    WireSafety.STOP_LEVEL_0: SafetyState.STOP_0,
    WireSafety.STOP_LEVEL_1: SafetyState.STOP_1,
    WireSafety.STOP_LEVEL_2: SafetyState.STOP_2,
}
_MODE: dict[int, OperationMode] = {
    WireMode.T1: OperationMode.T1,
    WireMode.T2: OperationMode.T2,
    WireMode.AUT: OperationMode.AUTOMATIC,
}
_ALL_ACTIVE = [int(DriveState.ACTIVE)] * JOINTS


def fill_health(health: LinkHealth, m: Monitoring) -> None:
    """Write what frame ``m`` says about quality, tracking, safety, mode and drives into ``health``."""
    health.quality = m.quality / Quality.EXCELLENT
    health.tracking = m.tracking
    health.safety = _SAFETY.get(m.safety_state, SafetyState.UNKNOWN)
    health.mode = _MODE.get(m.operation_mode, OperationMode.UNKNOWN)
    health.drives_on = m.drive_state == _ALL_ACTIVE if m.drive_state else None


def flags(m: Monitoring, session: Session, send_period: float) -> frozenset[str]:
    """Everything about frame ``m`` that keeps the link from commanding or that a person should put right.

    ``send_period``: that of the cell file, s.
    """
    found = set()
    if session.off:
        found.add("off: answers are withheld until release()")
    if m.session_state == SessionState.IDLE:
        found.add("the session was closed: the robot application opens the next one, about 5 s later at the earliest")
    if max(1, m.receive_multiplier) != session.multiplier:
        found.add(
            f"receive multiplier {m.receive_multiplier}, cell says {session.multiplier}: change "
            "robot.fri.receive_multiplier or the robot application"
        )
    if m.send_period_ms <= 0:
        found.add("send period not stated by the controller")
    elif abs(m.send_period_ms - 1e3 * send_period) > 1e-6:
        found.add(f"send period {m.send_period_ms} ms, cell says {1e3 * send_period:g} ms")
    if m.session_state >= SessionState.COMMANDING_WAIT:
        mode = session.mode
        if m.client_command_mode != mode.wire:
            read = ClientCommandMode(m.client_command_mode).name if m.client_command_mode >= 0 else "not stated"
            found.add(f"client command mode {read}: start the overlay with {mode.wire.name}")
        elif m.control_mode >= 0 and m.control_mode not in mode.control:
            wanted = " or ".join(sorted(ControlMode(c).name for c in mode.control))
            found.add(f"control mode {ControlMode(m.control_mode).name}: {mode.wire.name} needs {wanted}")
        elif not session.enabled:
            found.add("the controller wants commands, and enable() was not called")
        elif m.session_state == SessionState.COMMANDING_ACTIVE and session.mirrored is None:
            found.add("commanding began without synchronisation: cancel the overlay and start it anew")
    return frozenset(found)


class Reporter:
    """Keeps the health record up to date; the flags are worked out anew only when what they rest on has changed."""

    def __init__(self, health: LinkHealth, send_period: float, version: str) -> None:
        """``send_period`` (s) and ``version`` are those of the cell file."""
        self._health = health
        self._send_period = send_period
        self._version = version
        self._key: tuple[object, ...] = ()

    def report(self, m: Monitoring | None, session: Session, strange: bytes | None) -> None:
        """``m``: the newest frame; ``strange``: the last datagram, if it was one of another version family."""
        health = self._health
        if m is not None:
            fill_health(health, m)
        if strange is not None:
            self._key = ()
            seen = ", ".join(sorted(recognise(strange))) or "unknown"
            health.flags = frozenset(
                {f"the stream is FRI {seen}, the cell says {self._version}: set robot.fri.version in the cell file"}
            )
        elif m is not None:
            key = (
                m.session_state,
                m.receive_multiplier,
                m.send_period_ms,
                m.client_command_mode,
                m.control_mode,
                session.enabled,
                session.mirrored is None,
                session.off,
            )
            if key != self._key:
                self._key = key
                health.flags = flags(m, session, self._send_period)

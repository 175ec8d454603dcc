"""What the controller reports about itself, in the words of the contract."""

from __future__ import annotations

from drivers.contract import LinkHealth, OperationMode, SafetyState
from drivers.fri.records import Monitoring
from drivers.fri.session import Session
from drivers.fri.wire import JOINTS, ClientCommandMode, DriveState, Quality, SessionState, WireMode, WireSafety

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


def flags(m: Monitoring, session: Session, cell_period: float) -> frozenset[str]:
    """Everything about frame ``m`` that keeps the link from commanding or that a person should put right.

    ``cell_period``: the send period that the cell file states, s.
    """
    found = set()
    if session.off:
        found.add("off: answers are withheld until release()")
    if m.receive_multiplier > 1:
        found.add(f"receive multiplier {m.receive_multiplier} is not supported: set it to 1 in the robot application")
    if m.send_period_ms <= 0:
        found.add("send period not stated by the controller")
    elif abs(m.send_period_ms - 1e3 * cell_period) > 1e-6:
        found.add(f"send period {m.send_period_ms} ms, cell says {1e3 * cell_period:g} ms")
    if m.session_state >= SessionState.COMMANDING_WAIT:
        if m.client_command_mode != ClientCommandMode.TORQUE:
            read = ClientCommandMode(m.client_command_mode).name if m.client_command_mode >= 0 else "not stated"
            found.add(f"client command mode {read}: start the overlay with TORQUE")
        elif not session.enabled:
            found.add("the controller wants commands, and enable() was not called")
        elif m.session_state == SessionState.COMMANDING_ACTIVE and session.mirrored is None:
            found.add("commanding began without synchronisation: cancel the overlay and start it anew")
    return frozenset(found)

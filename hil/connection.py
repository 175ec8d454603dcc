"""What a robot controller reports, compared with the cell file; each difference with what mends it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from drivers.contract import ArmState
from drivers.fri.arm import FriArm
from drivers.fri.modes import MODES
from drivers.fri.records import Monitoring
from drivers.fri.wire import (
    ClientCommandMode,
    ControlMode,
    DriveState,
    IoDirection,
    IoType,
    Quality,
    SessionState,
    WireMode,
    WireSafety,
)
from hil.cell import Cell

EXTERNAL_TORQUE = 3.0
"""N·m; the controller reports less on an untouched arm whose load data fit."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as the cell file says."""

    what: str
    read: str
    expected: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what}: read {self.read}, expected {self.expected}; {self.mend}"


def check_connection(cell: Cell, arm: FriArm) -> list[Difference]:
    """Compare the newest frame of an open ``arm`` that has been read from for a while, untouched and at rest.

    An empty list means that nothing differs, as far as the wire tells: it names neither the robot's type (iiwa 7 or
    14), nor the stiffness, nor the load data.
    """
    strange = arm.other_versions
    if strange is not None:
        seen = ", ".join(sorted(strange)) or "no version of FRI that is known here"
        mend = "set robot.fri.version to what is installed on the cabinet"
        return [Difference("FRI version", seen, cell.iiwa.fri.version, mend)]
    m = arm.frame
    if m is None:
        fri = cell.iiwa.fri
        mend = (
            "start the robot application; check that it sends to this address and port, the cable (KONI), the netmask "
            "and the firewall"
        )
        return [Difference("packets", "none", f"some on {fri.host}:{arm.address[1]}", mend)]
    return [*_session(cell, m), *_robot(cell, arm, m), *_overlay(cell, m), *_ios(cell, m)]


def _session(cell: Cell, m: Monitoring) -> Iterator[Difference]:
    fri = cell.iiwa.fri
    if m.session_state == SessionState.IDLE:
        mend = "start the robot application, 5 s after the last session at least"
        yield Difference("session", "closed", "open", mend)
    if m.send_period_ms != fri.send_period_ms:
        mend = "change robot.fri.send_period_ms, or setSendPeriodMilliSec in the robot application"
        yield Difference("send period", f"{m.send_period_ms} ms", f"{fri.send_period_ms} ms", mend)
    if max(1, m.receive_multiplier) != fri.receive_multiplier:
        mend = "change robot.fri.receive_multiplier, or setReceiveMultiplier in the robot application"
        yield Difference("receive multiplier", str(m.receive_multiplier), str(fri.receive_multiplier), mend)
    if m.quality < Quality.GOOD and m.session_state != SessionState.IDLE:
        mend = "check the cable, the load of this computer and its real-time settings; or lengthen the send period"
        yield Difference("connection quality", Quality(m.quality).name, "GOOD or EXCELLENT", mend)


def _robot(cell: Cell, arm: FriArm, m: Monitoring) -> Iterator[Difference]:
    if m.safety_state != WireSafety.NORMAL_OPERATION:
        read = WireSafety(m.safety_state).name if m.safety_state >= 0 else "nothing"
        yield Difference("safety state", read, "NORMAL_OPERATION", "clear the stop on the smartPAD")
    if m.operation_mode not in set(WireMode):
        mend = "turn the mode switch; the controller did not say where it stands"
        yield Difference("operation mode", "nothing", "T1, T2 or AUT", mend)
    commanding = m.session_state >= SessionState.COMMANDING_WAIT
    if m.session_state == SessionState.COMMANDING_ACTIVE and set(m.drive_state) != {int(DriveState.ACTIVE)}:
        yield Difference("drives", "not all active", "all active", "start the motion anew on the smartPAD")
    limits = cell.robot.joint_limits
    if m.q is None or m.tau_measured is None:
        yield Difference("measured values", "missing", "positions and torques", "check the FRI option on the cabinet")
        return
    for j, (q, low, high) in enumerate(zip(m.q, limits.q_min, limits.q_max, strict=True)):
        if not low <= q <= high:
            mend = "jog the joint back on the smartPAD, or check robot.limits and the robot's calibration"
            yield Difference(f"position of A{j + 1}", f"{q:.3f} rad", f"{low:.3f} … {high:.3f} rad", mend)
    if m.tau_external is not None and not commanding:
        off = np.abs(m.tau_external)
        j = int(np.argmax(off))
        if not off[j] <= EXTERNAL_TORQUE:
            mend = "let go of the arm; else the load data on the cabinet do not fit the tool (mass, centre of mass)"
            yield Difference(
                f"external torque on A{j + 1}", f"{m.tau_external[j]:.2f} N·m", f"±{EXTERNAL_TORQUE:g} N·m", mend
            )
    if arm.health().rejected.get("foreign"):
        mend = "another sender uses this port: give each robot its own, and check robot.fri.peer"
        yield Difference("packets of strangers", str(arm.health().rejected["foreign"]), "none", mend)


def _overlay(cell: Cell, m: Monitoring) -> Iterator[Difference]:
    if m.session_state < SessionState.COMMANDING_WAIT:
        return
    mode = MODES[cell.iiwa.fri.command_mode]
    if m.client_command_mode != mode.wire:
        read = ClientCommandMode(m.client_command_mode).name if m.client_command_mode >= 0 else "nothing"
        mend = "change robot.fri.command_mode, or the FRIJointOverlay in the robot application"
        yield Difference("client command mode", read, mode.wire.name, mend)
    elif m.control_mode >= 0 and m.control_mode not in mode.control:
        wanted = " or ".join(sorted(ControlMode(c).name for c in mode.control))
        mend = "give the position hold that control mode in the robot application"
        yield Difference("control mode", ControlMode(m.control_mode).name, wanted, mend)


def _ios(cell: Cell, m: Monitoring) -> Iterator[Difference]:
    fri = cell.iiwa.fri
    offered = {io.name: io for io in m.ios}
    for declared, direction in ((fri.inputs, IoDirection.INPUT), (fri.outputs, IoDirection.OUTPUT)):
        for name, kind in declared.items():
            io = offered.get(name)
            expected = f"{direction.name.lower()}, {kind}"
            if io is None:
                mend = "register it with registerIO in the robot application"
                yield Difference(f"IO {name}", "nothing", expected, mend)
            elif (io.direction, io.type) != (direction, IoType[kind.upper()]):
                read = f"{IoDirection(io.direction).name.lower()}, {IoType(io.type).name.lower()}"
                yield Difference(f"IO {name}", read, expected, "change robot.fri.inputs or outputs in the cell file")


def settled(arm: FriArm, reads: int = 200) -> bool:
    """Read until the link is READY, ``reads`` samples at most; False if it does not get there."""
    return any(arm.read().state is ArmState.READY for _ in range(reads))

"""Writing the controller's monitoring message from plain data: the mock's side of the codec."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from drivers.contract import Array
from drivers.errors import ProtocolError
from drivers.fri import wire
from drivers.fri.cartesian import write_pose, write_redundancy, write_vector
from drivers.fri.ios import write_ios
from drivers.fri.records import Monitoring


def fill_monitoring(msg: Any, m: Monitoring, family: str) -> None:
    """Write ``m`` into an empty ``FRIMonitoringMessage`` of ``family``, less what the family does not have.

    Raises ProtocolError (``joint_count``, ``io``), TypeError, ValueError.
    """
    set_header(msg.header, wire.MONITORING_ID, m.seq, m.reflected_seq)
    _write_robot(m, msg)
    _write_monitor_data(m, msg, family)
    link = msg.connectionInfo
    link.sessionState = m.session_state
    link.quality = m.quality
    if m.send_period_ms >= 0:
        link.sendPeriod = m.send_period_ms
    if m.receive_multiplier >= 0:
        link.receiveMultiplier = m.receive_multiplier
    if m.q_ipo is not None:
        write_joints(msg.ipoData.jointPosition, m.q_ipo)
    if m.pose_ipo is not None and family.startswith("2."):
        write_pose(msg.ipoData.cartesianPose, m.pose_ipo, "cartesianPose")
    if m.redundancy_ipo is not None and family.startswith("2."):
        write_redundancy(msg.ipoData.redundancyInformation, m.redundancy_ipo)
    if m.client_command_mode >= 0:
        msg.ipoData.clientCommandMode = m.client_command_mode
    if m.overlay_type >= 0:
        msg.ipoData.overlayType = m.overlay_type
    if not math.isnan(m.tracking):
        msg.ipoData.trackingPerformance = m.tracking


def _write_robot(m: Monitoring, msg: Any) -> None:
    if m.n_joints >= 0:
        msg.robotInfo.numberOfJoints = m.n_joints
    if m.safety_state >= 0:
        msg.robotInfo.safetyState = m.safety_state
    if m.drive_state:
        if len(m.drive_state) != wire.JOINTS:
            raise ProtocolError("joint_count", f"{len(m.drive_state)} drive states given, {wire.JOINTS} expected")
        msg.robotInfo.driveState[:] = m.drive_state
    if m.operation_mode >= 0:
        msg.robotInfo.operationMode = m.operation_mode
    if m.control_mode >= 0:
        msg.robotInfo.controlMode = m.control_mode


def _write_monitor_data(m: Monitoring, msg: Any, family: str) -> None:
    if m.q is not None:
        write_joints(msg.monitorData.measuredJointPosition, m.q)
    if m.tau_measured is not None:
        write_joints(msg.monitorData.measuredTorque, m.tau_measured)
    two = family.startswith("2.")
    if m.q_commanded is not None and not two:
        write_joints(msg.monitorData.commandedJointPosition, m.q_commanded)
    if m.tau_commanded is not None:
        write_joints(msg.monitorData.commandedTorque, m.tau_commanded)
    if m.tau_external is not None:
        write_joints(msg.monitorData.externalTorque, m.tau_external)
    if m.external_force is not None and family == "2.7":
        write_vector(msg.monitorData.externalForce, m.external_force, "externalForce")
    if m.ios and family != "1.11":
        write_ios(msg.monitorData.readIORequest, m.ios)
    if m.pose is not None and two:
        write_pose(msg.monitorData.measuredCartesianPose, m.pose, "measuredCartesianPose")
    if m.redundancy is not None and two:
        write_redundancy(msg.monitorData.measuredRedundancyInformation, m.redundancy)
    if m.t_device_ns >= 0:
        stamp = msg.monitorData.timestamp
        stamp.sec, stamp.nanosec = divmod(m.t_device_ns, 1_000_000_000)


def set_header(header: Any, identifier: int, seq: int, reflected_seq: int) -> None:
    header.messageIdentifier = identifier
    header.sequenceCounter = seq & wire.UINT32
    header.reflectedSequenceCounter = reflected_seq & wire.UINT32


def write_joints(part: Any, values: Sequence[float] | Array) -> None:
    plain = values.tolist() if isinstance(values, np.ndarray) else values
    if len(plain) != wire.JOINTS:
        raise ProtocolError("joint_count", f"a joint vector of {len(plain)} values given, {wire.JOINTS} expected")
    part.value[:] = plain

"""FRI datagrams to plain dataclasses and back, for the wire versions 1.14, 1.15 and 1.16 (which are one format).

Joint vectors are ``(7,)`` arrays in rad and N·m with the signs of the wire: ``measuredTorque`` and ``commandedTorque``
carry the opposite sign of a commanded torque (see :mod:`drivers.fri.arm`). Every method raises
:class:`~drivers.errors.ProtocolError` and nothing else.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from drivers.contract import Array
from drivers.errors import ProtocolError
from drivers.fri import wire
from drivers.fri.descriptors import messages
from drivers.fri.ios import IoValue, read_ios, write_ios
from drivers.fri.records import CommandMsg, Monitoring

__all__ = ["FAMILIES", "CommandMsg", "FriCodec", "IoValue", "Monitoring", "codec_for"]

FAMILIES = {"1.14": "1.14", "1.15": "1.14", "1.16": "1.14"}
"""Wire version → version family (a table of :mod:`drivers.fri.descriptors`)."""
# Seven times the tag of a double and its eight bytes: how every sender known writes a joint vector.
_VECTOR = struct.Struct("<" + "xd" * wire.JOINTS)
_VECTOR_TAGS = b"\x09" * wire.JOINTS


def codec_for(version: str) -> FriCodec:
    """The codec of an FRI version such as ``"1.15"``. Raises ProtocolError (``version``) for one not supported."""
    family = FAMILIES.get(version)
    if family is None:
        known = ", ".join(FAMILIES)
        raise ProtocolError("version", f"FRI version {version!r} is not supported; use one of {known} in the cell file")
    return FriCodec(family)


class FriCodec:
    """Encoder and decoder of one version family; get one from :func:`codec_for`."""

    def __init__(self, family: str) -> None:
        # A new message object for each datagram: clearing and reusing one takes three times as long.
        written = messages(family)
        self._monitoring_out: Any = written.FRIMonitoringMessage
        self._command_out: Any = written.FRICommandMessage
        # What seldom changes is not parsed again while its bytes are the same, and joint vectors have one usual form.
        read = messages(family, raw=("RobotInfo", "ConnectionInfo", "JointValues"))
        self._monitoring_in: Any = read.FRIMonitoringMessage
        self._command_in: Any = read.FRICommandMessage
        self._robot_info: Any = read.RobotInfo
        self._connection_info: Any = read.ConnectionInfo
        self._joint_values: Any = read.JointValues
        self._link_bytes: bytes | None = None
        self._link = (0, 0, -1, -1)
        self._robot_bytes = b""
        self._robot: tuple[int, int, int, int, list[int]] = (-1, -1, -1, -1, [])

    def decode_monitoring(self, data: bytes) -> Monitoring:
        """Read a controller's datagram. Raises ProtocolError with one of the reasons ``oversize``, ``malformed``,
        ``missing``, ``identifier``, ``joint_count``, ``session_state``, ``quality``, ``io``."""
        msg = _parse(self._monitoring_in, data)
        header = _header(msg, wire.MONITORING_ID)
        link = msg.connectionInfo
        if link != self._link_bytes:
            self._read_link(link)
        m = Monitoring(header.sequenceCounter, header.reflectedSequenceCounter, *self._link)
        robot = msg.robotInfo
        if robot != self._robot_bytes:
            self._read_robot(robot)
        m.n_joints, m.safety_state, m.operation_mode, m.control_mode, drives = self._robot
        if drives:
            m.drive_state = drives.copy()
        if msg.HasField("monitorData"):
            part = msg.monitorData
            m.q = self._joints(part, "measuredJointPosition")
            m.tau_measured = self._joints(part, "measuredTorque")
            m.q_commanded = self._joints(part, "commandedJointPosition")
            m.tau_commanded = self._joints(part, "commandedTorque")
            m.tau_external = self._joints(part, "externalTorque")
            ios = part.readIORequest
            if ios:
                m.ios = read_ios(ios)
            if part.HasField("timestamp"):
                stamp = part.timestamp
                m.t_device_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
        if msg.HasField("ipoData"):
            ipo = msg.ipoData
            m.q_ipo = self._joints(ipo, "jointPosition")
            m.client_command_mode = _optional_enum(ipo, "clientCommandMode", wire.ClientCommandMode.TORQUE)
            m.overlay_type = _optional_enum(ipo, "overlayType", wire.OverlayType.CARTESIAN)
            if ipo.HasField("trackingPerformance"):
                m.tracking = ipo.trackingPerformance
        return m

    def _read_link(self, raw: bytes) -> None:
        # Without connectionInfo this refuses for want of its fields. The stock client would read IDLE there, but a
        # session's end must not be told by what is missing.
        link = _parse(self._connection_info, raw)
        if link.sessionState > wire.SessionState.COMMANDING_ACTIVE:
            raise ProtocolError("session_state", f"session state {link.sessionState} read, 0 to 4 expected")
        if link.quality > wire.Quality.EXCELLENT:
            raise ProtocolError("quality", f"connection quality {link.quality} read, 0 to 3 expected")
        period = link.sendPeriod if link.HasField("sendPeriod") else -1
        multiplier = link.receiveMultiplier if link.HasField("receiveMultiplier") else -1
        self._link = (link.sessionState, link.quality, period, multiplier)
        self._link_bytes = raw

    def _read_robot(self, raw: bytes) -> None:
        info = _parse(self._robot_info, raw)
        n_joints: int = info.numberOfJoints if info.HasField("numberOfJoints") else -1
        if n_joints != wire.JOINTS and info.HasField("numberOfJoints"):
            raise ProtocolError("joint_count", f"a robot of {n_joints} joints answered, an LBR has {wire.JOINTS}")
        drives = info.driveState[:]
        if drives and len(drives) != wire.JOINTS:
            raise ProtocolError("joint_count", f"driveState has {len(drives)} values, {wire.JOINTS} expected")
        self._robot = (
            n_joints,
            _optional_enum(info, "safetyState", wire.WireSafety.STOP_LEVEL_2),
            _optional_enum(info, "operationMode", wire.WireMode.AUT),
            _optional_enum(info, "controlMode", wire.ControlMode.NO_CONTROL),
            [d if d <= wire.DriveState.ACTIVE else -1 for d in drives],
        )
        self._robot_bytes = raw

    def _joints(self, part: Any, name: str) -> Array | None:
        raw = getattr(part, name)
        if len(raw) == _VECTOR.size and raw[::9] == _VECTOR_TAGS:
            return np.array(_VECTOR.unpack(raw))
        if not raw and not part.HasField(name):
            return None
        # Any other way to write the same, packed for one.
        values = _parse(self._joint_values, raw).value[:]
        if len(values) != wire.JOINTS:
            raise ProtocolError("joint_count", f"{name} has {len(values)} values, {wire.JOINTS} expected")
        return np.array(values)

    def encode_monitoring(self, m: Monitoring) -> bytes:
        """Write a controller's datagram (the mock's side). Fields that are absent in ``m`` are left out.

        Numbers are not judged, so that a mock can send NaN. Raises ProtocolError (``joint_count``, ``io``,
        ``oversize``, ``encode``).
        """
        msg = self._monitoring_out()
        try:
            _set_header(msg.header, wire.MONITORING_ID, m.seq, m.reflected_seq)
            self._write_robot(m, msg)
            self._write_monitor_data(m, msg)
            link = msg.connectionInfo
            link.sessionState = m.session_state
            link.quality = m.quality
            if m.send_period_ms >= 0:
                link.sendPeriod = m.send_period_ms
            if m.receive_multiplier >= 0:
                link.receiveMultiplier = m.receive_multiplier
            if m.q_ipo is not None:
                _write_joints(msg.ipoData.jointPosition, m.q_ipo)
            if m.client_command_mode >= 0:
                msg.ipoData.clientCommandMode = m.client_command_mode
            if m.overlay_type >= 0:
                msg.ipoData.overlayType = m.overlay_type
            if not math.isnan(m.tracking):
                msg.ipoData.trackingPerformance = m.tracking
            return _bounded(msg.SerializeToString())
        except (TypeError, ValueError) as error:
            raise ProtocolError("encode", f"a monitoring message cannot be written: {error}") from error

    def _write_robot(self, m: Monitoring, msg: Any) -> None:
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

    def _write_monitor_data(self, m: Monitoring, msg: Any) -> None:
        if m.q is not None:
            _write_joints(msg.monitorData.measuredJointPosition, m.q)
        if m.tau_measured is not None:
            _write_joints(msg.monitorData.measuredTorque, m.tau_measured)
        if m.q_commanded is not None:
            _write_joints(msg.monitorData.commandedJointPosition, m.q_commanded)
        if m.tau_commanded is not None:
            _write_joints(msg.monitorData.commandedTorque, m.tau_commanded)
        if m.tau_external is not None:
            _write_joints(msg.monitorData.externalTorque, m.tau_external)
        if m.ios:
            write_ios(msg.monitorData.readIORequest, m.ios)
        if m.t_device_ns >= 0:
            stamp = msg.monitorData.timestamp
            stamp.sec, stamp.nanosec = divmod(m.t_device_ns, 1_000_000_000)

    def encode_command(
        self,
        seq: int,
        reflected_seq: int,
        q: Sequence[float] | Array | None = None,
        tau: Sequence[float] | Array | None = None,
        wrench: Sequence[float] | Array | None = None,
        ios: Sequence[IoValue] = (),
    ) -> bytes:
        """Write a client's answer; with none of the optional parts it is the header alone.

        ``q`` (7,) rad, ``tau`` (7,) N·m, ``wrench`` (6,) N and N·m. A number that is not finite is never written:
        raises ProtocolError (``not_finite``; else ``joint_count``, ``io``, ``oversize``, ``encode``).
        """
        msg = self._command_out()
        try:
            _set_header(msg.header, wire.COMMAND_ID, seq, reflected_seq)
            if q is not None:
                _write_joints(msg.commandData.jointPosition, _finite(q, "jointPosition"))
            if wrench is not None:
                values = _finite(wrench, "cartesianWrenchFeedForward")
                if len(values) != 6:
                    raise ProtocolError("joint_count", f"a wrench of {len(values)} values given, 6 expected")
                msg.commandData.cartesianWrenchFeedForward.element[:] = values
            if tau is not None:
                _write_joints(msg.commandData.jointTorque, _finite(tau, "jointTorque"))
            if ios:
                _finite([io.analog for io in ios if io.analog is not None], "writeIORequest")
                write_ios(msg.commandData.writeIORequest, ios)
            return _bounded(msg.SerializeToString())
        except (TypeError, ValueError) as error:
            raise ProtocolError("encode", f"a command cannot be written: {error}") from error

    def decode_command(self, data: bytes) -> CommandMsg:
        """Read a client's answer (the mock's side). Raises ProtocolError with one of the reasons ``oversize``,
        ``malformed``, ``missing``, ``identifier``, ``joint_count``, ``io``. Numbers are not judged."""
        msg = _parse(self._command_in, data)
        header = _header(msg, wire.COMMAND_ID)
        command = CommandMsg(header.sequenceCounter, header.reflectedSequenceCounter)
        if msg.HasField("commandData"):
            part = msg.commandData
            command.q = self._joints(part, "jointPosition")
            command.tau = self._joints(part, "jointTorque")
            if part.HasField("cartesianWrenchFeedForward"):
                element = part.cartesianWrenchFeedForward.element[:]
                if len(element) != 6:
                    raise ProtocolError("joint_count", f"a wrench of {len(element)} values came, 6 expected")
                command.wrench = np.array(element)
            if part.writeIORequest:
                command.ios = read_ios(part.writeIORequest)
        return command


def _parse(message: Any, data: bytes) -> Any:
    if len(data) > wire.MAX_DATAGRAM:
        raise ProtocolError("oversize", f"a datagram of {len(data)} bytes came, FRI allows {wire.MAX_DATAGRAM}")
    try:
        msg = message.FromString(data)
    except DecodeError as error:
        raise ProtocolError("malformed", f"{len(data)} bytes are no FRI message: {error}") from error
    if not msg.IsInitialized():
        lacking = ", ".join(msg.FindInitializationErrors())
        raise ProtocolError("missing", f"a message of {len(data)} bytes lacks required fields: {lacking}")
    return msg


def _header(msg: Any, identifier: int) -> Any:
    header = msg.header
    if header.messageIdentifier != identifier:
        raise ProtocolError(
            "identifier",
            f"message identifier {header.messageIdentifier:#x} read, {identifier:#x} expected: another sender, robot "
            "type or FRI version uses this port",
        )
    return header


def _set_header(header: Any, identifier: int, seq: int, reflected_seq: int) -> None:
    header.messageIdentifier = identifier
    header.sequenceCounter = seq & wire.UINT32
    header.reflectedSequenceCounter = reflected_seq & wire.UINT32


def _write_joints(part: Any, values: Sequence[float] | Array) -> None:
    plain = values.tolist() if isinstance(values, np.ndarray) else values
    if len(plain) != wire.JOINTS:
        raise ProtocolError("joint_count", f"a joint vector of {len(plain)} values given, {wire.JOINTS} expected")
    part.value[:] = plain


def _finite(values: Sequence[float] | Array, name: str) -> Sequence[float]:
    plain: Sequence[float] = values.tolist() if isinstance(values, np.ndarray) else values
    if not all(map(math.isfinite, plain)):
        raise ProtocolError("not_finite", f"{name} = {plain} is not finite and is not sent")
    return plain


def _optional_enum(part: Any, name: str, highest: int) -> int:
    value: int = getattr(part, name)
    return value if value <= highest and (value or part.HasField(name)) else -1


def _bounded(data: bytes) -> bytes:
    if len(data) > wire.MAX_DATAGRAM:
        raise ProtocolError("oversize", f"a message of {len(data)} bytes was made, FRI allows {wire.MAX_DATAGRAM}")
    return data

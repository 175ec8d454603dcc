"""FRI datagrams to plain dataclasses and back, for every wire version of :data:`FAMILIES`.

Joint vectors are ``(7,)`` arrays in rad and N·m with the signs of the wire: ``measuredTorque`` and ``commandedTorque``
carry the opposite sign of a commanded torque (see :mod:`drivers.fri.arm`). Every method raises
:class:`~drivers.errors.ProtocolError` and nothing else.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from drivers.contract import Array
from drivers.errors import ProtocolError
from drivers.fri import framing, wire
from drivers.fri.cartesian import (
    finite,
    read_pose,
    read_redundancy,
    read_vector,
    write_pose,
    write_redundancy,
    write_vector,
)
from drivers.fri.descriptors import messages
from drivers.fri.ios import IoValue, read_ios, write_ios
from drivers.fri.monitoring_out import fill_monitoring, set_header, write_joints
from drivers.fri.records import CommandMsg, Monitoring, Redundant
from drivers.fri.versions import FAMILIES, WRAPPED, family_of, strange

__all__ = ["FAMILIES", "CommandMsg", "FriCodec", "IoValue", "Monitoring", "codec_for"]

# Seven times the tag of a double and its eight bytes: how every sender known writes a joint vector.
_VECTOR = struct.Struct("<" + "xd" * wire.JOINTS)
_VECTOR_TAGS = b"\x09" * wire.JOINTS


def codec_for(version: str) -> FriCodec:
    """The codec of an FRI version such as ``"1.15"``. Raises ProtocolError (``version``) for one not supported."""
    return FriCodec(family_of(version))


class FriCodec:
    """Encoder and decoder of one version family; get one from :func:`codec_for`."""

    def __init__(self, family: str) -> None:
        self.family = family
        self.has_ios = family != "1.11"
        self.has_pose = family.startswith("2.")
        """Cartesian poses, and no commanded joint position in monitoring."""
        self._wrapped = family in WRAPPED
        self._mode_max = wire.ClientCommandMode.CARTESIAN_POSE if self.has_pose else wire.ClientCommandMode.TORQUE
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
        ``missing``, ``identifier``, ``joint_count``, ``session_state``, ``quality``, ``io``, ``version`` (it comes from
        another version family); FRI 2.7 adds ``truncated`` and ``crc``."""
        msg = _parse(self._monitoring_in, self._message(data))
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
            stranger = strange(part, self.family)
            if stranger:
                raise ProtocolError(
                    "version", f"the controller sends {stranger}, which FRI {self.family} does not have"
                )
            m.q = self._joints(part, "measuredJointPosition")
            m.tau_measured = self._joints(part, "measuredTorque")
            if self.has_pose:
                m.pose = read_pose(part, "measuredCartesianPose")
                m.redundancy = read_redundancy(part, "measuredRedundancyInformation")
                if self._wrapped:
                    m.external_force = read_vector(part, "externalForce")
            else:
                m.q_commanded = self._joints(part, "commandedJointPosition")
            m.tau_commanded = self._joints(part, "commandedTorque")
            m.tau_external = self._joints(part, "externalTorque")
            if self.has_ios and part.readIORequest:
                m.ios = read_ios(part.readIORequest)
            if part.HasField("timestamp"):
                stamp = part.timestamp
                m.t_device_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
        if msg.HasField("ipoData"):
            ipo = msg.ipoData
            m.q_ipo = self._joints(ipo, "jointPosition")
            if self.has_pose:
                m.pose_ipo = read_pose(ipo, "cartesianPose")
                m.redundancy_ipo = read_redundancy(ipo, "redundancyInformation")
            m.client_command_mode = _optional_enum(ipo, "clientCommandMode", self._mode_max)
            m.overlay_type = _optional_enum(ipo, "overlayType", wire.OverlayType.CARTESIAN)
            if ipo.HasField("trackingPerformance"):
                m.tracking = ipo.trackingPerformance
        return m

    def _message(self, data: bytes) -> bytes:
        if self._wrapped:
            return framing.unwrap(data)
        framing.refuse_wrapped(data)
        return data

    def _datagram(self, message: bytes) -> bytes:
        if self._wrapped:
            return framing.wrap(message)
        if len(message) > wire.MAX_DATAGRAM:
            raise ProtocolError(
                "oversize", f"a message of {len(message)} bytes was made, FRI allows {wire.MAX_DATAGRAM}"
            )
        return message

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
        """Write a controller's datagram (the mock's side). Fields that are absent in ``m``, or that this version does
        not have, are left out.

        Numbers are not judged, so that a mock can send NaN. Raises ProtocolError (``joint_count``, ``io``,
        ``oversize``, ``encode``).
        """
        msg = self._monitoring_out()
        try:
            fill_monitoring(msg, m, self.family)
            return self._datagram(msg.SerializeToString())
        except (TypeError, ValueError) as error:
            raise ProtocolError("encode", f"a monitoring message cannot be written: {error}") from error

    def encode_command(
        self,
        seq: int,
        reflected_seq: int,
        q: Sequence[float] | Array | None = None,
        tau: Sequence[float] | Array | None = None,
        wrench: Sequence[float] | Array | None = None,
        ios: Sequence[IoValue] = (),
        pose: Sequence[float] | Array | None = None,
        redundancy: Redundant | None = None,
    ) -> bytes:
        """Write a client's answer; with none of the optional parts it is the header alone.

        ``q`` (7,) rad, ``tau`` (7,) N·m, ``wrench`` (6,) N and N·m in the order of the wire, ``pose``
        ``[x y z (mm) qw qx qy qz]``. A number that is not finite is never written: raises ProtocolError
        (``not_finite``; else ``unsupported`` for what this version lacks, ``joint_count``, ``io``, ``oversize``,
        ``encode``).
        """
        if ios and not self.has_ios:
            raise ProtocolError("unsupported", f"FRI {self.family} carries no inputs and outputs")
        if (pose is not None or redundancy is not None) and not self.has_pose:
            raise ProtocolError("unsupported", f"FRI {self.family} carries no Cartesian poses; FRI 2 does")
        msg = self._command_out()
        try:
            set_header(msg.header, wire.COMMAND_ID, seq, reflected_seq)
            if q is not None:
                write_joints(msg.commandData.jointPosition, finite(q, "jointPosition"))
            if wrench is not None:
                name = "cartesianWrenchFeedForward"
                write_vector(msg.commandData.cartesianWrenchFeedForward, finite(wrench, name), name)
            if tau is not None:
                write_joints(msg.commandData.jointTorque, finite(tau, "jointTorque"))
            if ios:
                finite([io.analog for io in ios if io.analog is not None], "writeIORequest")
                write_ios(msg.commandData.writeIORequest, ios)
            if pose is not None:
                write_pose(msg.commandData.cartesianPose, finite(pose, "cartesianPose"), "cartesianPose")
            if redundancy is not None:
                finite(redundancy, "redundancyInformation")
                write_redundancy(msg.commandData.redundancyInformation, redundancy)
            return self._datagram(msg.SerializeToString())
        except (TypeError, ValueError) as error:
            raise ProtocolError("encode", f"a command cannot be written: {error}") from error

    def decode_command(self, data: bytes) -> CommandMsg:
        """Read a client's answer (the mock's side). Raises ProtocolError with one of the reasons ``oversize``,
        ``malformed``, ``missing``, ``identifier``, ``joint_count``, ``io``, ``version``; FRI 2.7 adds ``truncated`` and
        ``crc``. Numbers are not judged."""
        msg = _parse(self._command_in, self._message(data))
        header = _header(msg, wire.COMMAND_ID)
        command = CommandMsg(header.sequenceCounter, header.reflectedSequenceCounter)
        if msg.HasField("commandData"):
            part = msg.commandData
            command.q = self._joints(part, "jointPosition")
            command.tau = self._joints(part, "jointTorque")
            command.wrench = read_vector(part, "cartesianWrenchFeedForward")
            if self.has_ios and part.writeIORequest:
                command.ios = read_ios(part.writeIORequest)
            if self.has_pose:
                command.pose = read_pose(part, "cartesianPose")
                command.redundancy = read_redundancy(part, "redundancyInformation")
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


def _optional_enum(part: Any, name: str, highest: int) -> int:
    value: int = getattr(part, name)
    return value if value <= highest and (value or part.HasField(name)) else -1

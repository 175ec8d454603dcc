"""Numbers of the FRI wire that are the same in every version: identifiers, sizes and enumerations."""

from __future__ import annotations

import enum

MONITORING_ID = 0x245142
"""``messageIdentifier`` of what the controller sends for an LBR."""
COMMAND_ID = 0x34001
"""``messageIdentifier`` of what the client answers for an LBR."""

JOINTS = 7
MAX_DATAGRAM = 1500
"""Buffer size of either side, bytes."""
MAX_IOS = 10
MAX_IO_NAME = 63
"""Longest name of an IO, bytes (the controller's buffer of 64 holds a terminating zero)."""
UINT32 = 0xFFFFFFFF
DEFAULT_PORT = 30200


class SessionState(enum.IntEnum):
    """State of the FRI session as the controller states it."""

    IDLE = 0
    MONITORING_WAIT = 1
    MONITORING_READY = 2
    COMMANDING_WAIT = 3
    COMMANDING_ACTIVE = 4


class Quality(enum.IntEnum):
    """Connection quality; commanding needs at least GOOD."""

    POOR = 0
    FAIR = 1
    GOOD = 2
    EXCELLENT = 3


class WireSafety(enum.IntEnum):
    """``RobotInfo.safetyState``: stop 0 and stop 1 share a value, a stop 1 on path has its own."""

    NORMAL_OPERATION = 0
    STOP_LEVEL_0 = 1
    STOP_LEVEL_1 = 2
    STOP_LEVEL_2 = 3


class WireMode(enum.IntEnum):
    """``RobotInfo.operationMode``."""

    T1 = 0
    T2 = 1
    AUT = 2


class DriveState(enum.IntEnum):
    """``RobotInfo.driveState``, one per joint."""

    OFF = 0
    TRANSITIONING = 1
    ACTIVE = 2


class ControlMode(enum.IntEnum):
    """``RobotInfo.controlMode``."""

    POSITION = 0
    CARTESIAN_IMPEDANCE = 1
    JOINT_IMPEDANCE = 2
    NO_CONTROL = 3


class ClientCommandMode(enum.IntEnum):
    """``MessageIpoData.clientCommandMode``: what the robot application's overlay asks of the client."""

    NONE = 0
    POSITION = 1
    WRENCH = 2
    TORQUE = 3
    CARTESIAN_POSE = 4
    """FRI 2 only."""


class OverlayType(enum.IntEnum):
    """``MessageIpoData.overlayType``."""

    NONE = 0
    JOINT = 1
    CARTESIAN = 2


class IoType(enum.IntEnum):
    """``FriIOValue.type``."""

    BOOLEAN = 0
    DIGITAL = 1
    ANALOG = 2


class IoDirection(enum.IntEnum):
    """``FriIOValue.direction``, seen from the controller's IO group."""

    INPUT = 0
    OUTPUT = 1


class Redundancy(enum.IntEnum):
    """``RedundancyInformation.strategy``: what fixes the posture that a pose leaves open."""

    E1 = 0
    """Position of joint A3, rad."""
    NONE = 4

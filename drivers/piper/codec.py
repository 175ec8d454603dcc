"""Frames of the PiPER protocol V2, the host's side: pure functions, big-endian, eight bytes each.

Source: the interface documents and the published SDK of the arm (agilexrobotics/piper_sdk 0.6, protocol V2).

What an MIT frame can hold is coarse: torque has 8 bits over ±8 N·m, so steps of 16/255 = 0.063 N·m, and neither zero
torque nor zero speed nor zero damping is one of the steps. Values are clamped and then rounded to the nearest step (the
published SDK does neither: beyond its range a torque wraps around and changes its sign); where the two nearest are
equally far, torque and speed take the lower one (torque 0 is sent as 127, which is −0.031 N·m) and the gain of the
speed the upper one (+0.0012 N·m·s/rad), since damping below zero would drive the arm.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.errors import ProtocolError

N = 6
"""Joints."""
LENGTH = 8
"""Bytes of every frame."""

STATUS, POSE, JOINTS, GRIPPER = 0x2A1, 0x2A2, 0x2A5, 0x2A8
HIGH_SPEED, LOW_SPEED, FIRMWARE = 0x251, 0x261, 0x4AF
MOTION_1, MOTION_2, JOINT_TARGETS, GRIPPER_COMMAND, MIT, ENABLE = 0x150, 0x151, 0x155, 0x159, 0x15A, 0x471
COMMANDS = frozenset({*range(0x150, 0x160), ENABLE})
"""Identifiers that move or switch the arm: only one program may send them."""

CONTROL_CAN = 1
MOVE_JOINTS, MOVE_MIT = 1, 4
ALL_JOINTS = 7
"""What the published SDK sends for "all"."""

P_MAX, V_MAX, KP_MAX, KD_MAX, T_MAX = 12.5, 45.0, 500.0, 5.0, 8.0
"""Ranges of an MIT frame (rad, rad/s, N·m/rad, N·m·s/rad, N·m): ± each, kp from 0."""
TORQUE_STEP = 2.0 * T_MAX / 255.0
"""N·m."""
_MILLIDEGREE = math.degrees(1000.0)
_INT32 = 0x7FFF_FFFF
_PAIR, _MOTOR, _DRIVER = struct.Struct(">ii"), struct.Struct(">hhi"), struct.Struct(">HhbBH")

Outgoing = tuple[int, bytes]

CONTROL_MODES = (
    "standby", "CAN", "teaching", "Ethernet", "Wi-Fi", "remote control", "linkage teaching", "offline trajectory",
)  # fmt: skip
ARM_STATUS = {
    0: "normal", 1: "emergency stop", 2: "no solution", 3: "singularity", 4: "target beyond a limit",
    5: "communication with a joint failed", 6: "a joint's brake is not released", 7: "collision",
    8: "too fast while guided by hand", 9: "a joint reports an error", 10: "another error", 11: "teaching: recording",
    12: "teaching: replaying", 13: "teaching: paused", 14: "main controller too hot", 15: "release resistor too hot",
}  # fmt: skip
DRIVER_FLAGS = (
    "supply voltage too low", "motor too hot", "driver over-current", "driver too hot", "collision protection acted",
    "driver error", "enabled", "motor stalled",
)  # fmt: skip
ENABLED_FLAG = 0x40


@dataclass(frozen=True, slots=True)
class Status:
    """0x2A1."""

    control: int
    """Control mode; see :data:`CONTROL_MODES`."""
    arm: int
    """State of the arm; see :data:`ARM_STATUS`."""
    move: int
    """Move mode: 0 P, 1 joints, 2 L, 3 C, 4 MIT, 5 CPV."""
    reached: bool
    """The target of the last position command is reached."""
    limits: int
    """Bits 0 … 5: a target of joints 1 … 6 was beyond its range."""
    lost: int
    """Bits 0 … 5: the controller does not hear joints 1 … 6."""


@dataclass(frozen=True, slots=True)
class MotorFeedback:
    """0x251 … 0x256: speed in rad/s and current in A."""

    speed: float
    current: float


@dataclass(frozen=True, slots=True)
class DriverFeedback:
    """0x261 … 0x266: supply in V, temperatures in °C, flags, bus current in A."""

    voltage: float
    driver_temperature: float
    motor_temperature: float
    flags: int
    """See :data:`DRIVER_FLAGS`, bit 0 first."""
    current: float

    @property
    def enabled(self) -> bool:
        """The joint is enabled."""
        return bool(self.flags & ENABLED_FLAG)

    @property
    def faults(self) -> list[str]:
        """Names of the flags that are set, ``enabled`` aside."""
        return [name for bit, name in enumerate(DRIVER_FLAGS) if self.flags >> bit & 1 and 1 << bit != ENABLED_FLAG]


@dataclass(frozen=True, slots=True)
class GripperFeedback:
    """0x2A8: opening in m, force (as the arm calls it: torque) in N·m, flags as those of a driver."""

    stroke: float
    torque: float
    flags: int

    @property
    def enabled(self) -> bool:
        """The gripper is enabled."""
        return bool(self.flags & ENABLED_FLAG)

    @property
    def fault(self) -> bool:
        """A sensor or driver error is flagged."""
        return bool(self.flags & 0x3F)


# Feedback


def decode_status(data: bytes | bytearray) -> Status:
    """Raises ProtocolError for a wrong length."""
    _check(data)
    return Status(data[0], data[1], data[2], data[4] == 0, data[6] & 0x3F, data[7] & 0x3F)


def decode_joints(data: bytes | bytearray) -> tuple[float, float]:
    """0x2A5 … 0x2A7: positions of two joints, rad, from 0.001°. Raises ProtocolError for a wrong length."""
    _check(data)
    first, second = _PAIR.unpack(data)
    return first / _MILLIDEGREE, second / _MILLIDEGREE


def decode_motor(data: bytes | bytearray) -> MotorFeedback:
    """The position in it is left out: no document says its unit. Raises ProtocolError for a wrong length."""
    _check(data)
    speed, current, _ = _MOTOR.unpack(data)
    return MotorFeedback(speed * 1e-3, current * 1e-3)


def decode_driver(data: bytes | bytearray) -> DriverFeedback:
    """Raises ProtocolError for a wrong length."""
    _check(data)
    voltage, driver, motor, flags, current = _DRIVER.unpack(data)
    return DriverFeedback(voltage * 0.1, float(driver), float(motor), flags, current * 1e-3)


def decode_gripper(data: bytes | bytearray) -> GripperFeedback:
    """Raises ProtocolError for a wrong length."""
    _check(data)
    stroke, torque, flags = struct.unpack(">ihBx", data)
    return GripperFeedback(stroke * 1e-6, torque * 1e-3, flags)


def firmware_in(text: bytes | bytearray) -> str | None:
    """The version in the chunks of 0x4AF (``…S-V1.8-5…`` gives ``1.8-5``); None while it is not whole."""
    begin = bytes(text).find(b"S-V")
    version = bytes(text)[begin + 3 : begin + 8]
    if begin < 0 or len(version) < 5:
        return None
    return version.rstrip(b"\0 ").decode("ascii", errors="replace")


# Commands


def encode_emergency_stop() -> Outgoing:
    """0x150: the controller stops the arm and holds it. Nothing here encodes the "resume": with it the arm drops."""
    return MOTION_1, bytes((1, 0, 0, 0, 0, 0, 0, 0))


def encode_mode(move: int, speed_percent: int = 100) -> Outgoing:
    """0x151: control by CAN in move mode ``move``, position moves at ``speed_percent`` (0 … 100) of full speed.
    Raises ValueError."""
    if move not in range(6) or not 0 <= speed_percent <= 100:
        raise ValueError(f"move mode {move} at {speed_percent} %: modes 0 … 5 at 0 … 100 % exist")
    return MOTION_2, bytes((CONTROL_CAN, move, speed_percent, 0xAD if move == MOVE_MIT else 0, 0, 0, 0, 0))


def encode_joint_targets(q: Sequence[float]) -> list[Outgoing]:
    """0x155 … 0x157: targets of the six joints, rad, in 0.001°. Raises ValueError for other than six finite angles."""
    if len(q) != N or not all(math.isfinite(angle) for angle in q):
        raise ValueError(f"joint targets {list(q)}: expected six finite angles")
    raw = [min(max(round(angle * _MILLIDEGREE), -_INT32), _INT32) for angle in q]
    return [(JOINT_TARGETS + k, _PAIR.pack(raw[2 * k], raw[2 * k + 1])) for k in range(3)]


def encode_enable(motor: int, on: bool) -> Outgoing:
    """0x471: enable or disable joint ``motor`` (1 … 6) or all (7). Raises ValueError."""
    if not 1 <= motor <= ALL_JOINTS:
        raise ValueError(f"motor {motor}: 1 … 6 are joints, 7 is all of them")
    return ENABLE, bytes((motor, 2 if on else 1, 0, 0, 0, 0, 0, 0))


def encode_firmware_query() -> Outgoing:
    """0x4AF: the controller answers with its version in several frames of the same identifier."""
    return FIRMWARE, bytes((1, 0, 0, 0, 0, 0, 0, 0))


def encode_gripper(stroke: float, torque: float, on: bool = True) -> Outgoing:
    """0x159: opening in m, bounding torque in N·m (0 … 5). Raises ValueError for what is not finite."""
    if not (math.isfinite(stroke) and math.isfinite(torque)):
        raise ValueError(f"gripper to {stroke} m with {torque} N·m: expected finite numbers")
    raw = round(min(max(stroke, 0.0), 1.0) * 1e6), round(min(max(torque, 0.0), 5.0) * 1e3)
    return GRIPPER_COMMAND, struct.pack(">iHBx", *raw, 1 if on else 0)


def torque_code(torque: float) -> int:
    """Code (0 … 255) of a torque of the frame's own scale, N·m: clamped, then rounded. Raises ValueError for NaN."""
    return _code(torque, -T_MAX, T_MAX, 255)


def torque_of(code: int) -> float:
    """What :func:`torque_code` encodes as ``code``, N·m of the frame's own scale."""
    return code * TORQUE_STEP - T_MAX


def encode_mit(joint: int, p: float, v: float, kp: float, kd: float, t_code: int) -> Outgoing:
    """0x15A … 0x15F: set-point of one joint (from 0): the arm makes kp (p − q) + kd (v − qd) + t.

    Gains below zero become zero. The check is the low nibble of the XOR of the first seven bytes, the torque's low
    nibble stands beside it. Raises ValueError for what is not finite, or no joint or torque code.
    """
    if not 0 <= joint < N or not 0 <= t_code <= 255:
        raise ValueError(f"joint {joint} (0 … 5) with torque code {t_code} (0 … 255)")
    speed, stiffness = _code(v, -V_MAX, V_MAX, 4095), _code(kp, 0.0, KP_MAX, 4095)
    damping = _code(max(kd, 0.0) if math.isfinite(kd) else kd, -KD_MAX, KD_MAX, 4095, up=True)
    word = _code(p, -P_MAX, P_MAX, 65535) << 48 | speed << 36 | stiffness << 24 | damping << 12 | t_code << 4
    head = word.to_bytes(LENGTH, "big")
    check = 0
    for byte in head[:7]:
        check ^= byte
    return MIT + joint, (word | check & 0x0F).to_bytes(LENGTH, "big")


def mit_gains(kp: float, kd: float) -> tuple[float, float]:
    """The gains that an MIT frame holds where ``kp`` and ``kd`` are asked for: (0, 0.0012) for none."""
    damping = _code(max(kd, 0.0), -KD_MAX, KD_MAX, 4095, up=True)
    return _code(kp, 0.0, KP_MAX, 4095) * KP_MAX / 4095, damping * 2 * KD_MAX / 4095 - KD_MAX


def _code(value: float, low: float, high: float, steps: int, *, up: bool = False) -> int:
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be sent: expected a finite number from {low:g} to {high:g}")
    exact = (min(max(value, low), high) - low) / (high - low) * steps
    return math.floor(exact + 0.5) if up else math.ceil(exact - 0.5)


def _check(data: bytes | bytearray) -> None:
    if len(data) != LENGTH:
        raise ProtocolError("length", f"a frame of {len(data)} bytes; every frame of this arm has {LENGTH}")

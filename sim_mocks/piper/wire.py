"""Frames of the PiPER protocol V2, the arm's side. All numbers are big-endian; every frame has 8 bytes.

Source: the arm's published SDK (protocol V2) and its interface documents; what they leave open is said in
:mod:`sim_mocks.piper.controller`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from sim_mocks.cobot.frames import Frame

STATUS, POSE, JOINTS, GRIPPER = 0x2A1, 0x2A2, 0x2A5, 0x2A8
HIGH_SPEED, LOW_SPEED = 0x251, 0x261
MOTION_1, MOTION_2, JOINT_TARGETS, GRIPPER_COMMAND, MIT = 0x150, 0x151, 0x155, 0x159, 0x15A
ENABLE, QUERY, LIMITS, RESPONSE, ACCELERATION, FIRMWARE = 0x471, 0x472, 0x473, 0x476, 0x47C, 0x4AF

_MILLIDEGREE = math.degrees(1000.0)
P_MAX, V_MAX, KP_MAX, KD_MAX, T_MAX = 12.5, 45.0, 500.0, 5.0, 8.0
"""Ranges of an MIT frame; kp begins at 0, the others at minus the maximum."""


@dataclass(frozen=True, slots=True)
class MitFrame:
    """Set-point of one joint: tau = kp (p − q) + kd (v − qd) + t."""

    p: float
    v: float
    kp: float
    kd: float
    t: float


def decode_mit(data: bytes) -> MitFrame | None:
    """The set-point; None where length or check (low nibble of the XOR of bytes 0 … 6) are wrong."""
    if len(data) != 8:
        return None
    word = int.from_bytes(data, "big")
    expected = 0
    for byte in data[:7]:
        expected ^= byte
    if word & 0xF != expected & 0xF:
        return None
    p, v, kp, kd, t = word >> 48, word >> 36 & 0xFFF, word >> 24 & 0xFFF, word >> 12 & 0xFFF, word >> 4 & 0xFF
    return MitFrame(
        p * 2 * P_MAX / 65535 - P_MAX,
        v * 2 * V_MAX / 4095 - V_MAX,
        kp * KP_MAX / 4095,
        kd * 2 * KD_MAX / 4095 - KD_MAX,
        t * 2 * T_MAX / 255 - T_MAX,
    )


def decode_angles(data: bytes) -> tuple[float, float]:
    """Two joint targets, rad, from 0.001°."""
    a, b = struct.unpack(">ii", data)
    return a / _MILLIDEGREE, b / _MILLIDEGREE


def encode_joints(q: Sequence[float]) -> list[Frame]:
    """0x2A5 … 0x2A7: joint positions (6,), rad, in 0.001°."""
    angles = [round(angle * _MILLIDEGREE) for angle in q]
    return [(JOINTS + k, struct.pack(">ii", *angles[2 * k : 2 * k + 2])) for k in range(3)]


def encode_pose(position: Sequence[float], rpy: Sequence[float]) -> list[Frame]:
    """0x2A2 … 0x2A4: position in 0.001 mm, roll, pitch, yaw in 0.001°."""
    values = [round(x * 1e6) for x in position] + [round(angle * _MILLIDEGREE) for angle in rpy]
    return [(POSE + k, struct.pack(">ii", *values[2 * k : 2 * k + 2])) for k in range(3)]


def encode_motor(joint: int, speed: float, current: float, position: float) -> Frame:
    """0x251 … : speed in 0.001 rad/s, current in 0.001 A, position, whose unit the documents do not say clearly, in
    0.001 rad. ``joint`` counts from 0."""
    data = struct.pack(">hhi", _int16(speed * 1e3), _int16(current * 1e3), round(position * 1e3))
    return HIGH_SPEED + joint, data


def encode_driver(joint: int, enabled: bool, stopped: bool, current: float) -> Frame:
    """0x261 … : 24 V, 25 °C, flags (bit 6 enabled, bit 4 collision), bus current in mA."""
    flags = 0x40 * enabled | 0x10 * stopped
    return LOW_SPEED + joint, struct.pack(">HhbBH", 240, 25, 25, flags, min(0xFFFF, round(abs(current) * 1e3)))


def encode_limits(joint: int, low: float, high: float, speed: float) -> Frame:
    """0x473: motor number, upper and lower angle in 0.1°, speed in 0.001 rad/s."""
    high_, low_ = round(math.degrees(high) * 10), round(math.degrees(low) * 10)
    return LIMITS, struct.pack(">BhhHx", joint + 1, high_, low_, round(speed * 1e3))


def encode_acceleration(joint: int, acceleration: float) -> Frame:
    """0x47C: motor number, acceleration in 0.001 rad/s²."""
    return ACCELERATION, struct.pack(">BH5x", joint + 1, round(acceleration * 1e3))


def _int16(value: float) -> int:
    return min(max(round(value), -0x8000), 0x7FFF)

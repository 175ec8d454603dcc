"""Frames of a PiPER-type arm: against bytes, against the arm's own SDK, over the whole range."""

from __future__ import annotations

import math
import struct
from typing import Any

import can
import piper_sdk
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import ProtocolError
from drivers.piper import codec
from sim_mocks.piper import wire

BITS = ((12.5, 16), (45.0, 12), (500.0, 12), (5.0, 12), (8.0, 8))


def step(index: int) -> float:
    top, bits = BITS[index]
    return top * (1 if index == 2 else 2) / ((1 << bits) - 1)


def low(index: int) -> float:
    return 0.0 if index == 2 else -BITS[index][0]


def test_the_frame_of_no_torque_and_no_gains() -> None:
    can_id, data = codec.encode_mit(2, 0.0, 0.0, 0.0, 0.0, codec.torque_code(0.0))
    assert can_id == 0x15C
    # position 32767, speed 2047, kp 0, kd 2048, torque 127, and the check: XOR of the first seven bytes
    assert data == bytes.fromhex("7FFF7FF0008007F8")
    decoded = wire.decode_mit(data)
    assert decoded is not None
    assert (decoded.kp, decoded.t) == (0.0, pytest.approx(-0.0314, abs=1e-4))
    assert 0.0 < decoded.kd < 0.0013
    assert codec.mit_gains(0.0, 0.0) == (decoded.kp, decoded.kd)


@pytest.mark.parametrize("code", range(256))
def test_every_torque_step_is_hit_and_its_borders_lie_halfway(code: int) -> None:
    torque = codec.torque_of(code)
    assert codec.torque_code(torque) == code
    assert codec.torque_code(torque + 0.49 * codec.TORQUE_STEP) == code
    assert codec.torque_code(torque - 0.49 * codec.TORQUE_STEP) == code


@pytest.mark.parametrize(
    ("torque", "code"), [(8.0, 255), (8.1, 255), (9.0, 255), (18.0, 255), (1e300, 255), (-8.1, 0), (-1e300, 0)]
)
def test_a_torque_beyond_the_range_is_clamped_and_never_turns_its_sign(torque: float, code: int) -> None:
    assert codec.torque_code(torque) == code


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        codec.torque_code(value)
    for field in range(4):
        args = [0.0] * 4
        args[field] = value
        with pytest.raises(ValueError, match="finite"):
            codec.encode_mit(0, *args, 127)
    with pytest.raises(ValueError, match="finite"):
        codec.encode_joint_targets([0.0] * 5 + [value])
    with pytest.raises(ValueError, match="finite"):
        codec.encode_gripper(value, 1.0)


Fields = st.tuples(*(st.integers(0, (1 << bits) - 1) for _, bits in BITS))


@given(codes=Fields, joint=st.integers(0, 5))
def test_frames_are_those_of_the_arm_s_own_sdk(codes: tuple[int, ...], joint: int) -> None:
    codes = (*codes[:3], max(codes[3], 2048), codes[4])  # a damping below zero is never sent
    values = [low(k) + (code + 0.3) * step(k) for k, code in enumerate(codes)]
    values = [min(value, BITS[k][0]) for k, value in enumerate(values)]
    can_id, data = codec.encode_mit(joint, *values[:4], codec.torque_code(values[4]))
    parser = piper_sdk.C_PiperParserV2()
    raw = [
        parser.FloatToUint(value, low(k), BITS[k][0], bits)
        for k, (value, (_, bits)) in enumerate(zip(values, BITS, strict=True))
    ]
    mit = piper_sdk.ArmMsgJointMitCtrl(pos_ref=raw[0], vel_ref=raw[1], kp=raw[2], kd=raw[3], t_ref=raw[4])
    kind = getattr(piper_sdk.ArmMsgType, f"PiperMsgJointMitCtrl_{joint + 1}")
    frame = can.Message()
    parser.EncodeMessage(piper_sdk.PiperMessage(type_=kind, arm_joint_mit_ctrl=mit), frame)
    assert (can_id, data) == (frame.arbitration_id, bytes(frame.data))


@given(codes=Fields)
def test_the_mock_reads_what_is_encoded(codes: tuple[int, ...]) -> None:
    codes = (*codes[:3], max(codes[3], 2048), codes[4])
    values = [low(k) + code * step(k) for k, code in enumerate(codes)]
    decoded = wire.decode_mit(codec.encode_mit(0, *values[:4], codes[4])[1])
    assert decoded is not None
    read = (decoded.p, decoded.v, decoded.kp, decoded.kd, decoded.t)
    assert read == pytest.approx(values, abs=1e-9)


@given(q=st.lists(st.floats(-7.0, 7.0), min_size=6, max_size=6))
def test_joint_targets_and_positions_round_trip_to_half_a_millidegree(q: list[float]) -> None:
    frames = codec.encode_joint_targets(q)
    assert [can_id for can_id, _ in frames] == [0x155, 0x156, 0x157]
    read = [angle for _, data in frames for angle in codec.decode_joints(data)]
    assert read == pytest.approx(q, abs=math.radians(0.0005) + 1e-12)


@given(data=st.binary(max_size=12))
def test_nothing_but_eight_bytes_is_read(data: bytes) -> None:
    readers: list[Any] = [
        codec.decode_status, codec.decode_joints, codec.decode_motor, codec.decode_driver, codec.decode_gripper,
    ]  # fmt: skip
    for reader in readers:
        if len(data) == 8:
            reader(data)
        else:
            with pytest.raises(ProtocolError, match=f"{len(data)} bytes"):
                reader(data)


def test_feedback_frames() -> None:
    status = codec.decode_status(bytes((1, 7, 4, 0, 1, 0, 0b000101, 0b100000)))
    assert (status.control, status.arm, status.move, status.reached) == (1, 7, 4, False)
    assert (status.limits, status.lost) == (0b101, 0b100000)
    assert codec.ARM_STATUS[status.arm] == "collision"
    motor = codec.decode_motor(struct.pack(">hhi", -1500, 2345, 0))
    assert (motor.speed, motor.current) == pytest.approx((-1.5, 2.345))
    driver = codec.decode_driver(struct.pack(">HhbBH", 241, 40, -5, 0b0100_0110, 1500))
    assert (driver.voltage, driver.driver_temperature, driver.motor_temperature) == pytest.approx((24.1, 40.0, -5.0))
    assert driver.enabled
    assert driver.faults == ["motor too hot", "driver over-current"]
    grip = codec.decode_gripper(struct.pack(">ihBx", 35000, -1200, 0x40))
    assert (grip.stroke, grip.torque, grip.enabled, grip.fault) == (
        pytest.approx(0.035),
        pytest.approx(-1.2),
        True,
        False,
    )


def test_command_frames() -> None:
    assert codec.encode_emergency_stop() == (0x150, b"\x01" + bytes(7))
    assert codec.encode_mode(codec.MOVE_MIT) == (0x151, bytes((1, 4, 100, 0xAD, 0, 0, 0, 0)))
    assert codec.encode_mode(codec.MOVE_JOINTS, 20) == (0x151, bytes((1, 1, 20, 0, 0, 0, 0, 0)))
    assert codec.encode_enable(7, True) == (0x471, bytes((7, 2, 0, 0, 0, 0, 0, 0)))
    assert codec.encode_enable(3, False) == (0x471, bytes((3, 1, 0, 0, 0, 0, 0, 0)))
    assert codec.encode_gripper(0.05, 1.5) == (0x159, struct.pack(">iHBx", 50_000, 1500, 1))
    assert codec.encode_gripper(-1.0, 99.0) == (0x159, struct.pack(">iHBx", 0, 5000, 1))
    for wrong in (
        lambda: codec.encode_mode(6),
        lambda: codec.encode_mode(1, 101),
        lambda: codec.encode_enable(0, True),
    ):
        with pytest.raises(ValueError):  # noqa: PT011  # which value it is says the message, each its own
            wrong()
    with pytest.raises(ValueError, match="joint 6"):
        codec.encode_mit(6, 0.0, 0.0, 0.0, 0.0, 127)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (b"H-V1.2-1S-V1.8-5", "1.8-5"),
        (b"\x01\0\0\0\0\0\0\0H-V1.2-1S-V1.6-3\0\0", "1.6-3"),
        (b"S-V1.8", None),
        (b"", None),
    ],
)
def test_firmware_text(text: bytes, version: str | None) -> None:
    assert codec.firmware_in(text) == version

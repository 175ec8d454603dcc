"""State machine by masks, codes in words, process data byte for byte, conversions, load of the bus."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.can.bus import DATA, BusConfig, Frame
from drivers.cobot import codes
from drivers.cobot.cia402 import (
    CW_ENABLE_OPERATION,
    DriveState,
    Mode,
    Want,
    controlword,
    controlword_name,
    state_of,
    statusword_name,
    torque_modes,
)
from drivers.cobot.config import CobotConfig
from drivers.cobot.model import CobotJoint, Scales
from drivers.cobot.pdo import COMMAND, FEEDBACK, SLOW, ProcessData
from drivers.cobot.plan import deadline_ms, nominal_bits, plan_load, worst_bits

# IEC 61800-7-201, table of statusword coding: x is any bit.
TABLE = {
    "x0xx0000": DriveState.NOT_READY,
    "x1xx0000": DriveState.SWITCH_ON_DISABLED,
    "x01x0001": DriveState.READY_TO_SWITCH_ON,
    "x01x0011": DriveState.SWITCHED_ON,
    "x01x0111": DriveState.OPERATION_ENABLED,
    "x00x0111": DriveState.QUICK_STOP_ACTIVE,
    "x0xx1111": DriveState.FAULT_REACTION_ACTIVE,
    "x0xx1000": DriveState.FAULT,
}


@given(st.integers(0, 0xFFFF))
def test_states_are_those_of_the_standards_table(word: int) -> None:
    bits = f"{word & 0xFF:08b}"
    matches = [s for pattern, s in TABLE.items() if all(p in ("x", b) for p, b in zip(pattern, bits, strict=True))]
    assert state_of(word) is (matches[0] if matches else DriveState.UNKNOWN)


def test_real_traces() -> None:
    """Statuswords of a maxon EPOS and of another drive, whose upper bits differ."""
    assert [state_of(word) for word in (0x0740, 0x0721, 0x0723, 0x0737)] == [
        DriveState.SWITCH_ON_DISABLED,
        DriveState.READY_TO_SWITCH_ON,
        DriveState.SWITCHED_ON,
        DriveState.OPERATION_ENABLED,
    ]
    assert state_of(0x1A50) is DriveState.SWITCH_ON_DISABLED
    assert state_of(0x1637) is state_of(0x1A37) is DriveState.OPERATION_ENABLED
    assert state_of(-1) is DriveState.UNKNOWN


def test_only_operate_ever_enables_and_only_step_by_step() -> None:
    for state in DriveState:
        for want in Want:
            word = controlword(state, want)
            assert not word & 0x80
            if word == CW_ENABLE_OPERATION:
                assert want is Want.OPERATE
                assert state in (DriveState.SWITCHED_ON, DriveState.OPERATION_ENABLED)


def test_words_in_words() -> None:
    assert [controlword_name(w) for w in (0x00, 0x02, 0x06, 0x07, 0x0F, 0x80, 0x10F)] == [
        "disable voltage",
        "quick stop",
        "shutdown",
        "switch on",
        "enable operation",
        "fault reset",
        "enable operation, halt",
    ]
    assert statusword_name(0x0837) == "operation enabled, internal limit"
    assert torque_modes(0x208) == (Mode.CYCLIC_SYNC_TORQUE, Mode.PROFILE_TORQUE)
    assert torque_modes(0x43) == ()


def test_codes_in_words() -> None:
    assert codes.emcy_text(0x8130) == "0x8130 heartbeat or life guarding lost"
    assert codes.emcy_text(0x3299) == "0x3299 voltage inside the device"
    assert codes.emcy_text(0xABCD) == "0xABCD unknown group"
    assert codes.abort_text(0x06020000) == "0x06020000 no such object"
    assert codes.abort_text(0x12345678) == "0x12345678 not a code of CiA 301"
    assert codes.error_register_text(0x11) == "generic, communication"
    assert codes.nmt_text(127) == "pre-operational"
    assert all(codes.emcy_remedy(code) for code in codes.EMCY)


def test_layouts_are_those_of_the_plan() -> None:
    assert [layout.length for layout in (COMMAND, FEEDBACK, SLOW)] == [4, 8, 7]
    assert [f"{obj.entry:08X}" for obj in FEEDBACK.objects] == ["60640020", "60770010", "60410010"]
    assert [f"{obj.entry:08X}" for obj in COMMAND.objects] == ["60400010", "60710010"]
    assert [f"{obj.entry:08X}" for obj in SLOW.objects] == ["606C0020", "60780010", "60610008"]


def test_process_data_byte_for_byte() -> None:
    data = ProcessData([3, 7])
    data.command([0x0F, 0x06], [-2, 258])
    assert [(can_id, bytes(payload).hex()) for can_id, payload in data.commands] == [
        (0x203, "0f00feff"),
        (0x207, "06000201"),
    ]
    rest: list[Frame] = []
    data.expect()
    data.take([(0x187, bytes.fromhex("00000080ffff3706"), DATA), (0x283, bytes.fromhex("0000000001000a"), DATA)], rest)
    assert (data.position[1], data.torque[1], data.statusword[1]) == (-(2**31), -1, 0x0637)
    assert data.answered == [False, True]
    assert data.missing == 1
    assert (data.velocity[0], data.current[0], data.mode[0]) == (0, 1, 10)
    other = (0x701, b"\5", DATA)
    data.take([other, (0x187, b"", DATA)], rest)
    assert rest == [other]
    assert data.wrong_length == 1


def test_conversions() -> None:
    joint = CobotJoint(1, gear=100.0, rated_torque_mNm=1500, counts_per_rev=1000, efficiency=0.9, torque_sign=-1)
    assert joint.tau_per_permille == pytest.approx(-0.135)
    assert joint.q_per_count == pytest.approx(math.tau / 1e5)
    scales = Scales([joint])
    assert scales.permille(np.array([13.6])) == [-101]
    assert scales.tau([-101])[0] == pytest.approx(13.635)
    with pytest.raises(ValueError, match="not finite"):
        scales.permille(np.array([math.nan]))
    with pytest.raises(ValueError, match="at most 32767"):
        scales.permille(np.array([5000.0]))


@pytest.mark.parametrize(
    "wrong",
    [{"node": 0}, {"gear": math.nan}, {"gear": -1.0}, {"efficiency": 1.5}, {"torque_sign": 2}, {"tau_max": math.nan}],
)
def test_impossible_joints_are_refused(wrong: dict[str, float]) -> None:
    good = {"node": 1, "gear": 100.0, "rated_torque_mNm": 1500}
    with pytest.raises(ValueError, match="node"):
        CobotJoint(**{**good, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"abort_option": 0},
        {"heartbeat_consumer_ms": 60},
        {"our_heartbeat_ms": 40},
        {"period": math.nan},
        {"joints": (CobotJoint(1, 100.0, 1500), CobotJoint(1, 100.0, 1500))},
        {"joints": (CobotJoint(1, 100.0, 1500, channel=1),)},
    ],
)
def test_configurations_by_which_drives_would_depend_on_us_are_refused(wrong: dict[str, object]) -> None:
    good = {"joints": (CobotJoint(1, 100.0, 1500),), "buses": (BusConfig("virtual", "x"),)}
    with pytest.raises(ValueError, match=r".+"):
        CobotConfig(**{**good, **wrong})  # type: ignore[arg-type]


def test_bits_of_a_frame() -> None:
    assert [(nominal_bits(n), worst_bits(n)) for n in (0, 2, 4, 5, 8)] == [
        (47, 55),
        (63, 75),
        (79, 95),
        (87, 105),
        (111, 135),
    ]


def test_plans_accepted_and_refused() -> None:
    one, fast, half = plan_load("a", 6, 500.0), plan_load("a", 6, 1000.0), plan_load("a", 3, 1000.0)
    assert (round(100 * one.typical), round(100 * one.worst)) == (71, 81)
    assert (round(100 * half.typical), round(100 * half.worst)) == (73, 83)
    assert one.refused == half.refused == ""
    assert "140.3 % typical, 160.1 % worst" in fast.refused
    assert "second channel" in fast.refused
    assert deadline_ms(0.002) == 10
    assert deadline_ms(0.001) == 5
    assert deadline_ms(0.0005) == 2  # never more than five cycles
    with pytest.raises(ValueError, match="positive"):
        plan_load("a", 6, math.nan)

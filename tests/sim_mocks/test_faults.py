"""The fault API: each kind does what it says, is written down, and repeats."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim_mocks.faults import MENU, Fault, FaultError, FaultPlan


def test_drop_loses_packets_of_its_device_and_ticks_only() -> None:
    plan = FaultPlan([Fault("drop", "iiwa", 3, ticks=2)])
    sent = [plan.outgoing("iiwa", tick, bytes([tick])) for tick in range(6)]
    assert sent == [[b"\x00"], [b"\x01"], [b"\x02"], [], [], [b"\x05"]]
    assert plan.outgoing("ft", 3, b"x") == [b"x"]
    assert [entry.tick for entry in plan.log] == [3, 4]


def test_stall_holds_packets_and_lets_them_out_at_once_in_order() -> None:
    plan = FaultPlan([Fault("stall", "iiwa", 1, ticks=3)])
    sent = [plan.outgoing("iiwa", tick, bytes([tick])) for tick in range(6)]
    assert sent == [[b"\x00"], [], [], [], [b"\x01", b"\x02", b"\x03", b"\x04"], [b"\x05"]]


def test_stall_releases_even_when_the_device_has_nothing_new() -> None:
    plan = FaultPlan([Fault("stall", "ft", 0, ticks=2)])
    assert plan.outgoing("ft", 0, b"a") == []
    assert plan.outgoing("ft", 1, None) == []
    assert not plan.idle(2)
    assert plan.outgoing("ft", 2, None) == [b"a"]
    assert plan.idle(3)


def test_direction_in_leaves_the_way_out_alone() -> None:
    plan = FaultPlan([Fault("drop", "iiwa", 0, field="in")])
    assert plan.incoming("iiwa", 0, [b"a", b"b"]) == []
    assert plan.outgoing("iiwa", 0, b"c") == [b"c"]


@pytest.mark.parametrize(("joint", "bad"), [(None, {0, 1, 2, 3, 4, 5, 6}), (2, {2}), (9, set())])
def test_nan_corrupts_a_copy(joint: int | None, bad: set[int]) -> None:
    plan = FaultPlan([Fault("nan", "iiwa", 5, field="tau", joint=joint)])
    truth = np.arange(7.0)
    seen = plan.values("iiwa", 5, "tau", truth)
    assert set(np.flatnonzero(np.isnan(seen))) == bad
    assert np.array_equal(truth, np.arange(7.0))
    assert plan.values("iiwa", 5, "q", truth) is truth
    assert plan.values("iiwa", 6, "tau", truth) is truth


def test_value_replaces_nan() -> None:
    plan = FaultPlan([Fault("nan", "ft", 0, field="wrench", joint=0, value=math.inf)])
    assert plan.values("ft", 0, "wrench", np.zeros(6))[0] == math.inf


def test_kill_names_its_process_once() -> None:
    plan = FaultPlan([Fault("kill", "recorder", 7), Fault("kill", "mock", 7)])
    assert [plan.processes(tick) for tick in (6, 7, 8)] == [[], ["recorder", "mock"], []]
    assert [entry.what for entry in plan.log] == ["killed recorder", "killed mock"]


def lost(seed: int, order: list[int]) -> set[int]:
    plan = FaultPlan([Fault("drop", "iiwa", 0, ticks=400, probability=0.3)], seed)
    return {tick for tick in order if not plan.outgoing("iiwa", tick, b"x")}


def test_chance_repeats_with_the_seed_whatever_the_order_of_calls() -> None:
    forwards, backwards = lost(4, list(range(400))), lost(4, list(range(399, -1, -1)))
    assert forwards == backwards
    assert forwards != lost(5, list(range(400)))
    assert 80 < len(forwards) < 160  # 120 expected, 4 standard deviations are 37


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "explode", "device": "iiwa", "at_tick": 0},
        {"kind": "drop", "device": "", "at_tick": 0},
        {"kind": "drop", "device": "iiwa", "at_tick": -1},
        {"kind": "drop", "device": "iiwa", "at_tick": 0, "ticks": 0},
        {"kind": "drop", "device": "iiwa", "at_tick": 0, "probability": 0.0},
        {"kind": "drop", "device": "iiwa", "at_tick": 0, "probability": math.nan},
        {"kind": "drop", "device": "iiwa", "at_tick": 0, "field": "sideways"},
        {"kind": "nan", "device": "iiwa", "at_tick": 0},
        {"kind": "stall", "device": "iiwa", "at_tick": 0, "probability": 0.5},
        {"kind": "drop", "device": "iiwa"},
        {"kind": "drop", "device": "iiwa", "at_tick": 0, "colour": 1},
        {"kind": "drop", "device": "iiwa", "at_tick": "soon"},
    ],
)
def test_nonsense_is_refused(entry: dict[str, object]) -> None:
    with pytest.raises(FaultError):
        Fault.from_mapping(entry)


def test_past_faults_are_refused() -> None:
    plan = FaultPlan()
    with pytest.raises(FaultError, match="past"):
        plan.add(Fault("drop", "iiwa", 9), now=10)
    assert plan.add(Fault("drop", "iiwa", 10), now=10) == 0


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_plan_from_file(tmp_path: Path, suffix: str) -> None:
    faults = [Fault("nan", "iiwa", 5, field="q", joint=1), Fault("stall", "ft", 9, ticks=4)]
    path = tmp_path / f"faults{suffix}"
    path.write_text(json.dumps([fault.to_mapping() for fault in faults]))  # JSON is YAML
    loaded = FaultPlan.load(path).faults
    assert [repr(fault) for fault in loaded] == [repr(fault) for fault in faults]  # NaN equals itself in text only
    path.write_text('{"kind": "drop"}')
    with pytest.raises(FaultError, match="list of faults"):
        FaultPlan.load(path)
    path.write_text("[")
    with pytest.raises(FaultError):
        FaultPlan.load(path)


def carried(fault: Fault, ticks: int, size: int = 4) -> list[list[bytes]]:
    plan = FaultPlan([fault])
    return [plan.outgoing("iiwa", tick, bytes([tick] * size)) for tick in range(ticks)]


def numbers(arrived: list[list[bytes]]) -> list[list[int]]:
    return [[packet[0] for packet in packets] for packets in arrived]


def test_delay_moves_each_packet_by_as_many_ticks() -> None:
    assert numbers(carried(Fault("delay", "iiwa", 1, ticks=3, value=2), 7)) == [[0], [], [], [1], [2, 4], [3, 5], [6]]


def test_duplicate_sends_copies() -> None:
    assert numbers(carried(Fault("duplicate", "iiwa", 1, value=2), 3)) == [[0], [1, 1, 1], [2]]


def test_reorder_lets_the_next_packet_overtake() -> None:
    assert numbers(carried(Fault("reorder", "iiwa", 1), 4)) == [[0], [], [2, 1], [3]]


def test_burst_delivers_in_batches() -> None:
    arrived = numbers(carried(Fault("burst", "iiwa", 1, ticks=8, value=4), 10))
    assert arrived == [[0], [], [], [], [1, 2, 3, 4], [], [], [], [5, 6, 7, 8], [9]]


@pytest.mark.parametrize("bits", [1, 3, 1000])
def test_bit_flip_inverts_so_many_bits(bits: int) -> None:
    (packet,) = carried(Fault("bit_flip", "iiwa", 0, value=bits), 1)[0]
    assert sum(byte.bit_count() for byte in packet) == min(bits, 32)


def test_truncate_and_garbage() -> None:
    assert carried(Fault("truncate", "iiwa", 0, value=3), 1) == [[b"\x00" * 3]]
    assert len(carried(Fault("truncate", "iiwa", 0), 1)[0][0]) < 4
    noise, packet = carried(Fault("garbage", "iiwa", 0, value=10), 1)[0]
    assert (len(noise), packet) == (10, b"\x00" * 4)
    assert carried(Fault("garbage", "iiwa", 0, value=10), 1)[0][0] == noise
    assert FaultPlan([Fault("garbage", "iiwa", 0, value=10)], seed=1).outgoing("iiwa", 0, None) != [noise]


def measured(fault: Fault, ticks: int, field: str = "tau") -> np.ndarray:
    """What 3 joints read that truly read [1, −2, 3] plus 0.01 per tick."""
    plan = FaultPlan([fault])
    return np.array([plan.values("iiwa", k, field, np.array([1.0, -2.0, 3.0]) + 0.01 * k) for k in range(ticks)])


def truth(ticks: int) -> np.ndarray:
    return np.array([1.0, -2.0, 3.0]) + 0.01 * np.arange(ticks)[:, None]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"kind": "infinity", "joint": 0, "value": -1.0}, lambda t: [-math.inf, t[1], t[2]]),
        ({"kind": "step", "joint": 1, "value": 0.5}, lambda t: [t[0], t[1] + 0.5, t[2]]),
        ({"kind": "stuck", "joint": 2}, lambda t: [t[0], t[1], 3.02]),
        ({"kind": "stuck"}, lambda t: [1.02, -1.98, 3.02]),
        ({"kind": "saturation", "value": 1.5}, lambda t: [t[0], -1.5, 1.5]),
        ({"kind": "swap", "joint": 0, "other": 2}, lambda t: [t[2], t[1], t[0]]),
        ({"kind": "sign_flip", "joint": 1}, lambda t: [t[0], -t[1], t[2]]),
    ],
)
def test_values_while_the_fault_lasts(how: dict[str, Any], expected: Callable[[np.ndarray], list[float]]) -> None:
    seen, true = measured(Fault(device="iiwa", at_tick=2, ticks=3, field="tau", **how), 7), truth(7)
    for tick in range(7):
        wanted = expected(true[tick]) if 2 <= tick < 5 else true[tick]
        assert seen[tick].tolist() == pytest.approx(list(wanted)), tick


def test_offsets_that_come_slowly() -> None:
    true = truth(1200)
    ramp = measured(Fault("ramp", "iiwa", 100, 1000, "tau", joint=0, value=2.0), 1200) - true
    assert ramp[[99, 100, 599, 1099, 1100], 0] == pytest.approx([0.0, 0.002, 1.0, 2.0, 0.0])
    assert not ramp[:, 1:].any()
    bias = measured(Fault("bias", "iiwa", 100, 1000, "tau", value=-2.0), 1200) - true
    assert bias[[99, 349, 599, 1099, 1100], 1] == pytest.approx([0.0, -1.0, -2.0, -2.0, 0.0])


def test_clocks() -> None:
    plan = FaultPlan([Fault("clock_jump", "iiwa", 5, 2, value=-3.0), Fault("rate_error", "iiwa", 10, 100, value=0.01)])
    offsets = [plan.clock_offset("iiwa", tick, 1e-3) for tick in (4, 5, 6, 7, 10, 59, 109, 500)]
    assert offsets == pytest.approx([0.0, -3.0, -3.0, 0.0, 1e-5, 5e-4, 1e-3, 1e-3])
    assert [plan.rate_error("iiwa", tick) for tick in (9, 10, 110)] == [0.0, 0.01, 0.0]
    assert len(plan.log) == 2


def test_devices_are_told_of_begin_and_end() -> None:
    fault = Fault("safety_stop", "iiwa", 3, ticks=2)
    plan = FaultPlan([fault])
    assert [plan.actions("iiwa", tick) for tick in range(7)] == [[], [], [], [(fault, True)], [], [(fault, False)], []]
    assert plan.actions("ft", 3) == []


def test_suspend_names_process_and_length() -> None:
    plan = FaultPlan([Fault("suspend", "recorder", 7, value=0.25), Fault("suspend", "mock", 7)])
    assert plan.suspensions(6) == []
    assert plan.suspensions(7) == [("recorder", 0.25), ("mock", 0.1)]
    assert [entry.what for entry in plan.log] == ["suspended recorder", "suspended mock"]


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "safety_stop", "device": "ft"},
        {"kind": "mode_change", "device": "ft"},
        {"kind": "kill", "device": "iiwa"},
        {"kind": "suspend", "device": "mock", "value": 0.0},
        {"kind": "step", "device": "iiwa", "field": "tau"},
        {"kind": "step", "device": "iiwa", "field": "wrench", "value": 1.0},
        {"kind": "saturation", "device": "iiwa", "field": "q", "value": -1.0},
        {"kind": "swap", "device": "iiwa", "field": "q", "joint": 1},
        {"kind": "swap", "device": "iiwa", "field": "q", "joint": 1, "other": 1},
        {"kind": "stuck", "device": "iiwa", "field": "q", "joint": -1},
        {"kind": "stuck", "device": "iiwa", "field": "q", "other": 2},
        {"kind": "stuck", "device": "iiwa", "field": "q", "value": 2},
        {"kind": "stuck", "device": "iiwa", "field": "q", "probability": 0.5},
        {"kind": "drop", "device": "iiwa", "joint": 2},
        {"kind": "drop", "device": "iiwa", "value": 2},
        {"kind": "delay", "device": "iiwa", "value": 1.5},
        {"kind": "delay", "device": "iiwa", "value": math.inf},
        {"kind": "clock_jump", "device": "iiwa", "value": 0.0},
        {"kind": "safety_stop", "device": "iiwa", "value": 4},
        {"kind": "quality_loss", "device": "iiwa", "field": "q"},
    ],
)
def test_parameters_that_make_no_sense_are_refused(entry: dict[str, object]) -> None:
    with pytest.raises(FaultError):
        Fault.from_mapping({"at_tick": 5, **entry})


def test_the_menu_is_documented() -> None:
    """docs/mocks.md has a row for each kind."""
    page = (Path(__file__).parents[2] / "docs" / "mocks.md").read_text(encoding="utf-8")
    for name, kind in MENU.items():
        value = f" `value`: {kind.value}" if kind.value else ""
        default = "" if not kind.value or math.isnan(kind.default) else f" ({kind.default:g})"
        assert f"| `{name}` | {kind.meaning} |{value}{default} |" in page, name

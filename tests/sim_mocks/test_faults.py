"""The fault API: each kind does what it says, is written down, and repeats."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from sim_mocks.faults import Fault, FaultError, FaultPlan


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

"""Faults of bus and drives through the one fault API: what the supervisor sees of them, and what the drives do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cobot_cells import Flywheels, Master, cobot_config

from sim_mocks.cobot.frames import ERROR_FLAG
from sim_mocks.faults import Fault, FaultError

Make = Callable[..., Master]
HOLD = [0x0F] * 6


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Master] = []

    def build(profile: str = "standard", world: Any = None, **how: Any) -> Master:
        made.append(Master(cobot_config(profile, **how), world or Flywheels()))
        made[-1].bring_up(deadline_ms=0)
        return made[-1]

    yield build
    for master in made:
        master.close()


def drives(master: Master) -> Any:
    return master.cell.arm.drives  # type: ignore[attr-defined]


def motion(master: Master, cycles: int) -> list[dict[int, tuple[int, int, int]]]:
    seen = []
    for k in range(cycles):
        master.sync(HOLD, np.rint(200 * np.sin(0.1 * k + np.arange(6))).astype(int).tolist())
        seen.append(dict(master.feedback))
    return seen


def begun(make: Make, *faults: dict[str, Any], **how: Any) -> Master:
    """An enabled arm, and faults that begin two cycles from now (device and tick filled in)."""
    master = make(**how)
    master.enable()
    motion(master, 30)
    master.heard.clear()
    now = master.cell.ticks
    master.control.faults_add([{"device": "cobot", "at_tick": now + 4, **fault} for fault in faults])
    return master


def fresh(master: Master, cycles: int) -> list[set[int]]:
    out = []
    for _ in range(cycles):
        master.sync(HOLD)
        out.append(set(master.fresh))
    return out


ALL = set(range(6))


@pytest.mark.parametrize("transport", ["virtual", "slcan"])
def test_frames_of_bus_or_drive_are_lost(make: Make, transport: str) -> None:
    one = {"kind": "drop", "device": "cobot.3", "ticks": 4}
    assert fresh(begun(make, one, transport=transport), 6) == [ALL, ALL, ALL - {2}, ALL - {2}, ALL, ALL]
    whole = {"kind": "drop", "ticks": 4}
    assert fresh(begun(make, whole, transport=transport), 6) == [ALL, ALL, set(), set(), ALL, ALL]


def test_a_drive_that_does_not_hear_sync_says_nothing(make: Make) -> None:
    deaf = {"kind": "drop", "device": "cobot.2", "ticks": 2, "field": "in"}
    assert fresh(begun(make, deaf), 4) == [ALL, ALL, ALL - {1}, ALL]


def test_frames_come_late_doubled_or_broken(make: Make) -> None:
    late = begun(make, {"kind": "delay", "device": "cobot.1", "ticks": 2, "value": 2})
    assert fresh(late, 4) == [ALL, ALL, ALL - {0}, ALL]
    double = begun(make, {"kind": "duplicate", "device": "cobot.1", "ticks": 2})
    fresh(double, 3)
    double.heard.clear()
    double.cell.faults.faults.clear()
    broken = begun(make, {"kind": "truncate", "device": "cobot.1", "ticks": 2, "value": 6})
    fresh(broken, 3)
    assert [len(data) for _, can_id, data in broken.heard if can_id == 0x181] == [8, 8, 2]


def test_flipped_bits_change_data_or_identifier(make: Make) -> None:
    clean, flipped = begun(make), begun(make, {"kind": "bit_flip", "device": "cobot", "ticks": 2, "value": 2})
    fresh(clean, 3)
    fresh(flipped, 3)
    assert clean.heard != flipped.heard
    assert all(can_id <= 0x7FF or can_id & ERROR_FLAG for _, can_id, _ in flipped.heard)


def test_a_disturbed_bus_repeats_frames_and_shows_error_frames(make: Make) -> None:
    master = begun(make, {"kind": "error_frame", "ticks": 2, "value": 3})
    assert fresh(master, 4) == [ALL] * 4  # repeated within the cycle
    errors = [can_id for _, can_id, _ in master.heard if can_id & ERROR_FLAG]
    assert len(errors) == 6
    assert 0 < master.control.state()["bus"][0]["adapter_errors"] < 128


def test_lasting_disturbance_drives_the_adapter_off_the_bus(make: Make) -> None:
    master = begun(make, {"kind": "error_frame", "ticks": 40, "value": 1000})
    assert fresh(master, 30)[-1] == set()
    assert master.control.state()["bus"][0]["bus_off"]
    assert any(can_id & ERROR_FLAG and can_id & 0x40 for _, can_id, _ in master.heard)


def test_bus_off_of_the_adapter_begins_and_ends(make: Make) -> None:
    master = begun(make, {"kind": "bus_off", "ticks": 10})
    assert fresh(master, 9) == [ALL, ALL, set(), set(), set(), set(), set(), ALL, ALL]


def test_bus_off_of_a_drive_takes_its_torque_and_is_told_later(make: Make) -> None:
    master = begun(make, {"kind": "bus_off", "device": "cobot.4", "ticks": 10})
    assert fresh(master, 3)[-1] == ALL - {3}
    assert drives(master)[3].power.fault_code == 0x8140
    assert fresh(master, 6)[-1] == ALL
    assert any(can_id == 0x84 and data[:2] == b"\x40\x81" for _, can_id, data in master.heard)
    assert master.feedback[3][2] & 0x4F in (0x0F, 0x08)  # in fault by itself, and it stays there


def test_a_drive_without_power_brakes_its_joint_and_boots_when_it_is_back(make: Make) -> None:
    world = Flywheels()
    master = begun(make, {"kind": "node_power", "device": "cobot.2", "ticks": 100}, world=world)
    for _ in range(3):
        master.sync(HOLD, [100] * 6)
    assert world.tau[1] == 0.0
    assert world.tau[0] != 0.0
    for _ in range(30):
        master.sync(HOLD, [0] * 6)
    assert world.braked == (False, True, False, False, False, False)
    for _ in range(40):
        master.sync(HOLD, [0] * 6)
    assert [data for _, can_id, data in master.heard if can_id == 0x702] == [b"\0"]
    assert drives(master)[1].node.nmt == 127
    assert 1 not in master.fresh  # nobody started it again
    assert world.braked[1]


def test_a_drive_fault_cannot_be_reset_while_its_cause_lasts(make: Make) -> None:
    master = begun(make, {"kind": "drive_fault", "device": "cobot.6", "ticks": 360, "value": 0x4310})
    fresh(master, 120)
    assert master.feedback[5][2] & 0x4F == 0x08
    for words in ([0x0F] * 5 + [0x80], [0x0F] * 5 + [0]):
        master.sync(words)
    master.sync(HOLD)
    assert master.feedback[5][2] & 0x4F == 0x08
    assert master.feedback[0][2] & 0x6F == 0x27
    fresh(master, 60)  # the cause has gone; the fault waits
    assert master.feedback[5][2] & 0x4F == 0x08
    for words in ([0x0F] * 5 + [0], [0x0F] * 5 + [0x80], [0x0F] * 5 + [0]):
        master.sync(words)
    assert master.feedback[5][2] & 0x4F == 0x40


def test_a_foreign_node_doubles_an_identifier(make: Make) -> None:
    master = begun(make, {"kind": "foreign_node", "device": "cobot.1", "ticks": 2})
    fresh(master, 4)
    assert sum(can_id == 0x181 for _, can_id, _ in master.heard) == 5


def test_an_adapter_is_unplugged_and_plugged(make: Make) -> None:
    master = begun(make, {"kind": "unplug", "ticks": 10})
    path = fresh(master, 4)
    assert path == [ALL, ALL, set(), set()]
    assert sum(data["state"] == "ENABLED" for data in master.control.state()["drives"]) == 6  # no deadline was set


def test_an_unplugged_serial_adapter_takes_its_port_along(make: Make, tmp_path: Path) -> None:
    master = make(transport="slcan", control_dir=str(tmp_path))
    path = Path(master.control.hello()["can"][0]["channel"])
    assert path.exists()
    master.control.call("unplug_can")
    assert not path.exists()
    master.control.call("plug_can")
    assert path.exists()
    master.cell.tick()  # closed and without a bit rate: nothing is said, nothing breaks


def test_measured_quantities_can_be_wrong(make: Make) -> None:
    quiet = begun(make, profile="ideal")
    wrong = begun(make, {"kind": "step", "field": "q", "joint": 1, "value": 0.1, "ticks": 1000},
                  {"kind": "sign_flip", "field": "tau", "ticks": 1000}, profile="ideal")  # fmt: skip
    for master in (quiet, wrong):
        for _ in range(4):
            master.sync(HOLD, [100] * 6)
    offset = wrong.feedback[1][0] - quiet.feedback[1][0]
    assert offset == pytest.approx(0.1 / (2 * np.pi) * 101 * 131072, abs=1)
    assert wrong.feedback[0][1] == -quiet.feedback[0][1] == -100


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "nan", "device": "cobot", "field": "q"},
        {"kind": "node_power", "device": "cobot"},
        {"kind": "error_frame", "device": "cobot.1"},
        {"kind": "step", "device": "cobot.1", "field": "q", "value": 1.0},
        {"kind": "bus_off", "device": "iiwa"},
        {"kind": "safety_stop", "device": "cobot"},
    ],
)
def test_faults_that_a_cobot_cannot_have_are_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(FaultError, match="fault"):
        Fault.from_mapping({"at_tick": 0, **fault})


def test_runs_repeat_and_seeds_differ(make: Make) -> None:
    def run(seed: int) -> Any:
        loss = tuple(Fault("drop", f"cobot.{k}", 700, 400, probability=0.05) for k in range(1, 7))
        master = make(seed=seed, faults=loss)
        assert master.cell.ticks < 700
        master.enable()
        return motion(master, 100), master.cell.faults.log

    assert run(1) == run(1)
    assert run(1) != run(2)

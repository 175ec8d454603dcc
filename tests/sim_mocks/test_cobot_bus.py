"""Load, bandwidth, faults of bus and drives, and that every wire carries the same."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cobot_cells import Flywheels, Master, cobot_config

from drivers.cobot.plan import plan_load
from sim_mocks.cobot.config import CobotMockConfig, default_joints
from sim_mocks.cobot.frames import ERROR_FLAG
from sim_mocks.cobot.ports import MulticastPort
from sim_mocks.cobot.slcan import BELL, OK, SlcanAdapter
from sim_mocks.control_plane import LockstepTicks, SocketControl
from sim_mocks.errors import MockError
from sim_mocks.faults import Fault, FaultError

Make = Callable[..., Master]
HOLD = [0x0F] * 6


def multicast_works() -> str:
    """Empty, or why this machine cannot: a network namespace with nothing but ``lo`` has no route."""
    try:
        MulticastPort("239.74.163.2", 0).close()
    except MockError as error:
        return str(error)
    return ""


NO_MULTICAST = multicast_works()


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Master] = []

    def build(profile: str = "standard", bring_up: bool = True, world: Any = None, **how: Any) -> Master:
        if how.get("transport") == "udp_multicast":
            if NO_MULTICAST:
                pytest.skip(NO_MULTICAST)
            how["channel"] = ""
        made.append(Master(cobot_config(profile, **how), world or Flywheels()))
        if bring_up:
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


# -- load -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("split", "period_ms", "rate"), [(6, 2, 500.0), (3, 1, 1000.0)], ids=["one", "two"])
def test_the_plan_s_load_is_what_the_bus_carries(make: Make, split: int, period_ms: int, rate: float) -> None:
    master = make(joints=default_joints(split), period_ms=period_ms)
    for joint in range(6):
        assert master.write(joint, 0x1017, 0, 100, 2) == 0
    master.enable()
    motion(master, 50)
    master.control.call("load_reset")
    for k in range(600):
        if k % round(16 / period_ms) == 0:
            for channel in range(len(master.buses)):
                master.send(0x77F, b"\x05", channel)
        master.sync(HOLD, np.rint(200 * np.sin(0.01 * k * period_ms + np.arange(6))).astype(int).tolist())
        assert len(master.fresh) == 6
    for bus in master.control.state()["bus"]:
        plan = plan_load("can0", split, rate)
        # the plan keeps room for emergencies, of which none came
        quiet = plan_load("can0", split, rate, emcy_inhibit_ms=1e12)
        assert bus["load"] == pytest.approx(quiet.typical, rel=0.02)
        assert bus["load"] == pytest.approx(plan.typical, rel=0.02)
        assert bus["load"] < plan.worst


def test_one_bus_cannot_carry_a_kilohertz(make: Make) -> None:
    master = make(period_ms=1)
    late = 0
    for _ in range(100):
        master.sync([0] * 6)
        late += len(master.fresh) < 6
    assert late > 50
    assert master.control.state()["bus"][0]["peak"] == 1.0


def test_without_a_limit_it_would(make: Make) -> None:
    master = make(period_ms=1, limited=False)
    for _ in range(100):
        master.sync([0] * 6)
        assert len(master.fresh) == 6


def test_lower_identifiers_go_first(make: Make) -> None:
    """On a full bus the drives with the highest node ids come late."""
    master = make(period_ms=1)
    missing = np.zeros(6)
    for _ in range(60):
        master.sync([0] * 6)
        for joint in range(6):
            missing[joint] += joint not in master.fresh
    assert missing[5] > missing[0]


# -- wires ----------------------------------------------------------------------------------------------------------


def test_every_wire_carries_the_same(make: Make) -> None:
    """Same seed, same commands: feedback equal to the last bit on all transports."""
    runs = []
    for transport in ("virtual", "slcan", "udp_multicast"):
        if transport == "udp_multicast" and NO_MULTICAST:
            continue
        master = make(transport=transport, seed=5)
        master.enable()
        runs.append(motion(master, 60))
    assert len(runs) >= 2
    assert all(run == runs[0] for run in runs)


@pytest.mark.skipif(bool(NO_MULTICAST), reason=NO_MULTICAST)
def test_multicast_takes_nothing_but_can_and_nothing_of_its_own() -> None:
    port = MulticastPort("239.74.163.2", 0)
    where = port.where
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
        for data in (b"", b"hello", b"\xff" * 200):
            stranger.sendto(data, (where["channel"], where["port"]))
    port.send([(0x123, b"own")])
    assert port.receive() == []
    assert port.foreign == 3
    port.close()


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"S8\r", OK),
        (b"S9\r", BELL),
        (b"O\r", BELL),  # no bit rate yet
        (b"S8\rO\r", OK + OK),
        (b"S8\rO\rS6\r", OK + OK + BELL),
        (b"S8\rO\rt1232AABB\r", OK + OK + OK),
        (b"X1\rS8\rO\rt1230\r", OK + OK + OK + b"z\r"),
        (b"S8\rL\rt1230\r", OK + OK + BELL),  # listen only
        (b"S8\rO\rt1233AABB\r", OK + OK + BELL),
        (b"S8\rO\rtFFF0\r", OK + OK + BELL),
        (b"S8\rO\rT000001230\r", OK + OK + BELL),
        (b"S8\rO\rF\r", OK + OK + b"F00\r"),
        (b"S6\rO\rF\r", OK + OK + b"FA4\r"),
        (b"V\rN\r", b"V1011\rNHIL1\r"),
        (b"Z1\r", BELL),
        (b"\r\r", OK + OK),
    ],
)
def test_lawicel_commands(said: bytes, answer: bytes) -> None:
    adapter = SlcanAdapter(1_000_000)
    replies = []
    for byte in (said[k : k + 1] for k in range(len(said))):
        adapter.status(0, False)
        replies.append(adapter.feed(byte)[0])
    assert b"".join(replies) == answer


def test_an_adapter_at_another_bit_rate_hears_and_says_nothing() -> None:
    right, wrong = SlcanAdapter(1_000_000), SlcanAdapter(1_000_000)
    assert right.feed(b"S8\rO\rt0800\r")[1] == [(0x80, b"")]
    assert wrong.feed(b"S6\rO\rt0800\r")[1] == []
    frames = [(0x181, b"\x01\xff"), (ERROR_FLAG | 8, bytes(8))]
    assert right.encode(frames) == b"t181201FF\r"
    assert wrong.encode(frames) == b""


# -- faults ------------------------------------------------------------------------------------------------------------


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


# -- configuration, host --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ({"transport": "ethernet"}, "transport"),
        ({"joints": (*default_joints()[:5], default_joints()[0])}, "node id twice"),
        ({"joints": ()}, "at least one"),
        ({"period_ms": 0}, "period_ms"),
        ({"bitrate": 2_000_000}, "bitrate"),
        ({"boot_time": float("nan")}, "boot_time"),
    ],
)
def test_impossible_cobots_are_refused(how: dict[str, Any], what: str) -> None:
    with pytest.raises(MockError, match=what):
        CobotMockConfig(**how)


def test_a_cell_has_exactly_one_arm() -> None:
    config = cobot_config()
    text = config.to_json()
    assert type(config).from_json(text) == config
    with pytest.raises(MockError, match="one of them"):
        type(config)(config.world, cobot=config.cobot)
    with pytest.raises(MockError, match="gear"):
        type(config).from_json(text.replace('"gear": 101.0', '"gear": -1.0', 1))


def test_operations_of_the_iiwa_do_not_exist_here(make: Make) -> None:
    master = make(bring_up=False)
    with pytest.raises(Exception, match="start_overlay"):
        master.control.start_overlay()
    with pytest.raises(MockError, match="neither FRI"):
        _ = master.cell.controller


def test_a_cell_in_a_process_of_its_own(tmp_path: Path) -> None:
    """``python -m sim_mocks.serve`` with a cobot: token, wire and control plane from another process."""
    from hil.mocks import MockProcess

    host = MockProcess(cobot_config("standard", transport="slcan", control_dir=str(tmp_path)))
    try:
        assert isinstance(host.control, SocketControl)
        hello = host.control.hello()
        assert (hello["arm"], hello["n"]) == ("cobot", 6)
        ticks = LockstepTicks(tmp_path)
        assert ticks.dt_ns == 2_000_000
        wire = Master._open(hello["can"][0])
        wire.send(type("M", (), {"arbitration_id": 0x601, "dlc": 8, "data": b"\x40\x00\x10\0\0\0\0\0"})())
        seen = []
        for _ in range(40):
            if len(seen) < 7 and ticks.tick == 40:
                wire.send(type("M", (), {"arbitration_id": 0x601, "dlc": 8, "data": b"\x40\x00\x10\0\0\0\0\0"})())
            ticks.wait(wire._fd, 0)
            while (message := wire.recv(0)) is not None:
                seen.append((message.arbitration_id, bytes(message.data)))
        assert {can_id for can_id, _ in seen} >= set(range(0x701, 0x707))
        assert (0x581, b"\x43\x00\x10\x00\x92\x01\x02\x00") in seen
        assert host.control.state()["standing"]
        ticks.close()
        wire.shutdown()
    finally:
        host.close()

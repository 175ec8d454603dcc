"""Load, bandwidth, that every wire carries the same, and the cell around it."""

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
    for k in range(400):
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

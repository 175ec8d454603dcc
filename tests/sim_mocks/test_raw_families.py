"""A client of raw bytes of each version family lives a whole session in each client command mode, at every rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from sim_mocks.config import IiwaConfig, IoConfig
from sim_mocks.host import CooperativeHost
from sim_mocks.iiwa import RobotRefusal
from tests.sim_mocks.cells import Q0, mock_config
from tests.sim_mocks.iiwa_rig import ConstantGravity, RailWorld
from tests.sim_mocks.raw_fri import Packet, RawClient, fields, io

MODES = {"POSITION": 1, "WRENCH": 2, "TORQUE": 3, "CARTESIAN_POSE": 4}
LIVES = [
    (version, mode)
    for version in ("1.11", "1.15", "2.5", "2.7")
    for mode in MODES
    if mode != "CARTESIAN_POSE" or version.startswith("2")
]
SWITCH = "Gripper.Close"
DAMPING = (5.0, 5.0, 2.0, 5.0, 0.5, 0.5, 0.05)
"""The rails have no friction: without damping a small push goes far at 10 ms an answer."""
IOS = (
    IoConfig(SWITCH, "boolean", "output"),
    IoConfig("Gripper.Speed", "analog", "output"),
    IoConfig("Gripper.Step", "digital", "output", 3),
    IoConfig("Gripper.Closed", "boolean", "input", 1),
)


class Life:
    """A cell on rails with a raw client that follows one client command mode."""

    def __init__(self, version: str, mode: str, period: int = 1, multiplier: int = 1) -> None:
        iiwa = IiwaConfig(wire_version=version, send_period_ms=period, receive_multiplier=multiplier, ios=IOS)
        world = RailWorld()
        world.q = np.array(Q0)
        self.cell = CooperativeHost(mock_config("ideal", iiwa=iiwa), world, ConstantGravity())
        self.client = RawClient(version == "2.7", multiplier)
        self.cell.fri_peer(*self.client.address)
        self.version, self.mode = version, mode
        self.packets: list[Packet] = []
        self.k = 0
        """Answers given in COMMANDING_ACTIVE."""

    @property
    def state(self) -> int:
        return self.packets[-1].state

    def run(self, packets: int, **more: Any) -> None:
        for _ in range(packets):
            self.cell.wait(self.client.fileno(), 0)
            seen = self.client.read()
            if seen is None:
                continue
            self.packets.append(seen)
            if seen.state != 0 and self.client.due():
                self.client.send(self.cell.fri_address, seen.seq, **self.answer(seen), **more)

    def until(self, state: int, packets: int) -> None:
        for _ in range(packets):
            self.run(1)
            if self.packets and self.state == state:
                return
        raise AssertionError(f"state {state} not reached: {self.state}, {list(self.cell.controller.errors)}")

    def answer(self, seen: Packet) -> dict[str, Any]:
        """What a client of the family says: it mirrors in monitoring (1.x) or is only alive (2.x), mirrors the
        interpolator while synchronising, and then goes a little way."""
        if seen.state < 3:
            return {} if self.version.startswith("2") else {"q": seen.joints(3, 3)}
        assert seen.parts[5][10] == [MODES[self.mode]]
        active = seen.state == 4
        self.k += active
        if self.mode == "CARTESIAN_POSE":
            pose, a3 = seen.pose(5, 2), fields(seen.parts[5][3][0])[2][0]
            assert 1 not in seen.parts[5]
            pose[2] += min(4.0, 0.05 * self.k)  # mm
            return {"pose": pose, "a3": a3}
        q = seen.joints(5, 1)
        if self.mode == "POSITION":
            q[0] += min(0.02, 2e-4 * self.k)
            return {"q": q}
        if self.mode == "WRENCH":
            return {"q": q, "wrench": [0.0, 0.02 * min(self.k, 20), 0.0, 0.0, 0.0, 0.0]}
        return {"q": q, "tau": [0.01 * min(self.k, 20), *[0.0] * 6]}

    def close(self) -> None:
        self.client.close()
        self.cell.close()


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("period", [1, 2, 5])
@pytest.mark.parametrize(("version", "mode"), LIVES)
def test_a_whole_session(version: str, mode: str, period: int, multiplier: int) -> None:
    """Waiting, ready, synchronised, commanding and moving, cancelled, closed, and opened anew after 5 s."""
    life = Life(version, mode, period, multiplier)
    try:
        controller = life.cell.controller
        life.until(2, 130 * multiplier)
        q0 = np.array(life.packets[-1].joints(3, 1))
        controller.start_overlay(life.cell.t_ns, mode, damping=DAMPING)
        life.until(4, 200 * multiplier)
        life.run(150 * multiplier)
        assert life.state == 4, list(controller.errors)
        assert life.packets[-1].quality == 3
        moved = np.array(life.packets[-1].joints(3, 1)) - q0
        assert np.abs(moved).max() > 1e-3
        if mode == "POSITION":
            assert moved[0] == pytest.approx(0.02, abs=1e-4)
        if mode == "CARTESIAN_POSE":
            pose, aim = life.packets[-1].pose(3, 9), life.packets[-1].pose(5, 2)
            assert np.array(pose) - np.array(aim) == pytest.approx([0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0], abs=0.02)
        controller.cancel_overlay(life.cell.t_ns)
        life.run(2)
        assert life.state == 2
        life.run(60)
        controller.close_session(life.cell.t_ns)
        closed = life.cell.t_ns
        life.run(10)
        assert [p.state for p in life.packets].count(0) == 1
        assert life.state == 0
        assert controller.quality.missed <= multiplier
        assert not controller.errors
        assert not controller.rejected
        order = [p.state for k, p in enumerate(life.packets) if k == 0 or p.state != life.packets[k - 1].state]
        assert order == [1, 2, 3, 4, 2, 0]
        link = life.packets[-1].parts[4]
        assert (link[3], link[4]) == ([period], [multiplier])
        with pytest.raises(RobotRefusal, match="wait 5"):
            controller.open_session(closed + 4_999_000_000)
        controller.open_session(closed + 5_000_000_000)
        first = len(life.packets)
        life.until(2, 130 * multiplier)
        assert life.packets[first].seq == 0
    finally:
        life.close()


@pytest.fixture(params=["1.15", "2.5", "2.7"])
def life(request: pytest.FixtureRequest) -> Iterator[Life]:
    found = Life(request.param, "TORQUE")
    yield found
    found.close()


def _ios(seen: Packet) -> dict[str, Any]:
    found = {}
    for raw in fields(seen.parts[3][8][0]) and seen.parts[3][8]:
        part = fields(raw)
        found[part[1][0].decode()] = part.get(4, part.get(5))[0]  # type: ignore[index]
    return found


def test_ios_are_reported_and_outputs_written(life: Life) -> None:
    """Every IO rides in every packet; an output takes a value in monitoring, an input and a stranger do not."""
    life.run(3)
    assert _ios(life.packets[-1]) == {SWITCH: 0, "Gripper.Speed": 0.0, "Gripper.Step": 3, "Gripper.Closed": 1}
    life.run(1, ios=[io(SWITCH, 0, 1), io("Gripper.Speed", 2, 0.25), io("Gripper.Step", 1, 300)])
    life.run(1)
    assert _ios(life.packets[-1]) == {SWITCH: 1, "Gripper.Speed": 0.25, "Gripper.Step": 300, "Gripper.Closed": 1}
    wrong = [io("Gripper.Closed", 0, 0), io("Nobody", 0, 1), io(SWITCH, 2, 0.5), io(SWITCH, 0, 2), io(SWITCH, 0, 0, 0)]
    life.run(1, ios=wrong)
    life.run(1)
    assert _ios(life.packets[-1])[SWITCH] == 1
    assert _ios(life.packets[-1])["Gripper.Closed"] == 1
    assert life.cell.controller.rejected == {"io": 5}


def test_1_11_has_no_ios() -> None:
    life = Life("1.11", "TORQUE")
    life.run(3, ios=[io(SWITCH, 0, 1)])
    assert 8 not in life.packets[-1].parts[3]
    assert life.cell.controller.ios.values[SWITCH] == 0.0
    life.close()


@pytest.mark.parametrize(
    ("mode", "answer", "text"),
    [
        ("TORQUE", {"q": None}, "jointPosition is missing"),
        ("TORQUE", {"tau": None}, "jointTorque is missing"),
        ("WRENCH", {"wrench": None}, "cartesianWrenchFeedForward is missing"),
        ("WRENCH", {"wrench": [np.nan] + [0.0] * 5}, "is not finite"),
        ("WRENCH", {"wrench": [0.0] * 5 + [0.1]}, "order of moments"),
        ("WRENCH", {"wrench": [500.0] + [0.0] * 5}, "torque"),
        ("POSITION", {"q": None}, "jointPosition is missing"),
        ("POSITION", {"q": [3.0] * 7}, "commanded position"),
        ("POSITION", {"q": [0.05, *Q0[1:]]}, "step of the commanded position"),
        ("CARTESIAN_POSE", {"pose": None}, "cartesianPose is missing"),
        ("CARTESIAN_POSE", {"a3": None}, "redundancyInformation is missing"),
        ("CARTESIAN_POSE", {"pose": [400.0, 0.0, 700.0, 0.0, 0.0, 0.0, 0.0]}, "unit quaternion"),
        ("CARTESIAN_POSE", {"pose": [5000.0, 0.0, 700.0, 1.0, 0.0, 0.0, 0.0]}, "cannot be reached"),
    ],
)
def test_what_a_mode_does_not_allow_ends_the_motion(mode: str, answer: dict[str, Any], text: str) -> None:
    """One bad answer in COMMANDING_ACTIVE: the motion ends with the reason, the session lives on."""
    life = Life("2.5", mode)
    life.until(2, 130)
    life.cell.controller.start_overlay(life.cell.t_ns, mode)
    life.until(4, 200)
    life.run(5)
    plain = life.answer
    life.answer = lambda seen: {**plain(seen), **answer}  # type: ignore[method-assign]
    life.run(1)
    life.answer = plain  # type: ignore[method-assign]
    life.run(5)
    assert life.state == 2
    assert [text in words for _, words in life.cell.controller.errors] == [True]
    life.close()


def test_poses_are_no_mode_of_fri_1() -> None:
    life = Life("1.15", "CARTESIAN_POSE")
    life.until(2, 130)
    with pytest.raises(RobotRefusal, match="POSITION, WRENCH, TORQUE"):
        life.cell.controller.start_overlay(life.cell.t_ns, "CARTESIAN_POSE")
    life.close()

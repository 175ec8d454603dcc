"""The gripper on the robot's IOs: driver, wire and mock together, and the mass that a grasp adds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

from drivers.errors import RefusedError
from drivers.fri.arm import FriArm
from drivers.fri.traits import iiwa_traits
from drivers.fri.wire import IoType
from drivers.gripper import Gripper, GripState, IoGripper
from estimators.differentiator import FadingMemoryDifferentiator
from sim_mocks.config import GripperConfig, IiwaConfig, IoConfig, MockConfig, MockConfigError
from sim_mocks.host import CooperativeHost
from tests.sim_mocks.cells import mock_config
from tests.sim_mocks.iiwa_rig import Q_MAX, QD_MAX, TAU_MAX

IOS = (
    IoConfig("G.Close", "boolean", "output"),
    IoConfig("G.Opened", "boolean", "input", 1),
    IoConfig("G.Holding", "boolean", "input"),
)
TRAVEL = 100
"""Ticks that the jaws take."""
MASS, COM = 0.8, (0.0, 0.0, 0.15)


class Cell:
    """Mock cell, driver and gripper."""

    def __init__(self, mass: float = MASS, ios: tuple[IoConfig, ...] = IOS) -> None:
        config = mock_config("ideal", iiwa=IiwaConfig(ios=ios))
        if ios:
            grip = GripperConfig("G.Close", "G.Opened", "G.Holding", TRAVEL * 1e-3, mass, COM)
            config = dataclasses.replace(config, gripper=grip)
            assert MockConfig.from_json(config.to_json()) == config
        self.host = CooperativeHost(config)
        differentiator, traits = FadingMemoryDifferentiator(150.0), iiwa_traits("iiwa", 1e-3)
        self.arm = FriArm(
            "127.0.0.1",
            0,
            None,
            "1.15",
            differentiator,
            self.host,
            traits,
            q_max=Q_MAX,
            qd_max=QD_MAX,
            tau_max=TAU_MAX,
            outputs={"G.Close": IoType.BOOLEAN},
        )
        self.arm.open()
        self.host.fri_peer(*self.arm.address)
        names = {"close": "G.Close", "opened": "G.Opened", "holding": "G.Holding"}
        self.gripper: Gripper = IoGripper("jaws", self.arm, self.host, travel_time=0.15, **names)

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            self.arm.read()

    @property
    def state(self) -> GripState:
        return self.gripper.read().state

    @property
    def load(self) -> float:
        """Weight of the tool and what it holds, as the wrist feels it, N."""
        return float(np.linalg.norm(self.host.world.wrench_sensor[:3]))

    def close(self) -> None:
        self.arm.close()
        self.host.close()


@pytest.fixture
def cell() -> Iterator[Cell]:
    cell = Cell()
    yield cell
    cell.close()


def test_a_grasp_adds_exactly_the_mass_and_letting_go_takes_it_away(cell: Cell) -> None:
    cell.run(20)
    assert cell.state is GripState.OPEN
    before = cell.load
    cell.gripper.grasp()
    cell.run(TRAVEL // 2)
    assert cell.state is GripState.MOVING
    assert cell.load == pytest.approx(before, abs=1e-6)
    cell.run(TRAVEL)
    sample = cell.gripper.read()
    assert (sample.state, sample.holding) == (GripState.HOLDING, True)
    assert cell.load - before == pytest.approx(MASS * 9.81, rel=2e-3)
    cell.gripper.let_go()
    cell.run(10)
    assert cell.state is GripState.MOVING
    assert cell.load == pytest.approx(before, abs=1e-6)
    cell.run(TRAVEL)
    assert cell.state is GripState.OPEN


def test_closing_on_nothing_is_told() -> None:
    cell = Cell(mass=0.0)
    cell.run(20)
    cell.gripper.grasp()
    cell.run(200)
    assert cell.state is GripState.EMPTY
    assert not cell.gripper.read().holding
    cell.close()


def test_a_stop_of_the_arm_leaves_the_jaws_as_they_are(cell: Cell) -> None:
    """off() forgets writes that were not taken, and opens nothing."""
    cell.run(20)
    cell.gripper.grasp()
    cell.run(150)
    cell.arm.off()
    cell.run(50)
    assert cell.host.gripper is not None
    assert cell.host.gripper.holding
    with pytest.raises(RefusedError, match="no answer is sent"):
        cell.gripper.let_go()
    assert cell.state is GripState.HOLDING


def test_jaws_that_do_not_open_are_stuck(cell: Cell) -> None:
    cell.run(20)
    cell.gripper.grasp()
    cell.run(150)
    cell.gripper.let_go()
    for _ in range(200):
        cell.host.controller.ios.set("G.Opened", 0.0)
        cell.run(1)
    cell.host.controller.ios.set("G.Opened", 0.0)
    cell.run(1)
    assert cell.state is GripState.STUCK


def test_sensors_that_contradict_each_other_tell_nothing(cell: Cell) -> None:
    cell.run(20)
    cell.host.controller.ios.set("G.Holding", 1.0)
    cell.run(2)
    assert cell.state is GripState.UNKNOWN


def test_ios_that_the_robot_does_not_report_are_named() -> None:
    cell = Cell(ios=())
    cell.run(20)
    assert cell.state is GripState.UNKNOWN
    with pytest.raises(RefusedError, match=r"G\.Close, G\.Opened, G\.Holding"):
        cell.gripper.grasp()
    cell.close()


def test_impossible_grippers_are_refused(cell: Cell) -> None:
    with pytest.raises(ValueError, match="three IOs"):
        IoGripper("g", cell.arm, cell.host, close="A", opened="A", holding="B", travel_time=1.0)
    with pytest.raises(ValueError, match="travel time"):
        IoGripper("g", cell.arm, cell.host, close="A", opened="B", holding="C", travel_time=0.0)
    with pytest.raises(MockConfigError, match="no boolean output"):
        dataclasses.replace(mock_config("ideal"), gripper=GripperConfig("A", "B", "C"))

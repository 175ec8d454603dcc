"""Cells with other FRI versions, command modes, rates and IOs: from the cell file to the mock robot and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from drivers.contract import (
    ArmState,
    Command,
    PassedCommand,
    PoseCommand,
    PositionCommand,
    RobotSample,
    TorqueCommand,
    WrenchCommand,
)
from drivers.errors import RefusedError
from estimators.rigid_body import RigidBodyModel
from hil.build import build_arm, build_model, build_parts
from hil.build_safety import build_gate
from hil.cell import Cell, CellError, load_cell
from hil.connection import check_connection, settled
from hil.mocks import MockHere, mock_config, overlay_starter, point_at
from safety.gate import Refusal
from tests.hil.running import Running, short_cell

GRIPPER: dict[str, Any] = {"inputs": {"Gripper.Closed": "boolean"}, "outputs": {"Gripper.Close": "boolean"}}


def fri_cell(folder: Path, limits: dict[str, float] | None = None, **fri: Any) -> Cell:
    """The short cell with other keys in its FRI section, and without a sensor."""
    content = yaml.safe_load(short_cell(folder, profile="ideal").dump())
    content["robot"]["fri"].update(fri)
    content["robot"]["limits"].update(limits or {})
    content["sensors"] = []
    content["motions"] = {"home": {"kind": "move", "target": content["robot"]["home"]}}
    path = folder / "fri.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_cell(path)


class Link:
    """Mock robot, driver and gate of a cell, without a supervisor."""

    def __init__(self, cell: Cell, plant: Cell | None = None) -> None:
        self.cell = cell
        self.host = MockHere(mock_config(plant or cell))
        self.arm = build_arm(cell, self.host.ticks)
        self.gate = build_gate(cell)
        self.model = build_model(cell)
        self.arm.open()
        point_at(self.host.control, self.arm)

    def commanded(self) -> RobotSample:
        assert settled(self.arm)
        self.arm.enable()
        overlay_starter(self.host.control, self.cell)()
        for _ in range(300):
            sample = self.arm.read()
            if sample.state is ArmState.COMMANDED:
                return sample
        raise AssertionError(f"never COMMANDED: {self.host.control.state()}, {self.arm.health()}")

    def judge(self, command: Command, sample: RobotSample) -> PassedCommand | Refusal:
        g = self.model.gravity(sample.q)
        return self.gate.judge(command, sample, g, now_ns=self.host.ticks.now_ns(), permitted=True)

    def follow(self, count: int, command: Callable[[RobotSample], Command], sample: RobotSample) -> RobotSample:
        """``count`` cycles of commands, each through the gate."""
        for _ in range(count):
            passed = self.judge(command(sample), sample)
            assert isinstance(passed, PassedCommand), passed
            self.arm.command(passed)
            sample = self.arm.read()
            assert sample.state is ArmState.COMMANDED, self.host.control.state()["errors"]
        return sample

    def close(self) -> None:
        self.arm.close()
        self.host.close()


@pytest.mark.parametrize(
    ("version", "period", "multiplier"), [("1.11", 1, 1), ("1.15", 1, 2), ("2.5", 2, 1), ("2.7", 2, 2), ("2.7", 5, 1)]
)
def test_positions_through_the_gate_move_the_arm(tmp_path: Path, version: str, period: int, multiplier: int) -> None:
    """A ramp of 0.015 rad on A1 and A4 in 150 steps: the arm is there, every answer was on time."""
    fri = {"version": version, "send_period_ms": period, "receive_multiplier": multiplier, "command_mode": "position"}
    link = Link(fri_cell(tmp_path, **fri))
    sample = link.commanded()
    assert link.arm.health().flags == frozenset()
    start = sample.q_ref_accepted.copy()
    step = np.array([1e-4, 0.0, 0.0, -1e-4, 0.0, 0.0, 0.0])
    sample = link.follow(150, lambda s: PositionCommand(s.q_ref_accepted + step), sample)
    sample = link.follow(250, lambda s: PositionCommand(s.q_ref_accepted), sample)
    assert np.abs(sample.q - sample.q_ref_accepted).max() < 2e-3
    assert sample.q_ref_accepted[0] - start[0] == pytest.approx(0.015)
    health = link.arm.health()
    assert (health.unanswered, health.gaps, health.rejected) == (0, 0, {})
    link.close()


def test_a_position_that_the_gate_does_not_allow_is_refused(tmp_path: Path) -> None:
    link = Link(fri_cell(tmp_path, command_mode="position"))
    sample = link.commanded()
    for command in (PositionCommand(sample.q_ref_accepted + 0.05), TorqueCommand(np.zeros(7), sample.q_ref_accepted)):
        assert isinstance(link.judge(command, sample), Refusal)
    link.close()


POSES = {"reach_max": 1.2, "pose_speed_max": 0.25, "pose_turn_max": 0.5}


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("period", [1, 2, 5])
@pytest.mark.parametrize("version", [pytest.param("2.5", marks=pytest.mark.accept), "2.7"])
def test_poses_through_the_gate_move_the_flange(tmp_path: Path, version: str, period: int, multiplier: int) -> None:
    """4 mm up and a turn of 0.02 rad in 100 steps: the true flange is there, every answer was on time."""
    fri = {"version": version, "send_period_ms": period, "receive_multiplier": multiplier, "command_mode": "pose"}
    link = Link(fri_cell(tmp_path, POSES, **fri))
    sample = link.commanded()
    assert link.arm.health().flags == frozenset()
    start, turn = sample.pose_ref_accepted, _about_z(2e-4)
    assert start is not None
    flange = RigidBodyModel(link.cell.urdf_xml)
    np.testing.assert_allclose(start.x, flange.fk(sample.q)[0], atol=1e-4)

    def climb(s: RobotSample) -> Command:
        reference = s.pose_ref_accepted
        assert reference is not None
        return PoseCommand(reference.x + [0.0, 0.0, 4e-5], turn @ reference.R, reference.redundancy)

    sample = link.follow(100, climb, sample)
    sample = link.follow(100, lambda s: s.pose_ref_accepted, sample)  # type: ignore[arg-type, return-value]
    x, R = flange.fk(link.host.cell.world.q)
    np.testing.assert_allclose(x - start.x, [0.0, 0.0, 4e-3], atol=2e-4)
    np.testing.assert_allclose(R, _about_z(0.02) @ start.R, atol=1e-3)
    assert sample.pose is not None
    np.testing.assert_allclose(sample.pose.x, x, atol=1e-4)
    assert link.host.cell.world.q[2] == pytest.approx(start.redundancy, abs=1e-3)
    health = link.arm.health()
    assert (health.unanswered, health.gaps, health.rejected) == (0, 0, {})
    assert check_connection(link.cell, link.arm) == []
    link.close()


def _about_z(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def test_a_pose_that_the_gate_does_not_allow_is_refused(tmp_path: Path) -> None:
    link = Link(fri_cell(tmp_path, POSES, version="2.7", command_mode="pose"))
    sample = link.commanded()
    held = sample.pose_ref_accepted
    assert held is not None
    assert isinstance(link.judge(held, sample), PassedCommand)
    for bad in (
        PoseCommand(held.x + [0.0, 0.0, 3e-4], held.R, held.redundancy),
        PoseCommand(held.x, _about_z(6e-4) @ held.R, held.redundancy),
        PoseCommand(held.x, held.R, held.redundancy + 0.1),
        PositionCommand(sample.q),
    ):
        assert isinstance(link.judge(bad, sample), Refusal)
    link.close()


def test_silence_in_pose_mode_ends_the_motion_and_brakes(tmp_path: Path) -> None:
    """off(), the only stop of this mode: the controller bridges, ends the motion and closes its brakes."""
    link = Link(fri_cell(tmp_path, POSES, version="2.7", command_mode="pose"))
    sample = link.follow(20, lambda s: s.pose_ref_accepted, link.commanded())  # type: ignore[arg-type, return-value]
    link.arm.off()
    for _ in range(150):
        sample = link.arm.read()
    assert sample.state is ArmState.MONITORING
    assert sample.pose_ref_accepted is None
    assert "no command for" in link.host.control.state()["errors"][-1][1]
    assert link.host.cell.standing()
    link.close()


def test_a_wrench_through_the_gate_pushes_the_arm(tmp_path: Path) -> None:
    """Five newtons sideways move the TCP that way; more than the cell allows, and any moment, is refused."""
    link = Link(fri_cell(tmp_path, {"force_max": 5.0}, version="2.5", command_mode="wrench"))
    sample = link.commanded()
    before = link.host.cell.world.pose()[0]
    force = {"now": 0.0}

    def push(s: RobotSample) -> Command:
        force["now"] = min(5.0, force["now"] + 0.1)
        return WrenchCommand(np.array([0.0, force["now"], 0.0, 0.0, 0.0, 0.0]), s.q_ref_accepted)

    sample = link.follow(100, push, sample)
    assert link.host.cell.world.pose()[0][1] - before[1] > 2e-4
    for bad in ([0.0, 5.1, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.1]):
        assert isinstance(link.judge(WrenchCommand(np.array(bad), sample.q_ref_accepted), sample), Refusal)
    link.close()


def test_moments_pass_once_their_order_is_declared(tmp_path: Path) -> None:
    cell = fri_cell(tmp_path, {"moment_max": 1.0}, command_mode="wrench", moment_order="zyx")
    link = Link(cell)
    sample = link.commanded()
    moment = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.01])
    link.follow(20, lambda s: WrenchCommand(moment, s.q_ref_accepted), sample)
    link.close()


@pytest.mark.parametrize(("version", "period", "multiplier"), [("1.11", 1, 1), ("2.5", 1, 1), ("2.7", 1, 2)])
def test_a_supervised_run_on_other_versions_and_rates(
    tmp_path: Path, version: str, period: int, multiplier: int
) -> None:
    """The supervisor holds the arm by torques without a fault."""
    cell = fri_cell(tmp_path, version=version, send_period_ms=period, receive_multiplier=multiplier)
    running = Running(cell)
    running.hold(300)
    assert running.codes == []
    assert running.control.state()["errors"] == []
    assert running.parts.arm.health().unanswered == 0
    running.close()


@pytest.mark.parametrize("mode", ["position", "wrench", "pose"])
def test_a_supervised_run_needs_torques(tmp_path: Path, mode: str) -> None:
    cell = fri_cell(tmp_path, version="2.7", command_mode=mode)
    host = MockHere(mock_config(cell))
    with pytest.raises(RefusedError, match="set it to torque"):
        build_parts(cell, host.ticks, lambda: None, host.ft_path)
    host.close()


def test_a_declared_output_reaches_the_robot_and_an_input_the_driver(tmp_path: Path) -> None:
    link = Link(fri_cell(tmp_path, **GRIPPER))
    assert settled(link.arm)
    assert link.arm.ios() == {"Gripper.Closed": False, "Gripper.Close": False}
    link.arm.write_output("Gripper.Close", True)
    link.host.control.set_io("Gripper.Closed", 1.0)
    for _ in range(3):
        link.arm.read()
    assert link.host.control.state()["ios"] == {"Gripper.Closed": 1.0, "Gripper.Close": 1.0}
    assert link.arm.ios() == {"Gripper.Closed": True, "Gripper.Close": True}
    link.close()


@pytest.mark.parametrize(
    ("limits", "fri", "allowed"),
    [
        ({}, {"send_period_ms": 4, "receive_multiplier": 3}, "up to 10 ms, here it is 12 ms"),
        ({}, {**GRIPPER, "version": "1.11"}, "none with FRI 1.11"),
        ({}, {"outputs": {f"G.{i}": "boolean" for i in range(11)}}, "here are 11"),
        ({}, {"inputs": {"A": "analog"}, "outputs": {"A": "analog"}}, "both are A"),
        ({}, {"outputs": {"A": "bool"}}, "boolean"),
        ({}, {"command_mode": "cartesian_pose"}, "torque"),
        ({}, {"command_mode": "pose"}, "allowed with FRI 1.15: torque, position and wrench"),
        ({"reach_max": 6.0}, {}, "5 or less"),
        ({}, {"moment_order": "abc"}, "xyz"),
        ({"moment_max": 1.0}, {}, "fri.moment_order"),
    ],
)
def test_cell_files_that_fri_does_not_allow(
    tmp_path: Path, limits: dict[str, float], fri: dict[str, Any], allowed: str
) -> None:
    with pytest.raises(CellError) as caught:
        fri_cell(tmp_path, limits, **fri)
    (fault,) = caught.value.faults
    assert allowed in fault.allowed


def _differences(tmp_path: Path, plant: dict[str, Any], act: Callable[[Link], None] = lambda link: None) -> list[str]:
    (tmp_path / "plant").mkdir()
    (tmp_path / "cell").mkdir()
    link = Link(fri_cell(tmp_path / "cell", **GRIPPER), fri_cell(tmp_path / "plant", **{**GRIPPER, **plant}))
    settled(link.arm, 130)
    act(link)
    for _ in range(100):
        link.arm.read()
    found = [str(difference) for difference in check_connection(link.cell, link.arm)]
    link.close()
    return found


def test_a_robot_that_is_as_the_cell_says_has_no_differences(tmp_path: Path) -> None:
    assert _differences(tmp_path, {}) == []


@pytest.mark.parametrize(
    ("plant", "read", "mend"),
    [
        ({"version": "2.7"}, "read 2.7, expected 1.15", "set robot.fri.version"),
        ({"version": "2.5"}, "read 2.5, expected 1.15", "set robot.fri.version"),
        ({"send_period_ms": 2}, "read 2 ms, expected 1 ms", "setSendPeriodMilliSec"),
        ({"receive_multiplier": 2}, "read 2, expected 1", "setReceiveMultiplier"),
        ({"outputs": {}}, "IO Gripper.Close: read nothing", "registerIO"),
        ({"outputs": {"Gripper.Close": "digital"}}, "read output, digital, expected output, boolean", "cell file"),
    ],
)
def test_each_difference_is_named_with_its_mend(tmp_path: Path, plant: dict[str, Any], read: str, mend: str) -> None:
    (found,) = _differences(tmp_path, plant)
    assert read in found
    assert mend in found


@pytest.mark.parametrize(
    ("act", "read", "mend"),
    [
        (lambda link: link.host.control.safety_stop(1), "safety state: read STOP_LEVEL_0", "smartPAD"),
        (lambda link: link.host.control.close_session(), "session: read closed", "5 s after"),
        (lambda link: link.host.control.attach(3.0, [0.0, 0.0, 0.1]), "external torque on A2", "load data"),
    ],
)
def test_what_happens_to_the_robot_is_named(tmp_path: Path, act: Callable[[Link], None], read: str, mend: str) -> None:
    (found,) = _differences(tmp_path, {}, act)
    assert read in found
    assert mend in found


def test_no_packets_at_all(tmp_path: Path) -> None:
    link = Link(fri_cell(tmp_path))
    (found,) = check_connection(link.cell, link.arm)
    assert found.what == "packets"
    assert "firewall" in found.mend
    link.close()

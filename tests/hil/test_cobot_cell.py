"""The cobot's cell: its file, and a run in this process on six mock drives and a simulated arm."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from drivers.cobot.arm import CobotArm
from drivers.contract import ArmState
from hil.cell import Cell, CellError, load_cell, shipped_cells
from hil.launch import launch
from hil.motion import JointSinusoids
from hil.session import FaultError, Session
from safety.faults import FaultCode
from safety.states import State

TEXT = shipped_cells()["cobot"].read_text(encoding="utf-8")


@pytest.fixture
def cell_of(tmp_path: Path) -> Callable[..., Cell]:
    def make(**swaps: str) -> Cell:
        text = TEXT
        for old, new in swaps.items():
            text = text.replace(old, new)
        path = tmp_path / "cell.yaml"
        path.write_text(text, encoding="utf-8")
        return load_cell(path)

    return make


@pytest.fixture
def session(cell_of: Callable[..., Cell], tmp_path: Path) -> Iterator[Session]:
    here = Path.cwd()
    os.chdir(tmp_path)
    cell = cell_of(udp_multicast="virtual", **{"profile: standard": "profile: ideal"})
    try:
        with Session(cell) as opened:
            yield opened
    finally:
        os.chdir(here)


def test_every_vector_has_as_many_values_as_there_are_drives(cell_of: Callable[..., Cell]) -> None:
    cell = cell_of()
    assert len(cell.robot.home) == len(cell.controller.joint.bandwidth) == len(cell.observer.model_sigma) == 6
    assert cell.robot.stiffness == (0.0,) * 6
    with pytest.raises(CellError, match="6 values, here are 5"):
        cell_of(**{"home: [0.293,": "home: ["})
    # One cell read after another: nothing is left behind.
    assert len(load_cell("iiwa14_polish").robot.home) == 7


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("cycle_ms: 2 ", "cycle_ms: 1 ", r"140\.3 % typical, 160\.1 % worst"),
        ("{node: 6,", "{node: 5,", "each node id once"),
        ("channel: mock", "channel: can0", "allowed in a cell with mocks: true: mock"),
        ("interface: udp_multicast", "interface: socketcan", "udp_multicast, slcan, virtual"),
        ("mode: 10", "mode: 8", "10"),
        ("heartbeat_ms: 50", "heartbeat_ms: 500", "50 or less"),
        ("gear: 101,", "gear: 0,", "more than 0"),
    ],
)
def test_faults_of_the_file(cell_of: Callable[..., Cell], old: str, new: str, why: str) -> None:
    with pytest.raises(CellError, match=why):
        cell_of(**{old: new})


def test_two_channels_carry_a_kilohertz(cell_of: Callable[..., Cell]) -> None:
    line = "      - {interface: udp_multicast, channel: mock, bitrate: 1000000}\n"
    swaps = {f"{{node: {node}, ": f"{{node: {node}, channel: 1, " for node in (4, 5, 6)}
    cell = cell_of(**{line: line + line, "cycle_ms: 2 ": "cycle_ms: 1 ", **swaps})
    assert cell.robot.period == 0.001


@pytest.mark.parametrize("name", ["cobot_slcan", "cobot_two_channels"])
def test_the_other_shipped_cells_run_on_their_wires(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Brought up, enabled and held on a pseudo-terminal, and on two channels at 1 kHz: no answer is lost."""
    monkeypatch.chdir(tmp_path)
    with Session(load_cell(name)) as session:
        arm = session.supervisor.parts.arm
        assert isinstance(arm, CobotArm)
        session.bring_up()
        session.enable()
        session.step(50)
        health = arm.health()
        assert (health.gaps, health.late, health.problems) == (0, 0, ())
        assert session.dt == (0.001 if name == "cobot_two_channels" else 0.002)
        assert [bus.interface for bus in arm.config.buses] == (
            ["udp_multicast"] * 2 if name == "cobot_two_channels" else ["slcan"]
        )


@pytest.mark.accept
@pytest.mark.parametrize("name", ["cobot", "cobot_slcan", "cobot_two_channels"])
def test_every_shipped_cell_demonstrates_its_motions(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cell = load_cell(name)
    ended = launch(cell, list(cell.motions), tmp_path / "runs", paced=False)
    assert ended.ok, ended.outcome
    assert ended.mock["standing"]


def test_brought_up_moved_stopped_and_nothing_lost(session: Session) -> None:
    arm = session.supervisor.parts.arm
    assert isinstance(arm, CobotArm)
    session.bring_up()
    assert session.state is State.READY
    session.enable()
    begin = session.sample.q.copy()
    session.mock.call("load_reset")
    trace = session.run(JointSinusoids(np.full(6, 0.05), np.full(6, 0.5), 2.0, 0.5, "swing"))
    (planned,) = arm.config.loads()
    assert session.mock.state()["bus"][0]["load"] == pytest.approx(planned.typical, rel=0.02)  # as the mock counts bits
    assert np.abs(trace["q"] - begin).max() > 0.04
    error = np.abs(session.sample.q - begin).max()
    assert error < 0.01
    health = arm.health()
    assert (health.gaps, health.late, health.problems) == (0, 0, ())
    # Gravity is ours: what the drives make is the weight of the arm.
    np.testing.assert_allclose(session.sample.tau, session.dyn.g, atol=6.0)
    session.stop()
    assert session.state is State.READY
    assert arm.health().drives_on is False


def test_node_that_loses_its_supply_is_a_fault_with_its_name_and_needs_a_person(session: Session) -> None:
    session.bring_up()
    session.enable()
    session.mock.call("node_power", drive=3, on=False)
    with pytest.raises(FaultError, match="node 3: did not answer"):
        session.step(200)
    machine = session.supervisor.machine
    assert machine.first is not None
    assert (machine.first.code, machine.first.joint) == (FaultCode.NODE_LOST, 2)
    assert machine.state is State.FAULTED
    session.mock.call("node_power", drive=3, on=True)
    sample = session.supervisor.parts.arm.read()
    assert sample.state < ArmState.READY


def test_emergency_message_is_the_fault_that_is_shown(session: Session) -> None:
    session.bring_up()
    session.enable()
    session.mock.call("drive_fault", drive=2, code=0x2310)
    with pytest.raises(FaultError, match="0x2310 over-current"):
        session.step(200)
    first = session.supervisor.machine.first
    assert first is not None
    assert first.code is FaultCode.DRIVE_FAULT
    session.acknowledge()
    assert session.state is State.READY  # the drive was reset once, without power

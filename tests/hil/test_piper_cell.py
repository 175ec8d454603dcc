"""The PiPER's cell: its file, its model against the arm's own SDK, and a run in this process on the mock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pinocchio as pin
import pytest
from piper_sdk import C_PiperForwardKinematics
from typer.testing import CliRunner

from drivers.contract import ArmState
from drivers.piper.arm import PiperArm
from drivers.piper.session import Phase
from hil.cell import Cell, CellError, load_cell, shipped_cells
from hil.cli import app
from hil.motion import JointSinusoids
from hil.session import FaultError, Session
from safety.faults import FaultCode
from safety.states import State

TEXT = shipped_cells()["piper"].read_text(encoding="utf-8")


@pytest.fixture
def cell_of(tmp_path: Path) -> Callable[..., Cell]:
    def make(**swaps: str) -> Cell:
        text = TEXT
        for old, new in swaps.items():
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "cell.yaml"
        path.write_text(text, encoding="utf-8")
        return load_cell(path)

    return make


@pytest.fixture
def session(cell_of: Callable[..., Cell], tmp_path: Path) -> Iterator[Session]:
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        with Session(cell_of(udp_multicast="virtual")) as opened:
            yield opened
    finally:
        os.chdir(here)


def test_it_says_that_it_is_experimental() -> None:
    answer = CliRunner().invoke(app, ["check", "piper"])
    assert answer.exit_code == 0
    assert "EXPERIMENTAL: never tried on a real arm" in answer.output
    assert "EXPERIMENTAL" in load_cell("piper").description


def test_the_model_is_where_the_arm_s_own_sdk_says() -> None:
    model = pin.buildModelFromXML(load_cell("piper").urdf_xml)
    data, flange = model.createData(), model.getFrameId("flange")
    rng = np.random.default_rng(0)
    for _ in range(20):
        q = rng.uniform(model.lowerPositionLimit, model.upperPositionLimit)
        pin.framesForwardKinematics(model, data, q)
        pose = C_PiperForwardKinematics(1).CalFK(q.tolist())[-1]
        np.testing.assert_allclose(1e3 * data.oMf[flange].translation, pose[:3], atol=1e-5)
        turned = pin.rpy.rpyToMatrix(np.radians(pose[3:]))
        np.testing.assert_allclose(data.oMf[flange].rotation, turned, atol=1e-6)
    assert sum(inertia.mass for inertia in model.inertias) == pytest.approx(4.2)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("tau_cmd_max: [8.0,", "tau_cmd_max: [9.0,", "firmware 1.8-5 can be asked for: A1 8 N·m"),
        ("channel: mock", "channel: can0", "allowed in a cell with mocks: true: mock"),
        ("interface: udp_multicast", "interface: socketcan", "udp_multicast, slcan, virtual"),
        ("torque: [1, 1, 1,", "torque: [0, 1, 1,", "more than 0"),
        ("signs: [1, 1,", "signs: [2, 1,", "1"),
        ('"1.8-5":', '"new":', "firmware"),
        ("silent_ms: 20 ", "silent_ms: 500 ", "100 or less"),
        ("home: [0.0, 1.57,", "home: [0.0, -0.1,", "allowed by the limits"),
    ],
)
def test_faults_of_the_file(cell_of: Callable[..., Cell], old: str, new: str, why: str) -> None:
    with pytest.raises(CellError, match=why):
        cell_of(**{old: new})


def test_brought_up_moved_stopped_and_held_by_itself(session: Session) -> None:
    arm = session.supervisor.parts.arm
    assert isinstance(arm, PiperArm)
    session.bring_up()
    assert session.state is State.READY
    session.enable()
    begin = session.sample.q.copy()
    trace = session.run(JointSinusoids(np.full(6, 0.08), np.full(6, 0.5), 2.0, 0.5, "swing"))
    assert np.ptp(trace["q"], axis=0).min() > 0.1
    assert np.abs(session.sample.q - begin).max() < 0.02
    # Gravity is ours: the motors carry the weight, but for friction.
    np.testing.assert_allclose(session.sample.tau, session.dyn.g, atol=1.5)
    health = arm.health()
    assert (health.gaps, health.late, health.problems) == (0, 0, ())
    session.stop()
    assert session.state is State.READY
    assert arm.phase is Phase.HOLDING
    held = session.sample.q.copy()
    session.step(200)
    assert np.abs(session.sample.q - held).max() < 0.01
    session.enable()
    assert session.sample.state is ArmState.COMMANDED


def test_an_arm_that_falls_silent_is_a_fault_and_needs_a_person(session: Session) -> None:
    session.bring_up()
    session.enable()
    session.mock.call("unplug_can")
    with pytest.raises(FaultError):
        session.step(200)
    machine = session.supervisor.machine
    assert machine.first is not None
    assert machine.first.code in (FaultCode.SAMPLE_STALE, FaultCode.NODE_LOST, FaultCode.LINK_LOST)
    assert machine.state is State.FAULTED
    session.mock.call("plug_can")
    arm = session.supervisor.parts.arm
    for _ in range(50):
        sample = arm.read()
    assert sample.state is ArmState.MONITORING
    assert not arm.enabled  # type: ignore[attr-defined]

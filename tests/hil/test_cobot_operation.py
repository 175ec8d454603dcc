"""The cobot in operation and in a script: checked when it is held, and back in service after a node or its adapter was
gone, never enabled by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from operating import Operating

from drivers.cobot.arm import CobotArm
from drivers.contract import ArmState
from hil.cell import Cell, load_cell, shipped_cells
from hil.operation.messages import Acknowledge, Enable, Start, Status
from hil.operation.verbs import Situation
from hil.session import FaultError, Session
from safety.faults import FaultCode
from safety.states import State

S = Situation


def cobot_cell(folder: Path, interface: str = "virtual", **robot: object) -> Cell:
    """The shipped cell on another wire and without noise, as a file."""
    content = yaml.safe_load(shipped_cells()["cobot"].read_text(encoding="utf-8"))
    content["robot"]["can"]["channels"][0]["interface"] = interface
    content["robot"].update(robot)
    content["mock"]["profile"] = "ideal"
    content["motions"] = {"warmup": content["motions"]["warmup"]}
    path = folder / "cobot.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_cell(path)


@pytest.fixture
def operate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Operating]]:
    monkeypatch.chdir(tmp_path)
    made = []

    def start(interface: str = "virtual", **robot: object) -> Operating:
        made.append(Operating(cobot_cell(tmp_path, interface, **robot)))
        return made[-1]

    yield start
    for run in made:
        run.shut()


def arm_of(run: Operating) -> CobotArm:
    arm = run.parts.arm
    assert isinstance(arm, CobotArm)
    return arm


def stays_unmoved(run: Operating, cycles: int = 100) -> None:
    """Nobody asks for anything: nothing is enabled."""
    for _ in range(cycles):
        run.go(1)
        assert not run.supervisor.machine.permitted
        assert not arm_of(run).enabled
    assert run.mock.standing()


def back_in_service(run: Operating) -> None:
    run.until_in(S.READY)
    stays_unmoved(run)
    run.say(Enable())
    run.until_in(S.HOLDING)
    run.go(20)
    assert run.situation is S.HOLDING, run.said


TOO_LITTLE = {"standstill": {"tolerance_abs": [0.5] * 6, "tolerance_rel": 0.0}}
"""Far less than what a wrong mass makes."""


def too_heavy(run: Operating | Session) -> None:
    control = run.control if isinstance(run, Operating) else run.mock
    control.attach(3.0, (0.0, 0.0, 0.1))


def test_an_operated_cobot_is_checked_when_it_is_held(operate: Callable[..., Operating]) -> None:
    """A payload that nobody told of: the brakes carry it, the motors do not get through the check."""
    run = operate(**TOO_LITTLE)
    run.until_in(S.READY)
    too_heavy(run)
    run.say(Enable())
    seen = {run.situation}
    while run.supervisor.state is not State.FAULTED:
        run.go(1)
        seen.add(run.situation)
    assert FaultCode.STANDSTILL_TORQUE in run.codes, run.said
    assert S.HOLDING not in seen, "a motion could have been started"
    assert not run.ask(Start(motion="warmup")).ok


def test_a_cobot_in_a_script_is_checked_when_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Session(cobot_cell(tmp_path, **TOO_LITTLE)) as session:
        session.bring_up()
        too_heavy(session)
        with pytest.raises(FaultError) as caught:
            session.enable()
    assert caught.value.faults[0].code is FaultCode.STANDSTILL_TORQUE


def test_a_node_that_was_off_while_nothing_is_enabled(operate: Callable[..., Operating]) -> None:
    """Offline, with its name; set up anew when it is back, then checked and ready by itself."""
    run = operate()
    run.until_in(S.READY)
    before, gaps = arm_of(run).nodes, run.sensor.health().gaps
    run.control.call("node_power", drive=3, on=False)
    run.until_in(S.OFFLINE, within=20)
    run.go(600)
    assert "node 3: did not answer" in run.ask(Status()).sentence
    assert arm_of(run).nodes is before, "opening anew cannot bring back a node without supply"
    run.control.call("node_power", drive=3, on=True)
    run.until_in(S.CHECKING)
    assert arm_of(run).nodes is not before
    assert run.sensor.health().gaps == gaps, "it was read while the arm was opened"
    assert run.parts.ticks.meanwhile is None
    back_in_service(run)


@pytest.mark.accept
def test_a_node_that_restarts_while_the_arm_is_held(operate: Callable[..., Operating]) -> None:
    """A latched fault; the node is set up anew, and everything waits for a person."""
    run = operate()
    run.holding()
    run.control.call("node_power", drive=5, on=False)
    run.until_in(S.FAULTED_OFFLINE)
    assert FaultCode.NODE_LOST in run.codes
    assert not run.ask(Acknowledge()).ok
    run.control.call("node_power", drive=5, on=True)
    run.until_in(S.FAULTED)
    stays_unmoved(run)
    assert run.situation is S.FAULTED
    assert not run.ask(Enable()).ok
    run.say(Acknowledge())
    assert run.situation is S.CHECKING
    back_in_service(run)


@pytest.mark.parametrize("held", [pytest.param(False, marks=pytest.mark.accept), True])
def test_an_adapter_that_is_unplugged_and_plugged_in_again(operate: Callable[..., Operating], held: bool) -> None:
    run = operate("slcan")
    if held:
        run.holding()
    else:
        run.until_in(S.READY)
    run.control.call("unplug_can")
    run.until_in(S.FAULTED_OFFLINE if held else S.OFFLINE, within=2000)
    run.go(700)
    assert run.supervisor.sample is not None
    assert run.supervisor.sample.state is ArmState.DISCONNECTED
    assert arm_of(run).trouble
    assert arm_of(run).trouble in run.ask(Status()).sentence
    run.control.call("plug_can")
    run.until_in(S.FAULTED if held else S.CHECKING)
    if held:
        assert FaultCode.DEVICE_LOST in run.codes
        stays_unmoved(run)
        run.say(Acknowledge())
    back_in_service(run)
    assert np.isfinite(run.supervisor.sample.q).all()

"""A gripper in a cell: its section of the file, its verbs, and what a held object means for model, check and tare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from operating import Operating
from running import short_cell

import hil
from drivers.gripper import GripState
from hil.build import build_model
from hil.cell import Cell, CellError, load_cell
from hil.operation.messages import Acknowledge, Down, Enable, Grip, Request, Start, Status, Stop, Tare
from hil.operation.table import example
from hil.operation.verbs import Situation, decide

S = Situation
MASS = 1.0
COM = [0.0, 0.0, 0.12]
"""At the TCP, where the mock's exact-test form hangs the object."""
IOS: dict[str, Any] = {
    "inputs": {"G.Opened": "boolean", "G.Holding": "boolean"},
    "outputs": {"G.Close": "boolean", "G.Other": "boolean", "G.Speed": "analog"},
}
GRIPPER: dict[str, Any] = {
    "kind": "fri_io", "close": "G.Close", "opened": "G.Opened", "holding": "G.Holding", "travel_time": 0.1,
    "payload": {"mass": MASS, "com": COM},
}  # fmt: skip
OBJECT: dict[str, Any] = {"grasp": "mass", "mass": MASS, "size": [0.04, 0.04, 0.04]}
CLOSE, OPEN = Grip(close=True), Grip(close=False)


def gripping_cell(folder: Path, gripper: dict[str, Any] | None = None, obj: Any = OBJECT, **fri: Any) -> Cell:
    """The short cell with a gripper and a swing; ``gripper`` replaces keys of its section."""
    path = short_cell(folder).path
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["robot"]["fri"].update({**IOS, **fri})
    content["gripper"] = {**GRIPPER, **(gripper or {})}
    content["mock"]["object"] = obj
    swing = {"kind": "sinusoid", "amplitude": [0.04, 0.02, 0.04, 0.03, 0.05, 0.04, 0.06], "frequency": 1.0}
    content["motions"]["swing"] = {**swing, "duration": 0.8, "ramp": 0.3}
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_cell(path)


@pytest.fixture
def run(tmp_path: Path):
    made = Operating(gripping_cell(tmp_path))
    yield made
    made.shut()


def grip(run: Operating, request: Request, cycles: int = 80) -> GripState:
    run.say(request)
    run.go(cycles)
    assert run.supervisor.grip is not None
    return run.supervisor.grip.state


def payload(run: Operating) -> float | None:
    told = run.say(Status()).data["gripper"]
    return None if told is None else told["payload"]


# --- the cell file ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gripper", "obj", "key", "words"),
    [
        ({"close": "G.Shut"}, OBJECT, "gripper.close", "a boolean output of robot.fri.outputs (G.Close, G.Other)"),
        ({"close": "G.Speed"}, OBJECT, "gripper.close", "a boolean output"),
        ({"opened": "G.Close"}, OBJECT, "gripper.opened", "a boolean input of robot.fri.inputs (G.Opened, G.Holding)"),
        ({"holding": "G.Opened"}, OBJECT, "gripper.holding", "another one than gripper.opened"),
        ({"kind": "usb"}, OBJECT, "gripper.kind", "fri_io"),
        ({"travel_time": 0.0}, OBJECT, "gripper.travel_time", "more than 0"),
        ({"payload": {"mass": 0.0, "com": COM}}, OBJECT, "gripper.payload.mass", "more than 0"),
        ({"payload": {"mass": 1.0, "com": [0.0, 0.0, 120.0]}}, OBJECT, "gripper.payload.com", "m, not mm"),
        ({}, {**OBJECT, "size": [0.04, 0.0, 0.04]}, "mock.object.size", "above 0"),
        ({}, {**OBJECT, "grasp": "glue"}, "mock.object.grasp", "'constraint' or 'mass'"),
    ],
)
def test_a_section_that_does_not_fit_is_told(
    tmp_path: Path, gripper: dict[str, Any], obj: dict[str, Any], key: str, words: str
) -> None:
    with pytest.raises(CellError) as caught:
        gripping_cell(tmp_path, gripper, obj)
    (fault,) = caught.value.faults
    assert fault.key == key
    assert words in fault.allowed


def test_an_object_needs_a_gripper(tmp_path: Path) -> None:
    with pytest.raises(CellError, match="section gripper"):
        short_cell(tmp_path, object=OBJECT)


# --- verbs -----------------------------------------------------------------------------------------------------------


def test_jaws_move_while_the_arm_stands_and_at_no_other_time() -> None:
    """Closing and opening are allowed alike: neither may be done where the other is dangerous."""
    allowed = {S.READY, S.HOLDING, S.STOP_HOLDS, S.FAULTED}
    for situation in Situation:
        for request in (CLOSE, OPEN):
            verdict = decide(request, example(situation))
            assert verdict.accepted == (situation in allowed), situation
            assert verdict.sentence


def test_what_happens_meanwhile_waits_for_the_jaws(run: Operating) -> None:
    run.until_in(S.READY)
    run.say(CLOSE)
    run.go(3)
    assert run.ask(Tare()).sentence == "the gripper is on its way"
    run.go(80)
    run.say(Enable())
    run.until_in(S.HOLDING)
    run.say(OPEN)
    run.go(3)
    assert "on their way" in run.ask(Start(motion="swing")).sentence
    run.go(80)
    run.say(Start(motion="swing"))
    assert "motion 'swing' is under way" in run.ask(OPEN).sentence


def test_a_cell_without_a_gripper_says_so(tmp_path: Path) -> None:
    made = Operating(short_cell(tmp_path))
    made.until_in(S.READY)
    assert made.ask(CLOSE).sentence == "this cell has no gripper"
    assert made.say(Status()).data["gripper"] is None
    made.shut()


@pytest.mark.parametrize(
    "end", ["stop 0", *(pytest.param(end, marks=pytest.mark.accept) for end in ("stop 1", "stop 2", "fault")), "down"]
)
def test_no_stop_no_fault_and_no_end_opens_the_jaws(run: Operating, end: str) -> None:
    run.holding()
    assert grip(run, CLOSE) is GripState.HOLDING
    if end == "fault":
        run.inject("nan", "iiwa", field="tau", ticks=20)
    else:
        run.say(Down() if end == "down" else Stop(category=int(end[-1])))  # type: ignore[arg-type]
    for _ in range(800):
        if run.operated.over:
            break
        try:
            next(run.cycles)
        except StopIteration:
            break
        run.supervisor.step()
    assert run.mock.gripper is not None
    assert run.mock.gripper.holding
    assert run.mock.controller.ios.values["G.Close"] == 1.0


# --- the payload -----------------------------------------------------------------------------------------------------


def test_a_grasp_is_announced_carried_and_given_up(run: Operating) -> None:
    """The weight is no contact force while the model carries it; the events and the status say when it does."""
    run.holding()
    rest = run.supervisor.estimate.wrench_ft.copy()
    q = run.supervisor.sample.q.copy()  # type: ignore[union-attr]
    assert grip(run, CLOSE, 400) is GripState.HOLDING
    told = run.say(Status()).data["gripper"]
    assert told == {"state": "holding", "sentence": "closed on an object", "holding": True, "payload": MASS}
    sample, estimate = run.supervisor.sample, run.supervisor.estimate
    assert sample is not None
    assert np.abs(sample.q - q).max() < np.radians(0.2), "the arm does not sag"
    assert np.abs(estimate.wrench_ft - rest)[:3].max() < 0.06 * MASS * 9.81
    assert np.abs(estimate.wrench - estimate.wrench_ft)[:3].max() < 3.0
    assert "the model carries the payload of 1 kg" in run.said
    run.say(Start(motion="swing"))
    run.until_in(S.HOLDING)
    assert run.codes == []
    assert grip(run, OPEN, 400) is GripState.OPEN
    assert payload(run) is None
    assert "the model no longer carries the payload of 1 kg" in run.said
    assert np.abs(run.supervisor.estimate.wrench_ft - rest)[:3].max() < 0.06 * MASS * 9.81
    assert run.codes == []


def test_an_undeclared_load_is_a_contact_force_and_is_never_tared_away(tmp_path: Path) -> None:
    made = Operating(gripping_cell(tmp_path, {"payload": None}))
    made.holding()
    before = made.supervisor.estimate.wrench_ft[2]
    assert grip(made, CLOSE, 300) is GripState.HOLDING
    assert payload(made) is None
    assert made.supervisor.estimate.wrench_ft[2] - before == pytest.approx(-MASS * 9.81, rel=0.1)
    made.say(Stop())
    made.until_in(S.READY)
    refused = made.ask(Tare())
    assert not refused.ok
    assert "holds something that the cell file does not know" in refused.sentence
    assert made.situation is S.READY
    assert grip(made, OPEN) is GripState.OPEN
    made.say(Tare())
    made.until_in(S.READY)
    made.shut()


def test_what_nobody_announced_keeps_the_cell_from_being_ready_until_somebody_does(tmp_path: Path) -> None:
    """The cell comes up with closed jaws that hold something, as after a restart of its process."""
    made = Operating(gripping_cell(tmp_path))
    made.control.set_io("G.Close", 1.0)
    made.until_in(S.FAULTED)
    assert "that nobody has announced: `hil grip close` says" in made.say(Status()).sentence
    made.say(CLOSE)
    made.go(5)
    assert payload(made) == MASS
    made.say(Acknowledge())
    made.until_in(S.READY)
    assert "tared with 1 kg in the jaws" in made.said
    made.shut()


def test_jaws_that_tell_nothing_keep_the_cell_from_being_ready(tmp_path: Path) -> None:
    made = Operating(gripping_cell(tmp_path))
    made.control.set_io("G.Opened", 0.0)
    made.until_in(S.FAULTED)
    assert "does not tell whether it holds something" in made.say(Status()).sentence
    made.shut()


def test_a_tare_stays_in_force_while_something_is_held(run: Operating) -> None:
    """After a fault with the object in the jaws the cell comes back to ready, and the zero is the one of before."""
    run.holding()
    wrist = run.parts.wrist
    assert wrist is not None
    zero = wrist.bias.copy()
    grip(run, CLOSE)
    run.inject("nan", "iiwa", field="tau", ticks=20)
    run.until_in(S.FAULTED)
    run.say(Acknowledge())
    run.until_in(S.READY)
    np.testing.assert_array_equal(wrist.bias, zero)
    assert "the tare made before stays in force: the gripper holds 1 kg" in run.said
    assert payload(run) == MASS
    run.say(Enable())
    run.until_in(S.HOLDING)
    run.go(200)
    assert run.codes == []
    assert np.abs(run.supervisor.estimate.wrench_ft[:3]).max() < 1.5


def test_a_payload_of_another_mass_than_declared_is_found_by_the_check(tmp_path: Path) -> None:
    made = Operating(gripping_cell(tmp_path, obj={**OBJECT, "mass": 2.0}))
    made.holding()
    assert grip(made, CLOSE) is GripState.HOLDING
    made.say(Stop())
    made.until_in(S.READY)
    reply = made.ask(Tare())
    assert reply.ok
    made.until_in(S.FAULTED)
    said = made.say(Status()).sentence
    assert "declared as 1 kg, and the wrench sensor differs from that by 9." in said
    assert "correct gripper.payload" in said
    made.shut()


def test_a_lost_object_is_told_and_leaves_the_model(run: Operating) -> None:
    run.holding()
    grip(run, CLOSE)
    assert payload(run) == MASS
    run.control.set_io("G.Holding", 0.0)
    run.control.release()
    run.go(300)
    assert payload(run) is None
    assert "which the jaws have lost" in run.said
    assert run.codes == []


def test_a_silent_gripper_changes_nothing(run: Operating) -> None:
    """Inputs that contradict each other: the model keeps what it carries."""
    run.holding()
    grip(run, CLOSE)
    run.control.set_io("G.Opened", 1.0)
    run.go(5)
    assert run.say(Status()).data["gripper"]["state"] == "unknown"
    assert payload(run) == MASS
    run.control.set_io("G.Opened", 0.0)
    run.go(5)
    assert payload(run) == MASS


# --- the world -------------------------------------------------------------------------------------------------------


def lying(cell: Cell, offset: float = 0.0) -> dict[str, Any]:
    """The object as it lies in the air between the jaws of the arm at home, ``offset`` m beside the TCP."""
    x, _ = build_model(cell).fk(np.array(cell.robot.home))
    return {**OBJECT, "grasp": "constraint", "xyz": [float(x[0]) + offset, float(x[1]), float(x[2])]}


def standing(cell: Cell) -> dict[str, Any]:
    """The same on the plate, whose surface is 2.5 cm below the TCP."""
    obj = lying(cell)
    return {**obj, "size": [0.03, 0.03, 2.0 * (obj["xyz"][2] - cell.mock.plate.xyz[2])]}  # type: ignore[union-attr]


def test_a_grasp_of_an_object_on_the_plate(tmp_path: Path) -> None:
    """It stands on the plate, is grasped, lifted, swung and let go: it falls back onto the plate."""
    cell = gripping_cell(tmp_path, obj=standing(gripping_cell(tmp_path)))
    made = Operating(cell)
    made.holding()
    before = np.array(made.control.state()["object"])
    assert grip(made, CLOSE, 300) is GripState.HOLDING
    assert payload(made) == MASS
    made.say(Start(motion="swing"))
    made.go(350)
    assert np.abs(np.array(made.control.state()["object"]) - before).max() > 2e-3, "it goes with the arm"
    made.until_in(S.HOLDING)
    assert made.codes == []
    assert grip(made, OPEN, 300) is GripState.OPEN
    assert np.abs(made.supervisor.estimate.wrench_ft[:3]).max() < 1.5
    assert made.control.state()["object"][2] == pytest.approx(before[2], abs=3e-3)
    made.shut()


def test_an_empty_grasp_is_told(tmp_path: Path) -> None:
    made = Operating(gripping_cell(tmp_path, obj=lying(gripping_cell(tmp_path), 0.035)))
    made.until_in(S.READY)
    assert grip(made, CLOSE, 150) is GripState.EMPTY
    assert payload(made) is None
    made.shut()


# --- a session -------------------------------------------------------------------------------------------------------


def test_a_session_grasps_reads_and_lets_go(tmp_path: Path) -> None:
    with hil.open(gripping_cell(tmp_path)) as session:
        with pytest.raises(hil.SessionError, match="no sample yet"):
            session.gripper.read()
        session.bring_up()
        assert session.gripper.read().state is GripState.OPEN
        session.enable()
        assert session.gripper.grasp() is GripState.HOLDING
        assert session.gripper.payload == MASS
        trace = session.step(50)
        assert trace["payload"][-1] == MASS
        assert trace["grip"][-1] == list(GripState).index(GripState.HOLDING)
        assert trace["payload"][0] == 0.0
        session.start("swing")
        with pytest.raises(hil.SessionError, match="motion 'swing' is under way"):
            session.gripper.let_go()
        session.step(900)
        session.gripper.let_go(wait=False)
        assert session.gripper.read().state is GripState.MOVING
        session.step(100)
        assert session.gripper.read().state is GripState.OPEN
        assert session.gripper.payload == 0.0


def test_a_session_without_a_gripper_says_what_is_missing() -> None:
    with hil.open("iiwa14_polish") as session, pytest.raises(hil.SessionError, match="section `gripper`"):
        _ = session.gripper

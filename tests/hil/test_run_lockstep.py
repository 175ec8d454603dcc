"""Whole runs of the demonstration's cell in one process: what a run does, and what it refuses to begin.

Bounds are stated from measurement over seeds 0 to 3 of the standard profile, with margin. The motions are ten times
quicker than the demonstration's, and track accordingly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from drivers.contract import RobotSample
from drivers.errors import RefusedError
from drivers.fri.wire import SessionState
from hil import procedure
from hil.cell import Cell
from hil.motion import JointHold, JointSinusoids
from hil.procedure import Procedure, StepFailedError, connect
from safety.faults import FaultCode
from safety.states import State
from sim_mocks.iiwa_motion import Phase
from tests.hil.running import FORCE, Recorded, Running, released, shipped

FORCE_BOUND = 2.0
"""N; of the mean while sliding. Measured: 0.5."""
FORCE_PEAK = 5.0
"""N; at any moment while sliding, corners of 0.12 s included. Measured: 3.8."""
SWING_RMS, SWING_PEAK = 0.016, 0.030
"""rad; of each joint. Measured on the worst one, A7: 0.0116 and 0.021."""
SWING = np.array([0.10, 0.03, 0.10, 0.04, 0.12, 0.05, 0.15])


def _assert_at_rest(running: Running) -> None:
    assert running.supervisor.state is State.READY
    assert running.mock.standing()
    assert running.mock.controller.joints.phase is Phase.BRAKED
    assert running.codes == []


# --- a run that goes well ------------------------------------------------------------------------------------------


def test_a_run_goes_from_nothing_to_closed_brakes(polished: Recorded) -> None:
    running = polished.running
    assert running.result.finished
    assert running.result.motions == ["polish"]
    _assert_at_rest(running)
    order = list(dict.fromkeys(polished.rows["phase"]))
    assert order == [
        "connect", "check", "enable", "hold", "approach", "descend", "press", "slide", "release", "lift", "stop",
    ]  # fmt: skip
    truth = running.truth()
    # The brakes open once and close once, and nothing is commanded before or after.
    assert np.count_nonzero(np.diff(truth["braked"])) == 2
    assert truth["braked"][0]
    commanded = truth["session_state"] == SessionState.COMMANDING_ACTIVE
    assert not truth["overlay"][: int(np.argmax(commanded))].any()
    assert not truth["overlay"][-1].any()
    # Only what somebody did opens them: the run enables about 50 ms after its checks have passed.
    opened = int(np.argmin(truth["braked"]))
    assert opened > polished.phase("check")["tick"][-1]


def test_it_presses_with_the_force_of_the_motion(polished: Recorded) -> None:
    truth, rows = polished.running.truth(), polished.phase("slide")
    force = truth["wrench_contact"][rows["tick"], 2]
    assert force.size > 1000
    assert force.mean() == pytest.approx(FORCE, abs=FORCE_BOUND)
    assert np.abs(force - FORCE).max() < FORCE_PEAK
    # and the sensor says so
    assert np.sqrt(np.mean((rows["wrench_ft"][:, 2] - force) ** 2)) < 0.5
    assert np.sqrt(np.mean((rows["wrench"][:, 2] - force) ** 2)) < 1.5
    # Free again afterwards, and before: tool weight and offsets of the sensor are gone.
    for free in ("hold", "approach", "lift"):
        seen = polished.phase(free)
        clear = np.abs(truth["wrench_contact"][seen["tick"]]).max(axis=1) == 0.0
        assert clear.sum() > 100
        assert np.abs(seen["wrench_ft"][clear, :3].mean(axis=0)).max() < 0.5, free


def test_it_follows_the_square(polished: Recorded) -> None:
    """Along the surface; the third direction gives way to the force."""
    error = np.abs(polished.phase("slide")["error"][:, :2])
    assert error.max() < 0.006
    assert np.abs(polished.phase("approach")["error"][:, :3]).max() < 0.003


def test_limits_of_the_data_sheet_hold_for_the_motors(polished: Recorded) -> None:
    truth, limits = polished.running.truth(), polished.running.cell.robot.joint_limits
    assert (np.abs(truth["tau_motor"]) <= limits.tau_max).all()
    assert (np.abs(truth["qd"]) <= limits.qd_max).all()
    assert (np.abs(truth["overlay"]) <= limits.tau_cmd_max).all()


def test_joint_motion_tracks(start: type[Running]) -> None:
    recorded = Recorded(start())
    frequency = np.array([0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4])
    recorded.run([JointSinusoids(SWING, frequency, 2.0, 0.5)])
    _assert_at_rest(recorded.running)
    rows = recorded.phase("fade in", "swing", "fade out")
    assert len(rows["tick"]) >= 1999
    assert np.sqrt(np.mean(rows["error"] ** 2, axis=0)).max() < SWING_RMS
    assert np.abs(rows["error"]).max() < SWING_PEAK
    # It is the arm that moved, not only the reference.
    q = recorded.running.truth()["q"][rows["tick"]]
    assert (np.ptp(q, axis=0) > 1.5 * SWING).all()


# --- runs that are not begun ---------------------------------------------------------------------------------------


def _tool(mass: float) -> Cell:
    cell = shipped()
    return cell.model_copy(update={"tool": cell.tool.model_copy(update={"mass": mass})})


def _flip(sample: RobotSample) -> None:
    sample.tau = -sample.tau


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs in which nothing is missed: a cell connects within 0.12 s, is checked in 0.5 s, enabled in 0.1 s."""
    for name in ("CONNECT_TIMEOUT", "ENABLE_TIMEOUT"):
        monkeypatch.setattr(procedure, name, 0.3)
    monkeypatch.setattr(procedure, "STANDSTILL_TIMEOUT", 0.8)


def _assert_refused(running: Running, code: FaultCode | list[FaultCode], *words: str) -> None:
    """The run ended in this fault and no other, explained, and the brakes were never opened."""
    supervisor = running.supervisor
    assert running.codes == (code if isinstance(code, list) else [code]), running.said
    explanation = "\n".join(fault.explain() for fault in supervisor.machine.faults)
    assert [word for word in words if word not in explanation] == [], explanation
    assert supervisor.state is State.FAULTED
    assert not running.result.finished
    truth = running.truth()
    assert not released(truth)
    assert truth["session_state"].max() < SessionState.COMMANDING_WAIT
    assert not supervisor.enable().accepted
    with pytest.raises(RefusedError):
        supervisor.start(JointHold())


def test_heavier_tool_than_stated_is_found_at_standstill(start: type[Running]) -> None:
    running = start(plant=_tool(4.2))
    running.procedure([])
    _assert_refused(running, FaultCode.STANDSTILL_TORQUE, "on A2", "or another load than stated")


def test_lighter_tool_than_stated_is_found_at_standstill(start: type[Running]) -> None:
    running = start(_tool(5.0), plant=shipped())
    running.procedure([])
    _assert_refused(running, FaultCode.STANDSTILL_TORQUE, "on A2")


def test_flipped_sign_of_the_measured_torque_is_found_at_standstill(start: type[Running]) -> None:
    running = start(distort=_flip)
    running.procedure([])
    _assert_refused(running, FaultCode.STANDSTILL_TORQUE, "flipped sign")


def test_somebody_leaning_on_the_arm_is_found_at_standstill(start: type[Running]) -> None:
    running = start()
    running.control.push([20.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    running.procedure([])
    _assert_refused(running, FaultCode.STANDSTILL_TORQUE, "something touches the arm")


def _lean(running: Running, force: float) -> None:
    running.control.push([0.0, 0.0, force, 0.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("when", "words"),
    [
        (lambda r: _lean(r, 20.0), ("offset of Fz", "something touches the tool")),
        (lambda r: _lean(r, 8.0) if r.tick == 400 else None, ("noise of", "moves or shakes")),
        (lambda r: _lean(r, -0.01 * max(0, r.tick - 120)), ("drift per second", "still settles")),
    ],
    ids=["steady", "sudden", "growing"],
)
def test_tare_is_refused_while_the_tool_is_pushed(
    start: type[Running], when: Callable[[Running], None], words: tuple[str, ...]
) -> None:
    running = start()
    running.procedure([], lambda: when(running))
    _assert_refused(running, FaultCode.BRING_UP, "tare refused", *words)
    assert running.result.wrench_tare is None


def test_after_a_refused_tare_the_cell_can_be_brought_up(start: type[Running]) -> None:
    running = start()
    _lean(running, 20.0)
    running.procedure([])
    assert running.codes == [FaultCode.BRING_UP]
    running.control.push(None)
    running.steps(100)  # arm and sensor come to rest
    assert running.supervisor.acknowledge().accepted
    assert running.procedure([]).finished
    _assert_at_rest(running)
    assert released(running.truth())


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("kind", "device", "how", "words"),
    [
        ("drop", "iiwa", {}, ("no packet from the robot", "cable, address and port")),
        ("drop", "iiwa", {"field": "in"}, ("the robot's link is MONITORING", "its quality")),
        ("nan", "iiwa", {"field": "q", "joint": 2}, ("the robot's packets are refused", "not_finite")),
        ("nan", "ft", {"field": "wrench"}, ("wrench sensor gives no valid reading", "not_finite")),
        ("drop", "ft", {}, ("the wrench sensor's last frame came",)),
    ],
    ids=["robot silent", "robot deaf", "robot says nonsense", "sensor says nonsense", "sensor silent"],
)
def test_cell_without_a_device_is_not_ready_and_says_why(
    start: type[Running], kind: str, device: str, how: dict[str, Any], words: tuple[str, ...]
) -> None:
    running = start()
    running.inject(kind, device, 100_000, **how)
    running.procedure([])
    _assert_refused(running, FaultCode.BRING_UP, *words)


@pytest.mark.usefixtures("impatient")
def test_sensor_that_falls_silent_during_the_checks_ends_them(start: type[Running]) -> None:
    running = start()
    running.procedure([], lambda: running.inject("drop", "ft", 100_000) if running.tick == 300 else None)
    _assert_refused(running, FaultCode.BRING_UP, "check: not within 0.8 s", "the wrench sensor's last frame came")


@pytest.mark.usefixtures("impatient")
def test_robot_that_does_not_start_its_overlay_is_told(start: type[Running]) -> None:
    running = start()
    running.parts.start_motion = lambda: None
    running.procedure([])
    _assert_refused(running, FaultCode.BRING_UP, "the robot does not take commands", "FRI overlay")


@pytest.mark.usefixtures("impatient")
def test_robot_under_a_safety_stop_is_not_ready(start: type[Running]) -> None:
    running = start()
    running.control.safety_stop(1)
    running.procedure([])
    _assert_refused(running, FaultCode.BRING_UP, "safety state is STOP_0", "pendant")


def test_robot_that_refuses_its_overlay_is_told(start: type[Running]) -> None:
    """The stop comes between the last look and the start: the robot says no, and the next cycle sees why."""
    running = start()
    begin = running.parts.start_motion

    def too_late() -> None:
        running.control.safety_stop(1)
        begin()

    running.parts.start_motion = too_late
    running.procedure([])
    _assert_refused(running, [FaultCode.BRING_UP, FaultCode.ROBOT_SAFETY], "safety stop is active", "reports STOP_0")


def test_failing_step_of_anybodys_procedure_becomes_a_fault(start: type[Running]) -> None:
    """``procedure_cycles`` takes any procedure: what it cannot do is latched, and none of its later steps is run."""
    running = start()
    reached = []

    def look_at_the_door() -> Procedure:
        reached.append("door")
        yield
        raise StepFailedError("the door is open; close it")

    def own() -> Procedure:
        yield from connect(running.supervisor)
        yield from look_at_the_door()
        reached.append("after the door")

    for _ in procedure.procedure_cycles(running.supervisor, own()):
        running.supervisor.step()
    _assert_refused(running, FaultCode.BRING_UP, "the door is open; close it")
    assert reached == ["door"]

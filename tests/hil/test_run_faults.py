"""Faults on the wires of an arm that is held or moved: what is ridden out, what stops it, and the way back.

Times are in ticks of the mock (1 ms), counted from the first tick of the fault.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from drivers.contract import StopCategory
from drivers.errors import RefusedError
from drivers.fri.wire import SessionState
from hil.motion import JointHold, JointMove, JointSinusoids
from safety.faults import FaultCode
from safety.states import State
from sim_mocks.iiwa_motion import Phase
from tests.hil.running import BRIDGING_TICKS, ENGAGE_TICKS, Running, peak_travel

WATCHDOG_TICKS = BRIDGING_TICKS + ENGAGE_TICKS + 3
"""From the last command that acts to closed brakes, with the ticks between command, bridging and brake."""
STANDSTILL_TICKS = 30
"""For so long an arm must have been slow before a controlled stop takes the power away."""
STALE_TICKS = 6
"""The first tick in which data are older than 5 ms."""
SENSOR_STALE_TICKS = 101
TRAVEL_HELD, TRAVEL_MOVING = 0.002, 0.10
"""Joint travel from a fault to closed brakes, rad: held, and at up to 1 rad/s."""


def _brakes_close(running: Running, since: int, within: int) -> None:
    """They close at most ``within`` ticks after ``since`` and stay closed until the arm stands, shortly after."""
    running.until(lambda: running.mock.controller.joints.phase is Phase.BRAKED, since + within + 1 - running.tick)
    braked = running.braked_since()
    assert braked is not None
    assert since < braked <= since + within
    # what is left is the arm's ringing against its brakes
    running.until(running.mock.standing, 120)
    assert running.braked_since() == braked


def _nothing_moves_again(running: Running, ticks: int) -> None:
    """FAULTED stays FAULTED: no overlay, no torque of ours, no opening of brakes, whatever is asked for."""
    supervisor = running.supervisor
    start = running.tick
    for _ in range(ticks // 10):
        assert not supervisor.enable().accepted
        with pytest.raises(RefusedError):
            supervisor.start(JointHold())
        running.steps(10)
        assert supervisor.state is State.FAULTED
    truth = {name: values[start:] for name, values in running.truth().items()}
    assert truth["braked"].all()
    assert truth["session_state"].max() < SessionState.COMMANDING_WAIT
    assert not truth["overlay"].any()
    assert peak_travel(truth, 0).max() < 1e-4


def _recovers(running: Running) -> None:
    """Acknowledge, which moves nothing; enable anew; the arm is held and follows a motion as if nothing had been."""
    supervisor = running.supervisor
    running.until(lambda: supervisor.healthy, 150)
    assert supervisor.acknowledge().accepted
    assert supervisor.state is State.READY
    assert supervisor.machine.faults == []
    running.steps(30)
    assert supervisor.state is State.READY  # READY, never ENABLED by itself
    assert running.mock.controller.joints.phase is Phase.BRAKED
    assert "standstill check" in supervisor.enable().reason  # what was checked before the fault counts no more
    running.hold(20)
    goal = running.mock.world.q + 0.03
    supervisor.start(JointMove(goal, duration=0.25))
    running.until(lambda: supervisor.motion is not None and supervisor.motion.name == "hold", 260)
    assert running.codes == []
    assert np.abs(running.mock.world.q - goal).max() < 0.01


def _swing() -> JointSinusoids:
    """Up to 1 rad/s."""
    return JointSinusoids(np.array([0.08, 0.02, 0.08, 0.03, 0.08, 0.05, 0.10]), np.full(7, 1.5), 2.0, 0.5)


# --- ridden out ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "ticks", "how"),
    [
        ("iiwa", 1, {}),
        ("iiwa", 1, {"field": "in"}),
        ("iiwa", 4, {}),
        ("iiwa", 200, {"probability": 0.02}),
        ("ft", 1, {}),
        ("ft", 60, {}),
    ],
    ids=["one packet", "one command", "four packets", "2 per cent of 200", "one reading", "60 ms of readings"],
)
def test_lost_packets_are_ridden_out(start: type[Running], device: str, ticks: int, how: dict[str, Any]) -> None:
    running = start()
    running.hold(30)
    first = running.inject("drop", device, ticks, **how)
    running.steps(ticks + 60)
    assert running.supervisor.commanded
    assert running.codes == []
    dropped = [entry for entry in running.mock.faults.log if "dropped" in entry.what]
    assert dropped  # something was lost
    if device == "iiwa" and how.get("field") != "in":
        assert running.parts.arm.health().gaps == len(dropped)
    # without effect: the arm stays where it was, to a tenth of a millimetre at the tip
    assert peak_travel(running.truth(), first - 1).max() < 1e-4


def test_lost_packets_do_not_disturb_a_motion(start: type[Running]) -> None:
    """The twin without losses is the yardstick."""
    q = []
    for lossy in (False, True):
        running = start()
        running.hold(30)
        if lossy:
            running.inject("drop", "iiwa", 500, probability=0.02)
        running.supervisor.start(_swing())
        running.steps(500)
        assert running.codes == []
        assert lossy == bool(running.mock.faults.log)
        q.append(running.truth()["q"])
    assert np.ptp(q[0], axis=0).max() > 0.1
    assert not np.array_equal(*q)
    assert np.abs(q[0] - q[1]).max() < 2e-3


# --- stopped -------------------------------------------------------------------------------------------------------

_OFF, _CONTROLLED = WATCHDOG_TICKS, STANDSTILL_TICKS + WATCHDOG_TICKS


@pytest.mark.parametrize(
    ("kind", "device", "ticks", "how", "code", "seen_after", "braked_after"),
    [
        # The robot hears nothing more from the cycle on in which its last packet was answered.
        ("drop", "iiwa", 20, {}, FaultCode.SAMPLE_STALE, STALE_TICKS, _OFF),
        ("stall", "iiwa", 20, {}, FaultCode.SAMPLE_STALE, STALE_TICKS, _OFF),
        ("drop", "iiwa", 20, {"field": "in"}, FaultCode.LINK_QUALITY, BRIDGING_TICKS, _OFF),
        ("nan", "iiwa", 1, {"field": "q", "joint": 3}, FaultCode.SAMPLE_INVALID, 1, 1 + _OFF),
        ("nan", "iiwa", 1, {"field": "q"}, FaultCode.SAMPLE_INVALID, 1, 1 + _OFF),
        ("nan", "iiwa", 1, {"field": "q", "joint": 0, "value": np.inf}, FaultCode.SAMPLE_INVALID, 1, 1 + _OFF),
        ("nan", "iiwa", 1, {"field": "q", "joint": 6, "value": 9.0}, FaultCode.SAMPLE_INVALID, 1, 1 + _OFF),
        ("nan", "iiwa", 1, {"field": "tau", "joint": 2}, FaultCode.SAMPLE_INVALID, 1, 1 + _OFF),
        ("nan", "ft", 1, {"field": "wrench"}, FaultCode.SENSOR_INVALID, 2, 2 + _CONTROLLED),
        ("nan", "ft", 40, {"field": "wrench", "joint": 5}, FaultCode.SENSOR_INVALID, 2, 2 + _CONTROLLED),
        ("stall", "ft", 200, {}, FaultCode.SENSOR_STALE, SENSOR_STALE_TICKS + 1, SENSOR_STALE_TICKS + 1 + _CONTROLLED),
    ],
)
def test_fault_stops_latches_and_leaves_a_way_back(
    start: type[Running],
    kind: str,
    device: str,
    ticks: int,
    how: dict[str, Any],
    code: FaultCode,
    seen_after: int,
    braked_after: int,
) -> None:
    running = start()
    supervisor = running.supervisor
    running.hold(30)
    first = running.inject(kind, device, ticks, **how)
    took = running.until(lambda: supervisor.machine.first is not None, seen_after)
    assert took > 0
    assert running.codes[0] is code
    assert supervisor.state is State.STOPPING
    assert "likely causes" in supervisor.machine.faults[0].explain()
    assert not supervisor.acknowledge().accepted  # not while it stops
    running.until(running.in_state(State.FAULTED), 120)
    _brakes_close(running, first, braked_after)
    assert peak_travel(running.truth(), first - 1).max() < TRAVEL_HELD
    running.steps(max(0, first + ticks - running.tick))
    _nothing_moves_again(running, 100)
    _recovers(running)


@pytest.mark.parametrize(
    ("kind", "device", "how", "seen_after", "braked_after"),
    [
        ("drop", "iiwa", {}, STALE_TICKS, _OFF),
        ("nan", "iiwa", {"field": "q"}, 1, 1 + _OFF),
        # braking from 1 rad/s under torque comes first
        ("nan", "ft", {"field": "wrench"}, 2, 2 + _CONTROLLED + 400),
    ],
    ids=["robot silent", "robot says nonsense", "sensor says nonsense"],
)
def test_fault_in_motion_stops_the_arm(
    start: type[Running], kind: str, device: str, how: dict[str, Any], seen_after: int, braked_after: int
) -> None:
    running = start()
    supervisor = running.supervisor
    running.hold(30)
    supervisor.start(_swing())
    running.steps(660)
    truth = running.truth()
    assert np.abs(truth["qd"][-1]).max() > 0.5  # fast
    first = running.inject(kind, device, 1000, **how)
    running.until(lambda: supervisor.machine.first is not None, seen_after)
    _brakes_close(running, first, braked_after)
    travel = peak_travel(running.truth(), first - 1).max()
    assert 1e-3 < travel < TRAVEL_MOVING, travel
    assert (np.abs(running.truth()["tau_motor"]) <= running.cell.robot.joint_limits.tau_max).all()
    running.until(running.in_state(State.FAULTED), 2200)
    _nothing_moves_again(running, 50)


# --- what keeps it latched -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "device", "how"), [("stall", "ft", {}), ("nan", "iiwa", {"field": "tau"})])
def test_fault_cannot_be_acknowledged_while_its_cause_lasts(
    start: type[Running], kind: str, device: str, how: dict[str, Any]
) -> None:
    running = start()
    supervisor = running.supervisor
    running.hold(30)
    running.inject(kind, device, 2200 if kind == "nan" else 500, **how)
    end = running.mock.faults.faults[-1].end_tick
    # Without a valid state nobody sees the arm stand, and the stop ends after 2 s.
    running.until(running.in_state(State.FAULTED), 2300)
    while running.tick < end:
        assert not supervisor.acknowledge().accepted
        running.steps(20)
        assert supervisor.state is State.FAULTED
    _recovers(running)


def test_robots_own_safety_stop_ends_the_motion_and_keeps_it_ended(start: type[Running]) -> None:
    running = start()
    running.hold(30)
    first = running.tick
    running.control.safety_stop(1)
    running.until(running.in_state(State.FAULTED), 100)
    assert running.codes[0] is FaultCode.ROBOT_SAFETY
    _brakes_close(running, first, ENGAGE_TICKS + 1)
    running.control.safety_stop(0)
    _recovers(running)


def test_operator_cancels_the_overlay(start: type[Running]) -> None:
    """The robot leaves commanding on its own side: a fault, no second try."""
    running = start()
    running.hold(30)
    first = running.tick
    running.control.cancel_overlay()
    running.until(running.in_state(State.FAULTED), 100)
    assert FaultCode.LINK_LOST in running.codes
    _brakes_close(running, first, ENGAGE_TICKS + 1)
    _nothing_moves_again(running, 100)
    _recovers(running)


def test_exception_of_a_part_becomes_a_stop(start: type[Running]) -> None:
    running = start()
    supervisor = running.supervisor
    running.hold(30)

    class Broken(JointHold):
        def at(self, t: float) -> Any:
            raise ZeroDivisionError("a motion divided by its length")

    first = running.tick
    supervisor.start(Broken())
    running.steps(1)
    assert running.codes == [FaultCode.INTERNAL_ERROR]
    assert "ZeroDivisionError: a motion divided by its length" in supervisor.machine.faults[0].explain()
    running.until(running.in_state(State.FAULTED), 100)
    _brakes_close(running, first, 1 + _CONTROLLED)
    _recovers(running)


# --- stops that somebody asks for ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("category", "within"), [(StopCategory.OFF_NOW, _OFF), (StopCategory.STOP_THEN_OFF, 460)])
def test_asked_stop_in_motion_needs_no_acknowledgement(
    start: type[Running], category: StopCategory, within: int
) -> None:
    running = start()
    supervisor = running.supervisor
    running.hold(30)
    supervisor.start(_swing())
    running.steps(660)
    first = running.tick
    assert np.abs(running.mock.world.qd).max() > 0.5
    assert supervisor.stop(category).state is State.STOPPING
    _brakes_close(running, first, within)
    assert peak_travel(running.truth(), first - 1).max() < TRAVEL_MOVING
    assert running.codes == []
    running.ready()
    running.hold(20)


def test_hold_keeps_the_arm_under_torque_until_the_power_is_asked_away(start: type[Running]) -> None:
    running = start()
    supervisor = running.supervisor
    running.hold(30)
    supervisor.start(_swing())
    running.steps(660)
    supervisor.stop(StopCategory.STOP_AND_HOLD)
    running.steps(600)
    assert supervisor.state is State.STOPPING
    assert running.mock.controller.state is SessionState.COMMANDING_ACTIVE
    held = running.tick
    running.steps(200)
    truth = running.truth()
    assert not truth["braked"][held:].any()
    assert peak_travel(truth, held).max() < 1e-3
    assert not supervisor.enable().accepted
    supervisor.stop(StopCategory.STOP_THEN_OFF)
    running.until(running.mock.standing, _CONTROLLED)
    running.ready()

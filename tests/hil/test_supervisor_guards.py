"""A supervisor that was held up sends nothing; a check is switched off for a stated reason, and no longer."""

from __future__ import annotations

import pytest

from drivers.contract import Array
from estimators.rigid_body import Dynamics
from hil.motion import JointHold
from safety.faults import FaultCode
from safety.states import State
from sim_mocks.fri_quality import Answer, LinkQuality
from tests.hil.running import BRIDGING_TICKS, ENGAGE_TICKS, MS, Running

WATCHDOG_TICKS = BRIDGING_TICKS + ENGAGE_TICKS + 3


def _held_up(running: Running, by_ns: int) -> None:
    """The clock goes on by ``by_ns`` between this cycle's sample and its command."""
    ticks, model = running.parts.ticks, running.parts.model
    inner, update = ticks._inner, model.update

    class Later:
        wait = inner.wait

        def now_ns(self) -> int:
            return inner.now_ns() + by_ns

    def slow(q: Array, qd: Array) -> Dynamics:
        ticks._inner = Later()
        return update(q, qd)

    model.update = slow  # type: ignore[method-assign]
    running.steps(1)
    model.update = update  # type: ignore[method-assign]
    ticks._inner = inner


@pytest.mark.parametrize(("by_ms", "sends"), [(1, True), (3, True), (6, False), (500, False)])
def test_a_command_made_of_an_old_sample_is_not_sent(start: type[Running], by_ms: int, sends: bool) -> None:
    """Suspended in the middle of a cycle: what was computed before is refused by the gate, and the arm brakes."""
    running = start()
    running.hold(30)
    before = running.parts.arm.health().unanswered
    tick = running.tick
    _held_up(running, by_ms * MS)
    if sends:
        assert running.codes == []
        return
    assert running.codes[0] is FaultCode.SAMPLE_STALE
    assert running.supervisor.machine.faults[0].value == pytest.approx(by_ms * 1e-3)
    running.steps(1)
    assert running.parts.arm.health().unanswered == before + 2
    running.until(running.in_state(State.FAULTED), 120)
    running.steps(WATCHDOG_TICKS)
    braked = running.braked_since()
    assert braked is not None
    assert braked <= tick + WATCHDOG_TICKS
    ages = running.truth()["command_age"]
    assert (ages[tick + 1 :] < 0.0).all()  # nothing acts any more
    assert (ages[tick - 20 : tick] == 0.0).all()


def test_the_truth_knows_the_age_of_what_acts(start: type[Running], monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that come two ticks late never act; a robot that let them would show in the truth."""
    for lenient in (False, True):
        running = start()
        running.hold(30)
        if lenient:
            monkeypatch.setattr(LinkQuality, "answer", lambda *how: Answer.ON_TIME)
        first = running.inject("delay", "iiwa", 3, field="in", value=2)
        running.steps(30)
        ages = running.truth()["command_age"]
        assert ages[:first].max() == 0.0
        assert ages[first:].max() == pytest.approx(2e-3 if lenient else 0.0)


def test_a_hand_beside_the_sensor_is_no_mismatch_while_it_is_said_to_be_there(start: type[Running]) -> None:
    """For the motion that says so, with a line in the log; with the next one the comparison is back."""
    running = start()
    running.hold(30)
    supervisor = running.supervisor
    supervisor.start(JointHold("free drive"), touched="it is guided by hand")
    assert ("check", "joint torques and wrench sensor are not compared: it is guided by hand") in running.writer.events
    running.inject("step", "ft", 100_000, field="wrench", joint=2, value=50.0)
    running.steps(300)
    assert running.codes == []
    supervisor.hold()
    running.until(lambda: bool(running.codes), 60)
    assert running.codes == [FaultCode.WRENCH_MISMATCH]
    events = [text for kind, text in running.writer.events if kind == "check"]
    assert len(events) == 1


def test_what_is_frozen_is_found_all_the_same(start: type[Running]) -> None:
    """Only the comparison is off."""
    running = start()
    running.hold(30)
    running.supervisor.start(JointHold("free drive"), touched="it is guided by hand")
    running.inject("stuck", "iiwa", 100_000, field="tau", joint=1)
    running.until(lambda: bool(running.codes), 60)
    assert running.codes == [FaultCode.JOINT_STUCK]

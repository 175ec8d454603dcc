"""The state machine is total, latches, and moves on only when a person says so."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safety.faults import FaultCode, FaultReport
from safety.states import _TABLE, Context, Event, SafetyMachine, State, Transition, transition

CONTEXTS = [Context(*each) for each in itertools.product([True, False], repeat=4)]


def report(code=FaultCode.TORQUE_RATE, joint=5) -> FaultReport:
    return FaultReport(code, 1.0, 0.5, "", joint, 1, 2)


def machine_in(state: State) -> SafetyMachine:
    machine = SafetyMachine()
    path = {
        State.OFFLINE: [],
        State.READY: [Event.DEVICES_READY],
        State.ENABLED: [Event.DEVICES_READY, Event.ENABLE],
        State.STOPPING: [Event.DEVICES_READY, Event.ENABLE, Event.STOP],
        State.FAULTED: [Event.DEVICES_READY, Event.FAULT],
    }[state]
    for event in path:
        assert machine.handle(event, healthy=True, t_ns=0).accepted
    assert machine.state is state
    return machine


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", State)
def test_every_pair_has_a_result(state, event, context):
    result = transition(state, event, context)
    assert isinstance(result.state, State)
    assert result.reason
    assert result.accepted or result.state is state, "what is refused changes nothing"


def test_the_table_and_the_conditions_do_not_overlap():
    conditional = {
        (State.READY, Event.ENABLE),
        (State.STOPPING, Event.ENABLE),
        (State.STOPPING, Event.STANDSTILL),
        (State.FAULTED, Event.ACKNOWLEDGE),
    }
    assert set(_TABLE) | conditional == set(itertools.product(State, Event))
    assert not set(_TABLE) & conditional


# Every change of state there is; whatever is not here leaves the state as it was.
CHANGES = {
    (State.OFFLINE, Event.DEVICES_READY, None, None): State.READY,
    (State.OFFLINE, Event.FAULT, None, None): State.FAULTED,
    (State.READY, Event.DEVICES_LOST, None, None): State.OFFLINE,
    (State.READY, Event.ENABLE, True, None): State.ENABLED,
    (State.READY, Event.FAULT, None, None): State.FAULTED,
    (State.ENABLED, Event.DEVICES_LOST, None, None): State.STOPPING,
    (State.ENABLED, Event.STOP, None, None): State.STOPPING,
    (State.ENABLED, Event.FAULT, None, None): State.STOPPING,
    (State.STOPPING, Event.STANDSTILL, None, True): State.FAULTED,
    (State.STOPPING, Event.STANDSTILL, True, False): State.READY,
    (State.STOPPING, Event.STANDSTILL, False, False): State.OFFLINE,
    (State.FAULTED, Event.ACKNOWLEDGE, True, None): State.READY,
}


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_diagram(context):
    for state, event in itertools.product(State, Event):
        if (state, event) == (State.STOPPING, Event.ENABLE):
            # The only way on from a stop without going through standstill: it holds, and it was no fault.
            resumes = context[:3] == Context(healthy=True, latched=False, held=True)[:3]
            assert transition(state, event, context).state is (State.ENABLED if resumes else State.STOPPING)
            continue
        if (state, event, context.final) == (State.FAULTED, Event.ACKNOWLEDGE, True):
            assert transition(state, event, context).state is State.FAULTED
            continue
        expected = [
            target
            for (s, e, healthy, latched), target in CHANGES.items()
            if (s, e) == (state, event) and healthy in (None, context.healthy) and latched in (None, context.latched)
        ]
        assert transition(state, event, context).state is (expected[0] if expected else state)


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (State.OFFLINE, Event.ENABLE),
        (State.ENABLED, Event.ENABLE),
        (State.STOPPING, Event.ENABLE),
        (State.FAULTED, Event.ENABLE),
        (State.OFFLINE, Event.ACKNOWLEDGE),
        (State.READY, Event.ACKNOWLEDGE),
        (State.ENABLED, Event.ACKNOWLEDGE),
        (State.STOPPING, Event.ACKNOWLEDGE),
        (State.ENABLED, Event.STANDSTILL),
    ],
)
def test_what_is_refused(state, event):
    result = machine_in(state).handle(event, healthy=True, t_ns=0)
    assert not result.accepted


def test_enable_and_acknowledge_need_healthy_devices():
    assert not machine_in(State.READY).handle(Event.ENABLE, healthy=False, t_ns=0).accepted
    faulted = machine_in(State.FAULTED)
    assert not faulted.handle(Event.ACKNOWLEDGE, healthy=False, t_ns=0).accepted
    assert faulted.faults, "a refused acknowledgement clears nothing"


def test_a_fault_stops_latches_and_waits_for_a_person():
    machine = machine_in(State.ENABLED)
    machine.handle(Event.FAULT, healthy=True, t_ns=3, faults=[report(), report(FaultCode.VELOCITY)])
    assert machine.state is State.STOPPING
    assert machine.permitted, "the stop is braked through the gate"
    machine.handle(Event.FAULT, healthy=True, t_ns=4, faults=[report(), report(joint=1)])
    assert [(f.code, f.joint) for f in machine.faults] == [
        (FaultCode.TORQUE_RATE, 5),
        (FaultCode.VELOCITY, 5),
        (FaultCode.TORQUE_RATE, 1),
    ], "a fault that repeats itself is latched once"
    assert machine.first == report()
    machine.handle(Event.STANDSTILL, healthy=True, t_ns=5)
    assert machine.state is State.FAULTED
    assert not machine.permitted
    assert not machine.handle(Event.ENABLE, healthy=True, t_ns=6).accepted
    assert machine.handle(Event.ACKNOWLEDGE, healthy=True, t_ns=7).accepted
    assert machine.state is State.READY
    assert machine.first is None
    assert [entry.event for entry in machine.history][-3:] == [Event.STANDSTILL, Event.ENABLE, Event.ACKNOWLEDGE]
    assert machine.history[-1].before is State.FAULTED


def test_a_fault_that_ends_the_run_is_never_acknowledged():
    """Alone, and behind or before one that could be."""
    final = report(FaultCode.POSITION_STEP)
    for faults in ([final], [report(), final], [final, report()]):
        machine = machine_in(State.ENABLED)
        machine.handle(Event.FAULT, healthy=True, t_ns=3, faults=faults)
        machine.handle(Event.STANDSTILL, healthy=True, t_ns=4)
        for event in (*Event, Event.ACKNOWLEDGE):
            result = machine.handle(event, healthy=True, t_ns=5)
            assert machine.state is State.FAULTED
            if event is Event.ACKNOWLEDGE:
                assert not result.accepted
                assert "ends the run" in result.reason
        assert machine.faults[: len(faults)] == faults


def test_a_device_that_goes_while_the_arm_may_move_is_a_fault():
    for state in (State.ENABLED, State.STOPPING):
        machine = machine_in(state)
        machine.handle(Event.DEVICES_LOST, healthy=False, t_ns=9)
        assert machine.state is State.STOPPING
        assert machine.first is not None
        assert machine.first.code is FaultCode.DEVICE_LOST
        assert machine.first.t_ns == 9
        machine.handle(Event.STANDSTILL, healthy=False, t_ns=10)
        assert machine.state is State.FAULTED
    for state in (State.READY, State.OFFLINE):
        machine = machine_in(state)
        machine.handle(Event.DEVICES_LOST, healthy=False, t_ns=9)
        assert machine.state is State.OFFLINE
        assert machine.first is None


def test_a_fault_without_a_report_gets_one():
    machine = machine_in(State.READY)
    machine.handle(Event.FAULT, healthy=True, t_ns=1)
    assert machine.first is not None
    assert machine.first.code is FaultCode.INTERNAL_ERROR
    assert math.isnan(machine.first.value)


def test_reports_are_never_lost_whatever_event_brings_them():
    machine = machine_in(State.ENABLED)
    machine.handle(Event.STOP, healthy=True, t_ns=1, faults=[report()])
    assert machine.first == report()
    assert machine.history[-1].event is Event.FAULT
    faulted = machine_in(State.FAULTED)
    faulted.handle(Event.ACKNOWLEDGE, healthy=True, t_ns=1, faults=[report()])
    assert faulted.state is State.FAULTED


def test_history_is_bounded():
    machine = SafetyMachine(history=3)
    for i in range(10):
        machine.handle(Event.STOP, healthy=True, t_ns=i)
    assert [entry.t_ns for entry in machine.history] == [7, 8, 9]
    assert machine.history[-1].result == Transition(State.OFFLINE, True, "nothing moves")


CODES = (FaultCode.TORQUE_RATE, FaultCode.POSITION_STEP)
steps = st.lists(
    st.tuples(st.sampled_from(Event), st.booleans(), st.booleans() | st.sampled_from(CODES)), max_size=60
)


@settings(max_examples=500)
@given(steps)
def test_no_sequence_of_events_breaks_the_rules(sequence):
    machine = SafetyMachine()
    for t_ns, (event, healthy, with_report) in enumerate(sequence):
        before, latched = machine.state, list(machine.faults)
        faults = [report(CODES[0] if with_report is True else with_report)] if with_report else []
        result = machine.handle(event, healthy=healthy, t_ns=t_ns, faults=faults)
        assert machine.state is result.state
        if latched and not machine.faults:
            assert (event, before, healthy) == (Event.ACKNOWLEDGE, State.FAULTED, True)
            assert FaultCode.POSITION_STEP not in {fault.code for fault in latched}
        if machine.state is State.ENABLED:
            assert not machine.faults
            if before is not State.ENABLED:
                assert (event, before, healthy) == (Event.ENABLE, State.READY, True)
        if machine.faults:
            assert machine.state in (State.STOPPING, State.FAULTED)
        if machine.state is State.FAULTED:
            assert machine.faults
        if faults:
            assert machine.faults
        assert machine.permitted == (machine.state in (State.ENABLED, State.STOPPING))
        assert len({(f.code, f.joint) for f in machine.faults}) == len(machine.faults)

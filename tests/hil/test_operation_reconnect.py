"""Devices that go and come back: the cell reports, stays stopped, is ready again, and never enables by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from operating import Operating, swinging_cell

from drivers.contract import ArmState
from hil.operation.messages import Acknowledge, Enable, Status
from hil.operation.verbs import Situation
from safety.faults import FaultCode

S = Situation
REOPEN = 1200
"""Ticks of a closed session: more than the second of silence after which the driver forgets its sender."""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Operating]:
    made = Operating(swinging_cell(tmp_path))
    yield made
    made.shut()


def stays_unmoved(run: Operating, ticks: int = 400) -> None:
    """Nobody asks for anything: nothing is enabled."""
    enabled = []
    for _ in range(ticks):
        run.go(1)
        enabled.append(run.supervisor.machine.permitted or run.parts.arm.enabled)  # type: ignore[attr-defined]
    assert not any(enabled)
    assert run.mock.standing()


def back_in_service(run: Operating) -> None:
    run.until_in(S.READY)
    stays_unmoved(run)
    run.say(Enable())
    run.until_in(S.HOLDING)
    run.go(200)
    assert run.situation is S.HOLDING, run.said


def test_a_session_that_closes_while_nothing_is_enabled(run: Operating) -> None:
    """Offline, said why; ready again by itself once the session is back, after a new check and tare."""
    run.until_in(S.READY)
    tare = run.operated.result.torque_tare
    run.control.close_session()
    run.until_in(S.OFFLINE, within=20)
    assert "DISCONNECTED" in run.ask(Status()).sentence
    run.go(REOPEN)
    run.control.open_session()
    run.until_in(S.CHECKING)
    run.until_in(S.READY)
    assert run.operated.result.torque_tare is not tare
    assert run.operated.result.torque_tare is not None
    back_in_service(run)


def test_a_session_that_closes_while_the_arm_is_held(run: Operating) -> None:
    """A latched fault; acknowledged only when the session is back, then checked anew and ready, never enabled."""
    run.holding()
    run.control.close_session()
    run.until_in(S.FAULTED_OFFLINE)
    assert FaultCode.LINK_LOST in run.codes
    assert not run.ask(Acknowledge()).ok
    assert not run.ask(Enable()).ok
    run.go(REOPEN)
    run.control.open_session()
    run.until_in(S.FAULTED)
    stays_unmoved(run, 300)
    assert run.situation is S.FAULTED
    assert not run.ask(Enable()).ok
    run.say(Acknowledge())
    assert run.situation is S.CHECKING
    back_in_service(run)


@pytest.mark.parametrize("held", [False, True])
def test_a_session_that_a_planned_fault_closes_is_opened_by_the_application(run: Operating, held: bool) -> None:
    """Nobody opens it by hand: back once the controller takes a new one, and ready, but never enabled by itself."""
    if held:
        run.holding()
    else:
        run.until_in(S.READY)
    controller = run.mock.controller
    delay = 3500 if held else 1200  # a stop without a word from the robot is given up after three seconds
    controller._config = replace(controller._config, reopen_delay=delay * 1e-3)
    closed = run.inject("session_close", "iiwa")
    run.until_in(S.FAULTED_OFFLINE if held else S.OFFLINE, within=3000)
    assert "the robot application opens" in run.ask(Status()).sentence
    run.while_(lambda: not run.mock.controller.session_open, within=delay)
    assert delay <= run.tick - closed <= delay + 1
    if held:
        run.until_in(S.FAULTED)
        stays_unmoved(run)
        run.say(Acknowledge())
    back_in_service(run)


@pytest.mark.parametrize("held", [False, True])
def test_a_sensor_that_is_unplugged_and_plugged_in_again(run: Operating, held: bool) -> None:
    """It is opened anew without holding up one cycle: each takes one tick of the arm, whose link stays READY."""
    if held:
        run.holding()
    else:
        run.until_in(S.READY)
    run.control.unplug_ft()
    run.until_in(S.FAULTED_OFFLINE if held else S.OFFLINE)
    run.while_(lambda: run.supervisor.sample.state is not ArmState.READY, 500)  # type: ignore[union-attr]
    run.go(1500)
    assert "expected a serial port there" in run.ask(Status()).sentence
    told = {d["name"]: d["state"] for d in run.ask(Status()).data["devices"]}
    assert told["ft"] == "unplugged"
    run.control.plug_ft()
    ticks = run.tick
    cycles = run.until_in(S.FAULTED if held else S.CHECKING, within=3000)
    assert run.tick - ticks == cycles, "a cycle waited"
    assert run.supervisor.sample is not None
    assert run.supervisor.sample.state is ArmState.READY
    if held:
        assert FaultCode.SENSOR_INVALID in run.codes
        assert not run.ask(Enable()).ok
        run.say(Acknowledge())
    back_in_service(run)
    assert run.sensor.rate == pytest.approx(run.mock.ft.rate)  # type: ignore[union-attr]


def test_a_sensor_that_goes_again_during_its_handshake(run: Operating) -> None:
    """Pulled in the middle of opening anew: told, tried again, and back in the end."""
    run.until_in(S.READY)
    run.control.unplug_ft()
    run.go(100)
    run.control.plug_ft()
    run.while_(lambda: not run.sensor.reopening, 1500)
    run.go(5)
    run.control.unplug_ft()
    run.while_(lambda: run.sensor.reopening, 3000)
    assert run.sensor.trouble
    assert run.situation is S.OFFLINE
    run.control.plug_ft()
    back_in_service(run)


def test_a_sensor_that_reset_itself_is_opened_anew(run: Operating) -> None:
    """A sensor that lost its settings runs at another rate: it is opened anew although it streams."""
    run.until_in(S.READY)
    assert run.mock.ft is not None
    assert run.mock.pty is not None
    run.mock.pty.write(run.mock.ft.on_bytes(b"#"))
    run.go(200)
    assert run.mock.ft.rate == pytest.approx(100.0) or run.sensor.reopening
    run.go(1500)
    back_in_service(run)
    assert run.mock.ft.rate == pytest.approx(800.0)


def test_both_devices_at_once(run: Operating) -> None:
    """Session and sensor gone together while the arm is held: one acknowledgement after both are back."""
    run.holding()
    run.control.unplug_ft()
    run.control.close_session()
    run.until_in(S.FAULTED_OFFLINE)
    run.go(REOPEN)
    run.control.plug_ft()
    run.go(1500)
    assert run.situation is S.FAULTED_OFFLINE
    run.control.open_session()
    run.until_in(S.FAULTED)
    run.say(Acknowledge())
    back_in_service(run)

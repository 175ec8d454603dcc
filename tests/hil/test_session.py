"""A cell in a script: lockstep, commands through the gate, faults as exceptions, and the arm at rest at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hil
from drivers.contract import StopCategory, TorqueCommand
from hil.cell import CellRefused
from hil.motion import JointSinusoids, MotionError
from hil.telemetry.log import read_log
from safety.faults import FaultCode
from safety.states import State


@pytest.fixture
def session() -> Iterator[hil.Session]:
    with hil.open("iiwa14_polish") as opened:
        yield opened


def enabled(session: hil.Session) -> hil.Session:
    session.bring_up()
    session.enable()
    return session


def at_rest(session: hil.Session) -> bool:
    truth = session.truth()
    return bool(truth["braked"][-1]) and float(np.abs(truth["qd"][-1]).max()) < 1e-3


def test_a_real_cell_is_refused() -> None:
    with pytest.raises(CellRefused):
        hil.open("iiwa14_real.example", real=True)


def test_nothing_passes_between_calls_and_each_call_counts(session: hil.Session) -> None:
    with pytest.raises(hil.SessionError, match="no sample yet"):
        session.sample  # noqa: B018
    session.step(20)
    before = session.time
    assert session.time == before
    trace = session.step(30)
    assert trace.cycles == 30
    assert session.time - before == pytest.approx(0.030)
    assert trace["q"].shape == (30, 7)
    assert trace.unit("q") == "rad"
    assert trace.unit("wrench_ft").split(",")[5] == "N·m"
    assert "[N·m]" in trace.describe("tau")
    assert np.isnan(trace["tau_cmd"]).all()
    np.testing.assert_array_equal(trace["q"][-1], session.sample.q)
    assert trace["t"][-1] == pytest.approx(0.029)
    with pytest.raises(KeyError, match="tau_ext"):
        trace["torque"]
    assert len(list(trace)) == len(trace)
    assert set(session.truth()["t_ns"]) >= set(trace["t_ns"])
    assert session.joint_names == tuple(f"A{i}" for i in range(1, 8))


def test_calls_out_of_order_are_refused_in_words(session: hil.Session) -> None:
    with pytest.raises(hil.SessionError, match="offline; this needs it ready: call bring_up"):
        session.enable()
    session.bring_up()
    for call in (session.hold, lambda: session.start("warmup"), lambda: session.command(np.zeros(7))):
        with pytest.raises(hil.SessionError, match="then enable"):
            call()
    session.enable()
    with pytest.raises(hil.SessionError):
        session.bring_up()
    with pytest.raises(hil.SessionError, match="no fault"):
        session.acknowledge()
    with pytest.raises(hil.SessionError, match="not held"):
        session.free_drive(lambda: False)
    with pytest.raises(hil.SessionError, match="shape"):
        session.command(np.zeros(6))
    with pytest.raises(MotionError):
        session.move_to(np.full(7, 3.0), 5.0)
    assert session.state is State.ENABLED


def test_the_same_calls_give_the_same_numbers() -> None:
    def go() -> tuple[Any, Any]:
        with hil.open("iiwa14_polish", seed=3) as session:
            enabled(session)
            trace = session.move_to(session.sample.q + 0.02, 0.5)
            session.command(np.full(7, 0.01))
            return trace["tau_cmd"], session.sample.q

    first, second = go(), go()
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_move_ends_where_it_should_and_a_motion_may_be_an_object(session: hil.Session) -> None:
    enabled(session)
    target = session.sample.q + 0.03
    session.move_to(target)
    session.step(300)
    assert np.abs(session.sample.q - target).max() < 0.005
    trace = session.run(JointSinusoids(np.full(7, 0.02), np.full(7, 1.0), 1.0, 0.3))
    assert np.nanmax(np.abs(trace["q"] - trace["q_ref"])) < 0.02
    assert "fade out" in trace.phases()


def test_own_torque_is_sent_as_given_for_one_cycle_and_then_the_arm_is_held(session: hil.Session) -> None:
    enabled(session)
    begin = session.sample.q
    tau = 0.5 * (session.sample.tau_accepted_lo + session.sample.tau_accepted_hi)
    session.step(1)
    for _ in range(50):
        session.command(TorqueCommand(tau, session.sample.q.copy()))
    trace = session.trace()
    assert trace.cycles == 50
    np.testing.assert_allclose(trace["tau_cmd"][10:], np.tile(tau, (40, 1)), atol=1e-12)
    held = session.step(300)
    assert set(held.phases()) == {"hold"}
    assert np.abs(session.sample.q - begin).max() < 0.01


def test_too_much_torque_is_limited_visibly(session: hil.Session) -> None:
    """The step to 1000 N·m on A7 becomes a ramp; the speed check then ends it, and the exception explains."""
    enabled(session)

    def push() -> None:
        for _ in range(1000):
            session.command(np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1000.0]))

    with pytest.raises(hil.FaultError) as error:
        push()
    assert session.state is State.FAULTED
    assert error.value.trace["limited"][:, 6].any()
    limits = session.cell.robot.joint_limits
    assert np.nanmax(np.abs(error.value.trace["tau_cmd"][:, 6])) <= limits.tau_cmd_max[6]
    assert np.abs(session.truth()["overlay"][:, 6]).max() <= limits.tau_cmd_max[6]


def test_a_fault_stops_the_arm_explains_itself_and_comes_back_until_acknowledged(session: hil.Session) -> None:
    enabled(session)
    with pytest.raises(hil.FaultError, match=r"(?s)not finite on A3.*what to do.*acknowledge") as error:
        session.command(np.array([0.0, 0.0, np.nan, 0.0, 0.0, 0.0, 0.0]))
    assert error.value.faults[0].code is FaultCode.COMMAND_NOT_FINITE
    assert at_rest(session)
    for call in (session.step, session.hold, session.enable):
        with pytest.raises(hil.FaultError):
            call()
    session.acknowledge()
    with pytest.raises(hil.SessionError):
        session.hold()
    enabled(session)
    assert session.step(10).cycles == 10


def test_a_controller_that_raises_stops_the_arm(session: hil.Session) -> None:
    class Broken:
        kind = "joint"

        def reset(self, sample: Any, dyn: Any, tau_initial: Any = None) -> None: ...

        def torque(self, *given: Any) -> Any:
            raise ZeroDivisionError("mine")

    enabled(session)
    session.use(Broken())  # type: ignore[arg-type]
    with pytest.raises(hil.FaultError, match="ZeroDivisionError: mine"):
        session.hold() or session.step(5)  # type: ignore[func-returns-value]
    assert at_rest(session)


@pytest.mark.parametrize("how", ["leave", "raise", "interrupt", "close"])
def test_every_way_out_ends_with_closed_brakes(how: str) -> None:
    opened = hil.open("iiwa14_polish")

    def use() -> None:
        with opened as session:
            enabled(session)
            session.start("warmup")
            session.step(700)
            if how == "raise":
                raise ValueError("mine")
            if how == "interrupt":
                raise KeyboardInterrupt
            if how == "close":
                session.close()

    if how in ("raise", "interrupt"):
        with pytest.raises(ValueError if how == "raise" else KeyboardInterrupt):
            use()
    else:
        use()
    assert at_rest(opened)
    assert ("off", "power off requested: the arm stands") in opened.events
    opened.close()
    with pytest.raises(hil.SessionError, match="closed"):
        opened.step()


def test_a_stop_of_category_2_holds_and_category_1_ends_it(session: hil.Session) -> None:
    enabled(session)
    session.start("warmup")
    session.step(700)
    session.stop(StopCategory.STOP_AND_HOLD)
    assert session.state is State.STOPPING
    with pytest.raises(hil.SessionError, match="held after a stop"):
        session.hold()
    where = session.sample.q
    session.step(300)
    assert np.abs(session.sample.q - where).max() < 0.003
    session.stop()
    assert at_rest(session)
    session.enable()
    assert session.state is State.ENABLED


def test_a_recorded_session_is_a_log(session: hil.Session, tmp_path: Path) -> None:
    session.step(10)
    session.record(tmp_path / "run.mcap")
    trace = session.step(60)
    session.record(None)
    session.step(5)
    log = read_log(tmp_path / "run.mcap")
    np.testing.assert_array_equal(log.cycle["q"], trace["q"])
    with pytest.raises(FileExistsError):
        session.record(tmp_path / "run.mcap")

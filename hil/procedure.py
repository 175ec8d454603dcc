"""What a run does with a cell, in order: connect, check, tare, enable, move, stop.

A procedure is a generator: each ``yield`` is one cycle of the supervisor, everything between two of them happens
between two cycles. So a run reads from top to bottom, and a fault simply ends it: :func:`follow` goes on with the
cycles until the arm stands and asks the procedure for nothing more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

import numpy as np

from calibration.tare import Tare, TareError, TareGates, tare, tare_torque, torque_gates, wrench_gates
from drivers.contract import ArmState, Array, OperationMode, SafetyState, StopCategory
from drivers.errors import RefusedError
from drivers.gripper import GripState
from estimators.rigid_body import BodyInertia
from hil.cell import Cell
from hil.cell.parts import array
from hil.motion import Motion
from hil.supervisor import Supervisor
from safety.faults import FaultCode
from safety.interlocks import StandstillMean, check_standstill
from safety.states import State

Procedure = Generator[None, None, None]

CONNECT_TIMEOUT = 10.0
"""A robot application waits as long for the connection to become good, s."""
STANDSTILL_TIMEOUT = 5.0
ENABLE_TIMEOUT = 10.0
SETTLE = 0.5
"""How long the arm is held before the first motion, s."""
AFTER_STOP = 0.3
"""How long the cycles go on after a stop, s: brakes take about 0.05 s to close."""
TARE_TIME = 0.5
"""Time over which sensors are averaged, s."""
HELD_TIME = 0.2
"""Time over which the torque that holds the arm is averaged, s."""
WEIGHING_DRIFT = 2.0
"""By how much a wrench sensor may have drifted since it was tared, N."""
GRAVITY = 9.81
TORQUE_BIAS_MAX = 15.0
"""Largest offset between measured and modelled torque that a tare may take off, N·m; beyond, it is no offset."""


@dataclass
class RunResult:
    """What came of a run."""

    finished: bool = False
    """The procedure came to its end."""
    wrench_tare: Tare | None = None
    torque_tare: Tare | None = None
    motions: list[str] = field(default_factory=list)
    """Motions that were finished."""


class StepFailedError(Exception):
    """A step of the procedure could not be done; the message says why and what to do. Nothing moved."""


def run(supervisor: Supervisor, cell: Cell, motions: Sequence[Motion], result: RunResult) -> Procedure:
    """The whole run of a cell: from nothing heard yet to an arm that stands with its brakes closed."""
    yield from connect(supervisor)
    yield from check_and_tare(supervisor, cell, result)
    yield from enable(supervisor, cell)
    for motion in motions:
        try:
            supervisor.start(motion)
        except RefusedError as error:
            raise StepFailedError(str(error)) from error
        while supervisor.motion is motion:
            yield
        if supervisor.finished is not motion:
            break  # somebody stopped it
        result.motions.append(motion.name)
    yield from stop(supervisor)
    result.finished = len(result.motions) == len(motions)


def connect(supervisor: Supervisor) -> Procedure:
    """Wait until arm and sensor are there and the link is good."""
    supervisor.phase = "connect"
    yield from _until(
        supervisor,
        lambda: supervisor.state is State.READY,
        CONNECT_TIMEOUT,
        lambda: why_not_ready(supervisor),
    )


def check_and_tare(supervisor: Supervisor, cell: Cell, result: RunResult) -> Procedure:
    """Standstill check of measured torque against g(q), then tare of wrench sensor and torque observer.

    The brakes are still closed, so nothing moves. Raises StepFailedError where a tare is refused, and where nobody
    knows what hangs in the jaws of a gripper. While the model carries a payload, an earlier tare stays in force, and
    the wrench sensor must find the payload as heavy as declared: a tare would hide an error of its mass.
    """
    supervisor.phase = "check"
    robot, parts = cell.robot, supervisor.parts
    mean = StandstillMean(parts.model.n, samples=round(TARE_TIME / parts.arm.traits.period))
    tau: list[Array] = []
    wrench: list[Array] = []
    t_arm: list[float] = []
    t_sensor: list[float] = []

    def collect() -> bool:
        sample, reading = supervisor.sample, supervisor.wrench
        assert sample is not None
        mean.add(sample)
        if not mean.count:  # the arm moved or a frame was invalid: all begins anew
            for kept in (tau, wrench, t_arm, t_sensor):
                kept.clear()
        if sample.fresh and sample.valid:
            tau.append(sample.tau)
            t_arm.append(sample.t_ns * 1e-9)
        if reading is not None and reading.fresh and reading.valid:
            wrench.append(reading.wrench)
            t_sensor.append(reading.t_device_ns * 1e-9)
        return mean.ready and (parts.sensor is None or len(wrench) >= round(TARE_TIME * parts.sensor.rate))

    def why_not() -> str:
        if supervisor.state is not State.READY:
            return why_not_ready(supervisor)
        return "the arm does not stand still long enough to be checked"

    grip = parts.grip
    if grip is not None:
        supervisor.phase = "gripper"
        yield from _until(
            supervisor, lambda: grip.state is not GripState.MOVING, STANDSTILL_TIMEOUT, grip.why_unknown
        )
        if why := grip.why_unknown():
            raise StepFailedError(f"neither check nor tare is possible: {why}")
        supervisor.phase = "check"
    yield from _until(supervisor, collect, STANDSTILL_TIMEOUT, why_not)
    sample, dyn = supervisor.sample, supervisor.dyn
    assert sample is not None
    assert dyn is not None
    if parts.arm.traits.torque_side == "motor":
        # Its motors carry no current now: what their torque says is checked when they hold the arm.
        _tare_wrench(supervisor, cell, result, wrench, t_sensor)
        supervisor.checked = True
        return
    faults = check_standstill(
        mean.tau_mean,
        dyn.g,
        array(robot.standstill.tolerance_abs),
        robot.standstill.tolerance_rel,
        tick=sample.seq,
        t_ns=sample.t_ns,
    )
    if faults:
        supervisor.trip(faults)
        yield  # whoever runs this procedure ends it here
        return
    carried = None if grip is None else grip.carried
    if carried is not None:
        if result.torque_tare is not None:
            if wrench:
                _weigh(supervisor, cell, np.mean(wrench, axis=0), carried)
            supervisor.note(f"the tare made before stays in force: the gripper holds {carried.mass:g} kg")
            supervisor.checked = True
            return
        supervisor.note(f"tared with {carried.mass:g} kg in the jaws: an error of that mass is in the zero now")
    supervisor.phase = "tare"
    quiet = cell.mock is not None and cell.mock.profile == "ideal"
    try:
        gates = _torque_gates(array(cell.observer.tau_sigma), quiet)
        result.torque_tare = tare_torque(np.array(tau), dyn.g, np.array(t_arm), gates)
    except TareError as error:
        raise StepFailedError(f"tare refused: {error}") from error
    _tare_wrench(supervisor, cell, result, wrench, t_sensor)
    # At standstill the external torque that the model sees is g − tau: the tare's offset with its sign turned.
    offset = result.torque_tare
    parts.observer.tare(-offset.mean, offset.sd / math.sqrt(offset.n))
    supervisor.checked = True
    if not supervisor.healthy:
        # By the wall clock all this took time, in which the robot got no answers: its link must recover first.
        ready = lambda: supervisor.state is State.READY and supervisor.healthy  # noqa: E731
        yield from _until(supervisor, ready, CONNECT_TIMEOUT, lambda: why_not_ready(supervisor))


def _weigh(supervisor: Supervisor, cell: Cell, reading: Array, payload: BodyInertia) -> None:
    """Raises StepFailedError where the wrench sensor, at rest and tared before, finds another payload than declared."""
    parts, sample, described = supervisor.parts, supervisor.sample, cell.gripper
    assert sample is not None
    assert parts.wrist is not None
    assert described is not None
    assert described.payload is not None
    mount, still = cell.sensors[0].mount, np.zeros(parts.model.n)
    expected = parts.model.tool_wrench(sample.q, still, still, mount.position, mount.rotation)
    difference = float(np.linalg.norm((reading - parts.wrist.bias - expected)[:3]))
    allowed = described.payload.tolerance * payload.mass * GRAVITY + WEIGHING_DRIFT
    if not difference <= allowed:
        raise StepFailedError(
            f"the gripper holds a payload declared as {payload.mass:g} kg, and the wrench sensor differs from that by "
            f"{difference:.1f} N, allowed are {allowed:.1f} N: put down what is held, or correct gripper.payload"
        )


def _tare_wrench(
    supervisor: Supervisor, cell: Cell, result: RunResult, wrench: list[Array], t_sensor: list[float]
) -> None:
    """Take off what the sensor shows beyond the tool's weight. Raises StepFailedError where the tare is refused."""
    parts, sample = supervisor.parts, supervisor.sample
    if parts.wrist is None:
        return
    assert sample is not None
    quiet = cell.mock is not None and cell.mock.profile == "ideal"
    mount, still = cell.sensors[0].mount, np.zeros(parts.model.n)
    expected = parts.model.tool_wrench(sample.q, still, still, mount.position, mount.rotation)
    try:
        result.wrench_tare = tare(np.array(wrench), expected, np.array(t_sensor), wrench_gates(may_be_quiet=quiet))
    except TareError as error:
        raise StepFailedError(f"tare refused: {error}") from error
    parts.wrist.bias = result.wrench_tare.mean


def _check_held(supervisor: Supervisor, cell: Cell) -> Procedure:
    """While the arm is held: the torque of its motors must be that of its weight, but for friction; else a fault."""
    standstill = cell.robot.standstill
    tau: list[Array] = []
    while len(tau) < round(HELD_TIME / supervisor.parts.arm.traits.period):
        sample = supervisor.sample
        if sample is not None and sample.fresh and sample.valid:
            tau.append(sample.tau)
        yield
    sample, dyn = supervisor.sample, supervisor.dyn
    if sample is None or dyn is None:
        return
    mean, tolerance = np.mean(tau, axis=0), array(standstill.tolerance_abs)
    faults = check_standstill(mean, dyn.g, tolerance, standstill.tolerance_rel, tick=sample.seq, t_ns=sample.t_ns)
    if faults:
        supervisor.trip(faults)
        yield


def _torque_gates(noise: Array, quiet: bool) -> TareGates:
    return torque_gates(noise, np.full(noise.size, TORQUE_BIAS_MAX), may_be_quiet=quiet)


def enable(supervisor: Supervisor, cell: Cell) -> Procedure:
    """Enable, wait until the robot takes commands, and hold the arm for a moment.

    Of an arm whose torque is measured on the motors' side, the torque that holds it is checked then: while its brakes
    carried it, there was none. Every way to an arm under command leads through here.
    """
    supervisor.phase = "enable"
    result = supervisor.enable()
    if not result.accepted:
        raise StepFailedError(result.reason)
    yield from _until(
        supervisor,
        lambda: supervisor.commanded,
        ENABLE_TIMEOUT,
        lambda: "the robot does not take commands; start the application with the FRI overlay on it",
    )
    yield from wait(supervisor, SETTLE)
    if supervisor.parts.arm.traits.torque_side == "motor":
        yield from _check_held(supervisor, cell)


def stop(
    supervisor: Supervisor, category: StopCategory = StopCategory.STOP_THEN_OFF, after: float = AFTER_STOP
) -> Procedure:
    """Stop, wait until the arm stands, and watch it for ``after`` s more, so that the log shows the brakes close.

    After category 2 the arm is held, and stays STOPPING, as long as cycles go on; category 1 or 0 ends the hold.
    """
    supervisor.stop(category)
    while supervisor.state is State.STOPPING and not (category is StopCategory.STOP_AND_HOLD and supervisor.standing):
        yield
    yield from wait(supervisor, after)


def wait(supervisor: Supervisor, seconds: float) -> Procedure:
    """Let ``seconds`` of the cell's time pass."""
    begin = supervisor.parts.ticks.now_ns()
    while (supervisor.parts.ticks.now_ns() - begin) * 1e-9 < seconds:
        yield


def follow(supervisor: Supervisor, procedure: Procedure) -> None:
    """Run the cycles of ``procedure``; after a fault, or a step that failed, those of the stop alone.

    Returns when the procedure has ended, or when the arm stands after a fault. A failed step becomes a latched fault.
    """
    for _ in procedure_cycles(supervisor, procedure):
        supervisor.step()


def procedure_cycles(supervisor: Supervisor, procedure: Procedure, after: float = AFTER_STOP) -> Procedure:
    """One ``yield`` for each cycle that is due, ``after`` s of them after a fault; see :func:`follow`."""
    while True:
        if supervisor.state is State.FAULTED:
            procedure.close()
            yield from wait(supervisor, after)
            return
        if supervisor.machine.faults:
            yield  # stopping: the procedure has no say any more
            continue
        try:
            next(procedure)
        except StopIteration:
            return
        except StepFailedError as error:
            supervisor.fault(FaultCode.BRING_UP, str(error))
            continue
        except Exception as error:  # a motion that cannot begin, a plug-in that raises: the arm stops in order
            supervisor.fault(FaultCode.INTERNAL_ERROR, f"{type(error).__name__}: {error}")
            continue
        yield


def _until(supervisor: Supervisor, condition: Callable[[], bool], timeout: float, why: Callable[[], str]) -> Procedure:
    """Cycles until ``condition`` holds. Raises StepFailedError with ``why()`` after ``timeout`` s."""
    begin = supervisor.parts.ticks.now_ns()
    yield
    while not condition():
        if (supervisor.parts.ticks.now_ns() - begin) * 1e-9 > timeout:
            raise StepFailedError(f"{supervisor.phase}: not within {timeout:g} s: {why()}")
        yield


def why_not_ready(supervisor: Supervisor) -> str:
    """What keeps the cell from being ready, in words."""
    reasons = []
    sample, wrench = supervisor.sample, supervisor.wrench
    health = supervisor.parts.arm.health()
    monitor, now_ns = supervisor.parts.monitor, supervisor.parts.ticks.now_ns()
    if sample is None or sample.seq < 0:
        reasons.append("no packet from the robot: check cable, address and port, and that its application runs")
    elif not sample.valid:
        reasons.append(f"the robot's packets are refused: {health.rejected}")
    elif sample.state < ArmState.READY:
        reasons.append(f"the robot's link is {sample.state.name}, its quality {health.quality:.2f} of 1")
    elif not monitor.up_to_date(sample, None, now_ns):
        reasons.append(f"the robot's last packet came {sample.age_ns * 1e-9:.3g} s ago")
    elif wrench is not None and wrench.valid and not monitor.up_to_date(sample, wrench, now_ns):
        reasons.append(f"the wrench sensor's last frame came {wrench.age_ns * 1e-9:.3g} s ago: check cable and supply")
    if sample is not None and sample.seq >= 0:
        stated = supervisor.parts.monitor.not_stated
        if health.safety is not SafetyState.NORMAL and "safety" not in stated:
            reasons.append(f"the robot's safety state is {health.safety.name}: clear the stop on its pendant")
        if health.mode is OperationMode.UNKNOWN and "mode" not in stated:
            reasons.append("the robot does not state its operating mode")
    reasons.extend(sorted(health.flags))
    if supervisor.parts.sensor is not None and (wrench is None or not wrench.valid):
        flags = ", ".join(sorted(wrench.flags)) if wrench is not None else ""
        reasons.append(f"the wrench sensor gives no valid reading {flags}".rstrip())
    return "; ".join(reasons) or "the cell became ready a moment too late"

"""A cell in a script or a notebook: ``with hil.open("iiwa14_polish") as session: …``.

The mock devices live in this process and virtual time passes only inside the session's calls: a notebook may think for
an hour between two cycles, and the same calls give the same numbers, to the last bit. Every torque goes the way of
every other: saturation, gate, driver. A session ends with a controlled stop and closed brakes, whatever ends it.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from drivers.contract import Array, RobotSample, StopCategory, TorqueCommand, WrenchSample
from drivers.errors import RefusedError
from estimators.observer import Observer
from estimators.rigid_body import Dynamics, RigidBodyModel
from hil import guiding, procedure
from hil.build import build_model, build_motion, build_parts, check_motion
from hil.cell import Cell, load_cell, require_permission
from hil.code import code_of
from hil.control.base import Controller
from hil.control.free_drive import FreeDriveParams, SpeedCap
from hil.cycle import Estimate
from hil.guiding import Guided
from hil.mocks import Control, MockHere, mock_config, overlay_starter, point_at
from hil.motion import JointHold, JointMove, Motion, MotionError
from hil.parts import close_devices, open_devices
from hil.plugins import check_controller, check_observer
from hil.plugins import check_motion as check_motion_class
from hil.procedure import Procedure, RunResult, procedure_cycles
from hil.session_gripper import SessionGripper
from hil.session_log import SessionLog
from hil.supervisor import Supervisor
from hil.trace import SessionWriter, Trace, TraceBuffer
from safety.faults import FaultReport
from safety.states import State

STOP_TIMEOUT = 30.0
"""Longest wait for standstill when a session is closed, s of the cell's time; then the power goes."""


class SessionError(RuntimeError):
    """A call that cannot be carried out now; the message says why. The cell is as it was."""


class FaultError(SessionError):
    """A fault was latched and the arm was stopped. The message explains it; ``faults`` holds all, the first one first.

    ``trace``: the cycles of the call in which it happened, the stop included.
    """

    def __init__(self, faults: Sequence[FaultReport], trace: Trace) -> None:
        self.faults = tuple(faults)
        self.trace = trace
        more = "".join(f"\nand then: {fault.headline()}" for fault in self.faults[1:])
        super().__init__(
            f"{self.faults[0].explain()}{more}\nThe arm was stopped. session.acknowledge() clears the fault; "
            "then bring_up() and enable() anew."
        )


class Session:
    """One cell on mocks in this process; :func:`open` makes it.

    ``bring_up()`` connects, checks and tares; ``enable()`` puts the arm under command, where it is held; then
    ``run``/``start``/``move_to``/``hold`` make motions and ``command`` sends a torque of your own. All of them raise
    :class:`FaultError` when something went wrong, after the arm was stopped.
    """

    def __init__(self, cell: Cell, *, seed: int | None = None) -> None:
        self.cell = cell
        self._closed = False
        self._log: SessionLog | None = None
        self._told: FaultReport | None = None
        self._code: dict[str, str] = {}
        self._host = MockHere(mock_config(cell, seed=seed))
        try:
            self._parts = parts = build_parts(
                cell,
                self._host.ticks,
                overlay_starter(self._host.control, cell),
                self._host.ft_path,
                self._host.control.hello().get("can"),
            )
            self._buffer = TraceBuffer(parts.model.n)
            self._writer = SessionWriter(self._buffer)
            self.supervisor = Supervisor(parts, self._writer)
            """For what this class does not offer; it keeps every guarantee of its own."""
            for each in parts.controllers.values():
                self._tell_code("controller", each)
            self._tell_code("observer", parts.observer)
            open_devices(parts)
            point_at(self._host.control, parts.arm)
        except BaseException:
            self._host.close()
            raise
        atexit.register(self.close)

    # What can be read at any time

    @property
    def n(self) -> int:
        """Number of joints."""
        return self._parts.model.n

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of the joints, in the order of every joint vector."""
        return self._parts.model.joint_names

    @property
    def adds(self) -> frozenset[str]:
        """What the robot adds to our torque by itself: ``gravity`` and so on."""
        return self._parts.arm.traits.adds

    @property
    def dt(self) -> float:
        """Length of a cycle, s."""
        return self._parts.arm.traits.period

    @property
    def time(self) -> float:
        """Virtual time, s."""
        return self._parts.ticks.now_ns() * 1e-9

    @property
    def state(self) -> State:
        return self.supervisor.state

    @property
    def sample(self) -> RobotSample:
        """The newest sample of the arm: q rad, qd rad/s, qdd rad/s², tau N·m …, each (n,)."""
        if self.supervisor.sample is None:
            raise SessionError("there is no sample yet: call bring_up() or step() first")
        return self.supervisor.sample

    @property
    def wrench(self) -> WrenchSample | None:
        """The newest raw frame of the wrench sensor, None without one; tared, in base axes: ``estimate.wrench_ft``."""
        return self.supervisor.wrench

    @property
    def estimate(self) -> Estimate:
        """What observer and wrench sensor say about the contact: tau_ext (n,) N·m, wrench and wrench_ft (6,) …"""
        return self.supervisor.estimate

    @property
    def dyn(self) -> Dynamics:
        """Model at the newest sample: M, C, g, J, x, R …; overwritten by the next cycle."""
        if self.supervisor.dyn is None:
            raise SessionError("there is no sample yet: call bring_up() or step() first")
        return self.supervisor.dyn

    @cached_property
    def model(self) -> RigidBodyModel:
        """A rigid-body model to compute with between cycles; the cycle has one of its own."""
        return build_model(self.cell)

    @property
    def events(self) -> list[tuple[str, str]]:
        """Kind and text of everything that has happened."""
        return list(self._buffer.events)

    @property
    def mock(self) -> Control:
        """What acts on the simulated world from outside: ``push(wrench)``, ``attach``, ``faults_add`` …"""
        return self._host.control

    def truth(self) -> dict[str, npt.NDArray[Any]]:
        """What really happened in each tick: ``t_ns``, ``q``, ``qd``, ``tau_ext``, ``wrench_contact``, ``tau_motor`` …

        Rows of a trace and of the truth belong together where their ``t_ns`` are equal.
        """
        return self._host.cell.log.truth()

    # From nothing to an arm under command

    def bring_up(self) -> Trace:
        """Connect, compare measured torques with the model at standstill, tare. The brakes stay closed."""
        self._require(State.OFFLINE, State.READY)
        result = RunResult()

        def steps() -> Procedure:
            yield from procedure.connect(self.supervisor)
            yield from procedure.check_and_tare(self.supervisor, self.cell, result)

        return self._follow(steps())

    def enable(self) -> Trace:
        """Put the arm under command and hold it for a moment. ``bring_up()`` must have been passed."""
        self._require(State.READY)
        if not self.supervisor.checked:
            raise SessionError("cannot enable: call bring_up() first (standstill check and tare)")
        return self._follow(procedure.enable(self.supervisor, self.cell))

    def acknowledge(self) -> None:
        """Clear the latched fault. The arm stays stopped; ``bring_up()`` and ``enable()`` start anew."""
        if self._closed:
            raise SessionError("the session is closed")
        if self.state is State.FAULTED:
            # A robot that was switched off answers as READY a moment later.
            for _ in range(1000):
                if self.supervisor.healthy:
                    break
                self.supervisor.step()
        result = self.supervisor.acknowledge()
        if not result.accepted:
            raise SessionError(result.reason)

    # Under command

    def step(self, cycles: int = 1) -> Trace:
        """Let ``cycles`` cycles pass; what was recorded since the last trace (cycles of ``command`` included)."""
        self._check()
        for _ in range(cycles):
            self.supervisor.step()
            if self.supervisor.machine.faults:
                break
        return self._taken()

    def start(self, motion: Motion | str) -> None:
        """Begin a motion: one of the cell file's by its name, or an object of yours. ``step()`` then makes it go on.

        Raises MotionError for a motion that cannot be made from here or would leave the joint limits; the arm is
        then held as before.
        """
        self._require(State.ENABLED)
        made = build_motion(motion, self.cell) if isinstance(motion, str) else check_motion_class(motion)
        if made.kind == "joint":
            made.start(self.sample.q, self.dyn.x, self.dyn.R)
            check_motion(made, self.cell)
        self._tell_code("motion", made)
        self._ask(lambda: self.supervisor.start(made))

    def run(self, motion: Motion | str) -> Trace:
        """Make a motion to its end; what its cycles recorded."""
        self.start(motion)
        made = self.supervisor.motion
        assert made is not None
        if not np.isfinite(made.duration):
            raise SessionError(f"{made.name} has no end: use start() and step()")
        while self.supervisor.motion is made and not self.supervisor.machine.faults:
            self.supervisor.step()
        return self._taken()

    def move_to(self, q: Array | Sequence[float], duration: float | None = None) -> Trace:
        """Minimum-jerk move to the joint positions ``q`` (n,) rad, in ``duration`` s (None: at 30 % of the limits)."""
        target = np.asarray(q, dtype=np.float64)
        if target.shape != (self.n,):
            raise MotionError(f"q has shape {target.shape}; expected ({self.n},)")
        if duration is not None:
            return self.run(JointMove(target, duration=duration))
        speed = 0.3 * self.cell.robot.joint_limits.qd_max
        return self.run(JointMove(target, qd_max=speed, qdd_max=np.full(self.n, 3.0)))

    def hold(self) -> None:
        """Hold the arm where it is."""
        self._require(State.ENABLED)
        self._ask(lambda: self.supervisor.start(JointHold()))

    def command(self, command: TorqueCommand | Array | Sequence[float]) -> RobotSample:
        """One cycle with your own torque (n,) N·m, without what the robot :attr:`adds`; the sample after it.

        It is the answer to the sample of *this* cycle, computed from the one before: one cycle later than a
        controller's. Saturation limits it visibly, the gate refuses what is not fit to be sent (a fault: the arm is
        stopped). With the next call that is not ``command`` the arm is held.
        """
        self._require(State.ENABLED)
        if not isinstance(command, TorqueCommand):
            tau = np.array(command, dtype=np.float64)
            if tau.shape != (self.n,):
                raise SessionError(f"the torque has shape {tau.shape}; expected ({self.n},)")
            command = TorqueCommand(tau, self.sample.q.copy())
        own = command
        self._ask(lambda: self.supervisor.command(own))
        self.supervisor.step()
        if self.supervisor.machine.faults:
            self._taken()
        return self.sample

    def trace(self) -> Trace:
        """What was recorded since the last trace: the cycles of ``command``."""
        return self._buffer.take()

    def use(self, controller: Controller) -> None:
        """From the next motion of its kind on, follow references with ``controller``."""
        self._check()
        own = check_controller(controller)
        self._tell_code("controller", own)
        self._parts.controllers[own.kind] = own

    def observe(self, observer: Observer) -> None:
        """Estimate external torque with ``observer`` from now on. Only before ``enable()``; ``bring_up()`` tares it."""
        self._require(State.OFFLINE, State.READY)
        own = check_observer(observer)
        self._tell_code("observer", own)
        self._parts.observer = own
        self.supervisor.checked = False

    def free_drive(
        self, held: Callable[[], bool], *, params: FreeDriveParams | None = None, cap: SpeedCap | None = None
    ) -> tuple[Guided, Trace]:
        """Let a hand move the arm while ``held()``, asked once in each cycle, says that the enabling key is held.

        Afterwards the arm is held by a stop of category 2, which ``stop()`` ends; then ``enable()`` as ever.
        """
        self._require(State.ENABLED)
        if not held():
            raise SessionError("the enabling key is not held: nothing gives way")
        guided = Guided()
        limits = self.cell.robot.joint_limits
        params = params or self.cell.free_drive.params(limits.tau_max)
        cap = cap or self.cell.free_drive.cap()
        return guided, self._follow(guiding.free_drive(self.supervisor, held, guided, limits.qd_max, params, cap))

    @property
    def gripper(self) -> SessionGripper:
        """The gripper of the cell. Raises SessionError in a cell without one."""
        if self.supervisor.grip is None:
            raise SessionError(f"cell {self.cell.name!r} has no gripper: give its file a section `gripper`")
        return SessionGripper(self.supervisor, self.supervisor.grip, self._ask)

    def stop(self, category: StopCategory = StopCategory.STOP_THEN_OFF) -> Trace:
        """Stop and wait for standstill. Category 2 leaves the arm held under power; the others close the brakes."""
        self._check()
        return self._follow(procedure.stop(self.supervisor, category))

    def _tell_code(self, what: str, made: object) -> None:
        """An event that says which class of the user's is in use from now on; nothing for the toolkit's own."""
        if text := code_of(what, made):
            self._code[f"{what} {getattr(made, 'kind', '')}"] = text
            self._writer.event("code", text)

    def record(self, path: str | Path | None) -> None:
        """Write a log of every cycle from now on, as ``hil run`` does; None ends it (and so does closing)."""
        if self._log is not None:
            self._writer.log = None
            log, self._log = self._log, None
            if not log.close():
                raise SessionError(f"the recorder died; the log {log.path} ends where it died")
        if path is not None:
            self._check()
            self._log = SessionLog(Path(path), self.cell, self._host.control.hello())
            self._writer.log = self._log.writer
            for text in self._code.values():
                self._log.writer.event("code", text)

    # The end

    def close(self) -> None:
        """Stop the arm in order, close its brakes, let go of everything; legal in every state and more than once."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        parts = self._parts
        try:
            self._come_to_rest()
        finally:
            try:
                close_devices(parts)
                self._host.control.run_out()
            finally:
                try:
                    self.record(None)
                finally:
                    self._host.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except SessionError:
            if error is None:  # what ended the block is the better news
                raise

    # Small things

    def _come_to_rest(self) -> None:
        """Cycles until nothing is commanded any more."""
        supervisor = self.supervisor
        if not supervisor.machine.permitted:
            return
        supervisor.stop(StopCategory.STOP_THEN_OFF)
        begin = self.time
        while supervisor.machine.permitted and self.time - begin < STOP_TIMEOUT:
            supervisor.step()

    def _check(self) -> None:
        """Raises what the person has not been told yet."""
        if self._closed:
            raise SessionError("the session is closed; open a new one")
        if self.supervisor.machine.faults:
            self._taken()

    def _require(self, *states: State) -> None:
        self._check()
        if self.state not in states:
            wanted = " or ".join(state.value for state in states)
            then = {
                State.OFFLINE: "call bring_up()",
                State.READY: "call bring_up(), then enable()",
                State.STOPPING: "the arm is held after a stop: stop() ends it, then enable() anew",
            }.get(self.state, "it is under command already")
            raise SessionError(f"the cell is {self.state.value}; this needs it {wanted}: {then}")

    def _ask(self, request: Callable[[], None]) -> None:
        try:
            request()
        except RefusedError as error:
            raise SessionError(str(error)) from error

    def _follow(self, steps: Procedure) -> Trace:
        for _ in procedure_cycles(self.supervisor, steps):
            self.supervisor.step()
        return self._taken()

    def _taken(self) -> Trace:
        """The cycles of this call. Raises FaultError, after the stop has ended, where a fault is latched."""
        machine = self.supervisor.machine
        if not machine.faults:
            return self._buffer.take()
        if machine.first is not self._told:
            self._told = machine.first
            self._come_to_rest()
            for _ in range(round(procedure.AFTER_STOP / self.dt)):  # brakes take their time to close
                self.supervisor.step()
        raise FaultError(machine.faults, self._buffer.take()) from self.supervisor.error


def open(cell: str | Path | Cell, *, seed: int | None = None, real: bool = False) -> Session:
    """Open a cell by the name of a shipped one or the path of its file; ``seed``: another simulated plant.

    Raises CellError with every fault of the file, CellRefused for a real robot, ConnectError, PluginError.
    """
    loaded = cell if isinstance(cell, Cell) else load_cell(cell)
    require_permission(loaded, real)
    return Session(loaded, seed=seed)

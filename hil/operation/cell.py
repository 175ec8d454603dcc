"""A cell that is kept running until it is told to go down: an endless procedure that takes verbs between cycles.

It brings the cell up (connect, standstill check, tare) and keeps it READY, brakes closed. What moves the arm is asked
for by a person, one verb at a time; :mod:`hil.operation.verbs` decides, this class carries out. A fault, or a device
that goes, ends what is under way and never the process: devices are opened anew while nothing is enabled, and the
cell is READY again once they are back, the fault is acknowledged, and check and tare have passed. It never enables
by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

import numpy as np

from drivers.contract import ArmState, HasIos, StopCategory
from drivers.errors import DriverError
from hil import guiding, procedure
from hil.build import build_motion
from hil.cell import Cell
from hil.cell.parts import array
from hil.guiding import Guided
from hil.motion import JointHold, JointMove, Motion, MotionError
from hil.operation.events import RememberingWriter
from hil.operation.key import EnablingKey
from hil.operation.mending import Mender
from hil.operation.messages import (
    Acknowledge,
    Down,
    Enable,
    Grip,
    Guide,
    Home,
    Jog,
    Mark,
    Record,
    Reply,
    Request,
    Start,
    Status,
    Stop,
    Tare,
)
from hil.operation.status import tell
from hil.operation.tasks import Progress, Task, until_finished
from hil.operation.verbs import GUIDE, Context, Verdict, decide
from hil.procedure import Procedure, RunResult, StepFailedError, why_not_ready
from hil.realtime import Grant
from hil.supervisor import Supervisor
from safety.faults import FaultCode
from safety.states import State

MOVE_SPEED = 0.15
"""Share of the speed limits for home and jog: people stand beside the arm."""
MOVE_QDD = 1.0
"""Largest acceleration of home and jog, rad/s²."""
JOG_MARGIN = math.radians(3.0)
"""A jog ends this far inside the joint range; the monitor stops the arm at 1°."""
REOPENING_NS = 2_000_000_000
"""For so long after a stop a poor link is its consequence and no defect; an FRI robot takes 0.1 s."""
_OPERATED = frozenset({State.READY, State.ENABLED})


class Recording(Protocol):
    """Switches the log on and off without waiting."""

    @property
    def log(self) -> str:
        """Name of the log that is being written; empty for none."""
        ...

    def switch(self, on: bool) -> None: ...


class NoRecording:
    """No log (tests, notebooks)."""

    log = ""

    def switch(self, on: bool) -> None:
        self.log = "memory" if on else ""


class OperatedCell:
    """One supervisor in operation; :meth:`cycles` runs it, :meth:`handle` answers verbs between two cycles."""

    def __init__(
        self,
        supervisor: Supervisor,
        cell: Cell,
        events: RememberingWriter,
        *,
        recording: Recording | None = None,
        reconnect: Callable[[], bool] | None = None,
        grants: Sequence[Grant] | None = None,
        clock: Callable[[], datetime] = datetime.now,
    ) -> None:
        """Builds every motion of ``cell``, so that a bad one is told at the start. Raises MotionError.

        ``events`` is the supervisor's writer; ``reconnect``: see :class:`hil.operation.mending.Mender`;
        ``grants``: what a run by the wall clock was granted, None for lockstep; ``clock`` gives the time of day for
        people.
        """
        self.supervisor = supervisor
        self.cell = cell
        self.events = events
        self.recording: Recording = recording or NoRecording()
        self.grants = grants
        self.folder = ""
        """Of the run, where what is written about it can be found; empty for none."""
        self.result = RunResult()
        self.over = False
        """The cell has gone down in order."""
        self.task: Task | None = None
        """What is under way, or how the last task ended."""
        self._motions: dict[str, Motion] = {name: build_motion(name, cell) for name in cell.motions}
        self._mender = Mender(supervisor, reconnect)
        arm, drive = supervisor.parts.arm, cell.free_drive
        self._key = EnablingKey(
            supervisor.parts.ticks.now_ns,
            drive.key_timeout,
            drive.enabling_input,
            lambda: arm.ios() if isinstance(arm, HasIos) else {},
        )
        self._guided = Guided()
        self._clock = clock
        self._gone = True
        self._numbers = 0
        self._ending: Procedure | None = None
        self._state = supervisor.state
        self._since = clock()
        self._faulted_since: datetime | None = None
        self._stopped_ns: int | None = None
        limits = self.limits = cell.robot.joint_limits
        self._qd_max = MOVE_SPEED * limits.qd_max
        self._q_min = tuple((limits.q_min + JOG_MARGIN).tolist())
        self._q_max = tuple((limits.q_max - JOG_MARGIN).tolist())

    @property
    def checked(self) -> bool:
        """The standstill check and the tare hold: neither a fault nor a lost device has made them void."""
        return self.supervisor.checked

    @property
    def motions(self) -> tuple[Motion, ...]:
        """Every motion of the cell file."""
        return tuple(self._motions.values())

    # The endless procedure

    def cycles(self) -> Procedure:
        """One ``yield`` for each cycle that is due, until the cell has gone down and the arm stands."""
        self.supervisor.phase = "connect"
        while not self.over:
            self._advance()
            if not self.over:
                yield

    def _advance(self) -> None:
        self._observe()
        supervisor = self.supervisor
        if self._ending is not None:
            try:
                next(self._ending)
            except StopIteration:
                self.over = self.result.finished = True
            return
        permitted = supervisor.machine.permitted
        if supervisor.state not in _OPERATED or supervisor.machine.faults or (self._gone and not permitted):
            self._drop_task()
            if not permitted:
                self._mender.mend()
            return
        if not self._busy and supervisor.state is State.READY and not self.supervisor.checked:
            self._begin("tare", self._check_and_tare(), "checked and tared")
        if self._busy:
            self._go_on()

    def _go_on(self) -> None:
        task = self.task
        assert task is not None
        try:
            next(task.procedure)
        except StopIteration:
            if not self.supervisor.machine.faults:
                task.end(Progress.DONE, task.done_sentence)
        except StepFailedError as error:
            self.supervisor.fault(FaultCode.BRING_UP, str(error))

    def _check_and_tare(self) -> Procedure:
        yield from procedure.check_and_tare(self.supervisor, self.cell, self.result)
        if self.supervisor.checked:
            self.supervisor.phase = "ready"

    def _enable(self) -> Procedure:
        yield from procedure.enable(self.supervisor, self.cell)

    @property
    def _busy(self) -> bool:
        return self.task is not None and self.task.progress is Progress.RUNNING

    def _drop_task(self) -> None:
        task = self.task
        if task is None or not self._busy:
            return
        first = self.supervisor.machine.first
        if first is None and task.verb == GUIDE and self._guided.end is not None:
            task.end(Progress.DONE, f"{self._guided.end.value}; the arm is held under power")
            self.events.event("task", f"guiding ended: {self._guided.end.value}")
            return
        if first is not None:
            why = first.headline()
        elif self.supervisor.state is State.STOPPING:
            why = "stopped"
        else:
            why = why_not_ready(self.supervisor)
        task.end(Progress.FAILED, why)
        self.events.event("task", f"{task.verb} ended: {why}")

    def _observe(self) -> None:
        """Notice what the last cycle changed."""
        supervisor = self.supervisor
        if supervisor.state is not self._state:
            if self._state is State.STOPPING and not supervisor.machine.faults:
                self._stopped_ns = supervisor.parts.ticks.now_ns()
            self._state = supervisor.state
            self._since = self._clock()
            if self._state is State.READY and self.supervisor.checked:
                supervisor.phase = "ready"
        if not supervisor.machine.faults:
            self._faulted_since = None
        elif self._faulted_since is None:
            self._faulted_since = self._clock()
        self._gone = self._mender.look()
        if self._gone:
            self.supervisor.checked = False

    # Verbs

    def handle(self, request: Request) -> Reply:
        """Answer one request, between two cycles. Raises nothing; what goes wrong inside is a fault."""
        self._observe()
        try:
            verdict = decide(request, self.context())
            data: dict[str, Any] = {}
            if verdict.accepted:
                before = self._numbers
                verdict = self._carry_out(request, verdict)
                if self._numbers != before and self.task is not None:
                    data["task"] = self.task.number
                if isinstance(request, Status):
                    data = self.status(request.events_after)
        except Exception as error:  # a verb must not be able to end the cycle
            self.supervisor.fault(FaultCode.INTERNAL_ERROR, f"{request.verb}: {type(error).__name__}: {error}")
            verdict, data = Verdict(False, f"{request.verb} failed inside: {error}"), {}
        # A key that is held says so twenty times a second.
        if not isinstance(request, Status | Mark | Guide):
            word = "accepted" if verdict.accepted else "refused"
            self.events.event("verb", f"{request.verb} {word}: {verdict.sentence}", verb=request.verb)
        return Reply(verdict.accepted, verdict.sentence, data)

    def go_down(self, why: str) -> None:
        """Stop, then end; what ``hil down``, a signal, or the death of the parent ask for."""
        if self._ending is not None:
            return
        self.events.event("down", f"going down: {why}")
        if self.task is not None and self._busy:
            self.task.end(Progress.FAILED, "the cell goes down")
        self._ending = procedure.stop(self.supervisor)

    def _carry_out(self, request: Request, verdict: Verdict) -> Verdict:
        supervisor = self.supervisor
        try:
            match request:
                case Enable() if supervisor.state is State.STOPPING:
                    result = supervisor.resume()
                    return Verdict(result.accepted, verdict.sentence if result.accepted else result.reason)
                case Guide():
                    return self._guide(request, verdict)
                case Enable():
                    self._begin("enable", self._enable(), "enabled, the arm is held")
                    self._go_on()
                case Start():
                    self._move(self._motions[request.motion])
                case Home():
                    self._move(self._to(array(self.cell.robot.home), "home"))
                case Jog():
                    assert supervisor.sample is not None
                    target = supervisor.sample.q.copy()
                    target[request.joint - 1] += math.radians(request.degrees)
                    self._move(self._to(target, f"jog A{request.joint}"))
                case Stop():
                    supervisor.stop(StopCategory(request.category))
                case Acknowledge():
                    result = supervisor.acknowledge()
                    if not result.accepted:
                        return Verdict(False, result.reason)
                case Tare():
                    self.supervisor.checked = False
                    self._begin("tare", self._check_and_tare(), "checked and tared")
                    self._go_on()
                case Grip():
                    assert supervisor.grip is not None
                    (supervisor.grip.grasp if request.close else supervisor.grip.let_go)()
                case Mark():
                    self.events.event("mark", request.text)
                case Record():
                    self.recording.switch(request.on)
                    if request.on:
                        return Verdict(True, f"recording to {self.recording.log}")
                case Down():
                    self.go_down("asked for")
        except (DriverError, MotionError) as error:
            return Verdict(False, str(error))
        first = supervisor.machine.first
        if first is not None and isinstance(request, Enable | Tare):
            self._drop_task()
            return Verdict(False, first.headline())
        return verdict

    def _begin(self, verb: str, steps: Procedure, done: str) -> None:
        self._numbers += 1
        self.task = Task(self._numbers, verb, steps, done)

    def _move(self, motion: Motion) -> None:
        self.supervisor.start(motion)
        self._begin(motion.name, until_finished(self.supervisor, motion), f"{motion.name} finished")

    def _guide(self, request: Guide, verdict: Verdict) -> Verdict:
        """The key is held, for the first time or still; or it was let go."""
        if not request.held:
            self._key.let_go()
            return verdict
        if why := self._key.why_not():
            return Verdict(False, why)
        supervisor, heard = self.supervisor, self._key.heard
        under_way = self._busy and self.task is not None and self.task.verb == GUIDE
        self._key.press()
        if not under_way:
            if heard:
                # A key that is still held from before a stop must not begin anew by itself.
                return Verdict(False, "let go of the key, then press it anew")
            if supervisor.state is State.STOPPING:
                result = supervisor.resume()
                if not result.accepted:
                    return Verdict(False, result.reason)
            self._guided = Guided()
            drive, limits = self.cell.free_drive, self.limits
            params = drive.params(limits.tau_max)
            self._begin(
                GUIDE,
                guiding.free_drive(supervisor, self._key.held, self._guided, limits.qd_max, params, drive.cap()),
                "guided",
            )
            self.events.event("verb", f"guide accepted: {verdict.sentence}", verb="guide")
        return verdict

    def _to(self, target: Any, name: str) -> JointMove:
        qdd_max = np.full(self._qd_max.size, MOVE_QDD)
        return JointMove(target, qd_max=self._qd_max, qdd_max=qdd_max, name=name)

    # What is told

    def context(self) -> Context:
        """What the next answer depends on."""
        supervisor = self.supervisor
        machine, sample = supervisor.machine, supervisor.sample
        healthy = supervisor.healthy
        missing = ""
        if not healthy:
            missing = "; ".join(filter(None, (why_not_ready(supervisor), self._mender.trouble())))
        since = self._faulted_since or self._since
        reopening = (
            self._stopped_ns is not None
            and supervisor.parts.ticks.now_ns() - self._stopped_ns < REOPENING_NS
            and sample is not None
            and sample.valid
            and sample.state is ArmState.MONITORING
        )
        moving = supervisor.motion if supervisor.moving else None
        held = isinstance(moving, JointHold) and moving.name != guiding.FREE_DRIVE
        motion = "" if moving is None or held else moving.name
        told = supervisor.progress()
        return Context(
            state=supervisor.state,
            checked=self.supervisor.checked,
            task=self.task.verb if self.task is not None and self._busy else "",
            motion=motion,
            progress=f"{told['elapsed']:.1f} of {told['duration']:.1f} s" if motion else "",
            ending=self._ending is not None,
            healthy=healthy,
            missing=missing,
            reopening=reopening,
            fault=machine.first.headline() if machine.first is not None else "",
            since=since.strftime("%H:%M:%S"),
            stop_category=supervisor.stop_category,
            standing=supervisor.standing,
            log=self.recording.log,
            motions=tuple(self._motions),
            q=() if sample is None else tuple(sample.q.tolist()),
            q_min=self._q_min,
            q_max=self._q_max,
            grip=None if supervisor.grip is None else supervisor.grip.state,
            load_unknown="" if supervisor.grip is None else supervisor.grip.why_unknown(),
        )

    def status(self, events_after: int = -1) -> dict[str, Any]:
        """Everything that a display shows, as plain values; SI units, NaN where nothing is known."""
        return tell(self, self.context(), events_after)

    @property
    def since(self) -> datetime:
        """When the fault was latched, or the present state entered."""
        return self._faulted_since or self._since

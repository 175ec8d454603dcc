"""The supervisor: what happens once in every tick of the robot.

    read → state checks → model → observer → controller → soft saturation → gate → write → telemetry

One thread, no waiting but for the robot's tick, nothing on disk. What the arm is to do is chosen between two
cycles, by :meth:`Supervisor.hold`, :meth:`~Supervisor.start` and :meth:`~Supervisor.stop`; a fault overrides it all:
it latches, the stop action of its category begins in the same cycle, and nothing moves again before an operator
acknowledges and starts anew.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from drivers.contract import (
    ArmState,
    Array,
    LinkHealth,
    PassedCommand,
    RobotSample,
    StopCategory,
    TorqueCommand,
    WrenchSample,
)
from drivers.errors import DriverError, RefusedError
from drivers.gripper import GripState
from estimators.rigid_body import Dynamics
from estimators.sensed import Sensed
from hil.blame import headline, seal, whole
from hil.checks import CycleChecks
from hil.control.base import Controller
from hil.control.shown import Learnt, Shown
from hil.cycle import Decision, Estimate, RowWriter
from hil.gripping import Grip
from hil.lapse import Lapse
from hil.motion import GrippingMotion, JointHold, Motion, Reference
from hil.parts import Parts
from hil.plugins import check_estimate
from hil.realtime.skips import TickCount
from hil.recording import UndisturbedWriter
from safety.faults import FaultCode, FaultReport, Findings, severest
from safety.gate import Refusal
from safety.states import Event, SafetyMachine, State, Transition
from safety.stops import StepKind

_GOES_WITH_OFF = (FaultCode.SAMPLE_STALE, FaultCode.TORQUE_MEASURED)


class Supervisor:
    """One arm, its sensor, and everything between a sample and a command; see the module's docstring."""

    def __init__(self, parts: Parts, writer: RowWriter) -> None:
        self.parts = parts
        self.machine = SafetyMachine()
        self.phase = "start"
        """Name of what is going on, for log and display."""
        self.tick = 0
        """Cycles done."""
        self.sample: RobotSample | None = None
        self.wrench: WrenchSample | None = None
        self.estimate: Estimate
        self.dyn: Dynamics | None = None
        self.motion: Motion | None = None
        self.finished: Motion | None = None
        """The motion that last came to its own end (one that was stopped never does)."""
        self.error: Exception | None = None
        """What a part last raised in the cycle."""
        self.checked = False
        """The standstill check was passed, and neither a fault nor a lost device has made it void since."""
        self.skips = TickCount(parts.arm.traits.period, parts.frames_per_tick)
        """Ticks of the arm that passed without a cycle of ours."""
        self.asked: TorqueCommand | None = None
        """What a controller or a program asked for in this cycle; None where none did."""
        self.judged_ns = -1
        """When the gate last judged a command in this cycle; -1 if it judged none."""
        self.compared = -1
        """1 if joint torques and wrench sensor were compared in this cycle, 0 if not, -1 if nothing was checked."""
        self._within = False
        self.late_ns = 0
        """How long this tick's packet had lain in the kernel when we woke, ns; 0 where it is not known."""
        n = parts.model.n
        self._writer = UndisturbedWriter(writer)
        unknown = np.full(n, math.nan)
        self._none = Decision(unknown, unknown, unknown, np.zeros(n, dtype=np.int64))
        self._no_wrench = nan = np.full(6, math.nan)
        self.estimate = Estimate(np.full(n, math.nan), np.full((n, n), math.nan), nan, np.full((6, 6), math.nan), nan)
        self._lapse = Lapse()
        self._controller: Controller | None = None
        self._gripping: GrippingMotion | None = None
        self._jaws: bool | None = None
        self._own: TorqueCommand | None = None
        self._touched = ""
        self._checks = CycleChecks(parts)
        self.reference: Reference | None = None
        self.gains: Shown | None = None
        """What the controller shows of this cycle; None where it shows nothing, or none ran."""
        self._shown_before: Shown | None = None
        self._begun_ns = -1
        self._was_commanded = False
        self._last_ns = -1
        self._since = 0.0
        self.standing = False
        """The stop under way has seen the arm stand."""
        self.stop_category = -1
        """Category of the stop under way, -1 for none."""
        self._off = False

    @property
    def writer_failures(self) -> int:
        """Rows and events that could not be recorded because the recording itself failed."""
        return self._writer.failures

    def progress(self) -> dict[str, Any]:
        """Where the run is, for a display: plain numbers and words."""
        elapsed = duration = 0.0
        if self.moving and self.motion is not None:
            elapsed = (self.parts.ticks.now_ns() - self._begun_ns) * 1e-9
            duration = self.motion.duration
        return {
            "tick": self.tick,
            "state": self.machine.state.value,
            "phase": self.phase,
            "motion": self.motion.name if self.moving and self.motion is not None else "",
            "elapsed": elapsed,
            "duration": duration if math.isfinite(duration) else 0.0,
            "skipped": self.skips.skipped,
            "force": float(np.linalg.norm(self.estimate.wrench_ft[:3])),
        }

    # What is asked for between two cycles

    @property
    def state(self) -> State:
        return self.machine.state

    @property
    def health(self) -> LinkHealth:
        """Counters and states of the arm's link."""
        return self.parts.arm.health()

    @property
    def sensor_health(self) -> LinkHealth | None:
        """The same of the wrench sensor; None in a cell without one."""
        sensor = self.parts.sensor
        return None if sensor is None else sensor.health()

    @property
    def grip(self) -> Grip | None:
        """The gripper; None in a cell without one."""
        return self.parts.grip

    @property
    def healthy(self) -> bool:
        """Arm and sensor are there, valid and fresh enough, and the robot itself states nothing against moving."""
        sample = self.sample
        if sample is None or not sample.valid or sample.state < ArmState.READY:
            return False
        wrench = self.wrench
        if self.parts.sensor is not None and (wrench is None or not wrench.valid):
            return False
        if not self.parts.monitor.fit(self.health):
            return False
        return self.parts.monitor.up_to_date(sample, wrench, self.parts.ticks.now_ns())

    @property
    def commanded(self) -> bool:
        """The arm follows our commands now."""
        return self.sample is not None and self.sample.state is ArmState.COMMANDED and self.machine.permitted

    @property
    def moving(self) -> bool:
        """A motion is under way."""
        return self.machine.state is State.ENABLED and self.motion is not None

    def enable(self) -> Transition:
        """READY → ENABLED: from the robot's next COMMANDED tick on the arm is held where it stands.

        Refused until :attr:`checked` says that the standstill check was passed since the last fault.
        """
        self._ask("enable", checked=self.checked)
        if self.machine.state is State.READY and not self.checked:
            return Transition(State.READY, False, "cannot enable: the standstill check has not been passed yet")
        result = self._handle(Event.ENABLE)
        if result.accepted:
            self._was_commanded = False
            try:
                self.parts.arm.enable()
                self.parts.start_motion()
            except DriverError as error:
                self.fault(FaultCode.BRING_UP, str(error))
        return result

    def resume(self) -> Transition:
        """STOPPING → ENABLED where a stop of category 2, and no fault, holds the arm: it stays held, motions may begin.

        Refused, as :meth:`enable` is, in every other case.
        """
        self._ask("resume", checked=self.checked)
        stops = self.parts.stops
        held = stops.holds and self.checked and self.commanded and self.sample is not None and self.dyn is not None
        result = self._handle(Event.ENABLE, held=held)
        if result.accepted and held:
            stops.end()
            self.stop_category = -1
            self.standing = False
            self._begin(JointHold())
        return result

    def start(self, motion: Motion, controller: Controller | None = None, *, touched: str = "") -> None:
        """Begin ``motion`` from where the arm is, with ``controller`` (None: the cell's for this kind of motion).

        ``touched``: why the arm may be touched elsewhere than through the wrench sensor during this motion, in words
        for the log; as long as it lasts, joint torques and wrench sensor are not compared. Raises RefusedError unless
        the arm is held under command, and for a motion that moves jaws which are not open.
        """
        self._require_commanded(f"start {motion.name!r}")
        if isinstance(motion, GrippingMotion):
            self._require_open_jaws(motion.name)
        self._begin(motion, controller, touched)

    def command(self, command: TorqueCommand) -> None:
        """A person's own torque for the next cycle, in place of a controller's: saturation and gate as for any other.

        It holds for that one cycle. If no other follows, the arm is held where it then is. Raises RefusedError as
        :meth:`start`.
        """
        self._require_commanded("take a command")
        self._own = command

    def _require_commanded(self, what: str) -> None:
        if self.machine.state is not State.ENABLED or not self.commanded or self.sample is None or self.dyn is None:
            raise RefusedError(
                f"cannot {what}: the cell is {self.machine.state.value}; enable it and wait until the arm follows "
                "commands"
            )

    def hold(self) -> None:
        """Hold the arm where it is. Raises RefusedError as :meth:`start`."""
        self.start(JointHold())

    def stop(self, category: StopCategory = StopCategory.STOP_THEN_OFF) -> Transition:
        """Begin a stop; legal in every state."""
        self._ask("stop", category=int(category))
        result = self._handle(Event.STOP)
        if self.machine.state is State.STOPPING:
            self._begin_stop(category)
        return result

    def acknowledge(self) -> Transition:
        """Clear the latched fault; the arm is READY afterwards, never ENABLED."""
        self._ask("acknowledge")
        return self._handle(Event.ACKNOWLEDGE)

    def fault(self, code: FaultCode, detail: str) -> None:
        """Latch a fault found outside the cycle (a procedure's check, an exception) and begin its stop."""
        found = Findings(-1 if self.sample is None else self.sample.seq, self.parts.ticks.now_ns())
        found.add(code, detail=detail)
        self.trip(found.reports)

    def trip(self, faults: Sequence[FaultReport]) -> None:
        """Latch ``faults`` and begin the most severe stop that they ask for. What is latched already is not news."""
        if not self._within:
            self._ask("trip", faults=[fault.figures() for fault in faults])
        latched = {(fault.code, fault.joint) for fault in self.machine.faults}
        new = [fault for fault in faults if (fault.code, fault.joint) not in latched]
        if not new:
            return
        self.checked = False
        was_permitted = self.machine.permitted
        self._handle(Event.FAULT, new)
        for fault in new:
            self._writer.event("fault", fault.headline(), **fault.figures())
        if was_permitted:
            self._begin_stop(severest(new))

    # The cycle

    def step(self) -> None:
        """One cycle, from the robot's tick to the telemetry row. An exception of a part becomes a fault."""
        parts = self.parts
        sample = parts.arm.read()
        seal(sample)
        woke = parts.ticks.woke_ns
        read = time.monotonic_ns()
        self.skips.take(sample)
        self._since = (sample.t_ns - self._last_ns) * 1e-9 if self._last_ns >= 0 else parts.arm.traits.period
        self._last_ns = now_ns = sample.t_ns
        self._shown_before = self.gains
        self.sample, self.gains, self.asked, self.judged_ns, self.compared = sample, None, None, -1, -1
        self._within = True
        self._writer.begin(self.tick, now_ns)
        try:
            self.wrench = parts.sensor.poll() if parts.sensor is not None else None
            if parts.grip is not None:
                for told in parts.grip.update():
                    self._writer.event("grip", told)
            # The checks come first: they need nothing that an estimator could break.
            self._watch(sample, now_ns)
            self.estimate.known, self.estimate.contact, self.estimate.contact_level = False, -1, math.nan
            if sample.fresh and sample.valid:
                self._estimate(sample)
            if said := self._lapse.take(self.estimate.known, self._since):
                self._writer.event("observer", said, known=self.estimate.known)
            decision = self._decide(sample, now_ns)
        except Exception as error:  # whatever a part does wrong must end in a stop, not in a traceback
            # Once for each fault: a part that is broken raises in every cycle.
            if all(latched.code is not FaultCode.INTERNAL_ERROR for latched in self.machine.faults):
                self._writer.event("error", whole(error))
            self.error = error
            self.fault(FaultCode.INTERNAL_ERROR, headline(error))
            decision = self._brake_or_off(sample)
        self._within = False
        written = time.monotonic_ns()
        self.late_ns = parts.ticks.late_ns()
        self._writer.write(self, decision, woke, read - woke, written - read)
        self.tick += 1

    def _estimate(self, sample: RobotSample) -> None:
        parts, estimate, wrench = self.parts, self.estimate, self.wrench
        self.dyn = None  # if the update fails, nothing may go on with the model of another posture
        self.dyn = dyn = parts.model.update(sample.q, sample.qd)
        seen = check_estimate(parts.observer.step(sample.tau, dyn, sample.dt), parts.model.n)
        estimate.tau_ext, estimate.P, estimate.nis = seen
        # It informs: nothing stops or is held back by it.
        sensed = getattr(parts.observer, "sensed", None)
        if isinstance(sensed, Sensed):
            estimate.contact, estimate.contact_level = int(sensed.contact), sensed.level
        estimate.wrench, estimate.wrench_cov = parts.contact(dyn.J, estimate.tau_ext, estimate.P)
        # The force is finite where torque and covariance are, and the covariance is one.
        estimate.known = math.isfinite(estimate.wrench[0] + estimate.wrench[1] + estimate.wrench[2])
        if wrench is not None and parts.wrist is not None:
            known = wrench.valid
            estimate.wrench_ft = parts.wrist.contact(wrench.wrench, dyn, sample.qdd) if known else self._no_wrench
            estimate.wrench_ft.setflags(write=False)

    def _watch(self, sample: RobotSample, now_ns: int) -> None:
        """State checks; what is wrong while nothing is enabled only keeps the cell from being READY."""
        machine = self.machine
        if machine.permitted:
            self._was_commanded = self._was_commanded or sample.state is ArmState.COMMANDED
            enabled = self._was_commanded and not self._off
            if enabled and self.dyn is not None and self.parts.consistency is not None:
                self.compared = int(not self._touched)
            faults = self._checks.check(
                sample,
                None if self._off else self.wrench,
                self.estimate,
                self.dyn,
                now_ns,
                self._since,
                enabled=enabled,
                moving=machine.state is State.ENABLED,
                touched=bool(self._touched),
                shown=self._shown_before,
            )
            if self._off:
                # The arm goes off by our silence and its brakes close on a moving arm: that the link falls silent as
                # well, and that the torque sensors feel the brakes, is no news.
                faults = [fault for fault in faults if fault.code not in _GOES_WITH_OFF]
            if faults:
                self.trip(faults)
            return
        healthy = self.healthy
        if not healthy and (sample.state is ArmState.DISCONNECTED or self._sensor_lost()):
            self.checked = False
        if machine.state is State.OFFLINE and healthy:
            self._handle(Event.DEVICES_READY)
        elif machine.state is State.READY and not healthy:
            self._handle(Event.DEVICES_LOST)

    def _sensor_lost(self) -> bool:
        return self.parts.sensor is not None and (self.wrench is None or not self.wrench.valid)

    def _decide(self, sample: RobotSample, now_ns: int) -> Decision:
        state = self.machine.state
        own, self._own = self._own, None  # whatever becomes of it, it never acts in a later cycle
        if state is State.STOPPING:
            return self._brake_or_off(sample)
        if state is not State.ENABLED or not (sample.fresh and sample.valid):
            return self._none
        dyn = self.dyn
        if sample.state is not ArmState.COMMANDED or dyn is None:
            return self._none
        if own is not None:
            self.motion = self._controller = self.reference = None
            self._touched = ""
            self.phase = "command"
            return self._through_gate(own.tau, own.q_ref, sample, dyn)
        if self._controller is None or self.motion is None:
            self._begin(JointHold())
        controller, motion = self._controller, self.motion
        assert controller is not None
        assert motion is not None
        elapsed = (now_ns - self._begun_ns) * 1e-9
        reference = self.reference = motion.at(elapsed)
        wrench = self.wrench
        measured = self.estimate.wrench_ft if wrench is not None and wrench.valid else None
        dt = sample.dt if math.isfinite(sample.dt) else self.parts.arm.traits.period
        tau = controller.torque(sample, dyn, reference, measured, dt)
        shown = getattr(controller, "shown", None)
        self.gains = shown if isinstance(shown, Shown) else None
        if self.gains is not None and self.gains.learnt is not None and self.gains.learnt.told:
            self._tell(self.gains.learnt)
        load = self._load(dyn)
        if load is not None:
            tau = tau + load
        self.phase = motion.phase(elapsed)
        if self._gripping is not None:
            self._move_jaws(self._gripping.jaws(elapsed))
        if elapsed >= motion.duration and not isinstance(motion, JointHold):
            self._writer.event("motion", f"{motion.name} finished", name=motion.name)
            self.finished = motion
            self._begin(JointHold())
        return self._through_gate(tau, sample.q, sample, dyn)

    def _through_gate(
        self, tau: Array, q_ref: Array, sample: RobotSample, dyn: Dynamics, stopping: bool = False
    ) -> Decision:
        """Saturation, gate, wire. A refusal is a fault and begins a stop in this same cycle."""
        parts = self.parts
        # The time is asked for anew: a process that was held up since it read the sample must not send what it makes
        # of it. (In lockstep no time passes within a cycle.)
        self.judged_ns = now_ns = parts.ticks.now_ns()
        if not stopping:
            self.asked = TorqueCommand(tau, q_ref)
        # What the robot adds is the weight of what it knows: not that of the payload.
        g = dyn.g - dyn.g_payload
        tau_sat, q_ref_sat, limited = parts.saturation.apply(tau, q_ref, sample, g, now_ns)
        command = TorqueCommand(tau_sat, q_ref_sat)
        verdict = parts.gate.judge(command, sample, g, now_ns=now_ns, permitted=self.machine.permitted)
        decision = Decision(tau, tau_sat, q_ref_sat, limited)
        if isinstance(verdict, Refusal):
            self.trip(verdict.faults)
            if stopping:
                # Even braking was refused: nothing that could be sent is safe, so the power goes.
                self._power_off("the gate refused the braking torque")
                return decision
            return self._brake_or_off(sample)
        decision.sent = self._send(verdict)
        return decision

    def _send(self, passed: PassedCommand) -> bool:
        """Hand the command to the driver; whether it left."""
        try:
            return self.parts.arm.command(passed)
        except RefusedError as error:
            self.fault(FaultCode.NOT_COMMANDED, str(error))
            return False

    def _require_open_jaws(self, name: str) -> None:
        grip = self.parts.grip
        if grip is None:
            raise RefusedError(f"cannot start {name!r}: it moves jaws, and this cell has no gripper")
        if grip.state is not GripState.OPEN:
            raise RefusedError(
                f"cannot start {name!r}: it begins with open jaws, and {grip.gripper.name} is {grip.state.value}; "
                "open it first (`hil grip open`)"
            )

    def _move_jaws(self, closed: bool | None) -> None:
        """Pass on what the motion asks of the jaws, once for each change."""
        grip = self.parts.grip
        if closed is self._jaws or closed is None or grip is None:
            return
        self._jaws = closed
        try:
            if closed:
                grip.grasp()
            else:
                grip.let_go()
        except RefusedError as error:
            self.fault(FaultCode.NOT_COMMANDED, str(error))

    # Stopping

    def _begin_stop(self, category: StopCategory) -> None:
        assert self.sample is not None
        before = self.stop_category
        self.stop_category = int(self.parts.stops.begin(category, self.sample))
        if self.stop_category != before:
            self.phase = "stop"
            self._writer.event("stop", f"stop of category {self.stop_category}", category=self.stop_category)

    def _brake_or_off(self, sample: RobotSample) -> Decision:
        stops = self.parts.stops
        if stops.category is None:
            return self._none
        dyn = self.dyn
        n = self.parts.model.n
        M, g = (dyn.M, dyn.g) if dyn is not None else (np.full((n, n), math.nan), np.full(n, math.nan))
        step = stops.step(sample, M, g, self._since, None if dyn is None else self._load(dyn))
        self.standing = step.standing
        if step.kind is StepKind.COMMAND and sample.fresh and dyn is not None:
            assert step.tau is not None
            assert step.q_ref is not None
            return self._through_gate(step.tau, step.q_ref, sample, dyn, stopping=True)
        if step.kind is StepKind.OFF:
            self._power_off(step.reason)
        if step.kind is StepKind.DONE:
            self._stop_done(step.standing)
        return self._none

    def _power_off(self, reason: str) -> None:
        if not self._off:
            self._off = True
            self.parts.arm.off()
            self._writer.event("off", f"power off requested: {reason}")

    def _stop_done(self, standing: bool) -> None:
        if not standing:
            self.fault(FaultCode.STANDSTILL_UNSEEN, "")
        self._handle(Event.STANDSTILL)
        self._writer.event("standstill", "the arm stands" if standing else "standstill was not confirmed")
        self.motion = None
        self._controller = None
        self.stop_category = -1
        # The power is gone or the arm is held; answering again keeps the link alive and commands nothing, so that
        # the arm can become READY for the person who acknowledges.
        self.parts.arm.release()
        self._off = False

    def note(self, text: str) -> None:
        """Write a line of the operator's into the log."""
        self._writer.event("note", text)

    # Small things

    def _ask(self, verb: str, **data: Any) -> None:
        """What came from outside, between two cycles, for whoever plays the log back; nothing in a cycle."""
        self._writer.event("ask", f"asked: {verb}", verb=verb, **data)

    def _load(self, dyn: Dynamics) -> Array | None:
        """Torque that carries the payload where the robot adds gravity but does not know the payload; None for none."""
        parts = self.parts
        carried = parts.model.payload is not None and "gravity" in parts.arm.traits.adds
        return dyn.g_payload if carried else None

    def _tell(self, learnt: Learnt) -> None:
        """News of what learns while it runs."""
        for text, data in learnt.told:
            self._writer.event("learning", text, **data)
        learnt.told.clear()

    def _begin(self, motion: Motion, controller: Controller | None = None, touched: str = "") -> None:
        assert self.sample is not None
        assert self.dyn is not None
        # A motion that cannot be made from here must leave everything as it is: the arm is held meanwhile.
        motion.start(self.sample.q, self.dyn.x, self.dyn.R)
        self._controller = self.parts.controllers[motion.kind] if controller is None else controller
        load = self._load(self.dyn)
        if load is None:
            self._controller.reset(self.sample, self.dyn)
        else:
            acting = 0.5 * (self.sample.tau_accepted_lo + self.sample.tau_accepted_hi) - load
            self._controller.reset(self.sample, self.dyn, acting if np.isfinite(acting).all() else None)
        self.motion = motion
        self._gripping, self._jaws = (motion if isinstance(motion, GrippingMotion) else None), None
        self._touched = touched
        if touched:
            self._writer.event("check", f"joint torques and wrench sensor are not compared: {touched}")
        self._begun_ns = self.sample.t_ns
        self._writer.event("motion", f"{motion.name} begins", name=motion.name)

    def _handle(self, event: Event, faults: Sequence[FaultReport] = (), *, held: bool = False) -> Transition:
        before = self.machine.state
        now_ns = self.parts.ticks.now_ns()
        result = self.machine.handle(event, healthy=self.healthy, t_ns=now_ns, faults=faults, held=held)
        after = self.machine.state
        if after is not before or not result.accepted:
            self._writer.event("state", f"{before.value} → {after.value}: {result.reason}", state=after.value)
        return result

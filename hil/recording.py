"""Fills one telemetry row per cycle from what the cycle knows."""

from __future__ import annotations

import time
from typing import Any, Protocol

import numpy as np

from drivers.contract import Array, DeviceProblem, LinkHealth
from drivers.gripper import GripState
from hil.control.shown import Shown
from hil.cycle import CycleView, Decision, RowWriter
from hil.motion import JointReference
from safety.faults import FaultCode
from safety.limits import vector
from safety.states import State

STATE_NUMBERS: dict[State, int] = {state: number for number, state in enumerate(State)}
"""``safety_state`` of a row: the states of ``safety.states.State`` in the order of their definition."""
GRIP_NUMBERS: dict[GripState, int] = {state: number for number, state in enumerate(GripState)}
"""``grip`` of a row: the states of ``drivers.gripper.GripState`` in the order of their definition."""
FAULT_NUMBERS: dict[FaultCode, int] = {code: number for number, code in enumerate(FaultCode, 1)}
"""``fault`` of a row: position of the first latched fault in ``FaultCode``, counted from 1; 0 for none."""


class NoRecording:
    """Rows go nowhere; events are kept in memory (tests, notebooks)."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def begin(self, tick: int, t_ns: int) -> None:
        """Nothing to do."""

    def write(self, cycle: CycleView, decision: Decision, woke: int, read_ns: int, write_ns: int) -> None:
        """Nothing to do."""

    def event(self, kind: str, text: str, **data: Any) -> None:
        self.events.append((kind, text))


class UndisturbedWriter:
    """Passes rows and events on to ``writer``; what goes wrong there is counted and never stops an arm."""

    def __init__(self, writer: RowWriter) -> None:
        self._writer = writer
        self.failures = 0
        """Calls that raised."""

    def begin(self, tick: int, t_ns: int) -> None:
        """See :meth:`hil.cycle.RowWriter.begin`."""
        try:
            self._writer.begin(tick, t_ns)
        except Exception:
            self.failures += 1

    def write(self, cycle: CycleView, decision: Decision, woke: int, read_ns: int, write_ns: int) -> None:
        """See :meth:`hil.cycle.RowWriter.write`."""
        try:
            self._writer.write(cycle, decision, woke, read_ns, write_ns)
        except Exception:
            self.failures += 1

    def event(self, kind: str, text: str, **data: Any) -> None:
        """See :meth:`hil.cycle.RowWriter.event`."""
        try:
            self._writer.event(kind, text, **data)
        except Exception:
            self.failures += 1


class RowSink(Protocol):
    """Where finished rows go: a :class:`hil.telemetry.publisher.Publisher`, or the memory of a session."""

    slots: dict[str, Any]
    """The fields of the row under way."""

    def clear(self) -> None:
        """Blank the row."""
        ...

    def publish(self) -> None:
        """Take the row as it stands."""
        ...

    def event(self, kind: str, text: str, **data: Any) -> None: ...

    def phase(self, name: str) -> int:
        """Index of a phase by its name."""
        ...


class TelemetryWriter:
    """Rows and events into a sink."""

    def __init__(self, publisher: RowSink, stiffness: Array | None = None) -> None:
        """``stiffness`` (n,): that of the robot's own spring, N·m/rad; None for a robot without one."""
        self._publisher = publisher
        self._s = publisher.slots
        self._problems: tuple[DeviceProblem, ...] = ()
        self._stiffness = stiffness if stiffness is not None and stiffness.any() else None

    def begin(self, tick: int, t_ns: int) -> None:
        self._s["tick"][()] = tick
        self._s["t_ns"][()] = t_ns

    def event(self, kind: str, text: str, **data: Any) -> None:
        self._publisher.event(kind, text, **data)

    def write(self, cycle: CycleView, decision: Decision, woke: int, read_ns: int, write_ns: int) -> None:
        s, publisher = self._s, self._publisher
        sample, wrench, estimate, dyn = cycle.sample, cycle.wrench, cycle.estimate, cycle.dyn
        assert sample is not None
        publisher.clear()
        s["tick"][()] = cycle.tick
        s["t_ns"][()] = sample.t_ns
        s["arm_seq"][()] = sample.seq
        s["arm_valid"][()] = int(sample.valid)
        s["arm_fresh"][()] = int(sample.fresh)
        s["arm_age_ns"][()] = sample.age_ns
        s["arm_state"][()] = int(sample.state)
        s["q"][:] = sample.q
        s["qd"][:] = sample.qd
        s["qdd"][:] = sample.qdd
        s["tau"][:] = sample.tau
        s["tau_ext_robot"][:] = sample.tau_ext_robot
        s["arm_dt"][()] = sample.dt
        s["q_ref_accepted"][:] = sample.q_ref_accepted
        s["tau_accepted_lo"][:] = sample.tau_accepted_lo
        s["tau_accepted_hi"][:] = sample.tau_accepted_hi
        s["tau_wanted"][:] = decision.wanted
        s["limited"][:] = decision.limited
        if decision.sent:
            s["tau_cmd"][:] = decision.tau
            s["q_ref_cmd"][:] = decision.q_ref
        if dyn is not None:
            s["g"][:] = dyn.g
            s["x"][:] = dyn.x
            if decision.sent:
                total = decision.tau + dyn.g - dyn.g_payload
                if self._stiffness is not None:
                    total += self._stiffness * (decision.q_ref - sample.q)
                s["tau_total"][:] = total
        s["tau_ext"][:] = estimate.tau_ext
        s["tau_ext_sd"][:] = np.sqrt(estimate.P.diagonal())
        s["tau_ext_known"][()] = int(estimate.known)
        s["nis"][()] = estimate.nis
        s["contact"][()] = estimate.contact
        s["contact_level"][()] = estimate.contact_level
        s["wrench_est"][:] = estimate.wrench
        s["wrench_est_sd"][:] = np.sqrt(estimate.wrench_cov.diagonal())
        if wrench is not None:
            s["ft_raw"][:] = wrench.wrench
            s["ft_seq"][()] = wrench.seq
            s["ft_valid"][()] = int(wrench.valid)
            s["ft_fresh"][()] = int(wrench.fresh)
            s["ft_age_ns"][()] = wrench.age_ns
            s["wrench_ft"][:] = estimate.wrench_ft
        self._reference(cycle)
        first = cycle.machine.first
        s["safety_state"][()] = STATE_NUMBERS[cycle.machine.state]
        s["fault"][()] = 0 if first is None else FAULT_NUMBERS[first.code]
        s["stop_category"][()] = cycle.stop_category
        s["phase"][()] = publisher.phase(cycle.phase)
        health = cycle.health
        s["quality"][()] = health.quality
        s["tracking"][()] = health.tracking
        s["gaps"][()] = health.gaps
        s["robot_safety"][()] = health.safety
        s["robot_mode"][()] = health.mode
        drives = health.drives_on
        s["drives_on"][()] = -1 if drives is None else int(drives)
        if health.problems != self._problems:
            self._tell_problems(health)
        asked = cycle.asked
        if asked is not None:
            s["asked"][()] = 1
            n = len(sample.q)
            # What is no vector of n numbers is refused for that; there is no place for it in a row.
            if vector(asked.tau, n) is not None and vector(asked.q_ref, n) is not None:
                s["tau_asked"][:] = asked.tau
                s["q_ref_asked"][:] = asked.q_ref
        s["judged_ns"][()] = cycle.judged_ns
        s["compared"][()] = cycle.compared
        s["rejected"][()] = _refused(health)
        sensor = cycle.sensor_health
        if sensor is not None:
            s["ft_gaps"][()] = sensor.gaps
            s["ft_rejected"][()] = _refused(sensor)
        s["skipped"][()] = cycle.skips.skipped
        grip = cycle.grip
        if grip is not None:
            s["grip"][()] = GRIP_NUMBERS[grip.state]
        carried = None if grip is None else grip.carried
        s["payload"][()] = 0.0 if carried is None else carried.mass
        if cycle.gains is not None:
            self._gains(cycle.gains)
        s["wall_wake_ns"][()] = woke
        s["wall_late_ns"][()] = cycle.late_ns
        s["wall_read_ns"][()] = read_ns
        # 0 is left out of the figures: a cycle that commands nothing has nothing to write.
        s["wall_write_ns"][()] = read_ns + write_ns if decision.sent else 0
        s["wall_cycle_ns"][()] = time.monotonic_ns() - woke
        publisher.publish()

    def _tell_problems(self, health: LinkHealth) -> None:
        self._problems = health.problems
        said = "; ".join(f"{each.part}: {each.text}" for each in health.problems) or "none any more"
        told = [
            {"kind": each.kind.name, "part": each.part, "text": each.text, "remedy": each.remedy, "joint": each.joint}
            for each in health.problems
        ]
        self._publisher.event("problems", f"the device states: {said}", problems=told)

    def _gains(self, shown: Shown) -> None:
        s = self._s
        s["tau_ff"][:] = shown.tau_ff
        s["tau_ff_sd"][:] = shown.tau_ff_sd
        s["ff_surprise"][:] = shown.surprise
        s["kp"][:] = shown.kp
        s["gain_tank"][()] = shown.tank
        s["kp_clamped"][()] = int(shown.clamped)
        s["kp_starved"][()] = int(shown.starved)
        s["ff_fallback"][()] = int(shown.fallback)
        learnt = shown.learnt
        if learnt is not None:
            s["load_mass"][()] = learnt.load_mass
            s["load_mass_sd"][()] = learnt.load_mass_sd
            s["ff_version"][()] = learnt.version
            s["ff_rmse"][()] = learnt.rmse
            s["ff_nis"][()] = learnt.nis

    def _reference(self, cycle: CycleView) -> None:
        reference, dyn, s = cycle.reference, cycle.dyn, self._s
        if reference is None or not cycle.moving:
            return
        if isinstance(reference, JointReference):
            s["q_ref"][:] = reference.q
        elif dyn is not None:
            s["x_ref"][:] = reference.x
            s["force_ref"][:] = reference.force[:3]
            s["rot_err"][:] = rotation_vector(reference.R @ dyn.R.T)


def _refused(health: LinkHealth) -> int:
    """Refused frames; what a driver counts in bytes is no number of frames."""
    return sum(count for reason, count in health.rejected.items() if not reason.endswith("_bytes"))


def rotation_vector(R: Array) -> Array:
    """Small-angle rotation vector (3,) of ``R`` (3, 3), rad: half the skew part, exact to third order."""
    (_, xy, xz), (yx, _, yz), (zx, zy, _) = R.tolist()
    return np.array((zy - yz, xz - zx, yx - xy)) * 0.5

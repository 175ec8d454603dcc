"""The command gate: the only place where a value is made that a driver sends.

It judges one command against one sample and answers with the command, copied and frozen, or with all that is wrong
with it. It keeps no state but the torques of the last ``limits.window`` seconds: those it passed and those acting then.

What is bounded for a torque ``tau`` with position reference ``q_ref`` (``K`` is the robot's stiffness, ``g`` the
model's gravity torque, ``T`` the tick; terms that the robot does not add are zero):

- magnitude ``|tau| ≤ tau_cmd_max``;
- predicted total ``|tau + g + K (q_ref − q)| ≤ tau_max (1 − total_margin)``;
- rate ``|tau − tau_accepted| + K |q_ref − q_ref_accepted| ≤ tau_rate_max T`` for both bounds of ``tau_accepted``;
- window: highest minus lowest torque, ``≤ tau_window_max``;
- reference within the joint range, ``|q_ref − q_ref_accepted| ≤ q_ref_rate_max T``,
  ``|q_ref − q| ≤ q_ref_distance_max``;
- of a Cartesian pose what :mod:`safety.poses` says.

``T`` is one period even after a gap: the robot did not move on while it heard nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import NamedTuple

import numpy as np

from drivers.contract import (
    ArmState,
    ArmTraits,
    Array,
    Command,
    MitCommand,
    PassedCommand,
    PoseCommand,
    PositionCommand,
    RobotSample,
    TorqueCommand,
    WrenchCommand,
)
from safety.faults import FaultCode, FaultReport, Findings
from safety.limits import (
    JointLimits,
    WindowExtremes,
    all_finite,
    checked_stiffness,
    exceeds,
    highest,
    lowest,
    predicted_total,
    sample_age_ns,
    vector,
    worst_change,
)
from safety.poses import PoseGate, PoseLimits


@dataclass(frozen=True)
class GateParams:
    """What the gate allows beyond the joint limits. The defaults refuse whatever a cell does not state."""

    max_age: float | None = None
    """Oldest sample to answer, s; None: two periods or 4 ms, whichever is longer."""
    gains_allowed: bool = False
    """MIT commands may carry stiffness and damping."""
    force_max: float = 0.0
    """Largest element of a commanded force, N."""
    moment_max: float = 0.0
    """Largest element of a commanded moment, N·m."""
    moment_order_verified: bool = False
    """The order of the moments on the wire was verified on this robot."""
    poses: PoseLimits = field(default_factory=PoseLimits)
    """Bounds of Cartesian poses."""


@dataclass(frozen=True)
class Refusal:
    """Why a command was not passed: every violation, none left out because of another."""

    faults: tuple[FaultReport, ...]


_FIELDS: dict[type, tuple[str, ...]] = {
    TorqueCommand: ("tau", "q_ref"),
    PositionCommand: ("q_ref",),
    WrenchCommand: ("wrench", "q_ref"),
    MitCommand: ("q_ref", "qd_ref", "kp", "kd", "tau"),
}
"""The kinds of command and their vectors, in the order of their constructors."""


class _State(NamedTuple):
    """The vectors of a sample that commands are compared with."""

    q: list[float]
    qd: list[float]
    tau_low: list[float]
    tau_high: list[float]
    q_ref: list[float]


def _frozen(values: list[float]) -> Array:
    """A read-only array: nobody changes a command after it was judged."""
    array = np.array(values)
    array.setflags(write=False)
    return array


def _rows(*columns: Array) -> list[tuple[float, ...]]:
    """The columns of limits as one tuple for each joint."""
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _comparable(kind: type, columns: list[list[float]], state: _State) -> Sequence[int]:
    """The joints whose numbers are all finite; only these are compared, the others are refused already."""
    joint_columns = [x for x, name in zip(columns, _FIELDS[kind], strict=True) if name != "wrench"]
    numbers = zip(*joint_columns, state.q, state.qd, strict=True)
    return [j for j, row in enumerate(numbers) if all_finite(row)]


class CommandGate:
    """Passes or refuses commands for one arm; see the module's docstring for what is bounded."""

    def __init__(
        self, limits: JointLimits, traits: ArmTraits, stiffness: Array, params: GateParams | None = None
    ) -> None:
        """``stiffness`` (n,) is that of the robot's own spring, N·m/rad. Raises LimitsError where sizes disagree."""
        self._k = checked_stiffness(limits, traits, stiffness)
        self._n = limits.n
        self._traits = traits
        self._period = traits.period
        self._params = params or GateParams()
        max_age = max(2.0 * traits.period, 0.004) if self._params.max_age is None else self._params.max_age
        self._max_age_ns = max_age * 1e9
        self._adds_gravity = "gravity" in traits.adds
        self._zeros = [0.0] * self._n
        self._qd_max: list[float] = limits.qd_max.tolist()
        # One row of limits for each joint, in the order in which the checks take them apart.
        self._torque_rows = _rows(
            limits.tau_cmd_max,
            limits.tau_max * (1.0 - limits.total_margin),
            limits.tau_window_max,
            limits.tau_rate_max,
            limits.tau_rate_max * traits.period,
            np.array(self._k),
        )
        self._reference_rows = _rows(
            limits.q_min, limits.q_max, limits.q_ref_distance_max, limits.q_ref_rate_max * traits.period
        )
        self._passed = WindowExtremes(limits.window)
        self._poses = PoseGate(limits, traits, self._params.poses)

    def judge(
        self, command: Command, sample: RobotSample, g: Array, *, now_ns: int, permitted: bool
    ) -> PassedCommand | Refusal:
        """Judge ``command`` as the answer to ``sample``; never raises for what they hold.

        ``g`` (n,): the model's gravity torque in the sample's posture, N·m. ``now_ns``: same clock as the sample's
        ``t_ns``. ``permitted``: the state machine's word that commands may be sent.
        """
        found = Findings(sample.seq, now_ns)
        if not permitted:
            found.add(FaultCode.NOT_PERMITTED)
        state = self._judge_sample(sample, now_ns, found)
        gravity = vector(g, self._n)
        if gravity is None or not all_finite(gravity):
            found.add(FaultCode.MODEL_NOT_FINITE)
            gravity = None
        judged: Command | None
        if type(command) is PoseCommand and PoseCommand in self._traits.commands:
            q = state.q if state is not None and all_finite(state.q) else None
            judged = self._poses.judge(command, sample, q, found)
        else:
            judged = self._judge_joints(command, state, gravity, now_ns, found)
        if found.reports or judged is None:
            return Refusal(tuple(found.reports))
        return PassedCommand(judged, sample.seq)

    def _judge_joints(
        self, command: Command, state: _State | None, gravity: list[float] | None, now_ns: int, found: Findings
    ) -> Command | None:
        """Judge a command of joint vectors; its frozen copy, or None where it is not passed."""
        columns = self._read(command, found)
        torque: list[float] | None = None
        kind: type = type(command)
        if columns is not None and state is not None:
            joints = range(self._n) if not found.reports else _comparable(kind, columns, state)
            self._judge_reference(columns[_FIELDS[kind].index("q_ref")], state, joints, found)
            if kind is TorqueCommand:
                torque, q_ref = columns
                self._judge_torque(torque, torque, self._zeros, q_ref, state, gravity, joints, now_ns, found)
            elif kind is MitCommand:
                torque = self._judge_mit(columns, state, gravity, joints, now_ns, found)
            elif kind is WrenchCommand:
                self._judge_wrench(columns[0], found)
        if found.reports or columns is None or state is None:
            return None
        if torque is not None:
            # What acted before counts as well: the window begins with it.
            self._passed.add(now_ns, lowest(torque, state.tau_low), highest(torque, state.tau_high))
        judged: Command = kind(*map(_frozen, columns))
        return judged

    def _judge_sample(self, sample: RobotSample, now_ns: int, found: Findings) -> _State | None:
        """Whether the sample may be answered, and its vectors if they have the right shape."""
        if not sample.valid:
            found.add(FaultCode.SAMPLE_INVALID)
        age_ns = sample_age_ns(sample, now_ns)
        if age_ns is None:
            found.add(FaultCode.SAMPLE_STALE, detail="no packet has arrived yet")
        elif age_ns > self._max_age_ns:
            found.add(FaultCode.SAMPLE_STALE, age_ns * 1e-9, self._max_age_ns * 1e-9)
        if sample.state != ArmState.COMMANDED:
            found.add(FaultCode.NOT_COMMANDED)
        n = self._n
        q, qd, q_ref = vector(sample.q, n), vector(sample.qd, n), vector(sample.q_ref_accepted, n)
        low, high = vector(sample.tau_accepted_lo, n), vector(sample.tau_accepted_hi, n)
        if q is None or qd is None or q_ref is None or low is None or high is None:
            found.add(FaultCode.SAMPLE_INVALID, detail=f"a joint vector is not float64 of shape ({n},)")
            return None
        if not (all_finite(q) and all_finite(qd)):
            found.add_not_finite(FaultCode.SAMPLE_INVALID, q, "position")
            found.add_not_finite(FaultCode.SAMPLE_INVALID, qd, "speed")
        return _State(q, qd, low, high, q_ref)

    def _read(self, command: Command, found: Findings) -> list[list[float]] | None:
        """The command's vectors, copied, so that what was judged is what is sent; None where they cannot be judged."""
        kind = type(command)
        if kind not in self._traits.commands or kind not in _FIELDS:
            taken = ", ".join(k.__name__ for k in self._traits.commands)
            found.add(FaultCode.COMMAND_KIND, detail=f"read {kind.__name__}, the arm takes {taken}")
            return None
        columns: list[list[float]] = []
        for name in _FIELDS[kind]:
            given = getattr(command, name)
            n = 6 if name == "wrench" else self._n
            values = vector(given, n)
            if values is None:
                array = isinstance(given, np.ndarray)
                read = f"{given.dtype} of shape {given.shape}" if array else type(given).__name__
                found.add(FaultCode.COMMAND_SHAPE, detail=f"{name}: read {read}, expected float64 of shape ({n},)")
                continue
            if not all_finite(values):
                found.add_not_finite(FaultCode.COMMAND_NOT_FINITE, values, name)
            columns.append(values)
        return columns if len(columns) == len(_FIELDS[kind]) else None

    def _judge_reference(self, q_ref: list[float], state: _State, joints: Sequence[int], found: Findings) -> None:
        for j in joints:
            q_min, q_max, distance_max, step_max = self._reference_rows[j]
            reference, accepted = q_ref[j], state.q_ref[j]
            if not q_min <= reference <= q_max:
                found.add(FaultCode.REFERENCE_RANGE, reference, q_min if reference < q_min else q_max, j)
            distance = reference - state.q[j]
            if not -distance_max <= distance <= distance_max:
                found.add(FaultCode.REFERENCE_DISTANCE, distance, distance_max, j)
            step = reference - accepted
            if not isfinite(accepted):
                found.add(FaultCode.REFERENCE_UNKNOWN, joint=j)
            elif not -step_max <= step <= step_max:
                found.add(FaultCode.REFERENCE_STEP, step, step_max, j)

    def _judge_torque(
        self,
        acting: list[float],
        feed_forward: list[float],
        feedback: list[float],
        q_ref: list[float],
        state: _State,
        gravity: list[float] | None,
        joints: Sequence[int],
        now_ns: int,
        found: Findings,
    ) -> None:
        """``acting`` torque now; it may become ``feed_forward`` ± ``feedback`` before the next command."""
        low, high = self._passed.extremes(now_ns, state.tau_low, state.tau_high)
        added = gravity if self._adds_gravity else self._zeros
        for j in joints:
            magnitude_max, total_max, window_max, rate_max, change_max, k = self._torque_rows[j]
            now, ahead, swing = acting[j], feed_forward[j], feedback[j]
            magnitude = abs(ahead) + swing
            if not magnitude <= magnitude_max:
                found.add(FaultCode.TORQUE_MAGNITUDE, magnitude, magnitude_max, j)
            if added is not None:
                total = abs(predicted_total(ahead, added[j], k, q_ref[j] - state.q[j])) + swing
                if not total <= total_max:
                    found.add(FaultCode.TORQUE_TOTAL, total, total_max, j)
            accepted_low, accepted_high = state.tau_low[j], state.tau_high[j]
            if not (isfinite(accepted_low) and isfinite(accepted_high)):
                found.add(FaultCode.ACCEPTED_UNKNOWN, joint=j)
                continue
            spread = max(high[j], now) - min(low[j], now)
            if not spread <= window_max:
                found.add(FaultCode.TORQUE_WINDOW, spread, window_max, j)
            spring = k * abs(q_ref[j] - state.q_ref[j]) if k > 0.0 else 0.0
            change = worst_change(now, accepted_low, accepted_high) + spring
            if not change <= change_max and isfinite(state.q_ref[j]):
                found.add(FaultCode.TORQUE_RATE, change / self._period, rate_max, j)

    def _judge_mit(
        self,
        columns: list[list[float]],
        state: _State,
        gravity: list[float] | None,
        joints: Sequence[int],
        now_ns: int,
        found: Findings,
    ) -> list[float]:
        """Judge gains, velocity and torque of an MIT command; the torque that it makes act now."""
        q_ref, qd_ref, kp, kd, tau = columns
        acting, feedback = list(tau), [0.0] * self._n
        for j in joints:
            for gain, name in ((kp[j], "stiffness"), (kd[j], "damping")):
                if gain < 0.0:
                    found.add(FaultCode.GAINS, gain, 0.0, j, f"{name} is negative")
                elif gain > 0.0 and not self._params.gains_allowed:
                    found.add(FaultCode.GAINS, gain, 0.0, j, f"{name} is not allowed in this cell")
            if exceeds(qd_ref[j], self._qd_max[j]):
                found.add(FaultCode.REFERENCE_VELOCITY, qd_ref[j], self._qd_max[j], j)
            spring, damper = kp[j] * (q_ref[j] - state.q[j]), kd[j] * (qd_ref[j] - state.qd[j])
            acting[j] += spring + damper
            feedback[j] = abs(spring) + abs(damper)
        self._judge_torque(acting, tau, feedback, q_ref, state, gravity, joints, now_ns, found)
        return acting

    def _judge_wrench(self, wrench: list[float], found: Findings) -> None:
        """Judge the magnitudes; what a wrench does to joint torques is the robot's own business."""
        params = self._params
        for axis, value in zip(("Fx", "Fy", "Fz", "Mx", "My", "Mz"), wrench, strict=True):
            if not isfinite(value):
                continue
            if axis[0] == "F":
                if exceeds(value, params.force_max):
                    found.add(FaultCode.WRENCH_FORCE, value, params.force_max, detail=axis)
                continue
            moment_max = params.moment_max if params.moment_order_verified else 0.0
            if exceeds(value, moment_max):
                found.add(FaultCode.WRENCH_MOMENT, value, moment_max, detail=axis)

"""Stop actions: bring the arm to a standstill under torque, hold it, or let the power go.

The wanted torque of :class:`StopController` goes through saturation and gate like any other, so the torque-rate limit
binds a stop too. The braking law knows it: with the joint momentum ``p = M qd``,

    tau = −c p,   c = min(damping, min_j √(2 · rate_share · tau_rate_max_j / |p_j|), min_j tau_cmd_max_j / |p_j|)

so that the torque can be back at zero, at its limited rate, when the momentum is. There is one gain for all joints, and
one step in common towards the wanted torque where a joint's rate limit binds: then ``qdd = −c qd``, and all joints slow
down together. Limits joint by joint would turn the torque away from the momentum, and joints that move the same
inertia (A1 and A3 of an upright arm) would throw each other about: a stop from 0.75 rad/s passed through 1.7 rad/s.

Near standstill the position is captured and held by ``tau = M (kp (q_hold − q) − damping qd) + tau_i`` with a slow,
bounded integral ``tau_i``, because an error of the gravity model would otherwise let the arm creep for ever.

An invalid or stale state cannot be braked by feedback: the power goes.

An arm without brakes is lowered where another one is switched off (:mod:`safety.lowering`): braked first, let down
then, and its power goes when its motors carry nothing any more. Where it cannot be commanded it falls, as it would
without any of this.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field

import numpy as np

from drivers.contract import ArmState, ArmTraits, Array, RobotSample, StopAction, StopCategory
from safety.limits import JointLimits, LimitsError, all_finite, vector
from safety.lowering import Lowering, LoweringParams


@dataclass(frozen=True)
class StopParams:
    """Times in s, speeds in rad/s, gains in 1/s, 1/s² and 1/s³ (they are multiplied by the inertia)."""

    damping: float = 30.0
    kp: float = 225.0
    """Critically damped with the damping of 30 1/s."""
    ki: float = 700.0
    """Below kp · damping, where the hold would become unstable."""
    rate_share: float = 0.5
    """Part of the torque-rate limit that the braking law counts on."""
    integral_fraction: float = 0.05
    """Bound of the integral as a part of the data-sheet torque: an error of the gravity model, not a push."""
    capture_speed: float = 0.1
    """The position is captured when every joint is slower."""
    capture_time: float = 0.4
    """… or when braking has lasted this long, since a model error can keep the arm creeping faster than that."""
    standstill_speed: float = 0.02
    standstill_time: float = 0.030
    """The arm stands when every joint has been slower than ``standstill_speed`` for this long."""
    timeout: float = 1.5
    """Longest controlled stop; then the power goes."""
    off_timeout: float = 2.0
    """Longest wait for standstill after the power went; then the stop counts as done, unconfirmed."""
    max_age_ticks: float = 3.0
    max_age: float = 0.005
    """Oldest state to brake by; the larger of the two holds."""
    lowering: LoweringParams = field(default_factory=LoweringParams)
    """For an arm without brakes."""


class StepKind(enum.Enum):
    COMMAND = "send tau and q_ref through saturation and gate"
    OFF = "call RobotArm.off()"
    DONE = "the stop is completed"


@dataclass(frozen=True, slots=True, eq=False)
class StopStep:
    """What to do in this tick."""

    kind: StepKind
    tau: Array | None = None
    """Wanted torque (n,), N·m, for COMMAND; without the terms that the robot adds."""
    q_ref: Array | None = None
    """Wanted position reference (n,), rad, for COMMAND."""
    standing: bool = False
    """The arm was seen standing."""
    reason: str = ""


class StopController:
    """One stop at a time: ``begin`` once or more (only ever more severe), then ``step`` in each tick until DONE.

    A hold (category 2) never ends by itself: ``begin`` category 1 or 0 to end it, or ``end`` it where a person goes on.
    """

    def __init__(self, limits: JointLimits, traits: ArmTraits, params: StopParams | None = None) -> None:
        """Raises LimitsError where the arm's stop actions are incomplete, or where an arm that is to be lowered adds
        gravity by itself: less of it could not be given then."""
        missing = [category.value for category in StopCategory if category not in traits.stops]
        problems = [f"{traits.name} names no action for stop category {value}" for value in missing]
        if StopAction.LOWER in traits.stops.values() and "gravity" in traits.adds:
            problems.append(f"{traits.name} adds gravity by itself, so it cannot be lowered by giving less of it")
        if limits.n != traits.n:
            problems.append(f"limits are for {limits.n} joints, {traits.name} has {traits.n}")
        if problems:
            raise LimitsError(problems)
        self._params = params or StopParams()
        self._n = limits.n
        self._traits = traits
        self._adds_gravity = "gravity" in traits.adds
        rate_bound: Array = 2.0 * self._params.rate_share * limits.tau_rate_max
        self._rate_bound: list[float] = rate_bound.tolist()
        # The window that saturation and gate look back on is up to 9/8 of its length, and this tick comes on top.
        window_ticks = math.ceil(1.125 * limits.window / traits.period) + 1
        step_max: Array = np.minimum(limits.tau_rate_max * traits.period, limits.tau_window_max / window_ticks)
        self._step_max: list[float] = step_max.tolist()
        self._torque_max: list[float] = limits.tau_cmd_max.tolist()
        self._integral_max: Array = self._params.integral_fraction * limits.tau_max
        self._max_age_ns = 1e9 * max(self._params.max_age_ticks * traits.period, self._params.max_age)
        self._lowering = Lowering(self._params.lowering)
        self.category: StopCategory | None = None
        """The category in force; None while no stop is under way."""
        self._clear()

    def _clear(self) -> None:
        self._off = False
        self._reason = ""
        self._elapsed = 0.0
        self._off_elapsed = 0.0
        self._slow_for = 0.0
        self._stood = False
        self._hold: Array | None = None
        self._integral: Array = np.zeros(self._n)
        self._lowering.restart()

    def begin(self, category: StopCategory, sample: RobotSample) -> StopCategory:
        """Begin a stop, or make the present one more severe; the category in force.

        A less severe category never replaces a more severe one. A stop that begins on a state that cannot be braked
        by goes to OFF with its first ``step``.
        """
        if self.category is None:
            self._clear()
            self.category = category
        elif category < self.category:
            self.category = category
            self._elapsed = 0.0
            self._stood = False
        if self._traits.stops[self.category] is StopAction.OFF:
            self._go_off("power away at once")
        elif (why := self._unusable(sample)) is not None:
            self._go_off(why)
        return self.category

    @property
    def holds(self) -> bool:
        """A stop of category 2 has seen the arm stand and holds it under power."""
        holding = self.category is not None and self._traits.stops[self.category] is StopAction.BRAKE_AND_HOLD
        return holding and self._stood and not self._off

    def end(self) -> bool:
        """End a hold because a person goes on from there; False, and nothing changed, where nothing is held."""
        if not self.holds:
            return False
        self.category = None
        return True

    def step(self, sample: RobotSample, M: Array, g: Array, dt: float, load: Array | None = None) -> StopStep:
        """What to do in this tick.

        ``M`` (n, n) and ``g`` (n,): inertia matrix and gravity torque of the model in the sample's posture; ``dt``:
        seconds since the last step, one period where it is not a positive number. ``load`` (n,) N·m: torque that
        carries a payload of which a robot that adds gravity does not know. DONE while no stop is under way.
        """
        if self.category is None:
            return StopStep(StepKind.DONE, reason="no stop is under way")
        dt = dt if math.isfinite(dt) and dt > 0.0 else self._traits.period
        self._elapsed += dt
        unusable = self._unusable(sample)
        slow = unusable is None and float(np.abs(sample.qd).max()) <= self._params.standstill_speed
        if not slow:
            self._slow_for = 0.0
        elif sample.fresh:
            # A velocity estimate that begins anew after a gap begins at zero: only several samples prove standstill.
            self._slow_for += min(dt, self._traits.period)
        standing = self._slow_for >= self._params.standstill_time
        self._stood = self._stood or standing
        if self._off:
            return self._step_off(standing, dt)
        reason = unusable
        if reason is None and sample.state != ArmState.COMMANDED:
            reason = f"the robot takes no commands: the link is {sample.state.name}"
        if reason is None and not (np.isfinite(M).all() and np.isfinite(g).all()):
            reason = "the model is not finite"
        if reason is None:
            reason = self._over(self._traits.stops[self.category], standing)
        if reason is not None:
            self._go_off(reason)
            return StopStep(StepKind.OFF, standing=standing, reason=reason)
        return self._step_torque(sample, M, g, dt, standing, load)

    def _over(self, action: StopAction, standing: bool) -> str | None:
        """Why the time for torque is over; None while it is not."""
        if action is StopAction.LOWER:
            lowering = self._lowering
            if standing and lowering.released:
                return "the arm rests without torque"
            return f"not at rest within {lowering.params.timeout:g} s of lowering" if lowering.overdue else None
        if standing and action is StopAction.BRAKE_THEN_OFF:
            return "the arm stands"
        if not self._stood and self._elapsed > self._params.timeout:
            return f"no standstill within {self._params.timeout:g} s"
        return None

    def _unusable(self, sample: RobotSample) -> str | None:
        """Why nothing can be concluded from ``sample``; None if it can."""
        if not sample.valid:
            return "the state of the robot is not valid"
        if not 0 <= sample.age_ns <= self._max_age_ns:
            return "the state of the robot is too old"
        q, qd = vector(sample.q, self._n), vector(sample.qd, self._n)
        if q is None or qd is None or not (all_finite(q) and all_finite(qd)):
            return "the state of the robot is not finite"
        return None

    def _go_off(self, reason: str) -> None:
        if not self._off:
            self._off = True
            self._reason = reason
            # Standstill counts anew: brakes close with a delay, in which the arm may sag.
            self._slow_for = 0.0

    def _step_off(self, standing: bool, dt: float) -> StopStep:
        """OFF at least once, then until the arm was seen standing or nothing was seen for too long."""
        first, self._off_elapsed = self._off_elapsed == 0.0, self._off_elapsed + dt
        if first or not (standing or self._off_elapsed > self._params.off_timeout):
            return StopStep(StepKind.OFF, standing=standing, reason=self._reason)
        self.category = None
        reason = self._reason if standing else f"{self._reason}; standstill was not seen"
        return StopStep(StepKind.DONE, standing=standing, reason=reason)

    def _step_torque(
        self, sample: RobotSample, M: Array, g: Array, dt: float, standing: bool, load: Array | None
    ) -> StopStep:
        p = self._params
        assert self.category is not None
        momentum = M @ sample.qd
        size = np.abs(momentum)
        if self._hold is None and (np.abs(sample.qd).max() <= p.capture_speed or self._elapsed > p.capture_time):
            self._hold = sample.q.copy()
        if self._hold is None:
            # The reference follows the arm, so that a spring of the robot does not pull it back.
            q_ref = sample.q.copy()
            tau = -self._braking(size) * momentum
        elif self._traits.stops[self.category] is StopAction.LOWER:
            tau = self._lowering.torque(sample.qd, M, g, dt)
            return StopStep(StepKind.COMMAND, self._together(tau, sample), sample.q.copy(), standing)
        else:
            q_ref = self._hold.copy()
            error = M @ (self._hold - sample.q)
            self._integral = np.clip(self._integral + p.ki * dt * error, -self._integral_max, self._integral_max)
            tau = p.kp * error - p.damping * momentum + self._integral
        if not self._adds_gravity:
            tau = tau + g
        elif load is not None:
            tau = tau + load
        return StopStep(StepKind.COMMAND, self._together(tau, sample), q_ref, standing)

    def _braking(self, size: Array) -> float:
        """Gain of the braking torque on the momentum (1/s), where ``size`` (n,) is the momentum's amount per joint."""
        gain = self._params.damping
        for bound, torque, amount in zip(self._rate_bound, self._torque_max, size.tolist(), strict=True):
            if amount > 0.0:
                gain = min(gain, math.sqrt(bound / amount), torque / amount)
        return gain

    def _together(self, tau: Array, sample: RobotSample) -> Array:
        """``tau``, or the point on the way to it from the torque that acts now that no joint's rate limit cuts off."""
        acting = 0.5 * (sample.tau_accepted_lo + sample.tau_accepted_hi)
        step = tau - acting
        share = 1.0
        for change, most in zip(step.tolist(), self._step_max, strict=True):
            if abs(change) > most:
                share = min(share, most / abs(change))
        return tau if share == 1.0 else acting + share * step

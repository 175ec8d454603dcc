"""Do the signals of an arm and its wrench sensor agree with one another, and do they live?

State checks (``safety.monitors``) judge each number alone. What is frozen, has a flipped sign or was mixed up looks
sound to them; it shows only over time, or against another signal:

- a measured quantity that repeats to the last bit for ``stuck_time`` is no measurement: noise never does;
- a joint cannot move farther within a tick than its speed limit allows;
- joint torques and wrench sensor must see the same contact: ``tau_ext − Jᵀ wrench`` per joint, and the force alone.

The last needs a tared observer and a wrench sensor; a contact beside the tool looks the same as a wrong sensor, and
is as good a reason to stop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import eq

from drivers.contract import ArmTraits, RobotSample, WrenchSample
from safety.faults import FaultCode, FaultReport, Findings
from safety.limits import JointLimits, LimitsError, exceeds, vector


@dataclass(frozen=True)
class ConsistencyParams:
    """Tolerances; infinity switches a check off.

    On the simulated arms ``tau_ext − Jᵀ wrench`` stays below a fifth of these tolerances, and the forces within half,
    impacts included.
    """

    stuck_time: float = 0.05
    """How long a measured quantity may repeat itself, s. Off for devices without noise."""
    step_margin: float = 3e-4
    """By how much a position may change beyond speed limit times time, rad: noise of two samples."""
    torque_fraction: float = 0.12
    """Largest disagreement between torque sensors and model, as a part of the data-sheet torque."""
    force_max: float = 20.0
    """Largest disagreement between wrench sensor and joint torques, N."""
    time: float = 0.05
    """How long they may disagree more than that, s: the observer lags behind impacts."""

    @property
    def torque_scale(self) -> float:
        """``torque_fraction``, or its usual value where the check is off: a scale for what models are unsure of."""
        return self.torque_fraction if math.isfinite(self.torque_fraction) else ConsistencyParams().torque_fraction


class _Repeats:
    """Counts how often each of ``n`` values has repeated itself."""

    def __init__(self, n: int) -> None:
        self._last = [math.nan] * n
        self._counts = [0] * n

    def update(self, values: list[float]) -> list[int]:
        """The counts after ``values`` (n,)."""
        if any(map(eq, values, self._last)):
            self._counts = [
                count + 1 if new == old else 0
                for count, new, old in zip(self._counts, values, self._last, strict=True)
            ]
        else:
            self._counts = [0] * len(values)
        self._last = values
        return self._counts


class ConsistencyMonitor:
    """The checks of one arm and its wrench sensor; call :meth:`check` once per cycle while commands are permitted."""

    def __init__(self, limits: JointLimits, traits: ArmTraits, params: ConsistencyParams | None = None) -> None:
        """Raises LimitsError where limits and arm disagree in the number of joints."""
        if limits.n != traits.n:
            raise LimitsError([f"limits are for {limits.n} joints, {traits.name} has {traits.n}"])
        p = self._params = params or ConsistencyParams()
        self._n = limits.n
        self._stuck_ticks = p.stuck_time / traits.period
        self._period = traits.period
        self._tau_tolerance: list[float] = (p.torque_fraction * limits.tau_max).tolist()
        self._qd_max: list[float] = limits.qd_max.tolist()
        self.reset()

    def reset(self) -> None:
        """Forget what was seen: the next cycle is the first."""
        self._q, self._tau, self._wrench = _Repeats(self._n), _Repeats(self._n), _Repeats(6)
        self._q_before: list[float] | None = None
        self._torque_for = [0.0] * self._n
        self._force_for = 0.0

    def check(
        self,
        sample: RobotSample,
        wrench: WrenchSample | None,
        residual: list[float],
        force_gap: float,
        now_ns: int,
        thresholds: list[float] | None = None,
        force_max: float = math.inf,
    ) -> list[FaultReport]:
        """All faults of this cycle.

        ``thresholds`` (n,) N·m and ``force_max`` N: tighter tolerances of this cycle; looser ones change nothing.

        ``residual`` (n,), N·m: external torque from joint torques minus that of the measured wrench. ``force_gap``, N:
        length of the difference of the two forces. NaN where a part is not known; that is not judged.
        """
        found = Findings(sample.seq, now_ns)
        if sample.fresh and sample.valid:
            self._check_stuck(sample, found)
            self._check_step(sample, found)
            self._check_agreement(residual, force_gap, thresholds or self._tau_tolerance, force_max, found)
        if wrench is not None and wrench.fresh and wrench.valid:
            values = vector(wrench.wrench, 6)
            repeats = max(self._wrench.update(values)) if values is not None else 0
            if repeats >= self._stuck_ticks:
                found.add(FaultCode.SENSOR_STUCK, repeats * self._period, self._params.stuck_time)
        return found.reports

    def _check_stuck(self, sample: RobotSample, found: Findings) -> None:
        for name, seen, array in (("position", self._q, sample.q), ("measured torque", self._tau, sample.tau)):
            values = vector(array, self._n)
            if values is None:
                continue  # the state checks tell
            for joint, repeats in enumerate(seen.update(values)):
                if repeats >= self._stuck_ticks:
                    found.add(
                        FaultCode.JOINT_STUCK,
                        repeats * self._period,
                        self._params.stuck_time,
                        joint,
                        f"{name} repeats {values[joint]:.6g}",
                    )

    def _check_step(self, sample: RobotSample, found: Findings) -> None:
        before, now = self._q_before, vector(sample.q, self._n)
        self._q_before = now
        if before is None or now is None:
            return
        dt = sample.dt if math.isfinite(sample.dt) else self._period
        for joint, (new, old, qd_max) in enumerate(zip(now, before, self._qd_max, strict=True)):
            allowed = qd_max * dt + self._params.step_margin
            if exceeds(new - old, allowed):
                found.add(FaultCode.POSITION_STEP, new - old, allowed, joint)

    def _check_agreement(
        self, residual: list[float], force_gap: float, thresholds: list[float], force_max: float, found: Findings
    ) -> None:
        lasting, period = self._params.time, self._period
        for joint, (value, fixed, moving) in enumerate(zip(residual, self._tau_tolerance, thresholds, strict=True)):
            tolerance = moving if moving < fixed < math.inf else fixed  # what is switched off stays off
            beyond = math.isfinite(value) and abs(value) > tolerance
            lasted = self._torque_for[joint] = self._torque_for[joint] + period if beyond else 0.0
            if lasted > lasting:
                found.add(FaultCode.TORQUE_MODEL, value, tolerance, joint)
        tolerance = force_max if force_max < self._params.force_max < math.inf else self._params.force_max
        beyond = math.isfinite(force_gap) and force_gap > tolerance
        self._force_for = self._force_for + period if beyond else 0.0
        if self._force_for > lasting:
            found.add(FaultCode.WRENCH_MISMATCH, force_gap, tolerance)

"""State checks of every cycle: is the arm, its link and its sensor fit to go on?

All faults of a tick are collected; none hides another. Values that are not finite are reported as an invalid state and
not compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from drivers.contract import (
    ArmState,
    ArmTraits,
    LinkHealth,
    OperationMode,
    ProblemKind,
    RobotSample,
    SafetyState,
    WrenchSample,
)
from safety.faults import FaultCode, FaultReport, Findings
from safety.limits import JointLimits, LimitsError, all_finite, exceeds, outside, sample_age_ns, vector


@dataclass(frozen=True)
class MonitorParams:
    """Tolerances of the state checks. Where one is given in ticks and in seconds, the larger holds."""

    max_age_ticks: float = 3.0
    max_age: float = 0.005
    """Oldest state of the robot, s."""
    position_margin: float = math.radians(1.0)
    """Distance from the end of the joint range at which the arm is stopped, rad; the robot's own stop comes later."""
    speed_fraction: float = 1.0
    """Part of the data-sheet speed that is allowed."""
    torque_fraction: float = 1.0
    """Part of the data-sheet torque that may be measured."""
    quality_min: float = 2.0 / 3.0
    """Least link quality while enabled; 2/3 is GOOD on FRI, below which the robot ends the motion."""
    sensor_max_age: float = 0.1
    """Oldest wrench while a motion needs the sensor, s."""
    not_stated: frozenset[str] = frozenset()
    """What this device never states, of ``safety``, ``mode``, ``quality``, ``drives``; otherwise unknown is a fault
    while enabled."""


_PROBLEMS = {
    ProblemKind.DRIVE_FAULT: FaultCode.DRIVE_FAULT,
    ProblemKind.NODE_LOST: FaultCode.NODE_LOST,
    ProblemKind.NODE_RESTARTED: FaultCode.NODE_RESTARTED,
    ProblemKind.NODE_STATE: FaultCode.NODE_LOST,
    ProblemKind.NODE_CONFLICT: FaultCode.NODE_CONFLICT,
    ProblemKind.BUS: FaultCode.BUS_FAULT,
    ProblemKind.ADAPTER_LOST: FaultCode.DEVICE_LOST,
}


class StateMonitor:
    """The state checks of one arm and its wrench sensor."""

    def __init__(self, limits: JointLimits, traits: ArmTraits, params: MonitorParams | None = None) -> None:
        """Raises LimitsError where limits and arm disagree in the number of joints."""
        if limits.n != traits.n:
            raise LimitsError([f"limits are for {limits.n} joints, {traits.name} has {traits.n}"])
        p = self._params = params or MonitorParams()
        self._n = limits.n
        self._max_age_ns = 1e9 * max(p.max_age_ticks * traits.period, p.max_age)
        self._q_low: list[float] = (limits.q_min + p.position_margin).tolist()
        self._q_high: list[float] = (limits.q_max - p.position_margin).tolist()
        self._qd_max: list[float] = (limits.qd_max * p.speed_fraction).tolist()
        self._tau_max: list[float] = (limits.tau_max * p.torque_fraction).tolist()
        # A quality of two thirds may come as 0.6666 or as 2/3.
        self._quality_min = p.quality_min * (1.0 - 1e-3)

    def check(
        self, sample: RobotSample, health: LinkHealth, now_ns: int, enabled: bool, wrench: WrenchSample | None
    ) -> list[FaultReport]:
        """All faults of this tick.

        ``enabled``: commands are permitted, so the link must stay COMMANDED, of good quality, with drives on.
        ``wrench``: the sensor's sample while the motion needs the sensor, else None. ``now_ns``: clock of the samples.
        """
        found = Findings(sample.seq, now_ns)
        if enabled:
            self._check_device(health, found)  # first: what the device states is the cause of what is seen below
        self._check_age(sample, health, now_ns, found)
        self._check_joints(sample, found)
        self._check_robot(sample, health, enabled, found)
        if wrench is not None:
            self._check_sensor(wrench, now_ns, found)
        return found.reports

    def fit(self, health: LinkHealth) -> bool:
        """The device states nothing against moving, and all that it ever states."""
        unknown = self._params.not_stated
        safe = health.safety is SafetyState.NORMAL or (health.safety is SafetyState.UNKNOWN and "safety" in unknown)
        return safe and (health.mode is not OperationMode.UNKNOWN or "mode" in unknown) and not health.problems

    @property
    def not_stated(self) -> frozenset[str]:
        """What this device never states."""
        return self._params.not_stated

    def up_to_date(self, sample: RobotSample, wrench: WrenchSample | None, now_ns: int) -> bool:
        """Neither the robot's state nor the wrench (None: there is no sensor) is older than :meth:`check` allows."""
        age_ns = sample_age_ns(sample, now_ns)
        if age_ns is None or age_ns > self._max_age_ns:
            return False
        age_ns = 0 if wrench is None else _wrench_age_ns(wrench, now_ns)
        return age_ns is not None and age_ns <= self._params.sensor_max_age * 1e9

    @staticmethod
    def _check_device(health: LinkHealth, found: Findings) -> None:
        for problem in health.problems:
            text = f"{problem.part}: {problem.text}; {problem.remedy}"
            found.add(_PROBLEMS[problem.kind], joint=problem.joint, detail=text)

    def _check_age(self, sample: RobotSample, health: LinkHealth, now_ns: int, found: Findings) -> None:
        if not sample.valid:
            refused = ", ".join(f"{reason} {count}" for reason, count in sorted(health.rejected.items()))
            found.add(FaultCode.SAMPLE_INVALID, detail=f"refused so far: {refused}" if refused else "")
        age_ns = sample_age_ns(sample, now_ns)
        if age_ns is None:
            found.add(FaultCode.SAMPLE_STALE, detail="no packet has arrived yet")
        elif age_ns > self._max_age_ns:
            missing = f"{health.gaps} frames missing so far" if health.gaps else ""
            found.add(FaultCode.SAMPLE_STALE, age_ns * 1e-9, self._max_age_ns * 1e-9, detail=missing)

    def _check_joints(self, sample: RobotSample, found: Findings) -> None:
        q, qd, tau = vector(sample.q, self._n), vector(sample.qd, self._n), vector(sample.tau, self._n)
        if q is None or qd is None or tau is None:
            found.add(FaultCode.SAMPLE_INVALID, detail=f"a joint vector is not float64 of shape ({self._n},)")
            return
        if sample.valid and not (all_finite(q) and all_finite(qd) and all_finite(tau)):
            found.add_not_finite(FaultCode.SAMPLE_INVALID, q, "position")
            found.add_not_finite(FaultCode.SAMPLE_INVALID, qd, "speed")
            found.add_not_finite(FaultCode.SAMPLE_INVALID, tau, "measured torque")
        for j in range(self._n):
            if math.isfinite(q[j]) and outside(q[j], self._q_low[j], self._q_high[j]):
                end = self._q_low[j] if q[j] < self._q_low[j] else self._q_high[j]
                found.add(FaultCode.POSITION_RANGE, q[j], end, j)
            if math.isfinite(qd[j]) and exceeds(qd[j], self._qd_max[j]):
                found.add(FaultCode.VELOCITY, qd[j], self._qd_max[j], j)
            if math.isfinite(tau[j]) and exceeds(tau[j], self._tau_max[j]):
                found.add(FaultCode.TORQUE_MEASURED, tau[j], self._tau_max[j], j)

    def _check_robot(self, sample: RobotSample, health: LinkHealth, enabled: bool, found: Findings) -> None:
        unknown = self._params.not_stated
        if health.safety not in (SafetyState.NORMAL, SafetyState.UNKNOWN):
            found.add(FaultCode.ROBOT_SAFETY, detail=f"the robot reports {health.safety.name}")
        if not enabled:
            return
        if health.safety == SafetyState.UNKNOWN and "safety" not in unknown:
            found.add(FaultCode.ROBOT_SAFETY, detail="the robot does not state its safety state")
        if sample.state != ArmState.COMMANDED:
            stated = "; ".join(sorted(health.flags)) if not health.problems else ""
            found.add(
                FaultCode.LINK_LOST, detail=f"the link is {sample.state.name}" + (f": {stated}" if stated else "")
            )
        if math.isnan(health.quality):
            if "quality" not in unknown:
                found.add(FaultCode.LINK_QUALITY, detail="the robot does not state its link quality")
        elif not health.quality >= self._quality_min:
            found.add(FaultCode.LINK_QUALITY, health.quality, self._params.quality_min)
        if health.drives_on is None:
            if "drives" not in unknown:
                found.add(FaultCode.DRIVES_OFF, detail="the robot does not state whether its drives are on")
        elif not health.drives_on:
            found.add(FaultCode.DRIVES_OFF)

    def _check_sensor(self, wrench: WrenchSample, now_ns: int, found: Findings) -> None:
        age_ns = _wrench_age_ns(wrench, now_ns)
        if age_ns is None:
            found.add(FaultCode.SENSOR_STALE, detail="no frame has arrived yet")
        elif age_ns > self._params.sensor_max_age * 1e9:
            found.add(FaultCode.SENSOR_STALE, age_ns * 1e-9, self._params.sensor_max_age)
        values = vector(wrench.wrench, 6)
        if not wrench.valid:
            found.add(FaultCode.SENSOR_INVALID, detail=", ".join(sorted(wrench.flags)))
        elif values is None or not all_finite(values):
            found.add(FaultCode.SENSOR_INVALID, detail="its wrench is not six finite numbers")


def _wrench_age_ns(wrench: WrenchSample, now_ns: int) -> int | None:
    """Time since the newest frame arrived, ns; None before the first."""
    return None if wrench.age_ns < 0 else max(0, now_ns - wrench.t_ns) + wrench.age_ns

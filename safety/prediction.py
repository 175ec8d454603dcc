"""Where the arm would come to rest if it were stopped now: beyond the end of a joint's range is a fault already.

A limit of the position alone stops an arm that runs at full speed behind the limit. Here the joint range of the data
sheet is compared with ``q + path · qd``, where ``path`` is the closed form of the braking law
(:mod:`safety.stopping`), so that an arm may come as close to the end as it is slow.
"""

from __future__ import annotations

from drivers.contract import ArmTraits, Array, RobotSample
from safety.faults import FaultCode, FaultReport, Findings
from safety.limits import JointLimits, LimitsError, all_finite, vector
from safety.stopping import BrakingLaw, Stop, stop_from
from safety.stops import StopParams

REACTION_TICKS = 2.0
"""Cycles from a sample to the torque that acts on it."""


class RestPrediction:
    """The predicted rest of one arm; call :meth:`check` once per cycle while a motion may command."""

    def __init__(self, limits: JointLimits, traits: ArmTraits, params: StopParams | None = None) -> None:
        """``params``: those of the stop controller. Raises LimitsError where limits and arm disagree in the number of
        joints."""
        if limits.n != traits.n:
            raise LimitsError([f"limits are for {limits.n} joints, {traits.name} has {traits.n}"])
        p = params or StopParams()
        self._n = limits.n
        self._own_weight = "gravity" not in traits.adds
        self._law = BrakingLaw(
            p.damping,
            p.rate_share,
            limits.tau_rate_max.tolist(),
            limits.tau_cmd_max.tolist(),
            REACTION_TICKS * traits.period,
        )
        self._q_min: list[float] = limits.q_min.tolist()
        self._q_max: list[float] = limits.q_max.tolist()

    def stop(self, M: Array, g: Array, qd: Array) -> Stop:
        """The stop from speeds ``qd`` (n,) rad/s with inertia ``M`` (n, n) and gravity torque ``g`` (n,) N·m."""
        law, left = self._law, None
        if self._own_weight:
            left = [tau - abs(weight) for tau, weight in zip(law.tau_max, g.tolist(), strict=True)]
        momentum: list[float] = M.dot(qd).tolist()
        return stop_from(law, momentum, left)

    def check(self, sample: RobotSample, M: Array, g: Array, now_ns: int) -> list[FaultReport]:
        """All joints that would come to rest beyond their range. A sample that is not finite is not judged here: the
        state checks tell."""
        found = Findings(sample.seq, now_ns)
        q, qd = vector(sample.q, self._n), vector(sample.qd, self._n)
        if q is None or qd is None or not (all_finite(q) and all_finite(qd)) or not any(qd):
            return found.reports
        path = self.stop(M, g, sample.qd).path
        for joint, (at, speed, low, high) in enumerate(zip(q, qd, self._q_min, self._q_max, strict=True)):
            if speed == 0.0:
                continue
            rest = at + path * speed
            if not (rest <= high if speed > 0.0 else rest >= low):
                end = high if speed > 0.0 else low
                found.add(FaultCode.BRAKING_DISTANCE, rest, end, joint, f"at {at:.4g} rad with {speed:.3g} rad/s")
        return found.reports

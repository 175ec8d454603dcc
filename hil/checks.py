"""What the supervisor checks in every cycle, before anything is commanded. All faults of a cycle are kept."""

from __future__ import annotations

import math

from drivers.contract import Array, RobotSample, WrenchSample
from estimators.rigid_body import Dynamics
from hil.control.shown import Shown
from hil.cycle import Estimate
from hil.parts import Parts
from safety.faults import FaultReport

_UNKNOWN = [math.nan]


class CycleChecks:
    """The checks of one cell's parts.

    The estimates are those of the cycle before: the checks come first and need nothing that an estimator could break.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._incomparable = [math.nan] * parts.model.n
        self._thresholds: list[float] | None = None
        self._force = math.inf

    def check(
        self,
        sample: RobotSample,
        wrench: WrenchSample | None,
        estimate: Estimate,
        dyn: Dynamics | None,
        now_ns: int,
        since: float,
        *,
        enabled: bool,
        moving: bool,
        touched: bool,
        shown: Shown | None,
    ) -> list[FaultReport]:
        """All faults of this cycle.

        ``enabled``: the arm has taken commands and its power has not been given up. ``moving``: a motion, and no stop,
        commands it. ``touched``: it may be touched elsewhere than at the tool. ``since``: seconds since the cycle
        before. ``wrench``: None where the sensor is not needed.
        """
        parts = self._parts
        faults = parts.monitor.check(sample, parts.arm.health(), now_ns, enabled, wrench)
        if parts.variance is not None:
            self._move_limits(estimate, shown)
        if parts.consistency is not None:
            faults += self._compare(sample, wrench, estimate, dyn, now_ns, enabled, touched)
        if parts.contact_limits is not None and enabled:
            force, covariance = self._contact(estimate)
            faults += parts.contact_limits.check(force, covariance, since, sample.seq, now_ns)
        elif parts.contact_limits is not None:
            parts.contact_limits.reset()
        if enabled and moving and dyn is not None:
            if parts.rest is not None:
                faults += parts.rest.check(sample, dyn.M, dyn.g, now_ns)
            if parts.energy is not None:
                faults += parts.energy.check(sample, dyn.M, now_ns)
            if parts.variance is not None:
                qd: list[float] = sample.qd.tolist()
                kp = None if shown is None else shown.kp
                faults += parts.variance.check(qd, sample.seq, now_ns, kp)
        elif parts.variance is not None:
            parts.variance.reset()
        return faults

    def _move_limits(self, estimate: Estimate, shown: Shown | None) -> None:
        variance = self._parts.variance
        assert variance is not None
        known = estimate.known
        observed: list[float] | None = estimate.P.diagonal().tolist() if known else _UNKNOWN
        if not variance.observes:
            observed = None
        xx, yy, zz = estimate.wrench_cov[:3, :3].diagonal().tolist() if known else (math.nan,) * 3
        feed_forward: list[float] | None = None if shown is None else shown.tau_ff_sd.tolist()
        variance.update(observed, xx + yy + zz, feed_forward)
        self._thresholds, self._force = variance.thresholds, variance.force

    @staticmethod
    def _contact(estimate: Estimate) -> tuple[Array, Array]:
        force, covariance = estimate.wrench[:3], estimate.wrench_cov[:3, :3]
        # What the observer said of an older sample is no force of now.
        return (force, covariance) if estimate.known else (force * math.nan, covariance)

    def _compare(
        self,
        sample: RobotSample,
        wrench: WrenchSample | None,
        estimate: Estimate,
        dyn: Dynamics | None,
        now_ns: int,
        enabled: bool,
        touched: bool,
    ) -> list[FaultReport]:
        """Do joint torques and wrench sensor tell the same, and do they live?"""
        consistency = self._parts.consistency
        assert consistency is not None
        if not enabled or dyn is None:
            consistency.reset()
            return []
        if touched:
            return consistency.check(sample, wrench, self._incomparable, math.nan, now_ns)
        felt = estimate.wrench_ft
        residual: list[float] = (estimate.tau_ext - felt.dot(dyn.J)).tolist()
        dx, dy, dz = (estimate.wrench[:3] - felt[:3]).tolist()
        gap = math.sqrt(dx * dx + dy * dy + dz * dz)
        return consistency.check(sample, wrench, residual, gap, now_ns, self._thresholds, self._force)

"""Limits that move with the predictive variance of learnt models, and are never looser than the fixed ones.

What a model is sure of can be watched more closely: a contact shows as soon as the external torque leaves the band of
the model's own error. Where it is unsure, the arm goes slower. For each joint, with ``sd`` the standard deviation of
the external torque that the models leave, N·m, and ``hard`` the fixed limit:

- contact threshold ``min(hard, max(share · hard, width · sd))``;
- doubt 0 … 1, along the same way from ``share · hard`` to ``hard``; the largest doubt of all joints and models counts;
- speed limit ``hard · (1 − (1 − speed_share) · doubt)``.

An ``sd`` that is NaN, infinite or negative says nothing, so it gets the most conservative setting of each: the lowest
threshold, full doubt, the lowest speed. Gains rise with doubt by a law of their own (:mod:`estimators.gains.law`), that
ends at a hard bound; :func:`gains_beyond` judges that bound here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.contract import Array
from safety.faults import FaultCode, FaultReport, Findings
from safety.limits import LimitsError


def usable(sd: float) -> bool:
    """Whether a standard deviation says anything."""
    return math.isfinite(sd) and sd >= 0.0


def deviation(variance: float) -> float:
    """Square root of a variance; NaN where it is negative or not finite."""
    return math.sqrt(variance) if math.isfinite(variance) and variance >= 0.0 else math.nan


def contact_threshold(hard: float, share: float, width: float, sd: float) -> float:
    """Never above ``hard`` nor below ``share · hard``, which is what an unusable ``sd`` gives."""
    lowest = share * hard
    return min(hard, max(lowest, width * sd)) if usable(sd) else lowest


def doubt(hard: float, share: float, width: float, sd: float) -> float:
    """0 where ``width · sd`` is up to ``share · hard``, 1 from ``hard`` on and where ``sd`` is unusable."""
    if not usable(sd) or not width * sd < hard:
        return 1.0
    lowest = share * hard
    return max(0.0, (width * sd - lowest) / (hard - lowest)) if width * sd > lowest else 0.0


def lowered(hard: float, share: float, doubt: float) -> float:
    """``hard`` without doubt, ``share · hard`` with full doubt or one that is not a number from 0 to 1."""
    if not 0.0 <= doubt <= 1.0:
        return share * hard
    return min(hard, max(share * hard, hard * (1.0 - (1.0 - share) * doubt)))


def gains_beyond(gains: Sequence[float], hard: Sequence[float]) -> list[int]:
    """The joints whose gain is not finite, negative, or above its hard bound."""
    return [j for j, (gain, most) in enumerate(zip(gains, hard, strict=True)) if not 0.0 <= gain <= most]


@dataclass(frozen=True)
class VarianceParams:
    """How the limits move. Raises LimitsError for a value out of range."""

    width: float = 5.0
    """Standard deviations that are still no contact."""
    torque_share: float = 0.25
    """Lowest contact threshold as a part of the fixed one."""
    speed_share: float = 0.5
    """Speed limit at full doubt as a part of the fixed one."""
    time: float = 0.05
    """How long a speed may be above the lowered limit, s: one lost packet is no doubt."""

    def __post_init__(self) -> None:
        problems = [
            f"{name}: read {value}, expected above 0 and at most {most:g}"
            for name, value, most in (
                ("width", self.width, 100.0),
                ("torque_share", self.torque_share, 1.0),
                ("speed_share", self.speed_share, 1.0),
                ("time", self.time, 1.0),
            )
            if not 0.0 < value <= most
        ]
        if problems:
            raise LimitsError(problems)


class VarianceMonitor:
    """Thresholds and speed limits of one arm; :meth:`update` once per cycle, then :meth:`check`."""

    def __init__(
        self,
        torque_hard: Sequence[float],
        speed_hard: Sequence[float],
        force_hard: float,
        period: float,
        params: VarianceParams | None = None,
        gain_hard: Sequence[float] | None = None,
        *,
        observes: bool = True,
    ) -> None:
        """``torque_hard`` (n,) N·m and ``force_hard`` N: the fixed contact thresholds; ``speed_hard`` (n,) rad/s.
        ``gain_hard`` (n,): bound of the gains, N·m/rad; None: no controller shows any. ``observes``: the observer is to
        be asked for its variance. Raises LimitsError where they
        are not finite and above zero (infinity switches ``force_hard`` off) or differ in number."""
        gains = [] if gain_hard is None else list(gain_hard)
        n = len(torque_hard)
        if len(speed_hard) != n or len(gains) not in (0, n):
            raise LimitsError([f"torque limits are for {n} joints, of speeds there are {len(speed_hard)}"])
        if not all(math.isfinite(x) and x > 0.0 for x in (*torque_hard, *speed_hard, *gains, period)):
            raise LimitsError(["fixed limits that move with the variance: expected finite numbers above zero"])
        if not force_hard > 0.0:
            raise LimitsError([f"force: read {force_hard}, expected above zero"])
        self._params = params or VarianceParams()
        self.observes = observes
        self._torque = list(torque_hard)
        self._speed = list(speed_hard)
        self._gains = gains
        self._force = force_hard
        self._ticks = round(self._params.time / period)
        self._beyond_for = [0] * n
        self._nothing = [math.nan] * n
        self._lowest = [self._params.torque_share * hard for hard in torque_hard]
        self.thresholds = self._lowest.copy()
        """Contact thresholds of this cycle (n,), N·m."""
        self.force = self._params.torque_share * force_hard
        """The same as a force, N."""
        self.doubt = 1.0
        """Largest doubt of this cycle."""
        self.speeds = [lowered(hard, self._params.speed_share, 1.0) for hard in speed_hard]
        """Speed limits of this cycle (n,), rad/s."""

    def update(
        self, observed: Sequence[float] | None, force_variance: float, feed_forward: Sequence[float] | None
    ) -> None:
        """Take the variances of this cycle.

        ``observed`` (n,) (N·m)²: of the external torque; ``force_variance`` N²: of the contact force; ``feed_forward``
        (n,) N·m: *standard deviation* of a learnt torque, None where none acted. With ``observed`` None the observer
        has no model of its own, and the thresholds are the fixed ones.
        """
        self.doubt = 0.0
        if observed is not None:
            known = len(observed) == len(self._torque)
            self._take([deviation(v) for v in observed] if known else self._nothing, self.thresholds)
        else:
            self.thresholds = self._torque.copy()
        if feed_forward is not None:
            same = len(feed_forward) == len(self._torque)
            self._take(feed_forward if same else self._nothing, None)
        p = self._params
        sd = deviation(force_variance)
        self.force = self._force if observed is None else contact_threshold(self._force, p.torque_share, p.width, sd)
        share = lowered(1.0, p.speed_share, self.doubt)
        self.speeds = [share * hard for hard in self._speed]

    def _take(self, sds: Sequence[float], thresholds: list[float] | None) -> None:
        """:func:`contact_threshold` and :func:`doubt` of all joints in one go; a call for each would cost 10 µs."""
        width, most = self._params.width, self.doubt
        for joint, (hard, lowest, sd) in enumerate(zip(self._torque, self._lowest, sds, strict=True)):
            threshold = lowest
            if 0.0 <= sd < math.inf:
                wide = width * sd
                if wide >= hard:
                    threshold, most = hard, 1.0
                elif wide > lowest:
                    threshold = wide
                    most = max(most, (wide - lowest) / (hard - lowest))
            else:
                most = 1.0
            if thresholds is not None:
                thresholds[joint] = threshold
        self.doubt = most

    def reset(self) -> None:
        """Forget how long speeds were beyond."""
        self._beyond_for = [0] * len(self._speed)

    def check(self, qd: Sequence[float], tick: int, now_ns: int, gains: Array | None = None) -> list[FaultReport]:
        """Joints faster for ``time`` than their limits of this cycle, and gains beyond their bound. ``qd`` (n,) rad/s;
        a speed that is not finite counts as beyond."""
        found = Findings(tick, now_ns)
        for joint, (speed, limit) in enumerate(zip(qd, self.speeds, strict=True)):
            if abs(speed) <= limit:
                self._beyond_for[joint] = 0
                continue
            self._beyond_for[joint] += 1
            if self._beyond_for[joint] > self._ticks:
                without = f"doubt {self.doubt:.0%}, {self._speed[joint]:.4g} without"
                found.add(FaultCode.SPEED_DOUBT, speed, limit, joint, without)
        if gains is not None and self._gains:
            values: list[float] = gains.tolist()
            for joint in gains_beyond(values, self._gains):
                found.add(FaultCode.GAIN_BOUND, values[joint], self._gains[joint], joint)
        return found.reports

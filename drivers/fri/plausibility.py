"""Is what a well-formed frame says physically possible? Pure lists of floats: numpy would cost more than the check."""

from __future__ import annotations

import math

from drivers.contract import Array
from drivers.fri.records import Monitoring

Q_MARGIN = 0.035
"""Beyond the mechanical range, rad (2°): the calibration of a joint may be that far off."""
TAU_FACTOR = 3.0
"""Multiple of the rated joint torque: an impact reaches more than rated torque at the sensor, never this much."""
QD_FACTOR = 2.0
"""Multiple of the rated joint speed that a step between two frames may suggest."""
Q_STEP_FLOOR = 1e-3
"""rad; lets the noise of one short step pass."""


class Plausibility:
    """Judges frames against a joint's range, speed and torque.

    ``q_max`` (n,) is half the mechanical range in rad, ``qd_max`` (n,) in rad/s, ``tau_max`` (n,) in N·m.
    """

    def __init__(self, q_max: Array, qd_max: Array, tau_max: Array) -> None:
        self._q = [float(v) + Q_MARGIN for v in q_max]
        self._qd = [float(v) * QD_FACTOR for v in qd_max]
        self._tau = [float(v) * TAU_FACTOR for v in tau_max]
        self._last: list[float] | None = None

    def restart(self) -> None:
        """Forget the last position, so that the next frame is not judged by its distance from it."""
        self._last = None

    def judge(self, m: Monitoring, dt: float) -> str:
        """Why frame ``m``, ``dt`` seconds after the last good one, cannot be true; an empty string if it can.

        Reasons: ``no_joint_data``, ``not_finite``, ``q_range``, ``ipo_range``, ``tau_range``, ``q_step``.
        Only a frame that passes becomes the one the next is compared with.
        """
        if m.q is None or m.tau_measured is None:
            return "no_joint_data"
        q = m.q.tolist()
        tau = m.tau_measured.tolist()
        set_point = q if m.q_ipo is None else m.q_ipo.tolist()
        # A sum is finite only if every term is (and absurdly large terms are refused with it).
        total = sum(q) + sum(tau) + sum(set_point)
        if m.tau_external is not None:
            total += sum(m.tau_external.tolist())
        if not math.isfinite(total):
            return "not_finite"
        last = q if self._last is None else self._last
        for value, before, torque, aim, q_max, qd_max, tau_max in zip(
            q, last, tau, set_point, self._q, self._qd, self._tau, strict=True
        ):
            if not -q_max <= value <= q_max:
                return "q_range"
            if not -q_max <= aim <= q_max:
                return "ipo_range"
            if not -tau_max <= torque <= tau_max:
                return "tau_range"
            if abs(value - before) > qd_max * dt + Q_STEP_FLOOR:
                return "q_step"
        self._last = q
        return ""

    def judge_set_point(self, q_ipo: Array) -> str:
        """Why a set-point must not be mirrored: ``not_finite`` or ``ipo_range``; empty if it may be."""
        values = q_ipo.tolist()
        if not math.isfinite(sum(values)):
            return "not_finite"
        for value, limit in zip(values, self._q, strict=True):
            if not -limit <= value <= limit:
                return "ipo_range"
        return ""

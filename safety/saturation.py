"""Soft saturation: brings a wish to within what the gate lets pass, visibly and without a fault.

So a controller at its torque limit goes on, and only a broken command stops the arm. Each torque is clipped to
magnitude, predicted total, window and rate, in this order: intervals clipped one after the other give a point of their
intersection where there is one, and where there is none the last one, the rate, is kept and the gate refuses.

What acts now (anything between the accepted bounds) always satisfies magnitude, window and rate, so these three never
exclude each other; only a total torque that the arm's own motion pushes over its limit can.
"""

from __future__ import annotations

import enum

import numpy as np
import numpy.typing as npt

from drivers.contract import ArmTraits, Array, RobotSample
from safety.limits import JointLimits, WindowExtremes, all_finite, checked_stiffness, vector

INSIDE = 1.0 - 1e-9
"""Limits are approached to within this fraction, so that rounding never turns a saturated torque into a fault."""
SPRING_SHARE = 0.5
"""Part of the torque rate that moving the spring's set-point may use; the rest is left for our torque."""


class LimitedBy(enum.IntFlag):
    """What limited a joint's command in this tick."""

    MAGNITUDE = 1
    TOTAL = 2
    WINDOW = 4
    RATE = 8
    REFERENCE = 16


_MAGNITUDE, _TOTAL, _WINDOW, _RATE, _REFERENCE = map(int, LimitedBy)


class Saturation:
    """Clips torque and position reference of one arm, a hair inside what :class:`safety.gate.CommandGate` checks."""

    def __init__(self, limits: JointLimits, traits: ArmTraits, stiffness: Array) -> None:
        """``stiffness`` (n,) is that of the robot's own spring, N·m/rad. Raises LimitsError where sizes disagree."""
        self._k = checked_stiffness(limits, traits, stiffness)
        self._n = limits.n
        self._adds_gravity = "gravity" in traits.adds
        rate_step = limits.tau_rate_max * traits.period * INSIDE
        ref_step = limits.q_ref_rate_max * traits.period * INSIDE
        k = np.array(self._k)
        stiff = k > 0.0
        ref_step[stiff] = np.minimum(ref_step[stiff], SPRING_SHARE * rate_step[stiff] / k[stiff])
        columns = (
            limits.q_min,
            limits.q_max,
            limits.q_ref_distance_max * INSIDE,
            ref_step,
            limits.tau_cmd_max * INSIDE,
            limits.tau_max * (1.0 - limits.total_margin) * INSIDE,
            limits.tau_window_max * INSIDE,
            rate_step,
            k,
        )
        # One row of limits for each joint, in the order in which apply() takes it apart.
        self._rows: list[tuple[float, ...]] = list(zip(*(column.tolist() for column in columns), strict=True))
        self._acted = WindowExtremes(limits.window)

    def apply(
        self, tau_wanted: Array, q_ref_wanted: Array, sample: RobotSample, g: Array, now_ns: int
    ) -> tuple[Array, Array, npt.NDArray[np.int64]]:
        """Torque and position reference to send, and what limited them (``LimitedBy`` bits per joint), all (n,).

        ``g`` (n,): the model's gravity torque, N·m. A joint with anything that is not finite (wish, sample or ``g``)
        is handed on as it is, and so is a wish of the wrong shape: nothing is masked, the gate refuses.
        """
        limited = [0] * self._n
        given = (tau_wanted, q_ref_wanted, sample.tau_accepted_lo, sample.tau_accepted_hi, sample.q,
                 sample.q_ref_accepted, g)  # fmt: skip
        columns = [values for x in given if (values := vector(x, self._n)) is not None]
        if len(columns) < len(given):
            return tau_wanted, q_ref_wanted, np.array(limited)
        tau, q_ref, low, high = columns[:4]
        lowest, highest = self._acted.extremes(now_ns, low, high)
        for j, numbers in enumerate(zip(*columns, strict=True)):
            if not all_finite(numbers):
                continue
            wish, wish_ref, lo, hi, q, accepted, gravity = numbers
            q_min, q_max, distance, ref_step, magnitude, total, window, rate_step, k = self._rows[j]

            ref = wish_ref
            if ref > q + distance:
                ref = q + distance
            elif ref < q - distance:
                ref = q - distance
            if ref > q_max:
                ref = q_max
            elif ref < q_min:
                ref = q_min
            if ref > accepted + ref_step:
                ref = accepted + ref_step
            elif ref < accepted - ref_step:
                ref = accepted - ref_step
            flags = 0 if ref == wish_ref else _REFERENCE

            now = wish
            if now > magnitude:
                now, flags = magnitude, flags | _MAGNITUDE
            elif now < -magnitude:
                now, flags = -magnitude, flags | _MAGNITUDE

            added = k * (ref - q) + gravity if self._adds_gravity else k * (ref - q)
            if now + added > total:
                now, flags = total - added, flags | _TOTAL
            elif now + added < -total:
                now, flags = -total - added, flags | _TOTAL

            if now > lowest[j] + window:
                now, flags = lowest[j] + window, flags | _WINDOW
            elif now < highest[j] - window:
                now, flags = highest[j] - window, flags | _WINDOW

            change = rate_step - k * abs(ref - accepted)
            if now > lo + change:
                now, flags = lo + change, flags | _RATE
            elif now < hi - change:
                now, flags = hi - change, flags | _RATE
            tau[j], q_ref[j], limited[j] = now, ref, flags
        if all_finite(low) and all_finite(high):
            self._acted.add(now_ns, low, high)
        return np.array(tau), np.array(q_ref), np.array(limited)

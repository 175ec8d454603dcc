"""Checks before enabling: does the measured torque at standstill agree with the model's gravity torque?

It catches a flipped sign and wrong load data before the arm moves, and an iiwa 7 taken for a 14 where the posture
is stretched enough for their weights to differ by more than the tolerance.
"""

from __future__ import annotations

import math

import numpy as np

from drivers.contract import Array, RobotSample
from safety.faults import FaultCode, FaultReport, Findings
from safety.limits import all_finite, vector


class StandstillMean:
    """Mean of the measured torque over consecutive valid samples at standstill; begins anew when the arm moves."""

    def __init__(self, n: int, samples: int = 200, speed_max: float = 0.02) -> None:
        """``n`` joints; ``samples`` to average; ``speed_max`` (rad/s) that still counts as standing."""
        self._n = n
        self._samples = samples
        self._speed_max = speed_max
        self._sum = np.zeros(n)
        self._count = 0

    @property
    def ready(self) -> bool:
        """Enough samples have been averaged."""
        return self._count >= self._samples

    @property
    def count(self) -> int:
        """Samples averaged so far; 0 again after the arm moved or a sample was not valid."""
        return self._count

    @property
    def tau_mean(self) -> Array:
        """Mean torque (n,), N·m; NaN before the first sample."""
        return self._sum / self._count if self._count else np.full(self._n, np.nan)

    def add(self, sample: RobotSample) -> None:
        """Take one sample; one that is not fresh is skipped, an invalid or moving one begins the mean anew."""
        qd, tau = vector(sample.qd, self._n), vector(sample.tau, self._n)
        sound = sample.valid and qd is not None and tau is not None and all_finite(qd) and all_finite(tau)
        if not sound or float(np.abs(sample.qd).max()) > self._speed_max:
            self._sum = np.zeros(self._n)
            self._count = 0
        elif sample.fresh:
            self._sum += sample.tau
            self._count += 1


def check_standstill(
    tau_mean: Array, g: Array, tolerance_abs: Array, tolerance_rel: float, *, tick: int = -1, t_ns: int = 0
) -> list[FaultReport]:
    """One fault for each joint whose torque is not within ``tolerance_abs + tolerance_rel · |g|`` of the model.

    ``tau_mean`` (n,): measured torque averaged at standstill, N·m, ``RobotSample.tau`` sign (on FRI −measuredTorque);
    ``g`` (n,): gravity torque of the model, N·m; ``tolerance_abs`` (n,), N·m; ``tolerance_rel`` as a fraction.
    A value that is not finite is a fault. The detail says what the numbers look like. Raises ValueError where shapes
    disagree or a tolerance is not a finite number ≥ 0: that is a mistake of the caller.
    """
    n = int(np.size(g))
    if not all(np.shape(x) == (n,) for x in (tau_mean, g, tolerance_abs)):
        raise ValueError(f"tau_mean, g and tolerance_abs: expected shape ({n},) each")
    if not all(math.isfinite(t) and t >= 0.0 for t in (*tolerance_abs.tolist(), tolerance_rel)):
        raise ValueError("tolerances: expected finite numbers ≥ 0")
    found = Findings(tick, t_ns)
    found.add_not_finite(FaultCode.STANDSTILL_TORQUE, tau_mean.tolist(), "measured torque")
    found.add_not_finite(FaultCode.STANDSTILL_TORQUE, g.tolist(), "gravity torque of the model")
    if found.reports:
        return found.reports
    tolerance = tolerance_abs + tolerance_rel * np.abs(g)
    beyond = np.flatnonzero(~(np.abs(tau_mean - g) <= tolerance)).tolist()
    if beyond:
        text = _diagnosis(tau_mean, g, tolerance)
        for j in beyond:
            found.add(
                FaultCode.STANDSTILL_TORQUE,
                float(tau_mean[j] - g[j]),
                float(tolerance[j]),
                j,
                f"measured {tau_mean[j]:.4g}, model {g[j]:.4g}: {text}",
            )
    return found.reports


def _diagnosis(tau: Array, g: Array, tolerance: Array) -> str:
    """What the disagreement looks like: a sign, a factor, a single joint, or the load."""
    weight = float(g @ g)
    if weight <= float(tolerance @ tolerance):
        return "the model expects hardly any gravity torque in this posture; something touches the arm, or an offset"
    factor = float(tau @ g) / weight
    fits = bool(np.all(np.abs(tau - factor * g) <= tolerance))
    if np.all(np.abs(tau + g) <= tolerance):
        return "looks like a flipped sign of the measured torque"
    if fits and abs(factor) < 0.1:
        return "hardly any torque is measured: sensors not read, or the arm is supported from outside"
    if fits and factor > 0.0 and abs(factor - 1.0) > 0.1:
        return f"all joints fit {factor:.2f} times the model: another robot (iiwa 7 or 14?) or another load than stated"
    if np.count_nonzero(np.abs(tau - g) > tolerance) == 1:
        return "one joint only: its torque sensor's offset, or something touches the arm"
    return "load data or tool mass and centre may be wrong, or something touches the arm"

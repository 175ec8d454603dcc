"""Kinetic energy of the arm and mechanical power of its joints, each against a bound that the cell states.

What an arm can do to whatever it hits is bounded by the energy it carries, ``½ qdᵀ M qd``, and by what its joints add
meanwhile, ``Σ tau · qd``. Neither shows in any one joint's speed or torque.
"""

from __future__ import annotations

import math

from drivers.contract import Array, RobotSample
from safety.faults import FaultCode, FaultReport, Findings
from safety.limits import LimitsError, all_finite, vector


class EnergyMonitor:
    """The bounds of one arm; call :meth:`check` once per cycle while a motion commands."""

    def __init__(self, n: int, energy_max: float = math.inf, power_max: float = math.inf) -> None:
        """``energy_max`` J and ``power_max`` W; infinity switches a check off. Raises LimitsError where a bound is not
        above zero."""
        problems = [
            f"{name}: read {value}, expected above zero"
            for name, value in (("energy_max", energy_max), ("power_max", power_max))
            if not value > 0.0
        ]
        if problems:
            raise LimitsError(problems)
        self._n = n
        self._energy_max = energy_max
        self._power_max = power_max

    def check(self, sample: RobotSample, M: Array, now_ns: int) -> list[FaultReport]:
        """Both findings of this cycle. ``M`` (n, n) kg·m²; the power is that of the measured torques, whatever its
        sign. A sample that is not finite is left to the state checks; a model that is not is beyond any bound."""
        found = Findings(sample.seq, now_ns)
        qd, tau = vector(sample.qd, self._n), vector(sample.tau, self._n)
        if qd is None or tau is None or not (all_finite(qd) and all_finite(tau)):
            return found.reports
        energy = 0.5 * float(sample.qd.dot(M.dot(sample.qd)))
        if not energy <= self._energy_max:
            found.add(FaultCode.KINETIC_ENERGY, energy, self._energy_max)
        power = float(sample.tau.dot(sample.qd))
        if not abs(power) <= self._power_max:
            found.add(FaultCode.POWER, power, self._power_max)
        return found.reports

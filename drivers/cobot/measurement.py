"""From raw integers to positions, velocities and torques that can be believed."""

from __future__ import annotations

import numpy as np

from drivers.cobot.model import Scales
from drivers.cobot.pdo import ProcessData
from drivers.contract import Array, Differentiator

Q_MARGIN = 0.035
"""Beyond the range of a joint, rad (2°): its zero may be that far off."""
TAU_FACTOR = 3.0
"""Multiple of the data-sheet torque that may be measured."""
QD_FACTOR = 2.0
"""Multiple of the data-sheet speed that a step between two samples may suggest."""
Q_STEP_FLOOR = 1e-3
"""rad."""
MAX_GAP = 0.1
"""Seconds without a valid sample after which velocities start anew from rest."""
_SNAP = 0.25
"""Part of a period by which SYNC may be off before its real time counts."""


class Measurement:
    """The last valid measurement of all joints; an invalid one leaves it as it was and only clears ``valid``."""

    def __init__(
        self, scales: Scales, period: float, differentiator: Differentiator, q_min: Array, q_max: Array,
        qd_max: Array, tau_max: Array,
    ) -> None:  # fmt: skip
        """Range (rad), speed (rad/s) and torque (N·m) of each joint, all (n,), by the data sheet."""
        n = q_min.size
        self._scales = scales
        self._period = period
        self._differentiator = differentiator
        self._low: list[float] = (q_min - Q_MARGIN).tolist()
        self._high: list[float] = (q_max + Q_MARGIN).tolist()
        self._qd: list[float] = (qd_max * QD_FACTOR).tolist()
        self._tau: list[float] = (tau_max * TAU_FACTOR).tolist()
        self._nan = np.full(n, np.nan)
        self._zero = np.zeros(n)
        self.valid = False
        self.dt = float("nan")
        """Seconds between the last two valid samples."""
        self.q = self.qd = self.qdd = self.tau = self._nan
        self.restart()

    def restart(self) -> None:
        """The next sample has nothing to do with those before."""
        self._last_ns = -1
        self._last: list[float] = []

    def take(self, data: ProcessData, sync_ns: int) -> str:
        """Read what the drives sampled at ``sync_ns``; why it cannot be true, or an empty string.

        Reasons: ``q_range``, ``q_step``, ``tau_range``.
        """
        fault = self._take(data, sync_ns)
        self.valid = not fault
        return fault

    def _take(self, data: ProcessData, sync_ns: int) -> str:
        q, tau = self._scales.q(data.position), self._scales.tau(data.torque)
        dt = (sync_ns - self._last_ns) * 1e-9
        periods = round(dt / self._period)
        if periods and abs(dt - periods * self._period) < _SNAP * self._period:
            dt = periods * self._period
        fresh_start = self._last_ns < 0 or not 0.0 < dt <= MAX_GAP
        values = q.tolist()
        last = values if fresh_start else self._last
        for value, before, torque, low, high, qd_max, tau_max in zip(
            values, last, tau.tolist(), self._low, self._high, self._qd, self._tau, strict=True
        ):
            if not low <= value <= high:
                return "q_range"
            if not -tau_max <= torque <= tau_max:
                return "tau_range"
            if abs(value - before) > qd_max * dt + Q_STEP_FLOOR:
                return "q_step"
        if fresh_start:
            self._differentiator.reset(q)
            self.qd = self.qdd = self._zero
            self.dt = float("nan")
        else:
            self.qd, self.qdd = self._differentiator.update(q, dt)
            self.dt = dt
        self.q, self.tau = q, tau
        self._last, self._last_ns = values, sync_ns
        return ""

"""From a set of feedback to positions, speeds and torques that can be believed."""

from __future__ import annotations

import math

import numpy as np

from drivers.contract import Array, Differentiator
from drivers.piper.config import PERIOD, FirmwareScale
from drivers.piper.feedback import Feedback

Q_MARGIN = 0.035
"""Beyond the range of a joint, rad (2°): its zero may be that far off."""
TAU_FACTOR = 3.0
"""Multiple of the data-sheet torque that may be measured."""
QD_FACTOR = 2.0
"""Multiple of the data-sheet speed that may be measured, or that a step between two samples may suggest."""
Q_STEP_FLOOR = 1e-3
"""rad."""
MAX_GAP = 0.1
"""Seconds without a valid sample after which accelerations start anew from rest."""
_SNAP = 0.25
"""Part of a period by which a set may be early or late before its real time counts: the arm sends by its own clock, and
frames wait for others on the bus."""


class Measurement:
    """The last valid measurement; an invalid one leaves it as it was and only clears ``valid``."""

    def __init__(
        self, scale: FirmwareScale, differentiator: Differentiator, q_min: Array, q_max: Array, qd_max: Array,
        tau_max: Array,
    ) -> None:  # fmt: skip
        """Range (rad), speed (rad/s) and torque (N·m) of each joint, all (6,), by the data sheet."""
        self._torque_per_ampere = np.array(scale.torque_per_ampere)
        self._differentiator = differentiator
        self._low, self._high = q_min - Q_MARGIN, q_max + Q_MARGIN
        self._qd_max, self._tau_max = QD_FACTOR * qd_max, TAU_FACTOR * tau_max
        self.unknown = np.full(q_min.size, math.nan)
        """Of what the arm does not tell, (6,) NaN."""
        self._zero = np.zeros(q_min.size)
        self.valid = False
        self.dt = math.nan
        """Seconds between the last two valid samples."""
        self.q = self.qd = self.qdd = self.tau = self.unknown
        self.restart()

    def restart(self) -> None:
        """The next sample has nothing to do with those before."""
        self._last_ns = -1

    def take(self, heard: Feedback) -> str:
        """Read the newest set; why it cannot be true (``q_range``, ``q_step``, ``qd_range``, ``tau_range``), or ''."""
        fault = self._take(heard)
        self.valid = not fault
        return fault

    def _take(self, heard: Feedback) -> str:
        q, qd, current = heard.arrays()
        tau = current * self._torque_per_ampere
        dt = (heard.set_ns - self._last_ns) * 1e-9
        periods = round(dt / PERIOD)
        if periods and abs(dt - periods * PERIOD) < _SNAP * PERIOD:
            dt = periods * PERIOD
        anew = self._last_ns < 0 or not 0.0 < dt <= MAX_GAP
        if not np.all((self._low <= q) & (q <= self._high)):
            return "q_range"
        if not np.all(np.abs(qd) <= self._qd_max):
            return "qd_range"
        if not np.all(np.abs(tau) <= self._tau_max):
            return "tau_range"
        if not anew and not np.all(np.abs(q - self.q) <= self._qd_max * dt + Q_STEP_FLOOR):
            return "q_step"
        if anew:
            self._differentiator.reset(q)
            self.qdd, self.dt = self._zero, math.nan
        else:
            self.qdd = self._differentiator.update(q, dt)[1]
            self.dt = dt
        # The arm measures its speeds at its own rate, far above that of the bus; nothing of ours would be as fresh.
        self.q, self.qd, self.tau, self._last_ns = q, qd, tau, heard.set_ns
        return ""

"""From the newest frame to positions, velocities and torques in the signs of the contract."""

from __future__ import annotations

import numpy as np

from drivers.contract import Differentiator
from drivers.fri.plausibility import Plausibility
from drivers.fri.records import Monitoring

MAX_GAP = 50
"""Periods without a valid frame after which velocities start anew from rest."""
_MAX_PERIOD_MS = 100


class Measurement:
    """The last valid measurement; an invalid frame leaves it as it was and only clears ``valid``.

    ``dt`` counts from the last frame that was *valid*, since that is the span a velocity or an observer has to
    bridge; it comes from the controller's counter and send period, so that jitter of this side does not enter.
    """

    def __init__(self, n: int, period: float, differentiator: Differentiator, plausibility: Plausibility) -> None:
        self._n = n
        self._cell_period = period
        self._differentiator = differentiator
        self._plausibility = plausibility
        self._nan = np.full(n, np.nan)
        self.valid = False
        self.dt = float("nan")
        self.q = self.qd = self.qdd = self.tau = self.tau_ext = self.q_set = self._nan
        self.restart()

    def restart(self) -> None:
        """The next frame has nothing to do with those before (the arrays are kept until it is read)."""
        self._based = False
        self._periods = 0
        self._period_ms = 0
        self._candidate_ms = 0

    def pass_by(self, periods: int) -> None:
        """The device's time went on by so many send periods."""
        self._periods += periods

    def take(self, m: Monitoring) -> str:
        """Read the frame; returns the reason why it is not valid (see :class:`Plausibility`), or an empty string."""
        fault = self._take(m)
        self.valid = not fault
        return fault

    def _take(self, m: Monitoring) -> str:
        period = self._period(m)
        if period == 0.0:
            return "send_period"
        dt = self._periods * period
        fresh_start = not self._based or self._periods > MAX_GAP
        if fresh_start:
            self._plausibility.restart()
        fault = self._plausibility.judge(m, dt)
        if fault:
            return fault
        assert m.q is not None
        assert m.tau_measured is not None
        if fresh_start:
            self._differentiator.reset(m.q)
            self.qd = self.qdd = np.zeros(self._n)
        else:
            self.qd, self.qdd = self._differentiator.update(m.q, dt)
        self.dt = dt if self._based else float("nan")
        self._based = True
        self._periods = 0
        self.q = m.q
        # The wire carries the torque of the link on the sensor, the contract that of the motor on the link.
        self.tau = -m.tau_measured
        self.tau_ext = self._nan if m.tau_external is None else m.tau_external
        self.q_set = self._nan if m.q_ipo is None else m.q_ipo
        return ""

    def _period(self, m: Monitoring) -> float:
        """Send period, s; 0.0 while it is not believed. It is fixed in a session, so a change must be seen twice."""
        stated = m.send_period_ms
        if stated <= 0:
            return self._cell_period
        if stated != self._period_ms:
            if stated > _MAX_PERIOD_MS or (self._period_ms and stated != self._candidate_ms):
                self._candidate_ms = stated
                return 0.0
            self._period_ms = stated
        self._candidate_ms = 0
        return 1e-3 * stated

"""Ticks of the robot for which we came too late, or which never came."""

from __future__ import annotations

from drivers.contract import ArmState, RobotSample

SESSION_NS = 1_000_000_000
"""A pause as long as this is a session that ended, not a row of ticks."""
LATE = 0.25
"""Part of a period by which a tick may come early or late before its distance counts as another one."""


class TickCount:
    """Counts the ticks between two samples that were acted on, by the device's counter and by time.

    A late wake-up finds several packets, of which the newest alone is answered: the counter tells. A robot (or its
    mock) that was late itself leaves the counter whole: time tells. The larger of the two counts.
    """

    def __init__(self, period: float, frames_per_tick: int = 1) -> None:
        """``period`` in s; ``frames_per_tick``: by how much the device's counter grows from tick to tick."""
        self._period_ns = period * 1e9
        self._frames = frames_per_tick
        self._seq = -1
        self._t_ns = 0
        self.skipped = 0
        """Ticks skipped so far."""
        self.most = 0
        """Most of them in a row."""

    def take(self, sample: RobotSample) -> int:
        """Take in the sample of a cycle; the number of ticks skipped before it."""
        if not sample.fresh:
            if sample.state is ArmState.DISCONNECTED:
                self._seq = -1
            return 0
        seq, before = sample.seq, self._seq
        gap_ns = sample.t_ns - self._t_ns
        self._seq, self._t_ns = seq, sample.t_ns
        if before < 0 or seq <= before or gap_ns >= SESSION_NS:
            return 0
        by_count = (seq - before) // self._frames - 1
        by_time = int(gap_ns / self._period_ns + LATE) - 1
        skipped = max(by_count, by_time)
        if skipped <= 0:
            return 0
        self.skipped += skipped
        self.most = max(self.most, skipped)
        return skipped

"""How the mock controller judges its client: which packets were answered, how late, and what quality that makes.

Thresholds, window and hysteresis are ours; the real controller's are not published.
"""

from __future__ import annotations

import enum
from collections import deque

POOR, FAIR, GOOD, EXCELLENT = range(4)
_ENTER = (0.0, 0.81, 0.96, 1.0)
_LEAVE = (0.0, 0.80, 0.95, 0.99)
"""A level is entered one answer above where it is left, so that one late packet makes no flicker."""


class Answer(enum.Enum):
    """What became of one answer."""

    ON_TIME = "on time, the newest so far"
    LATE = "late: its slot is lost already, it must not act"
    STALE = "on time but behind a newer one, or a second answer to the same packet: it must not act"
    UNKNOWN = "it reflects a counter that was not sent lately"


class LinkQuality:
    """Answers matched by reflected counter over a sliding window of expected answers.

    One answer is expected to each group of ``multiplier`` packets. It is on time when it arrives less than one
    receive period (multiplier x send period) after the *last* packet of its group, reflecting any packet of it.
    """

    def __init__(self, window: int, period_ns: int, multiplier: int) -> None:
        """``period_ns`` is the send period."""
        self._receive_period = period_ns * multiplier
        self._multiplier = multiplier
        self._window: deque[bool] = deque([False] * window, maxlen=window)
        self._good = 0
        # (first counter, last counter, time of the last one); bounded, a silent client must not cost memory.
        self._pending: deque[tuple[int, int, int]] = deque()
        self._open: list[int] = []
        self._open_answered = False
        self._acted = self._newest_sent = -1
        self._level = POOR
        self.bound = EXCELLENT
        """The level is never better than this (faults)."""
        self.misses = 0
        """Expected answers missing in a row."""
        self.answered = self.late = self.stale = self.unknown = self.missed = 0

    @property
    def level(self) -> int:
        """POOR … EXCELLENT, as on the wire."""
        return min(self._level, self.bound)

    def sent(self, seq: int, t_ns: int) -> None:
        """Packet ``seq`` has left at ``t_ns``."""
        self._newest_sent = seq
        self._open.append(seq)
        if len(self._open) == self._multiplier:
            if self._open_answered:  # the client counts its groups with another phase than ours
                self._resolve(True)
            else:
                self._pending.append((self._open[0], seq, t_ns))
            self._open.clear()
            self._open_answered = False

    def answer(self, reflected: int, t_ns: int) -> Answer:
        """An answer that reflects ``reflected`` arrived at ``t_ns``; only ``ON_TIME`` ones may act."""
        for entry in self._pending:
            first, last, sent_ns = entry
            if first <= reflected <= last:
                if t_ns - sent_ns >= self._receive_period:
                    break
                self._pending.remove(entry)
                self._resolve(True)
                return self._newest(reflected)
        if self._open and self._open[0] <= reflected <= self._newest_sent:
            self._open_answered = True
            return self._newest(reflected)
        if reflected > self._newest_sent or reflected < 0:
            self.unknown += 1
            return Answer.UNKNOWN
        if reflected == self._acted:
            self.stale += 1
            return Answer.STALE
        self.late += 1
        return Answer.LATE

    def expire(self, t_ns: int) -> None:
        """Call after the answers of a tick: whatever is overdue now counts as missing."""
        while self._pending and t_ns - self._pending[0][2] >= self._receive_period:
            self._pending.popleft()
            self._resolve(False)

    def share(self) -> float:
        """Share of on-time answers in the window, 0…1."""
        return self._good / len(self._window)

    def _newest(self, reflected: int) -> Answer:
        if reflected <= self._acted:
            self.stale += 1
            return Answer.STALE
        self._acted = reflected
        self.answered += 1
        return Answer.ON_TIME

    def _resolve(self, good: bool) -> None:
        self._good += good - self._window[0]
        self._window.append(good)
        if good:
            self.misses = 0
        else:
            self.misses += 1
            self.missed += 1
        share = self._good / len(self._window)
        while self._level < EXCELLENT and share >= _ENTER[self._level + 1]:
            self._level += 1
        while self._level > POOR and share < _LEAVE[self._level]:
            self._level -= 1

"""Which torque and which reference act on the robot now.

The controller echoes no overlay; it only reflects the counter of the last command it received. So what acts is
bounded by the command reflected and those sent after it, which may have arrived since.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from drivers.contract import Array
from drivers.fri.sequence import ahead

MAX_HISTORY = 64
"""Commands without a sign of arrival that are kept one by one; older ones merge into one envelope."""


class AcceptedCommands:
    """History of the commands sent in one stay in COMMANDING_ACTIVE, bounded by what the controller reflects."""

    def __init__(self, n: int, size: int | None = None) -> None:
        """``size``: numbers of a reference, where it is not one position for each of the ``n`` joints."""
        self._nan = np.full(n, np.nan)
        self._no_reference = np.full(size or n, np.nan)
        self._zero = np.zeros(n)
        # (own counter, lowest torque, highest torque, reference), oldest first. The oldest is the one
        # that is reflected, or zero torque at the mirrored set-point before any is.
        self._sent: deque[tuple[int, Array, Array, Array]] = deque()
        self.lo = self._nan
        """Lower bound of the torque that acts, N·m; NaN while unknown."""
        self.hi = self._nan
        self.reference = self._no_reference
        """The reference that acts; NaN while none does."""

    def nothing_acts(self) -> None:
        """No overlay acts: the robot is in a state that takes no commands."""
        self._sent.clear()
        self.lo = self.hi = self._zero
        self.reference = self._no_reference

    def unknown(self) -> None:
        """Commands of an unknown past may act."""
        self._sent.clear()
        self.lo = self.hi = self._nan
        self.reference = self._no_reference

    def enter(self, own_seq: int, mirrored: Array) -> None:
        """COMMANDING_ACTIVE begins after our answer ``own_seq``, with zero torque at the mirrored set-point."""
        self._sent.clear()
        self._sent.append((own_seq, self._zero, self._zero, mirrored))
        self._bound()

    def sent(self, own_seq: int, tau: Array, reference: Array) -> None:
        """A command left with counter ``own_seq``; both arrays are kept, so they must be the caller's last use."""
        sent = self._sent
        sent.append((own_seq, tau, tau, reference))
        if len(sent) > MAX_HISTORY:
            seq, lo, hi, before = sent.popleft()
            _, lo_next, hi_next, _ = sent.popleft()
            sent.appendleft((seq, np.minimum(lo, lo_next), np.maximum(hi, hi_next), before))

    def reflected(self, own_seq: int) -> bool:
        """The controller reflects ``own_seq``; updates the bounds. False if we never sent such a counter."""
        sent = self._sent
        if not sent:
            return True
        if ahead(own_seq, sent[-1][0]) > 0:
            # What it received is not ours: keep the worst of all that was sent.
            self._bound()
            return False
        while len(sent) > 1 and ahead(own_seq, sent[1][0]) >= 0:
            sent.popleft()
        self._bound()
        return True

    def _bound(self) -> None:
        _, self.lo, self.hi, self.reference = self._sent[0]
        if len(self._sent) > 1:
            self.lo = np.minimum.reduce([entry[1] for entry in self._sent])
            self.hi = np.maximum.reduce([entry[2] for entry in self._sent])

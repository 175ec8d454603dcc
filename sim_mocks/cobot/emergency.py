"""Emergency messages (CiA 301, 7.2.7): error register 0x1001, history 0x1003, inhibit time 0x1015."""

from __future__ import annotations

from collections import deque

from sim_mocks.cobot.dictionary import RANGE, Dictionary, SdoAbort
from sim_mocks.cobot.frames import Frame

_HISTORY = 8
_BITS = {0x2: 0x02, 0x3: 0x04, 0x4: 0x08, 0x8: 0x10}
"""Bit of the error register by the code's first digit: current, voltage, temperature, communication."""


class Emergencies:
    """What is wrong with a node, and what it says about it."""

    def __init__(self, dictionary: Dictionary) -> None:
        self._dictionary = dictionary
        self.waiting: deque[bytes] = deque(maxlen=16)
        """Messages that have not been sent yet."""
        self._sent_ns = -(1 << 62)
        dictionary.hooks[0x1003] = _only_zero
        dictionary.after[0x1003] = lambda sub, value: self._clear_history()
        self.active: set[int] = set()
        """Codes that hold now."""
        self._latched: set[int] = set()

    def report(self, code: int, vendor: bytes = b"") -> None:
        """A new error ``code`` (u16) with up to five vendor bytes; nothing where it holds already."""
        if code in self.active:
            return
        self.active.add(code)
        values = self._dictionary.values
        for sub in range(_HISTORY, 1, -1):
            values[0x1003 << 8 | sub] = values[0x1003 << 8 | sub - 1]
        values[0x1003 << 8 | 1] = code
        values[0x1003 << 8] = min(_HISTORY, self._dictionary.number(0x1003) + 1)
        self._say(code, vendor)

    def latch(self, code: int) -> None:
        """``code`` holds until it is acknowledged, even when its cause is gone (the drive is in Fault by it)."""
        self.report(code)
        self._latched.add(code)

    def acknowledge(self) -> None:
        """The fault is reset: nothing is latched any more, and what was is over."""
        latched = self._latched
        self._latched = set()
        self.settle(*latched)

    def settle(self, *codes: int) -> None:
        """These codes hold no more, unless latched; says so on the bus when nothing is left."""
        if not self.active:
            return
        over = self.active & set(codes) - self._latched
        self.active -= over
        if over and not self.active:
            self._say(0, b"")

    def reset(self) -> None:
        """As after a reset of the node: nothing holds, nothing is waiting."""
        self.active.clear()
        self._latched.clear()
        self.waiting.clear()
        self._dictionary.values[0x1001 << 8] = 0

    def tick(self, t_ns: int) -> Frame | None:
        """The next message that the inhibit time lets pass."""
        if not self.waiting or t_ns - self._sent_ns < self._dictionary.number(0x1015) * 100_000:
            return None
        self._sent_ns = t_ns
        return self._dictionary.number(0x1014) & 0x7FF, self.waiting.popleft()

    def _say(self, code: int, vendor: bytes) -> None:
        register = 0
        for active in self.active:
            register |= 0x01 | _BITS.get(active >> 12, 0x80 if active >> 12 == 0xF else 0)
        self._dictionary.values[0x1001 << 8] = register
        self.waiting.append(code.to_bytes(2, "little") + bytes((register,)) + vendor.ljust(5, b"\0"))

    def _clear_history(self) -> None:
        for sub in range(_HISTORY + 1):
            self._dictionary.values[0x1003 << 8 | sub] = 0


def _only_zero(sub: int, value: int) -> None:
    if value:
        raise SdoAbort(RANGE)

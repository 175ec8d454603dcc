"""Process data objects of a node: mapping and its rules, SYNC latching, transmission types, inhibit and event timers.

After CiA 301, 7.2.2 and 7.5.2.36 f. Remapping goes as there: mark the PDO invalid (bit 31 of its COB-ID), set the
number of mapped objects to 0, write the entries, set the number, make it valid. Anything else is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from sim_mocks.cobot.dictionary import NO_OBJECT, RANGE, Dictionary, SdoAbort
from sim_mocks.cobot.frames import Frame

NOT_MAPPABLE = 0x06040041
PDO_TOO_LONG = 0x06040042
INCOMPATIBLE = 0x06040043
UNSUPPORTED = 0x06010000
WRONG_STATE = 0x08000022
INVALID = 0x8000_0000
_NO_RTR = 0x4000_0000
_EXTENDED = 0x2000_0000
_RESTRICTED = ((0, 0x7F), (0x80, 0x80), (0x101, 0x180), (0x581, 0x5FF), (0x601, 0x67F), (0x6E0, 0x6FF), (0x701, 0x7FF))
"""Identifiers that no PDO may have (CiA 301, table 40; SYNC's default besides)."""
_DUMMIES = {0x02: "b", 0x03: "h", 0x04: "i", 0x05: "B", 0x06: "H", 0x07: "I"}
_DUMMY = -1


class Pdo:
    """What receive and transmit PDOs share: the two parameter records and their rules."""

    def __init__(self, dictionary: Dictionary, number: int, transmit: bool) -> None:
        """``number`` counts from 0."""
        self._dictionary, self._transmit = dictionary, transmit
        self._comm = (0x1800 if transmit else 0x1400) + number
        self._map = (0x1A00 if transmit else 0x1600) + number
        dictionary.hooks[self._comm], dictionary.hooks[self._map] = self._check_comm, self._check_map
        dictionary.after[self._comm] = dictionary.after[self._map] = lambda sub, value: self.refresh()
        self.refresh()

    def refresh(self) -> None:
        """Take over the dictionary's records, e.g. after a reset."""
        number = self._dictionary.number
        cob = number(self._comm, 1)
        self.valid = not cob & INVALID
        self.cob_id = cob & 0x7FF
        self.type = number(self._comm, 2)
        self.inhibit_ns = number(self._comm, 3) * 100_000
        self.timer_ns = number(self._comm, 5) * 1_000_000
        self.keys, self._struct = self._compile(number(self._map, 0))
        self.length = self._struct.size

    def _compile(self, count: int) -> tuple[list[int], struct.Struct]:
        keys, form = [], "<"
        for sub in range(1, count + 1):
            word = self._dictionary.number(self._map, sub)
            key, index = word >> 8, word >> 16
            if index in _DUMMIES:
                keys.append(_DUMMY)
                form += _DUMMIES[index]
            else:
                keys.append(key)
                form += self._dictionary.entries[key].format
        return keys, struct.Struct(form)

    def _check_comm(self, sub: int, value: int) -> None:
        if sub == 1:
            old = self._dictionary.number(self._comm, 1)
            low = value & 0x7FF
            if value & _EXTENDED or (self.valid and not value & INVALID and (value ^ old) & 0x7FF):
                raise SdoAbort(RANGE)
            if not value & INVALID and any(first <= low <= last for first, last in _RESTRICTED):
                raise SdoAbort(RANGE)
            if not self._transmit and value & _NO_RTR:
                raise SdoAbort(RANGE)
            if not value & INVALID and self._dictionary.number(self._map, 0) == 0:
                raise SdoAbort(INCOMPATIBLE)
        elif sub == 2:
            if 240 < value < 254:  # reserved, or on request by RTR, which this drive does not serve
                raise SdoAbort(RANGE)
        elif sub == 3:
            if self.valid:
                raise SdoAbort(RANGE)
        elif sub == 6 and value:
            raise SdoAbort(RANGE)

    def _check_map(self, sub: int, value: int) -> None:
        if self.valid:
            raise SdoAbort(WRONG_STATE)
        if sub:
            if self._dictionary.number(self._map, 0):
                raise SdoAbort(UNSUPPORTED)
            if value:
                self._check_entry(value)
            return
        total = 0
        for k in range(1, value + 1):
            word = self._dictionary.number(self._map, k)
            self._check_entry(word)
            total += word & 0xFF
        if total > 64:
            raise SdoAbort(PDO_TOO_LONG)

    def _check_entry(self, word: int) -> None:
        index, width = word >> 16, word & 0xFF
        if index in _DUMMIES:
            if self._transmit or word >> 8 & 0xFF or width != 8 * struct.calcsize(_DUMMIES[index]):
                raise SdoAbort(NOT_MAPPABLE)
            return
        entry = self._dictionary.entries.get(word >> 8)
        if entry is None:
            raise SdoAbort(NO_OBJECT)
        fits = entry.mappable and width == 8 * entry.size and (self._transmit or entry.writable)
        if not fits:
            raise SdoAbort(NOT_MAPPABLE)


class RxPdo(Pdo):
    """A receive PDO. ``apply`` is called with key and value of every mapped object, when it takes effect."""

    def __init__(self, dictionary: Dictionary, number: int, apply: Callable[[int, int], None]) -> None:
        self._apply = apply
        self._pending: bytes | None = None
        self._due_ns = -1
        super().__init__(dictionary, number, False)

    def reset(self) -> None:
        """Forget what has not taken effect, and stop the deadline until the next reception."""
        self._pending, self._due_ns = None, -1

    def receive(self, data: bytes, t_ns: int) -> int:
        """Take a frame; the emergency code that it deserves, or 0."""
        if len(data) < self.length:
            return 0x8210
        if self.timer_ns:
            self._due_ns = t_ns + self.timer_ns
        if self.type <= 240:
            self._pending = data
        else:
            self._take(data)
        return 0x8220 if len(data) > self.length else 0

    def sync(self) -> None:
        """SYNC: what came since the last one takes effect."""
        if self._pending is not None:
            data, self._pending = self._pending, None
            self._take(data)

    def overdue(self, t_ns: int) -> bool:
        """The deadline (event timer) has passed; True once."""
        if self._due_ns < 0 or t_ns < self._due_ns or not self.timer_ns:
            return False
        self._due_ns = -1
        return True

    def _take(self, data: bytes) -> None:
        for key, value in zip(self.keys, self._struct.unpack_from(data), strict=True):
            if key != _DUMMY:
                self._apply(key, value)


class TxPdo(Pdo):
    """A transmit PDO."""

    def __init__(self, dictionary: Dictionary, number: int) -> None:
        self.reset()
        super().__init__(dictionary, number, True)

    def reset(self) -> None:
        """As on entering OPERATIONAL: SYNC counted anew, event-driven ones due at once."""
        self._count = 0
        self._sent_ns, self._timer_from = -(1 << 62), -(1 << 62)
        self._last: bytes | None = None

    def sync(self, t_ns: int) -> Frame | None:
        """SYNC: what it samples, on every n-th for type n, on a change for type 0."""
        if not self.valid or self.type > 240:
            return None
        if self.type == 0:
            data = self._pack()
            if data == self._last:
                return None
            return self._send(data, t_ns)
        self._count += 1
        if self._count < self.type:
            return None
        self._count = 0
        return self._send(self._pack(), t_ns)

    def tick(self, t_ns: int) -> Frame | None:
        """Event-driven types (254, 255): on a change, not within the inhibit time, and when the event timer ran out."""
        if not self.valid or self.type < 254 or t_ns - self._sent_ns < self.inhibit_ns:
            return None
        data = self._pack()
        if data == self._last and not (self.timer_ns and t_ns - self._timer_from >= self.timer_ns):
            return None
        return self._send(data, t_ns)

    def _pack(self) -> bytes:
        values = self._dictionary.values
        return self._struct.pack(*[values[key] for key in self.keys])

    def _send(self, data: bytes, t_ns: int) -> Frame:
        self._last, self._sent_ns, self._timer_from = data, t_ns, t_ns
        return self.cob_id, data

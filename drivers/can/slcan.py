"""Serial-line CAN adapters (LAWICEL's ASCII protocol: CANable, USBtin, LAWICEL) on a raw file descriptor.

python-can reads such a line a byte at a time. Here one read takes all that has arrived, and one write carries all
frames of a cycle.

Commands: ``S0..S8`` bit rate, ``O`` open, ``L`` open listening only, ``C`` close, ``tiiildd..`` a data frame with an
11-bit identifier, ``Tiiiiiiiildd..`` one with 29 bits, ``r``/``R`` remote frames, ``F`` status flags. Each ends
with CR; an error is answered by BEL.
"""

from __future__ import annotations

import os
from binascii import Error as HexError
from binascii import hexlify, unhexlify
from collections.abc import Sequence

from drivers.can.bus import DATA, EXTENDED, REMOTE, Frame, Outgoing
from drivers.errors import ConnectError, DeviceLostError
from drivers.ft.port import RawPort

SPEEDS = {
    10_000: 0,
    20_000: 1,
    50_000: 2,
    100_000: 3,
    125_000: 4,
    250_000: 5,
    500_000: 6,
    800_000: 7,
    1_000_000: 8,
}
"""Digit after ``S`` by bit rate."""
_LONGEST = 32
"""A frame is at most 27 characters (``T``, 8, 1, 16) and a time stamp; anything longer is rubbish."""
_QUESTIONS = 5
"""Questions for the status flags without an answer after which no more are asked."""
_FLAGS = ((0x80, "bus-off"), (0x20, "passive"), (0x04, "warning"))


class SlcanBus:
    """:class:`drivers.can.bus.Bus` on an slcan adapter or its pseudo-terminal."""

    echoes = False
    poll_ns = 1 << 62

    def __init__(self, path: str, bitrate: int = 1_000_000, *, baud: int = 115_200, listen_only: bool = False) -> None:
        """``baud``: of the serial line, without meaning on most USB adapters. Raises ConnectError."""
        digit = SPEEDS.get(bitrate)
        if digit is None:
            raise ConnectError(f"slcan {path}: no bit rate {bitrate}; expected one of {', '.join(map(str, SPEEDS))}")
        self.name = f"slcan {path}"
        self.refused = 0
        self.garbled = 0
        self.bells = 0
        """Times the adapter answered that it did not take a command."""
        self._flags = -1
        self._asked = 0
        self._cut = False
        self._rest = b""
        self._heads: dict[tuple[int, int], bytes] = {}
        self._ids: dict[bytes, tuple[int, int]] = {}
        self._port = RawPort(path, baud)
        try:
            # An adapter left open by a program that died refuses S; CR alone ends a half-written command.
            self._port.write(b"\r\r\rC\r")
            self._port.write(b"S%d\r%s\r" % (digit, b"L" if listen_only else b"O"))
        except DeviceLostError as error:
            self._port.close()
            raise ConnectError(str(error)) from error

    @property
    def lost(self) -> str:
        return self._port.lost

    def fileno(self) -> int:
        return self._port.fd

    def send(self, frames: Sequence[Outgoing]) -> bool:
        heads = self._heads
        parts = []
        for can_id, data in frames:
            key = (can_id, len(data))
            head = heads.get(key)
            if head is None:
                head = heads[key] = b"t%03X%d" % key
            parts.append(head)
            parts.append(hexlify(data))
            parts.append(b"\r")
        # Hexadecimal digits in capitals: some firmware takes no others; "t" itself must stay small.
        if self._write(b"".join(parts).upper().replace(b"T", b"t")):
            return True
        self.refused += len(frames)
        return False

    def _write(self, text: bytes) -> bool:
        """Whether the adapter took ``text`` whole; what makes it impossible for good sets ``lost``."""
        port = self._port
        if port.lost:
            return False
        if self._cut:
            text = b"\r" + text  # ends the frame that was cut in the middle
        try:
            written = os.write(port.fd, text)
        except BlockingIOError:
            return False
        except OSError as error:
            port.lost = f"{error.strerror} (unplugged?)"
            return False
        self._cut = written != len(text)
        return not self._cut

    def ask_state(self) -> None:
        """Ask for the status flags; :meth:`state` knows them when the answer was drained.

        Firmware that has never answered is not asked for ever: some answers each question with an error.
        """
        if self._flags < 0:
            if self._asked >= _QUESTIONS:
                return
            self._asked += 1
        self._write(b"F\r")

    def drain(self, frames: list[Frame]) -> None:
        data = self._port.read_available()
        if not data:
            return
        if self._rest:
            data = self._rest + data
        lines = data.split(b"\r")
        rest = lines.pop()
        ids = self._ids
        for line in lines:
            # The usual case first, with nothing looked at twice: t, three digits, length, payload.
            known = ids.get(line[:5])
            if known is not None and len(line) == known[1]:
                try:
                    frames.append((known[0], unhexlify(line[5:]), DATA))
                    continue
                except HexError:
                    self.garbled += 1
                    continue
            self._unusual(line, frames)
        if len(rest) > _LONGEST:
            self.garbled += 1
            rest = b""
        self._rest = rest

    def state(self) -> str:
        if self._flags < 0:
            return "unknown"
        return next((name for bit, name in _FLAGS if self._flags & bit), "active")

    def close(self) -> None:
        if self._port.fd >= 0:
            self._write(b"C\r")
        self._port.close()
        self._port.lost = self._port.lost or "closed"

    def _unusual(self, line: bytes, frames: list[Frame]) -> None:
        """The first frame of an identifier, acknowledgements, flags, long identifiers, remote frames, rubbish."""
        bells = line.count(b"\a")
        if bells:
            self.bells += bells
            line = line.rsplit(b"\a", 1)[1]
        if line in (b"", b"z", b"Z"):
            return
        letter = line[:1]
        try:
            if letter == b"F" and len(line) == 3:
                self._flags = int(line[1:], 16)
                return
            digits = 3 if letter in b"tr" else 8
            if letter not in (b"t", b"T", b"r", b"R"):
                raise ValueError
            can_id, length = int(line[1 : 1 + digits], 16), int(line[1 + digits : 2 + digits])
            end = 2 + digits + (2 * length if letter in b"tT" else 0)
            # Some firmware appends a time stamp of four digits.
            if length > 8 or len(line) not in (end, end + 4):
                raise ValueError
            if letter == b"t":
                if len(line) == end:
                    self._ids[line[:5]] = (can_id, end)
                frames.append((can_id, unhexlify(line[5:end]), DATA))
            elif letter == b"T":
                frames.append((can_id, unhexlify(line[10:end]), EXTENDED))
            else:
                frames.append((can_id, b"", REMOTE))
        except (ValueError, HexError):
            self.garbled += 1

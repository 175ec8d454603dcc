"""The adapter's side of the Lawicel ASCII protocol (CANUSB manual, chapter "CANUSB ASCII Commands"); no I/O.

Known: ``S0`` … ``S8``, ``O``, ``L`` (listen only), ``C``, ``t`` (11-bit data frames), ``V``, ``N``, ``F`` (status
flags), ``X0`` and ``X1`` (auto poll), ``Z0`` (time stamps off), ``M`` and ``m``. Each command ends with a carriage
return and is answered by one, or by BELL where it is refused: among these time stamps, 29-bit and remote frames.
"""

from __future__ import annotations

from sim_mocks.cobot.frames import ERROR_FLAG, Frame

OK, BELL = b"\r", b"\a"
BITRATES = (10_000, 20_000, 50_000, 100_000, 125_000, 250_000, 500_000, 800_000, 1_000_000)
"""By the digit after ``S``."""
_COMMAND_MAX = 64
_WARNING, _PASSIVE, _BUS_ERROR = 0x04, 0x20, 0x80
"""Bits of the answer to ``F``: error warning, error passive, bus error."""


class SlcanAdapter:
    """State of one adapter on a bus of ``bitrate`` bit/s."""

    def __init__(self, bitrate: int) -> None:
        self._bus_bitrate = bitrate
        self.refused = 0
        """Commands answered with BELL."""
        self._flags = 0
        self.reset()

    def reset(self) -> None:
        """Power-on: closed, no bit rate chosen."""
        self._buffer = b""
        self._bitrate = 0
        self._open = self._listen = self._poll = False

    @property
    def on_bus(self) -> bool:
        """It is open at the bit rate of the bus: otherwise it neither hears nor is heard."""
        return self._open and self._bitrate == self._bus_bitrate

    def status(self, error_count: int, bus_off: bool) -> None:
        """What ``F`` answers."""
        wrong = self._open and self._bitrate != self._bus_bitrate
        self._flags = (
            (_WARNING if error_count >= 96 or wrong else 0)
            | (_PASSIVE if error_count >= 128 or wrong else 0)
            | (_BUS_ERROR if bus_off or wrong else 0)
        )

    def feed(self, data: bytes) -> tuple[bytes, list[Frame]]:
        """Take bytes of the host; what is answered, and the frames that go out onto the bus."""
        if not data:
            return b"", []
        *commands, self._buffer = (self._buffer + data).split(b"\r")
        if len(self._buffer) > _COMMAND_MAX:
            self._buffer = b""
        reply: list[bytes] = []
        frames: list[Frame] = []
        for command in commands:
            answer = self._frame(command, frames) if command[:1] == b"t" else self._command(command)
            if answer is None:
                self.refused += 1
                answer = BELL
            reply.append(answer)
        return b"".join(reply), frames

    def encode(self, frames: list[Frame]) -> bytes:
        """Frames from the bus as the host reads them; error frames have no form in this protocol."""
        if not self.on_bus:
            return b""
        return b"".join(
            f"t{can_id:03X}{len(data)}{data.hex().upper()}\r".encode("ascii")
            for can_id, data in frames
            if not can_id & ERROR_FLAG
        )

    def _frame(self, command: bytes, frames: list[Frame]) -> bytes | None:
        """``tiiildd…``: None where it is malformed or may not be sent."""
        if not self._open or self._listen:
            return None
        try:
            can_id, length = int(command[1:4], 16), int(command[4:5])
            data = bytes.fromhex(command[5:].decode("ascii"))
        except ValueError:
            return None
        if can_id > 0x7FF or length > 8 or len(data) != length:
            return None
        if self.on_bus:
            frames.append((can_id, data))
        return b"z\r" if self._poll else OK

    def _command(self, command: bytes) -> bytes | None:
        head, rest = command[:1], command[1:]
        if not command:  # hosts clear the line with empty commands
            return OK
        if head == b"S" and not self._open and rest.isdigit() and int(rest) < len(BITRATES):
            self._bitrate = BITRATES[int(rest)]
        elif head in (b"O", b"L") and not rest and not self._open and self._bitrate:
            self._open, self._listen = True, head == b"L"
        elif head == b"C" and not rest and self._open:
            self._open = False
        elif head == b"V" and not rest:
            return b"V1011\r"
        elif head == b"N" and not rest:
            return b"NHIL1\r"
        elif head == b"F" and not rest and self._open:
            return b"F%02X\r" % self._flags
        elif head == b"X" and rest in (b"0", b"1") and not self._open:
            self._poll = rest == b"1"
        elif not (head in (b"M", b"m") and not self._open) and command != b"Z0":
            return None
        return OK

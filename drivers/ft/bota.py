"""Wire format of Bota serial force/torque sensors (Rokubi, SensONE): frames, status, commands, device time. No I/O.

Frame, 37 bytes, little-endian, packed: ``AA | u16 status | 6 x f32 wrench (N, N·m) | u32 time (µs) | f32 °C | u16
CRC-16/X-25`` over the 34 bytes between header and CRC. Commands are ASCII without terminator, acknowledged by
``r,<digit>,<command>,<code>`` where code 0 means accepted. Source: the vendor's C example and the public drivers
(rokubimini_serial, tud-phi/bota_ft_sensors).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from drivers.contract import Array
from drivers.errors import ProtocolError
from drivers.ft.crc import crc16_x25, x25_holds
from drivers.ft.framer import Framer
from drivers.ft.steps import Drain, Expect, Send, Step

HEADER = b"\xaa"
FRAME_SIZE = 37
BAUD = 460800

STATUS_BITS = {0: "app_took_too_long", 1: "overrange", 2: "invalid_measurements", 3: "raw_measurements"}
"""Names of the status bits; 4–15 are reserved."""
FAULT_MASK = 0x000F
"""Status bits that make a measurement unfit for use (reserved bits are shown as flags only)."""

TIME_STEP_PER_SINC = 1.953125e-5
"""s; one frame takes this times the sinc length (512 → 100 Hz, 64 → 800 Hz)."""
MIN_SINC = 42
"""Shortest sinc whose frames fit on the line: 460800 baud / (37 bytes x 10 bits) = 1245 frames/s."""
MAX_SINC = 65535

_FRAME = struct.Struct("<xH6fIf2x")
_BODY = struct.Struct("<H6fIf")
_TIME = struct.Struct("<27xI6x")
_CRC = struct.Struct("<H")


@dataclass(slots=True, eq=False)
class BotaFrame:
    """One measurement as the wire carries it."""

    status: int
    """u16, see :data:`STATUS_BITS`."""
    wrench: Array
    """``[Fx Fy Fz Mx My Mz]``, N and N·m, shape (6,); float32 resolution."""
    t_us: int
    """Device time, µs, u32: wraps every 71.6 minutes."""
    temperature: float
    """°C."""

    @property
    def flags(self) -> frozenset[str]:
        return status_flags(self.status)


def check_frame(frame: bytes) -> bool:
    """True if the CRC of a candidate of :data:`FRAME_SIZE` bytes holds."""
    return x25_holds(frame[1:])


def bota_framer() -> Framer:
    """A framer for this wire format."""
    return Framer(HEADER, FRAME_SIZE, check_frame)


def unpack_frame(frame: bytes) -> BotaFrame:
    """Decode a frame that a framer has already checked."""
    status, fx, fy, fz, mx, my, mz, t_us, temperature = _FRAME.unpack(frame)
    return BotaFrame(status, np.array((fx, fy, fz, mx, my, mz)), t_us, temperature)


def frame_time_us(frame: bytes) -> int:
    """Only the time stamp (µs, u32) of a checked frame."""
    t_us: int = _TIME.unpack(frame)[0]
    return t_us


def decode_frame(data: bytes) -> BotaFrame:
    """Decode exactly one frame.

    Raises ProtocolError with reason ``truncated``, ``length``, ``header`` or ``crc``. NaN and infinite values
    decode: whether to trust them is the driver's question.
    """
    if len(data) != FRAME_SIZE:
        reason = "truncated" if len(data) < FRAME_SIZE else "length"
        raise ProtocolError(reason, f"Bota frame of {len(data)} bytes, expected {FRAME_SIZE}: feed whole frames")
    if not data.startswith(HEADER):
        raise ProtocolError("header", f"Bota frame begins with 0x{data[0]:02X}, expected 0xAA: cut the stream anew")
    if not check_frame(data):
        sent, own = _CRC.unpack_from(data, FRAME_SIZE - 2)[0], crc16_x25(data[1:-2])
        raise ProtocolError("crc", f"Bota frame carries CRC 0x{sent:04X}, computed 0x{own:04X}: drop the frame")
    return unpack_frame(data)


def encode_frame(frame: BotaFrame) -> bytes:
    """The 37 bytes of ``frame``. Raises ProtocolError (reason ``range``) for what the fields cannot hold."""
    try:
        body = _BODY.pack(frame.status, *frame.wrench.tolist(), frame.t_us, frame.temperature)
    except (struct.error, OverflowError) as error:
        raise ProtocolError(
            "range",
            f"status {frame.status}, wrench {frame.wrench}, time {frame.t_us} µs, {frame.temperature} °C does not "
            f"fit u16, 6 x float32, u32, float32 ({error}): scale or wrap the values first",
        ) from error
    return HEADER + body + _CRC.pack(crc16_x25(body))


def _name_flags(status: int) -> frozenset[str]:
    return frozenset(STATUS_BITS.get(bit, f"reserved_{bit}") for bit in range(16) if status >> bit & 1)


_FLAGS = {status: _name_flags(status) for status in range(16)}


def status_flags(status: int) -> frozenset[str]:
    """Names of the bits set in ``status``; reserved ones as ``reserved_4`` …"""
    known = _FLAGS.get(status)
    return _name_flags(status) if known is None else known


def rate_of_sinc(sinc: int) -> float:
    """Frames per second, Hz, with this sinc length."""
    return 1.0 / (TIME_STEP_PER_SINC * sinc)


def sinc_of_rate(rate: float) -> int:
    """The sinc length whose rate is nearest to ``rate`` (Hz).

    Raises ValueError for a rate that is not finite, too fast for the line, too slow for the field, or more than 1 %
    away from what a whole sinc length gives.
    """
    if not rate > 0.0 or rate == float("inf"):
        raise ValueError(f"rate of {rate} Hz: it must be finite and positive, e.g. 100 or 800")
    sinc = round(1.0 / (TIME_STEP_PER_SINC * rate))
    if not MIN_SINC <= sinc <= MAX_SINC:
        raise ValueError(
            f"rate of {rate:g} Hz needs sinc length {sinc}, allowed are {MIN_SINC} to {MAX_SINC}: ask for "
            f"{rate_of_sinc(MAX_SINC):.3g} to {rate_of_sinc(MIN_SINC):.0f} Hz (at {BAUD} baud)"
        )
    if abs(rate_of_sinc(sinc) - rate) > 0.01 * rate:
        raise ValueError(f"rate of {rate:g} Hz is not available, nearest is {rate_of_sinc(sinc):.2f} Hz: ask for that")
    return sinc


class DeviceClock:
    """Unwraps the device's u32 microsecond counter to ns that go on growing.

    Steps below 2³¹ µs (35.8 min) forward are told from steps back by sign. A step back means that the device was
    reset: the unwrapped time then starts again at the counter's own value.
    """

    __slots__ = ("_epoch_us", "_last_us")

    def __init__(self) -> None:
        self._epoch_us = 0
        self._last_us = -1

    def update(self, t_us: int) -> tuple[int, int]:
        """``(t_ns, step_us)``: unwrapped time in ns, and µs since the last stamp: negative after a reset of the
        device, 0 for the first stamp."""
        if self._last_us < 0:
            self._last_us = t_us
            return t_us * 1000, 0
        step = (t_us - self._last_us + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        if step < 0:
            self._epoch_us = 0
        elif t_us < self._last_us:
            self._epoch_us += 1 << 32
        self._last_us = t_us
        return (self._epoch_us + t_us) * 1000, step


STOP = b"C"
"""Leaves the device silent, in configuration mode."""


def _expect_ack(command: str, then: str) -> Expect:
    return Expect(
        good=re.compile(rb"r,\d,%b,0" % command.encode()),
        bad=re.compile(rb"r,\d,%b,[1-9]" % command.encode()),
        what=f"acknowledge 'r,0,{command},0'",
        timeout_ns=500_000_000,
        tries=4,
        then=then,
    )


_CABLE = (
    "check that the sensor has power, that the port is the right one (ls -l /dev/serial/by-id), that it talks at "
    f"{BAUD} baud, and that no other program reads the port (fuser -v PORT)"
)


def start_steps(sinc: int, *, temperature_compensation: bool = False) -> Iterator[Step]:
    """Handshake from any state of the device, streaming or not, to a binary stream with this filter.

    The sensor keeps streaming when its host dies, and its boot text comes after power-up only; hence nothing is
    awaited before ``C``, and the acknowledgement is searched for in whatever arrives.
    """
    yield Send(STOP)
    yield _expect_ack("C", _CABLE)
    yield Drain(quiet_ns=10_000_000, limit_ns=1_000_000_000)
    yield Send(b"c,%d,1,0,4" % temperature_compensation)
    yield _expect_ack("c", "look up the firmware's communication settings; power-cycle the sensor and try again")
    yield Send(b"f,%d,0,0,1" % sinc)
    yield _expect_ack("f", f"the firmware may not know sinc length {sinc}: try 512 (100 Hz) or 64 (800 Hz)")
    yield Send(b"R")
    yield _expect_ack("R", "power-cycle the sensor and try again")

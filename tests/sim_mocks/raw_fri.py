"""An FRI client made of ``struct`` alone: it shares no code with the toolkit's codec, so that both can be wrong
in different ways only."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MONITORING, COMMAND = 0x245142, 0x34001


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _part(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _doubles(values: Sequence[float]) -> bytes:
    return b"".join(b"\x09" + struct.pack("<d", value) for value in values)


def command(
    seq: int,
    reflected: int,
    q: Sequence[float] | None = None,
    tau: Sequence[float] | None = None,
    wrench: Sequence[float] | None = None,
    pose: Sequence[float] | None = None,
    a3: float | None = None,
    ios: Sequence[bytes] = (),
) -> bytes:
    """A bare command message; any number of values is written as told. ``a3``: the redundancy of a pose."""
    header = b"\x08" + _varint(COMMAND) + b"\x10" + _varint(seq) + b"\x18" + _varint(reflected)
    data = b"" if q is None else _part(1, _doubles(q))
    data += b"" if wrench is None else _part(2, _part(1, struct.pack(f"<{len(wrench)}d", *wrench)))
    data += b"" if tau is None else _part(3, _doubles(tau))
    data += b"".join(_part(5, io) for io in ios)
    data += b"" if pose is None else _part(6, _part(1, b"") + _part(2, struct.pack(f"<{len(pose)}d", *pose)))
    data += b"" if a3 is None else _part(7, b"\x08\x00\x11" + struct.pack("<d", a3))
    return _part(1, header) + (_part(2, data) if data else b"")


def io(name: str, kind: int, value: int | float, direction: int = 1) -> bytes:
    """The content of one IO field."""
    content = _part(1, name.encode()) + b"\x10" + _varint(kind) + b"\x18" + _varint(direction)
    return content + (b"\x29" + struct.pack("<d", value) if kind == 2 else b"\x20" + _varint(int(value)))


def crc32(data: bytes) -> int:
    """CRC-32 bit by bit, as a textbook has it."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0xEDB88320 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def wrap(message: bytes) -> bytes:
    """The envelope of FRI 2.7."""
    return struct.pack("<I", len(message)) + message + struct.pack("<I", crc32(message))


def unwrap(data: bytes) -> bytes:
    assert struct.unpack("<I", data[:4])[0] == len(data) - 8
    return data[4:-4]


def fields(data: bytes) -> dict[int, list[Any]]:
    """Field number → values of one message: integers, doubles, or bytes of a nested one."""
    out: dict[int, list[Any]] = {}
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = number()
        value: Any
        if tag & 7 == 0:
            value = number()
        elif tag & 7 == 1:
            value = struct.unpack_from("<d", data, at)[0]
            at += 8
        elif tag & 7 == 2:
            length = number()
            value = data[at : at + length]
            at += length
        else:
            raise AssertionError(f"wire type {tag & 7}")
        out.setdefault(tag >> 3, []).append(value)
    assert at == len(data)
    return out


@dataclass
class Packet:
    """A monitoring message as read by hand."""

    seq: int
    reflected: int
    state: int
    quality: int
    parts: dict[int, dict[int, list[Any]]] = field(repr=False)

    def pose(self, part: int, number: int) -> list[float]:
        """Pose ``number`` of message part ``part``."""
        return list(struct.unpack("<7d", fields(self.parts[part][number][0])[2][0]))

    def joints(self, part: int, number: int) -> list[float]:
        """Joint vector ``number`` of message part ``part``."""
        values: list[float] = fields(self.parts[part][number][0])[1]
        return values


def packet(data: bytes) -> Packet:
    """Walk one monitoring datagram."""
    parts = {number: fields(content[0]) for number, content in fields(data).items()}
    assert parts[1][1] == [MONITORING]
    return Packet(parts[1][2][0], parts[1][3][0], parts[4][1][0], parts[4][2][0], parts)


class RawClient:
    """A UDP socket that keeps its own counter, and answers every ``multiplier``-th packet that it reads."""

    def __init__(self, wrapped: bool = False, multiplier: int = 1) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.address = self.socket.getsockname()
        self.wrapped = wrapped
        self.multiplier = multiplier
        self.seq = 0
        self.count = 0
        self.last: Packet | None = None

    def fileno(self) -> int:
        return self.socket.fileno()

    def read(self) -> Packet | None:
        """The newest packet that has arrived, if any."""
        found = None
        while True:
            try:
                data = self.socket.recv(2000)
            except BlockingIOError:
                self.last = found or self.last
                return found
            if self.wrapped:
                assert data[-4:] == wrap(data[4:-4])[-4:]
                data = unwrap(data)
            found = packet(data)
            self.count += 1

    def due(self) -> bool:
        """It is time to answer the packet just read."""
        if self.count < self.multiplier:
            return False
        self.count = 0
        return True

    def send(self, to: tuple[str, int], reflected: int, *parts: Any, **more: Any) -> None:
        message = command(self.seq, reflected, *parts, **more)
        self.socket.sendto(wrap(message) if self.wrapped else message, to)
        self.seq += 1

    def answer(self, to: tuple[str, int], seen: Packet, tau: Sequence[float] = (0.0,) * 7) -> None:
        """What the state of ``seen`` demands: mirror ipo in states 3 and 4, anything in monitoring."""
        if seen.state in (3, 4):
            self.send(to, seen.seq, seen.joints(5, 1), tau)
        elif seen.state in (1, 2):
            self.send(to, seen.seq, None, None)

    def close(self) -> None:
        self.socket.close()

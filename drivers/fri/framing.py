"""The envelope of FRI 2.7: length, message, CRC-32; earlier versions send the bare message.

Both kinds tell themselves apart, so that a wrong version in a cell file is named instead of showing up as rubbish.
"""

from __future__ import annotations

import struct
import zlib

from drivers.errors import ProtocolError
from drivers.fri import wire

_LENGTH = struct.Struct("<I")
OVERHEAD = 8
"""Bytes around the message: a 32-bit length before and a CRC-32 behind, both little-endian."""
MAX_MESSAGE = wire.MAX_DATAGRAM - OVERHEAD
FIRST_BYTE = b"\x0a"
"""First byte of a bare message: the header, field 1, length-delimited."""


def wrap(message: bytes) -> bytes:
    """``message`` in its envelope. Raises ProtocolError (``oversize``)."""
    if len(message) > MAX_MESSAGE:
        raise ProtocolError("oversize", f"a message of {len(message)} bytes was made, FRI 2.7 allows {MAX_MESSAGE}")
    return b"".join((_LENGTH.pack(len(message)), message, _LENGTH.pack(zlib.crc32(message))))


def unwrap(data: bytes) -> bytes:
    """The message of an envelope. Raises ProtocolError: ``oversize``, ``version`` (a bare message), ``truncated`` (the
    length does not fit the datagram), ``crc``."""
    if len(data) > wire.MAX_DATAGRAM:
        raise ProtocolError("oversize", f"a datagram of {len(data)} bytes came, FRI allows {wire.MAX_DATAGRAM}")
    if is_wrapped(data):
        return data[4:-4]
    if data[:1] == FIRST_BYTE and (len(data) < 4 or _LENGTH.unpack_from(data)[0] > MAX_MESSAGE):
        raise ProtocolError("version", "the datagram is a bare message as FRI 1.x and 2.5 send it, not one of FRI 2.7")
    stated = _LENGTH.unpack_from(data)[0] if len(data) >= OVERHEAD else -1
    if stated < 0 or stated != len(data) - OVERHEAD:
        raise ProtocolError("truncated", f"a datagram of {len(data)} bytes states a message of {stated}")
    raise ProtocolError("crc", f"the CRC of a message of {stated} bytes does not fit: it was damaged on its way")


def is_wrapped(data: bytes) -> bool:
    """Length and CRC both fit: an FRI 2.7 datagram."""
    n = len(data) - OVERHEAD
    if n < 0 or _LENGTH.unpack_from(data)[0] != n:
        return False
    return bool(_LENGTH.unpack_from(data, n + 4)[0] == zlib.crc32(data[4:-4]))


def refuse_wrapped(data: bytes) -> None:
    """For readers of bare messages. Raises ProtocolError (``version``) for an FRI 2.7 datagram."""
    # The CRC is worked out only where the datagram cannot be a bare message, or its length says so by chance.
    odd = data[:1] != FIRST_BYTE or data[:4] == _LENGTH.pack(max(0, len(data) - OVERHEAD))
    if odd and is_wrapped(data):
        raise ProtocolError("version", "the datagram has the length and CRC of FRI 2.7")

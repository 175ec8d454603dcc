"""CRC-16/X-25 (also called IBM-SDLC): reflected polynomial 0x1021, start and final XOR 0xFFFF.

The standard library has the unreflected form in C (:func:`binascii.crc_hqx`); on bit-reversed bytes it gives the
bit-reversed result, so no dependency and no table in Python is needed.
"""

from __future__ import annotations

from binascii import crc_hqx

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

# What the unreflected remainder becomes after a message followed by its own (complemented) CRC. It is the same
# for every message, so that a check needs no comparison with the two bytes received.
_RESIDUE = 0x1D0F


def crc16_x25(data: bytes) -> int:
    """CRC-16/X-25 of ``data``, 0…0xFFFF; sent low byte first. Check value of ``b"123456789"``: 0x906E."""
    remainder = crc_hqx(data.translate(_REVERSED), 0xFFFF) ^ 0xFFFF
    return _REVERSED[remainder & 0xFF] << 8 | _REVERSED[remainder >> 8]


def x25_holds(data_and_crc: bytes) -> bool:
    """True if the last two bytes are the CRC-16/X-25, low byte first, of those before them."""
    return crc_hqx(data_and_crc.translate(_REVERSED), 0xFFFF) == _RESIDUE

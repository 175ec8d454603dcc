"""CAN frames as plain tuples, and how long each occupies a classic CAN bus, stuff bits counted exactly."""

from __future__ import annotations

import functools

Frame = tuple[int, bytes]
"""Identifier (11 bit; :data:`ERROR_FLAG` marks an error frame as SocketCAN does) and up to 8 data bytes."""

ERROR_FLAG = 0x2000_0000
ERROR_BITS = 23
"""Active error flag (6, and up to 6 more superposed, of which none here), delimiter (8), and the bits lost before it,
taken as 9: what one destroyed frame costs on top of its own repetition, ISO 11898-1."""
_FIXED_TAIL = 13
"""CRC delimiter, acknowledge slot and delimiter, end of frame (7), intermission (3): never stuffed."""
_CRC15 = 0x4599


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte << 7
        for _ in range(8):
            crc = (crc << 1) ^ _CRC15 if crc & 0x4000 else crc << 1
            crc &= 0x7FFF
        table.append(crc)
    return table


def _stuff(state: int, value: int, width: int) -> tuple[int, int]:
    """Stuff bits that ``width`` bits of ``value`` cause after ``state``, and the state behind them.

    The state is twice the length of the run of equal bits (0 … 4) plus the bit that the run is of.
    """
    run, last = state >> 1, state & 1
    stuffed = 0
    for shift in range(width - 1, -1, -1):
        bit = value >> shift & 1
        run = run + 1 if bit == last and run else 1
        last = bit
        if run == 5:  # the stuff bit is the complement and begins a run of its own
            stuffed += 1
            run, last = 1, 1 - bit
    return stuffed, run << 1 | last


_CRC = _crc_table()
_BYTE = [[_stuff(state, value, 8) for value in range(256)] for state in range(10)]
_SEVEN = [[_stuff(state, value, 7)[0] for value in range(128)] for state in range(10)]


@functools.lru_cache(maxsize=4096)
def _header(can_id: int, length: int) -> tuple[int, int, int]:
    """Stuff bits, state and CRC after SOF, identifier, RTR, IDE, r0 and DLC of a data frame."""
    value = can_id << 7 | length
    crc = 0
    for shift in range(18, -1, -1):
        crc = (crc << 1) ^ (_CRC15 if (value >> shift & 1) ^ (crc >> 14) else 0)
        crc &= 0x7FFF
    stuffed, state = _stuff(0, value, 19)
    return stuffed, state, crc


def bits(frame: Frame) -> int:
    """Bit times that the frame takes on the bus, stuff bits and intermission included (ISO 11898-1, 11-bit id).

    47 + 8 n bits without stuffing for n data bytes; an error frame takes :data:`ERROR_BITS`.
    """
    can_id, data = frame
    if can_id & ERROR_FLAG:
        return ERROR_BITS
    length = len(data)
    stuffed, state, crc = _header(can_id & 0x7FF, length)
    for byte in data:
        more, state = _BYTE[state][byte]
        stuffed += more
        crc = (crc << 8 ^ _CRC[(crc >> 7 ^ byte) & 0xFF]) & 0x7FFF
    more, state = _BYTE[state][crc >> 7]
    return 34 + 8 * length + stuffed + more + _SEVEN[state][crc & 0x7F] + _FIXED_TAIL

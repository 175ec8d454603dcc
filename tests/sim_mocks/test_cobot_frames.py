"""Frame lengths against a bit-by-bit reference, and against what is published about classic CAN."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_mocks.cobot.frames import ERROR_BITS, ERROR_FLAG, bits


def reference(can_id: int, data: bytes) -> int:
    """ISO 11898-1 spelt out: the bits from SOF to CRC, then a stuff bit after every five equal ones."""
    stream = [0, *(can_id >> k & 1 for k in range(10, -1, -1)), 0, 0, 0]
    stream += [len(data) >> k & 1 for k in range(3, -1, -1)]
    for byte in data:
        stream += [byte >> k & 1 for k in range(7, -1, -1)]
    crc = 0
    for bit in stream:
        top = crc >> 14 & 1
        crc = crc << 1 & 0x7FFF
        if top ^ bit:
            crc ^= 0x4599
    stream += [crc >> k & 1 for k in range(14, -1, -1)]
    sent: list[int] = []
    for bit in stream:
        sent.append(bit)
        if len(sent) >= 5 and len(set(sent[-5:])) == 1:  # the last stuff bit counts as the first of its run
            sent.append(1 - bit)
    return len(sent) + 1 + 1 + 1 + 7 + 3


@given(st.integers(0, 0x7FF), st.binary(max_size=8))
def test_bits_are_those_of_a_bit_by_bit_encoding(can_id: int, data: bytes) -> None:
    assert bits((can_id, data)) == reference(can_id, data)


@given(st.integers(0, 0x7FF), st.binary(max_size=8))
def test_bits_stay_between_nominal_and_worst(can_id: int, data: bytes) -> None:
    n = len(data)
    assert 47 + 8 * n <= bits((can_id, data)) <= 47 + 8 * n + (34 + 8 * n - 1) // 4


def test_random_payloads_need_three_percent_and_small_numbers_more() -> None:
    rng = random.Random(0)
    noise = [bits((0x181, rng.randbytes(8))) / 111 for _ in range(2000)]
    assert sum(noise) / len(noise) == pytest.approx(1.03, abs=0.01)
    small = [bits((0x181, rng.randrange(1 << 20).to_bytes(8, "little"))) / 111 for _ in range(2000)]
    assert sum(small) / len(small) == pytest.approx(1.10, abs=0.04)


def test_error_frames_have_their_length() -> None:
    assert bits((ERROR_FLAG | 8, bytes(8))) == ERROR_BITS

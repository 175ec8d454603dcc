"""Bota wire format against vectors from the vendor's compiled C decoder; corruption, device time, rates."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import ProtocolError
from drivers.ft.bota import (
    FRAME_SIZE,
    BotaFrame,
    DeviceClock,
    bota_framer,
    decode_frame,
    encode_frame,
    frame_time_us,
    rate_of_sinc,
    sinc_of_rate,
    status_flags,
)

VECTORS = [
    vector
    for vector in json.loads((Path(__file__).parents[2] / "data" / "ft_golden.json").read_text())
    if vector["protocol"] == "bota"
]


def test_vectors_are_there() -> None:
    assert len(VECTORS) >= 2


@pytest.mark.parametrize("vector", VECTORS)
def test_golden_vector_decodes_and_re_encodes(vector: dict[str, Any]) -> None:
    """Every value exactly (the file prints float32 values to 16 digits), and the same bytes back."""
    data = bytes.fromhex(vector["hex"])
    frame = decode_frame(data)
    assert frame.wrench.tolist() == np.array(vector["wrench"], dtype=np.float32).tolist()
    assert frame.status == vector["status"]
    assert frame.flags == frozenset(vector.get("flags", []))
    assert frame.t_us == vector["t_us"] == frame_time_us(data)
    assert frame.temperature == vector["temp_c"]
    assert encode_frame(frame) == data


@pytest.mark.parametrize("vector", VECTORS)
def test_every_single_byte_corruption_is_refused(vector: dict[str, Any]) -> None:
    """All 255 wrong values at all 37 positions, by the decoder and by the framer."""
    good = bytes.fromhex(vector["hex"])
    for position in range(FRAME_SIZE):
        damaged = bytearray(good)
        for error in range(1, 256):
            damaged[position] = good[position] ^ error
            with pytest.raises(ProtocolError) as caught:
                decode_frame(bytes(damaged))
            assert caught.value.reason == ("header" if position == 0 else "crc")
            assert bota_framer().feed(bytes(damaged)) == []


@pytest.mark.parametrize("vector", VECTORS)
def test_every_truncation_and_excess_is_refused(vector: dict[str, Any]) -> None:
    good = bytes.fromhex(vector["hex"])
    for length in range(FRAME_SIZE):
        with pytest.raises(ProtocolError, match="expected 37") as caught:
            decode_frame(good[:length])
        assert caught.value.reason == "truncated"
    with pytest.raises(ProtocolError) as caught:
        decode_frame(good + b"\0")
    assert caught.value.reason == "length"


float32 = st.floats(width=32, allow_nan=False)


@given(
    st.integers(0, 0xFFFF),
    st.lists(float32, min_size=6, max_size=6),
    st.integers(0, 0xFFFFFFFF),
    float32,
)
def test_encode_then_decode_is_the_identity(status: int, wrench: list[float], t_us: int, temperature: float) -> None:
    data = encode_frame(BotaFrame(status, np.array(wrench), t_us, temperature))
    frame = decode_frame(data)
    assert (frame.status, frame.t_us, frame.temperature) == (status, t_us, temperature)
    assert frame.wrench.tolist() == wrench


@pytest.mark.parametrize(
    "frame",
    [
        BotaFrame(1 << 16, np.zeros(6), 0, 0.0),
        BotaFrame(0, np.zeros(6), 1 << 32, 0.0),
        BotaFrame(0, np.zeros(6), -1, 0.0),
        BotaFrame(0, np.full(6, 1e39), 0, 0.0),
        BotaFrame(0, np.zeros(5), 0, 0.0),
    ],
)
def test_what_the_fields_cannot_hold_is_refused(frame: BotaFrame) -> None:
    with pytest.raises(ProtocolError) as caught:
        encode_frame(frame)
    assert caught.value.reason == "range"


def test_status_bits_have_names() -> None:
    assert status_flags(0) == frozenset()
    assert status_flags(0b1111) == {"app_took_too_long", "overrange", "invalid_measurements", "raw_measurements"}
    assert status_flags(0x8002) == {"overrange", "reserved_15"}


def test_clock_unwraps_over_many_turns() -> None:
    """Nine hours in steps of 1.25 ms' multiples: seven wraps, no error."""
    clock = DeviceClock()
    step = 1250 * 1000
    start = 0xFFFFFFFF - 500
    for i in range(26_000):
        t_ns, seen = clock.update(start + i * step & 0xFFFFFFFF)
        assert t_ns == (start + i * step) * 1000
        assert seen == (step if i else 0)


def test_clock_tells_a_reset_from_a_wrap() -> None:
    clock = DeviceClock()
    assert clock.update(0xFFFFFFF0) == (0xFFFFFFF0 * 1000, 0)
    assert clock.update(0x10) == ((0x10 + (1 << 32)) * 1000, 0x20)
    assert clock.update(0x5_000_000)[1] == 0x5_000_000 - 0x10
    t_ns, step = clock.update(700)
    assert t_ns == 700_000
    assert step < 0
    assert clock.update(1950) == (1_950_000, 1250)


@pytest.mark.parametrize(("rate", "sinc"), [(100.0, 512), (800.0, 64), (1000.0, 51), (400.0, 128), (200.0, 256)])
def test_rate_and_sinc(rate: float, sinc: int) -> None:
    assert sinc_of_rate(rate) == sinc
    assert rate_of_sinc(sinc) == pytest.approx(rate, rel=0.01)
    assert rate_of_sinc(512) == 100.0
    assert rate_of_sinc(64) == 800.0


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), 1300.0, 0.1, 1150.0])
def test_rates_that_the_sensor_does_not_have(rate: float) -> None:
    """Not finite, beyond the line (1245 frames/s), too slow, or between two sinc lengths."""
    with pytest.raises(ValueError, match="Hz"):
        sinc_of_rate(rate)

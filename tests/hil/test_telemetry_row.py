"""The row is its own protobuf encoding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from hil.telemetry.publisher import Publisher
from hil.telemetry.row import CYCLE, FIELDS, TIMING, columns, row_dtype, row_layout
from hil.telemetry.schema import SCHEMA_NAMES, ChannelDecoder, Event, encode_event, schema_bytes


def _google_class(channel: str):
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(schema_bytes(channel)).file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(SCHEMA_NAMES[channel]))


def _random_row(n: int, seed: int) -> tuple[bytearray, np.ndarray]:
    layout = row_layout(n)
    rng = np.random.default_rng(seed)
    buffer = bytearray(layout.blank)
    row = np.frombuffer(buffer, dtype=layout.dtype)
    for name in layout.dtype.names:
        view = row[name]
        if view.dtype.kind == "f":
            view[...] = rng.standard_normal(view.shape)
            view.flat[0] = rng.choice([np.nan, np.inf, -0.0, 1e-320, 5.0])
        else:
            view[...] = rng.integers(-(2**63), 2**63 - 1, view.shape)
    return buffer, row


@pytest.mark.parametrize("n", [1, 6, 7, 15])
@pytest.mark.parametrize("channel", [CYCLE, TIMING])
def test_row_bytes_decode_with_google_protobuf(n: int, channel: str) -> None:
    """Every value written into the row comes out of protobuf's own decoder, bit for bit."""
    buffer, row = _random_row(n, seed=n)
    split = row_layout(n).split
    message = _google_class(channel).FromString(bytes(buffer[:split] if channel == CYCLE else buffer[split:]))
    for field, size in columns(channel, n):
        if channel == TIMING and field.channel == CYCLE:
            continue  # tick and t_ns of the timing channel are copied in by the publisher
        got = np.atleast_1d(np.array(getattr(message, field.name), dtype=field.kind))
        assert got.shape == ((1,) if size is None else (size,))
        assert got.tobytes() == row[field.name][0].tobytes(), field.name


@pytest.mark.parametrize("channel", [CYCLE, TIMING])
def test_own_decoder_equals_google(channel: str) -> None:
    """The fast path and protobuf's parser give the same arrays."""
    split = row_layout(7).split
    rows = [bytes(_random_row(7, seed)[0]) for seed in range(20)]
    messages = [r[:split] if channel == CYCLE else r[split:] for r in rows]
    decoder = ChannelDecoder(schema_bytes(channel), SCHEMA_NAMES[channel])
    fast = decoder.rows(messages)
    slow = decoder._by_parsing(messages)
    assert fast.dtype == slow.dtype
    assert fast.tobytes() == slow.tobytes()


def test_messages_without_fixed_layout_are_parsed() -> None:
    """A producer may leave out zeros and shorten arrays, as protobuf allows; the decoder must not mind."""
    message = _google_class(CYCLE)
    full = message(tick=3, t_ns=4, q=[1.0, 2.0])
    short = message(t_ns=9, q=[5.0])
    rows = ChannelDecoder(schema_bytes(CYCLE), "hil.Cycle").rows([m.SerializeToString() for m in (full, short)])
    assert rows["tick"].tolist() == [3, 0]
    assert rows["t_ns"].tolist() == [4, 9]
    np.testing.assert_array_equal(rows["q"], [[1.0, 2.0], [5.0, np.nan]])


def test_one_odd_message_among_fixed_ones() -> None:
    """A message of another layout in the middle of a batch is decoded, not misread."""
    buffer, _ = _random_row(7, seed=1)
    regular = bytes(buffer[: row_layout(7).split])
    odd = _google_class(CYCLE)(tick=11).SerializeToString()
    rows = ChannelDecoder(schema_bytes(CYCLE), "hil.Cycle").rows([regular, odd, regular])
    assert rows["tick"][1] == 11
    assert rows["tick"][0] == rows["tick"][2] == np.frombuffer(regular, dtype="<i8", count=1, offset=1)[0]


def test_blank_row_says_nothing_is_known() -> None:
    """Floats start as NaN, so that a field nobody wrote never reads as zero."""
    layout = row_layout(7)
    row = np.frombuffer(layout.blank, dtype=layout.dtype)[0]
    for field in FIELDS:
        if field.kind == "f8":
            assert np.isnan(row[field.name]).all(), field.name
    assert row["arm_seq"] == row["ft_seq"] == row["arm_age_ns"] == row["stop_category"] == -1


def test_dtype_is_little_endian_eight_bytes() -> None:
    dtype = row_dtype(7)
    assert set(dtype.names) == {f.name for f in FIELDS}
    assert {dtype[name].base.str for name in dtype.names} == {"<f8", "<i8"}


@pytest.mark.parametrize("n", [0, 16])
def test_impossible_joint_counts_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match="1 to 15 joints"):
        row_layout(n)


def test_event_round_trip() -> None:
    """Events keep text and data; numbers JSON cannot write become null."""
    data = {"joint": np.int64(3), "max": float("inf"), "q": np.array([1.5, np.nan])}
    event = Event(5, -7, "fault", "τ too high", data)
    got = ChannelDecoder(schema_bytes("/events"), "hil.Event").event(encode_event(event))
    assert (got.tick, got.t_ns, got.kind, got.text) == (5, -7, "fault", "τ too high")
    assert got.data == {"joint": 3, "max": None, "q": [1.5, None]}


def test_slots_and_fields_are_the_same_bytes(tmp_path: Path) -> None:
    """Memoryview slots and numpy fields write one row; a wrong type is refused rather than misread."""
    publisher = Publisher(f"ipc://{tmp_path}/s", 7, lockstep=False)
    try:
        publisher.slots["q"][:] = np.arange(7.0)
        publisher.slots["limited"][:] = np.arange(7)
        publisher.slots["arm_seq"][()] = 12
        publisher.slots["quality"][()] = np.float64(0.5)
        assert publisher.fields["q"].tolist() == publisher.row["q"].tolist() == [0, 1, 2, 3, 4, 5, 6]
        assert publisher.fields["limited"].tolist() == [0, 1, 2, 3, 4, 5, 6]
        assert publisher.fields["arm_seq"][()] == 12
        assert publisher.fields["quality"][()] == 0.5
        with pytest.raises(ValueError, match="different structures"):
            publisher.slots["q"][:] = np.arange(7, dtype=np.float32)
        with pytest.raises(ValueError, match="different structures"):
            publisher.slots["q"][:] = np.arange(6.0)
        publisher.clear()
        assert np.isnan(publisher.fields["q"]).all()
        assert publisher.fields["arm_seq"][()] == -1
    finally:
        publisher.close()

"""The framer: lock, resynchronisation by one byte, independence of chunks, accounting of every byte."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.ft.bota import FRAME_SIZE, BotaFrame, bota_framer, encode_frame
from drivers.ft.framer import Framer


def toy_check(frame: bytes) -> bool:
    """Last byte is the XOR of those before it."""
    x = 0
    for byte in frame[:-1]:
        x ^= byte
    return frame[-1] == x


def toy_frame(payload: bytes) -> bytes:
    frame = b"\xaa\x55" + payload
    x = 0
    for byte in frame:
        x ^= byte
    return frame + bytes([x])


def toy_framer() -> Framer:
    return Framer(b"\xaa\x55", 6, toy_check)


def accounted(framer: Framer, size: int) -> int:
    return framer.good * size + framer.skipped + framer.tail


def saturated_frames(n: int) -> list[bytes]:
    """Frames whose payload is 0xAA wherever the fields allow it (0xAAAAAAAA is a small negative float32)."""
    stuck = np.frombuffer(b"\xaa" * 24, dtype="<f4").astype(float)
    temperature = float(np.frombuffer(b"\xaa" * 4, dtype="<f4")[0])
    return [encode_frame(BotaFrame(0xAAAA, stuck, 0xAAAA0000 + i, temperature)) for i in range(n)]


@pytest.mark.parametrize("offset", range(FRAME_SIZE))
def test_locks_from_every_offset_with_header_bytes_everywhere(offset: int) -> None:
    """Starting inside a frame costs that frame and no other."""
    frames = saturated_frames(6)
    assert frames[0].count(0xAA) > 30
    framer = bota_framer()
    got = framer.feed(b"".join(frames)[offset:])
    assert got == frames[1 if offset else 0 :]
    assert framer.skipped == (FRAME_SIZE - offset if offset else 0)


@pytest.mark.parametrize("position", range(FRAME_SIZE))
def test_damaged_frame_costs_no_other(position: int) -> None:
    """One bad byte anywhere in one frame, header bytes everywhere: the neighbours all arrive."""
    frames = saturated_frames(5)
    damaged = bytearray(frames[2])
    damaged[position] ^= 0x10
    framer = bota_framer()
    assert framer.feed(b"".join([*frames[:2], bytes(damaged), *frames[3:]])) == [*frames[:2], *frames[3:]]
    assert framer.skipped == FRAME_SIZE
    assert framer.rejected >= (position != 0)


@pytest.mark.parametrize("cut", range(1, FRAME_SIZE))
def test_shortened_frame_costs_no_other(cut: int) -> None:
    """Bytes lost from the end of a frame: the next frame begins early and is still found."""
    frames = saturated_frames(4)
    framer = bota_framer()
    assert framer.feed(frames[0] + frames[1][:-cut] + frames[2] + frames[3]) == [frames[0], *frames[2:]]


def test_no_good_frame_is_lost_in_a_dirty_stream() -> None:
    """Garbage, damaged and cut frames between 2000 good ones, in random chunks."""
    rng = random.Random(4)
    frames = saturated_frames(2000)
    stream = bytearray()
    for frame in frames:
        kind = rng.random()
        if kind < 0.1:
            stream += rng.randbytes(rng.randrange(60))
        elif kind < 0.2:
            bad = bytearray(frame)
            bad[rng.randrange(FRAME_SIZE)] ^= 1 << rng.randrange(8)
            stream += bad
        elif kind < 0.3:
            stream += frame[: rng.randrange(FRAME_SIZE)]
        stream += frame
    framer = bota_framer()
    got = []
    at = 0
    while at < len(stream):
        step = rng.randrange(1, 200)
        got += framer.feed(bytes(stream[at : at + step]))
        at += step
    assert got == frames
    assert accounted(framer, FRAME_SIZE) == len(stream)


pieces = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.binary(min_size=3, max_size=3).map(toy_frame),
        st.sampled_from([b"\xaa", b"\xaa\x55", b"\xaa\xaa\x55", b"\x55\xaa"]),
    ),
    max_size=12,
)


@settings(max_examples=300)
@given(pieces, st.data())
def test_result_does_not_depend_on_chunks(parts: list[bytes], data: st.DataObject) -> None:
    """Any cut of any stream gives the same frames and counts, and every byte is accounted for at each moment."""
    stream = b"".join(parts)
    whole = toy_framer()
    expected = whole.feed(stream)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    framer = toy_framer()
    got = []
    fed = 0
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += framer.feed(stream[start:stop])
        fed += stop - start
        assert accounted(framer, 6) == fed
        assert framer.tail < 6
    assert got == expected
    assert (framer.good, framer.rejected, framer.skipped) == (whole.good, whole.rejected, whole.skipped)


def test_header_cut_by_a_chunk_is_kept() -> None:
    frame = toy_frame(b"abc")
    framer = toy_framer()
    assert framer.feed(b"zz" + frame[:1]) == []
    assert framer.tail == 1
    assert framer.feed(frame[1:]) == [frame]
    assert framer.skipped == 2


def test_reset_counts_the_tail_as_skipped() -> None:
    framer = toy_framer()
    framer.feed(toy_frame(b"abc")[:4])
    framer.reset()
    assert (framer.tail, framer.skipped) == (0, 4)
    assert framer.feed(toy_frame(b"abc")[4:]) == []


@pytest.mark.parametrize(("header", "size"), [(b"", 4), (b"abcde", 4)])
def test_impossible_header_is_refused(header: bytes, size: int) -> None:
    with pytest.raises(ValueError, match="header of"):
        Framer(header, size, toy_check)

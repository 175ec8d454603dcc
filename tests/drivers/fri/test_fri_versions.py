"""Which version a stream is of, and that a codec refuses the streams of the others by that name."""

from __future__ import annotations

import numpy as np
import pytest
from fri_rig import golden

from drivers.errors import ProtocolError
from drivers.fri import framing
from drivers.fri.codec import IoValue, Monitoring, codec_for
from drivers.fri.versions import VERSIONS, recognise

FAMILIES = ("1.11", "1.15", "2.5", "2.7")
V = np.arange(7.0)
POSE = np.array([450.5, -12.25, 780.0, 1.0, 0.0, 0.0, 0.0])


def _stream(version: str, ios: bool = False) -> bytes:
    """A measurement as a controller of ``version`` sends it."""
    m = Monitoring(7, 6, 2, 3, q=V, tau_measured=V, q_commanded=V, pose=POSE, redundancy=(0, 0.1))
    if ios:
        m.ios = [IoValue("A.B", 0, 0, digital=1)]
    return codec_for(version).encode_monitoring(m)


def test_streams_are_recognised() -> None:
    """Envelope, Cartesian pose and IOs tell what they can; nothing tells 1.14 from 1.16."""
    assert recognise(_stream("2.7")) == {"2.7"}
    assert recognise(_stream("2.5")) == {"2.5"}
    assert recognise(_stream("1.15", ios=True)) == {"1.14", "1.15", "1.16"}
    assert recognise(_stream("1.11")) == {"1.11", "1.14", "1.15", "1.16"}
    short = next(v for v in golden("monitoring") if v["name"] == "monitor_idle_min")["data"]
    assert recognise(short) == set(VERSIONS) - {"2.7"}
    for rubbish in (b"", b"hello", b"\x0a\xff\xff\xff\xff\xff", bytes(100)):
        assert recognise(rubbish) == frozenset()


@pytest.mark.parametrize("vector", [*golden("monitoring"), *golden("monitoring", "2.7")], ids=lambda v: v["name"])
def test_vectors_are_recognised_as_their_own(vector: dict[str, object]) -> None:
    data = vector["data"]
    assert isinstance(data, bytes)
    assert vector["fri"] in recognise(data)


@pytest.mark.parametrize("sender", FAMILIES)
@pytest.mark.parametrize("reader", FAMILIES)
def test_a_stream_of_another_version_is_refused_as_such(sender: str, reader: str) -> None:
    """Every pair of families: read if it is the same (or 1.x without what tells them apart), else ``version``."""
    data = _stream(sender, ios=True)
    if sender == reader or (sender, reader) == ("1.11", "1.15"):
        assert codec_for(reader).decode_monitoring(data).seq == 7
        return
    with pytest.raises(ProtocolError) as caught:
        codec_for(reader).decode_monitoring(data)
    assert caught.value.reason == "version"


def test_commands_of_another_framing_are_refused_as_such() -> None:
    bare, wrapped = codec_for("2.5").encode_command(1, 0, V), codec_for("2.7").encode_command(1, 0, V)
    for version, data in (("2.7", bare), ("1.15", wrapped)):
        with pytest.raises(ProtocolError) as caught:
            codec_for(version).decode_command(data)
        assert caught.value.reason == "version"


def test_a_message_whose_length_begins_with_the_first_tag_is_told_by_its_crc() -> None:
    """A 2.7 message of 266 bytes starts with 0x0a as a bare message does."""
    data = framing.wrap(bytes(266))
    assert data[0] == 0x0A
    assert framing.is_wrapped(data)
    with pytest.raises(ProtocolError) as caught:
        framing.refuse_wrapped(data)
    assert caught.value.reason == "version"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "truncated"),
        (bytes(7), "truncated"),
        (framing.wrap(b"abc")[:-1], "truncated"),
        (framing.wrap(b"abc") + b"\0", "truncated"),
        (framing.wrap(b"abc")[:-1] + b"\0", "crc"),
        (bytes(1501), "oversize"),
    ],
)
def test_envelopes_that_do_not_fit_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        framing.unwrap(data)
    assert caught.value.reason == reason


def test_an_envelope_holds_up_to_1492_bytes() -> None:
    assert framing.unwrap(framing.wrap(bytes(1492))) == bytes(1492)
    with pytest.raises(ProtocolError):
        framing.wrap(bytes(1493))

"""The slcan fast path on a pseudo-terminal: what it writes, what it reads, and what rubbish does to it."""

from __future__ import annotations

import os
import pty
import select
import tty
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.can.bus import DATA, EXTENDED, REMOTE, BusConfig, Frame
from drivers.can.opening import open_bus
from drivers.can.slcan import SlcanBus
from drivers.errors import ConnectError


class Adapter:
    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.bus = SlcanBus(os.ttyname(self.slave))

    def heard(self) -> bytes:
        """All that was written; the kernel passes it on a moment later, in pieces of its own."""
        out, poll = b"", select.poll()
        poll.register(self.master, select.POLLIN)
        while any(event & select.POLLIN for _, event in poll.poll(20)):
            out += os.read(self.master, 65536)
        return out

    def say(self, text: bytes) -> list[Frame]:
        os.write(self.master, text)
        poll = select.poll()
        poll.register(self.bus.fileno(), select.POLLIN)
        poll.poll(1000)
        frames: list[Frame] = []
        self.bus.drain(frames)
        return frames

    def close(self) -> None:
        self.bus.close()
        for fd in (self.master, self.slave):
            try:
                os.close(fd)
            except OSError:
                continue


@pytest.fixture
def adapter() -> Iterator[Adapter]:
    made = Adapter()
    yield made
    made.close()


def test_opens_with_bit_rate_and_closes(adapter: Adapter) -> None:
    assert adapter.heard() == b"\r\r\rC\rS8\rO\r"
    adapter.bus.close()
    assert adapter.heard() == b"C\r"
    adapter.bus.close()


def test_one_write_for_all_frames_of_a_cycle(adapter: Adapter) -> None:
    adapter.heard()
    assert adapter.bus.send([(0x201, b"\x0f\x00\xfe\xff"), (0x80, b""), (0x77F, bytearray(b"\x05"))])
    assert adapter.heard() == b"t20140F00FEFF\rt0800\rt77F105\r"


def test_reads_frames_acknowledgements_flags_and_bells(adapter: Adapter) -> None:
    text = b"z\r\r\at18180011223344556677\rZ\rT0001234522AB\r" + b"t18180011223344556677\rr1234\rt20110F12AB\rF20\r"
    frames = adapter.say(text.replace(b"22AB\r", b"2AABB\r"))
    payload = bytes.fromhex("0011223344556677")
    assert frames == [
        (0x181, payload, DATA),
        (0x12345, b"\xaa\xbb", EXTENDED),
        (0x181, payload, DATA),
        (0x123, b"", REMOTE),
        (0x201, b"\x0f", DATA),
    ]
    assert adapter.bus.state() == "passive"
    assert adapter.bus.bells == 1
    assert adapter.bus.garbled == 0


def test_the_adapter_is_asked_for_its_flags(adapter: Adapter) -> None:
    for flags, state in ((b"F80\r", "bus-off"), (b"F24\r", "passive"), (b"F04\r", "warning"), (b"F00\r", "active")):
        adapter.heard()
        adapter.bus.ask_state()
        assert adapter.heard() == b"F\r"
        adapter.say(flags)
        assert adapter.bus.state() == state


def test_an_adapter_that_knows_no_flags_is_not_asked_for_ever(adapter: Adapter) -> None:
    adapter.heard()
    for _ in range(20):
        adapter.bus.ask_state()
        adapter.say(b"\a")
    assert adapter.heard() == 5 * b"F\r"
    assert adapter.bus.state() == "unknown"


def test_frames_cut_anywhere_arrive_whole(adapter: Adapter) -> None:
    text = b"t18180011223344556677\rt2827AABBCCDDEEFF01\rt70110F\r"
    for cut in range(len(text) + 1):
        frames = adapter.say(text[:cut]) + adapter.say(text[cut:])
        assert [frame[0] for frame in frames] == [0x181, 0x282, 0x701], cut
    assert adapter.bus.garbled == 0


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([b"t", b"T", b"r", b"\r", b"\a", b"1", b"8", b"9", b"F", b"g", b"\0", b"\xff", b"z"])))
def test_rubbish_never_raises_and_the_next_frame_is_read(adapter: Adapter, pieces: list[bytes]) -> None:
    frames = adapter.say(b"".join(pieces) + b"\r" + b"t0812BEEF\r")
    assert frames[-1] == (0x081, b"\xbe\xef", DATA)
    assert all(len(data) <= 8 for _, data, _ in frames)


def test_endless_rubbish_without_an_end_is_dropped(adapter: Adapter) -> None:
    assert adapter.say(b"t" * 4000) == []
    assert adapter.say(b"\rt0812BEEF\r") == [(0x081, b"\xbe\xef", DATA)]
    assert adapter.bus.garbled >= 1


def test_unplugged(adapter: Adapter) -> None:
    os.close(adapter.master)
    frames: list[Frame] = []
    adapter.bus.drain(frames)
    assert "unplugged" in adapter.bus.lost
    assert not adapter.bus.send([(0x80, b"")])
    assert adapter.bus.refused == 1


def test_line_that_nobody_reads_refuses_and_goes_on_later(adapter: Adapter) -> None:
    frames = [(0x201, b"12345678")] * 50
    while adapter.bus.send(frames):
        pass
    assert adapter.bus.refused
    assert adapter.bus.lost == ""
    while adapter.heard():
        pass
    assert adapter.bus.send([(0x80, b"")])
    assert adapter.heard().endswith(b"\rt0800\r")  # what was cut is ended first


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (BusConfig("slcan", "/dev/nowhere"), "plug the device in"),
        (BusConfig("slcan", "/dev/null", 123), "no bit rate 123"),
        (BusConfig("nothing_of_that_name", "x"), "nothing_of_that_name"),
        (BusConfig("socketcan", "can99"), "ip link set can99"),
    ],
)
def test_what_cannot_be_opened_says_what_to_do(config: BusConfig, why: str) -> None:
    with pytest.raises(ConnectError, match=why):
        open_bus(config)

"""CiA 301 on the mock drives, seen from the wire: SDO, NMT, PDO, heartbeats, EMCY."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cobot_cells import Flywheels, Master, cobot_config

from sim_mocks.cobot.node import Nmt

Make = Callable[..., Master]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Master] = []

    def build(profile: str = "ideal", **how: Any) -> Master:
        made.append(Master(cobot_config(profile, **how), Flywheels()))
        return made[-1]

    yield build
    for master in made:
        master.close()


@pytest.fixture
def up(make: Make) -> Master:
    """Booted, in PRE-OPERATIONAL, nothing configured."""
    master = make()
    for _ in range(15):
        master.cycle()
    return master


def nmt(master: Master, command: int, node: int = 0) -> None:
    master.send(0x000, bytes((command, node)))
    master.cycle()


def emergencies(master: Master, node: int) -> list[int]:
    return [int.from_bytes(data[:2], "little") for _, can_id, data in master.heard if can_id == 0x80 + node]


# -- boot-up, NMT, heartbeats ----------------------------------------------------------------------------------------


def test_each_node_boots_once_and_says_so(make: Make) -> None:
    master = make()
    for _ in range(30):
        master.cycle()
    assert sorted(can_id for _, can_id, _ in master.heard) == list(range(0x701, 0x707))
    assert all(data == b"\0" for _, _, data in master.heard)


@pytest.mark.parametrize(
    ("command", "state", "sdo", "pdo"),
    [(0x80, 127, True, False), (0x01, 5, True, True), (0x02, 4, False, False)],
    ids=["pre-operational", "operational", "stopped"],
)
def test_what_each_nmt_state_lets_through(up: Master, command: int, state: int, sdo: bool, pdo: bool) -> None:
    assert up.write(0, 0x1017, 0, 10, 2) == 0
    up.remap(0, 0x1802, 0x1A02, 0x4000_0181, 1, [0x60640020])
    nmt(up, command, 1)
    up.heard.clear()
    up.send(0x601, struct.pack("<BHB4x", 0x40, 0x1000, 0))
    for _ in range(10):
        up.sync()
    seen = {can_id for _, can_id, _ in up.heard}
    assert (0x581 in seen) == sdo
    assert (0x181 in seen) == pdo
    beats = {data for _, can_id, data in up.heard if can_id == 0x701}
    assert beats == {bytes((state,))}
    # an RPDO only acts in OPERATIONAL
    up.send(0x201, b"\x06\x00")
    up.sync()
    drive = up.cell.arm.drives[0]  # type: ignore[attr-defined]
    assert drive.node.dictionary.number(0x6040) == (6 if pdo else 0)


def test_a_command_to_another_node_is_not_obeyed(up: Master) -> None:
    nmt(up, 0x01, 2)
    states = [drive.node.nmt for drive in up.cell.arm.drives]  # type: ignore[attr-defined]
    assert states == [Nmt.PRE_OPERATIONAL, Nmt.OPERATIONAL, *[Nmt.PRE_OPERATIONAL] * 4]


@pytest.mark.parametrize(("command", "forgotten"), [(0x81, True), (0x82, False)], ids=["node", "communication"])
def test_resets_boot_anew_and_forget(up: Master, command: int, forgotten: bool) -> None:
    assert up.write(2, 0x1017, 0, 50, 2) == 0
    assert up.write(2, 0x6087, 0, 77, 4) == 0
    up.heard.clear()
    nmt(up, command, 3)
    for _ in range(15):
        up.cycle()
    assert [data for _, can_id, data in up.heard if can_id == 0x703] == [b"\0"]
    assert up.read(2, 0x1017) == 0
    assert up.read(2, 0x6087) == (10000 if forgotten else 77)


def test_heartbeats_come_at_their_period(up: Master) -> None:
    assert up.write(0, 0x1017, 0, 20, 2) == 0
    up.heard.clear()
    for _ in range(100):
        up.cycle()
    assert sum(can_id == 0x701 for _, can_id, _ in up.heard) == 10  # 200 ms


# -- SDO ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "sub", "value", "size", "code"),
    [
        (0x1234, 0, 0, 4, 0x06020000),
        (0x1018, 9, 0, 4, 0x06090011),
        (0x1018, 1, 0, 4, 0x06010002),
        (0x6041, 0, 0, 2, 0x06010002),
        (0x1017, 0, 1, 4, 0x06070012),
        (0x1016, 1, 1, 2, 0x06070013),
        (0x605A, 0, 9, 2, 0x06090031),
        (0x605A, 0, -1, 2, 0x06090032),
        (0x6060, 0, 8, 1, 0x06090030),
        (0x1003, 0, 1, 1, 0x06090030),
        (0x1400, 2, 241, 1, 0x06090030),
        (0x1800, 2, 253, 1, 0x06090030),
        (0x1017, 0, 100, 2, 0),
    ],
)
def test_downloads_are_refused_with_the_code_of_the_standard(
    up: Master, index: int, sub: int, value: int, size: int, code: int
) -> None:
    assert up.write(0, index, sub, value, size) == code


def test_uploads_of_what_is_not_there(up: Master) -> None:
    assert up.read(0, 0x2FFF) == -0x06020000
    assert up.read(0, 0x1018, 5) == -0x06090011
    assert up.read(0, 0x1000) == 0x00020192
    assert [up.read(joint, 0x6076) for joint in range(6)] == [1500, 1500, 1000, 350, 350, 250]


def test_segmented_transfer_both_ways_and_its_toggle(up: Master) -> None:
    text = b"wrist, third axis"
    assert up.sdo(0, b"\x21\x00\x20\x00" + len(text).to_bytes(4, "little")) == b"\x60\x00\x20\x00\0\0\0\0"
    assert up.sdo(0, b"\x00" + text[:7])[0] == 0x20
    assert up.sdo(0, b"\x10" + text[7:14])[0] == 0x30
    assert up.sdo(0, b"\x09" + text[14:])[0] == 0x20  # 4 bytes unused, last
    reply = up.sdo(0, b"\x40\x00\x20\x00")
    assert reply == b"\x41\x00\x20\x00" + len(text).to_bytes(4, "little")
    got = b""
    for head, answer in ((0x60, 0x00), (0x70, 0x10), (0x60, 0x09)):
        segment = up.sdo(0, bytes((head,)))
        assert segment[0] == answer
        got += segment[1 : 8 - (segment[0] >> 1 & 7)]
    assert got == text
    up.sdo(0, b"\x40\x00\x20\x00")
    assert up.sdo(0, b"\x70")[4:] == (0x05030000).to_bytes(4, "little")
    assert up.sdo(0, b"\x60")[4:] == (0x05040001).to_bytes(4, "little")  # the transfer is gone


def test_a_segmented_download_of_another_length_is_refused(up: Master) -> None:
    up.sdo(0, b"\x21\x00\x20\x00\x03\0\0\0")
    assert up.sdo(0, b"\x00abcdefg")[4:] == (0x06070012).to_bytes(4, "little")
    up.sdo(0, b"\x21\x00\x20\x00\x09\0\0\0")
    assert up.sdo(0, b"\x01abcdefg")[4:] == (0x06070013).to_bytes(4, "little")


@pytest.mark.parametrize("request_", [b"\xa0\x08\x10\x00", b"\xc0\x08\x10\x00", b"\x60"], ids=["up", "down", "segment"])
def test_block_transfer_and_strays_are_refused(up: Master, request_: bytes) -> None:
    assert up.sdo(0, request_)[4:] == (0x05040001).to_bytes(4, "little")


# -- PDO --------------------------------------------------------------------------------------------------------------


def test_remapping_goes_by_the_book_or_not_at_all(up: Master) -> None:
    mapping = 0x1A02
    assert up.write(0, 0x1802, 1, 0x8000_0381, 4) == 0
    assert up.write(0, mapping, 1, 0x60640020, 4) == 0x06010000  # before the count is zero
    assert up.write(0, mapping, 0, 0, 1) == 0
    assert up.write(0, mapping, 1, 0x60640010, 4) == 0x06040041  # 16 of 32 bits
    assert up.write(0, mapping, 1, 0x10180120, 4) == 0x06040041  # no PDO object
    assert up.write(0, mapping, 1, 0x77770020, 4) == 0x06020000
    for sub, word in ((1, 0x60640020), (2, 0x606C0020), (3, 0x60770010)):
        assert up.write(0, mapping, sub, word, 4) == 0
    assert up.write(0, mapping, 0, 3, 1) == 0x06040042  # 80 bits
    assert up.write(0, mapping, 0, 9, 1) == 0x06090031
    assert up.write(0, mapping, 0, 2, 1) == 0
    assert up.write(0, 0x1802, 1, 0x0000_0601, 4) == 0x06090030  # an SDO's identifier
    assert up.write(0, 0x1802, 1, 0x2000_0381, 4) == 0x06090030  # 29 bits
    assert up.write(0, 0x1802, 1, 0x4000_0381, 4) == 0
    assert up.write(0, mapping, 0, 0, 1) == 0x08000022  # while it is valid
    assert up.write(0, 0x1802, 1, 0x4000_0382, 4) == 0x06090030  # another identifier while it is valid
    assert up.write(0, 0x1802, 3, 10, 2) == 0x06090030


def test_an_rpdo_cannot_take_what_is_read_only_and_skips_dummies(up: Master) -> None:
    assert up.write(0, 0x1400, 1, 0x8000_0201, 4) == 0
    assert up.write(0, 0x1600, 0, 0, 1) == 0
    assert up.write(0, 0x1600, 1, 0x60410010, 4) == 0x06040041
    # one broadcast for all: 16 bits for another drive, then ours
    up.remap(0, 0x1400, 0x1600, 0x201, 1, [0x00030010, 0x60710010])
    nmt(up, 1)
    up.send(0x201, struct.pack("<hh", 1111, -222))
    up.sync()
    assert up.read(0, 0x6071) == 0x10000 - 222


@pytest.mark.parametrize(("data", "code", "taken"), [(b"\x06", 0x8210, False), (b"\x06\0\0\0\0", 0x8220, True)])
def test_frames_of_another_length_are_told(up: Master, data: bytes, code: int, taken: bool) -> None:
    up.bring_up(slow=False)
    up.sync()
    up.heard.clear()
    up.send(0x201, data)
    up.sync()
    up.sync()
    assert emergencies(up, 1)[0] == code
    assert (up.cell.arm.drives[0].node.dictionary.number(0x6040) == 6) == taken  # type: ignore[attr-defined]


def test_sync_latches_and_every_nth_is_answered(up: Master) -> None:
    up.bring_up()
    up.heard.clear()
    for _ in range(20):
        up.sync([0] * 6)
    count = {can_id: sum(seen == can_id for _, seen, _ in up.heard) for can_id in (0x181, 0x281, 0x186, 0x286)}
    assert count == {0x181: 20, 0x281: 4, 0x186: 20, 0x286: 4}
    up.send(0x201, Master.RPDO.pack(6, 5))
    up.cycle()
    assert up.read(0, 0x6071) == 0  # no SYNC, no effect
    up.sync()
    assert up.read(0, 0x6071) == 5


def test_type_255_acts_and_answers_at_once_and_keeps_the_inhibit_time(up: Master) -> None:
    assert up.write(0, 0x1800, 1, 0xC000_0181, 4) == 0
    assert up.write(0, 0x1800, 3, 50, 2) == 0  # 5 ms
    assert up.write(0, 0x1800, 1, 0x4000_0181, 4) == 0
    nmt(up, 1, 1)
    for _ in range(10):
        up.cycle()
    up.heard.clear()
    times = []
    for word in (6, 7, 6, 7, 6):
        up.send(0x201, struct.pack("<H", word))
        before = len(up.heard)
        up.cycle()
        if any(can_id == 0x181 for _, can_id, _ in up.heard[before:]):
            times.append(up.cell.t_ns)
    assert up.cell.arm.drives[0].node.dictionary.number(0x6040) == 6  # type: ignore[attr-defined]
    assert len(times) >= 2
    assert min(b - a for a, b in itertools.pairwise(times)) >= 5_000_000


def test_event_timer_repeats_an_unchanged_pdo(up: Master) -> None:
    assert up.write(0, 0x1800, 5, 10, 2) == 0
    nmt(up, 1, 1)
    up.heard.clear()
    for _ in range(50):
        up.cycle()
    assert sum(can_id == 0x181 for _, can_id, _ in up.heard) in (10, 11)


# -- EMCY --------------------------------------------------------------------------------------------------------------


def test_emergencies_have_register_history_and_an_end(up: Master) -> None:
    up.bring_up(slow=False, deadline_ms=0)
    up.sync([0] * 6)
    up.heard.clear()
    up.control.call("drive_fault", drive=2, code=0x3210)
    up.sync([0] * 6)
    (data,) = (data for _, can_id, data in up.heard if can_id == 0x82)
    assert data[:3] == b"\x10\x32\x05"  # generic and voltage
    assert up.read(1, 0x1001) == 0x05
    assert (up.read(1, 0x1003), up.read(1, 0x1003, 1), up.read(1, 0x603F)) == (1, 0x3210, 0x3210)
    up.heard.clear()
    up.sync([0, 0x80, 0, 0, 0, 0])
    up.sync([0] * 6)
    assert [data for _, can_id, data in up.heard if can_id == 0x82] == [bytes(8)]
    assert up.read(1, 0x1001) == 0
    assert up.read(1, 0x1003) == 1
    assert up.write(1, 0x1003, 0, 0, 1) == 0
    assert up.read(1, 0x1003) == 0


def test_inhibit_time_spaces_emergencies(up: Master) -> None:
    assert up.write(0, 0x1015, 0, 200, 2) == 0  # 20 ms
    up.heard.clear()
    for code in (0x2310, 0x3210, 0x4310):
        up.cell.arm.drives[0].node.emergencies.report(code)  # type: ignore[attr-defined]
    seen = []
    for k in range(40):
        up.cycle()
        seen += [k] * (len(emergencies(up, 1)) - len(seen))
    assert [b - a for a, b in itertools.pairwise(seen)] == [10, 10]

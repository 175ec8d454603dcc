"""The FRI codec against byte vectors made by an independent encoder, and against what FRI does not allow."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from fri_rig import Controller, golden

from drivers.errors import ProtocolError
from drivers.fri.codec import CommandMsg, FriCodec, IoValue, Monitoring, codec_for


@pytest.fixture
def codec() -> FriCodec:
    return codec_for("1.15")


def _values(part: dict[str, Any], name: str) -> list[float] | None:
    return part[name]["value"] if name in part else None


def _list(array: np.ndarray | None) -> list[float] | None:
    return None if array is None else array.tolist()


def _ios(part: dict[str, Any], name: str) -> list[tuple[Any, ...]]:
    return [
        (
            io["name"],
            io["type"],
            io["direction"],
            int(io["digitalValue"]) if "digitalValue" in io else None,
            io.get("analogValue"),
        )
        for io in part.get(name, [])
    ]


def _plain(ios: list[IoValue]) -> list[tuple[Any, ...]]:
    return [(io.name, io.type, io.direction, io.digital, io.analog) for io in ios]


@pytest.mark.parametrize("vector", golden("monitoring"), ids=lambda v: v["name"])
def test_monitoring_vector_reads_to_its_values(codec: FriCodec, vector: dict[str, Any]) -> None:
    """Every field of a monitoring vector reads to the value its maker states."""
    m = codec.decode_monitoring(vector["data"])
    d = vector["decoded"]
    robot, data, link, ipo = (d.get(k, {}) for k in ("robotInfo", "monitorData", "connectionInfo", "ipoData"))
    assert (m.seq, m.reflected_seq) == (d["header"]["sequenceCounter"], d["header"]["reflectedSequenceCounter"])
    assert (m.session_state, m.quality) == (link["sessionState"], link["quality"])
    assert (m.send_period_ms, m.receive_multiplier) == (link.get("sendPeriod", -1), link.get("receiveMultiplier", -1))
    assert m.n_joints == robot.get("numberOfJoints", -1)
    assert m.safety_state == robot.get("safetyState", -1)
    assert m.drive_state == robot.get("driveState", [])
    assert (m.operation_mode, m.control_mode) == (robot.get("operationMode", -1), robot.get("controlMode", -1))
    assert _list(m.q) == _values(data, "measuredJointPosition")
    assert _list(m.tau_measured) == _values(data, "measuredTorque")
    assert _list(m.q_commanded) == _values(data, "commandedJointPosition")
    assert _list(m.tau_commanded) == _values(data, "commandedTorque")
    assert _list(m.tau_external) == _values(data, "externalTorque")
    assert _plain(m.ios) == _ios(data, "readIORequest")
    stamp = data.get("timestamp")
    assert m.t_device_ns == (-1 if stamp is None else stamp["sec"] * 10**9 + stamp["nanosec"])
    assert _list(m.q_ipo) == _values(ipo, "jointPosition")
    assert (m.client_command_mode, m.overlay_type) == (ipo.get("clientCommandMode", -1), ipo.get("overlayType", -1))
    assert m.tracking == ipo["trackingPerformance"] if "trackingPerformance" in ipo else math.isnan(m.tracking)


@pytest.mark.parametrize("vector", golden("command"), ids=lambda v: v["name"])
def test_command_vector_reads_to_its_values(codec: FriCodec, vector: dict[str, Any]) -> None:
    """Every field of a command vector reads to the value its maker states."""
    c = codec.decode_command(vector["data"])
    d = vector["decoded"]
    data = d.get("commandData", {})
    assert (c.seq, c.reflected_seq) == (d["header"]["sequenceCounter"], d["header"]["reflectedSequenceCounter"])
    assert _list(c.q) == _values(data, "jointPosition")
    assert _list(c.tau) == _values(data, "jointTorque")
    assert _list(c.wrench) == data.get("cartesianWrenchFeedForward", {}).get("element")
    assert _plain(c.ios) == _ios(data, "writeIORequest")


@pytest.mark.parametrize("version", ["1.14", "1.15", "1.16"])
@pytest.mark.parametrize("vector", golden(), ids=lambda v: v["name"])
def test_vector_is_written_byte_for_byte(version: str, vector: dict[str, Any]) -> None:
    """What was read from a vector is written as exactly its bytes, in each version of the family."""
    codec = codec_for(version)
    if vector["kind"] == "monitoring":
        assert codec.encode_monitoring(codec.decode_monitoring(vector["data"])) == vector["data"]
    else:
        c = codec.decode_command(vector["data"])
        assert codec.encode_command(c.seq, c.reflected_seq, c.q, c.tau, c.wrench, c.ios) == vector["data"]


def test_all_nine_vectors_are_there() -> None:
    """The parametrised tests above run over five command and four monitoring vectors, not over an empty list."""
    assert (len(golden("command")), len(golden("monitoring"))) == (5, 4)


@pytest.mark.parametrize("version", ["1.11", "2.5", "2.7", "", "1.150"])
def test_other_versions_are_refused(version: str) -> None:
    """A version without a table is refused by name and with the ones that work."""
    with pytest.raises(ProtocolError, match=r"1\.14, 1\.15, 1\.16") as caught:
        codec_for(version)
    assert caught.value.reason == "version"


def _field(number: int, payload: bytes) -> bytes:
    assert len(payload) < 128
    return bytes([number << 3 | 2, len(payload)]) + payload


HEADER = bytes.fromhex("0a0908c2a2910110001800")
LINK = bytes.fromhex("220408011003")


def _joints(n: int) -> bytes:
    return b"".join(b"\x09" + struct.pack("<d", 0.1) for _ in range(n))


@pytest.mark.parametrize("n", [0, 1, 6, 8])
def test_joint_vectors_of_other_than_seven_are_refused(codec: FriCodec, n: int) -> None:
    """A position vector of any other length is refused, the empty one included."""
    inner = bytes([0x0A, 9 * n]) + _joints(n)
    with pytest.raises(ProtocolError) as caught:
        codec.decode_monitoring(HEADER + _field(3, inner) + LINK)
    assert caught.value.reason == "joint_count"
    with pytest.raises(ProtocolError) as caught:
        codec.decode_command(bytes.fromhex("0a090881800d100518ac02") + _field(2, inner))
    assert caught.value.reason == "joint_count"


def test_packed_joint_vectors_are_read_too(codec: FriCodec) -> None:
    """A sender may pack what FRI writes unpacked; both read the same."""
    packed = _field(1, _field(1, struct.pack("<7d", *range(7))))
    m = codec.decode_monitoring(HEADER + _field(3, packed) + LINK)
    assert _list(m.q) == [0, 1, 2, 3, 4, 5, 6]


def test_unknown_fields_are_skipped(codec: FriCodec) -> None:
    """Transformations and fields of later versions do not disturb what is known."""
    data = golden("monitoring")[0]["data"] + _field(6, b"\x0a\x01T") + _field(9, b"xyz")
    assert codec.decode_monitoring(data).seq == 300


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "missing"),
        (LINK, "missing"),
        (HEADER, "missing"),
        (HEADER + bytes.fromhex("22020801"), "missing"),
        (HEADER + bytes.fromhex("22021003"), "missing"),
        (bytes.fromhex("0a0708c2a291011000") + LINK, "missing"),
        (bytes.fromhex("0a080881800d10001800") + LINK, "identifier"),
        (HEADER + bytes.fromhex("220408051003"), "session_state"),
        (HEADER + bytes.fromhex("220408011004"), "quality"),
        (HEADER + bytes.fromhex("12020806") + LINK, "joint_count"),
        (HEADER + bytes.fromhex("1206280228022802") + LINK, "joint_count"),
        (HEADER + LINK + bytes(1500), "oversize"),
        (HEADER + LINK + b"\x0b", "malformed"),
    ],
)
def test_refusals_name_their_reason(codec: FriCodec, data: bytes, reason: str) -> None:
    """Each kind of broken monitoring message is refused under the key that drivers count by."""
    with pytest.raises(ProtocolError) as caught:
        codec.decode_monitoring(data)
    assert caught.value.reason == reason


def test_messages_of_the_other_direction_are_refused(codec: FriCodec) -> None:
    """A command is no monitoring message and the other way round."""
    for v in golden("command"):
        with pytest.raises(ProtocolError):
            codec.decode_monitoring(v["data"])
    for v in golden("monitoring"):
        with pytest.raises(ProtocolError):
            codec.decode_command(v["data"])


def test_optional_enums_out_of_range_read_as_unknown(codec: FriCodec) -> None:
    """A safety state, mode or drive state that FRI lacks reads as -1 and leaves the rest alone."""
    robot = bytes.fromhex("1004") + bytes.fromhex("2802" * 6 + "2803") + bytes.fromhex("30033804")
    m = codec.decode_monitoring(HEADER + _field(2, robot) + LINK + _field(5, bytes.fromhex("50045803")))
    assert (m.safety_state, m.operation_mode, m.control_mode) == (-1, -1, -1)
    assert m.drive_state == [2, 2, 2, 2, 2, 2, -1]
    assert (m.client_command_mode, m.overlay_type) == (-1, -1)
    assert (m.session_state, m.quality) == (1, 3)


def _io(name: bytes, kind: int = 0, direction: int = 0) -> bytes:
    return _field(8, _field(1, name) + bytes([0x10, kind, 0x18, direction, 0x20, 1]))


@pytest.mark.parametrize(
    "ios",
    [_io(b"n" * 64), _io(b"\xff\xfe"), _io(b"n", kind=3), _io(b"n", direction=2)],
    ids=["long name", "not UTF-8", "type", "direction"],
)
def test_broken_ios_are_refused(codec: FriCodec, ios: bytes) -> None:
    """An IO that the controller could not have sent makes the message refused."""
    with pytest.raises(ProtocolError) as caught:
        codec.decode_monitoring(HEADER + _field(3, ios) + LINK)
    assert caught.value.reason == "io"


def test_more_than_ten_ios_are_refused_both_ways(codec: FriCodec) -> None:
    """Eleven IOs are refused when read and when written; ten pass."""
    ios = [IoValue(f"G.{i}", 0, 1, digital=1) for i in range(11)]
    m = codec.decode_monitoring(codec.encode_monitoring(Monitoring(1, 0, 1, 3, ios=ios[:10])))
    assert _plain(m.ios) == _plain(ios[:10])
    with pytest.raises(ProtocolError):
        codec.encode_monitoring(Monitoring(1, 0, 1, 3, ios=ios))
    with pytest.raises(ProtocolError):
        codec.encode_command(1, 0, ios=ios)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("part", ["q", "tau", "wrench"])
def test_a_number_that_is_not_finite_is_never_written(codec: FriCodec, bad: float, part: str) -> None:
    """NaN and infinity are refused in each part of a command, at the first and at the last place."""
    n = 6 if part == "wrench" else 7
    for place in (0, n - 1):
        values = np.zeros(n)
        values[place] = bad
        with pytest.raises(ProtocolError) as caught:
            codec.encode_command(1, 0, **{part: values})
        assert caught.value.reason == "not_finite"
    with pytest.raises(ProtocolError):
        codec.encode_command(1, 0, ios=[IoValue("A.B", 2, 1, analog=bad)])


@pytest.mark.parametrize("bad", [np.zeros(6), np.zeros(8), np.zeros((7, 1)), ["a"] * 7])
def test_commands_of_another_shape_are_refused(codec: FriCodec, bad: Any) -> None:
    """A joint vector that is not seven numbers raises ProtocolError and nothing else."""
    with pytest.raises(ProtocolError):
        codec.encode_command(1, 0, bad)


def test_nothing_is_left_over_from_the_message_before(codec: FriCodec) -> None:
    """The reused message objects carry no field from one message to the next."""
    full = next(v for v in golden("monitoring") if v["name"] == "monitor_full")["data"]
    least = next(v for v in golden("monitoring") if v["name"] == "monitor_idle_min")["data"]
    codec.decode_monitoring(full)
    m = codec.decode_monitoring(least)
    assert (m.q, m.q_ipo, m.ios, m.drive_state, m.n_joints) == (None, None, [], [], -1)
    codec.encode_command(1, 0, np.zeros(7), np.zeros(7))
    assert codec.decode_command(codec.encode_command(2, 0)).q is None


def test_counters_wrap_at_32_bits(codec: FriCodec) -> None:
    """A counter past 2³²−1 is written as its remainder."""
    c: CommandMsg = codec.decode_command(codec.encode_command(2**32 + 5, 2**32 - 1))
    assert (c.seq, c.reflected_seq) == (5, 2**32 - 1)


def test_a_mock_can_send_what_is_not_finite(codec: FriCodec) -> None:
    """NaN in a measurement crosses the wire as NaN, so that a mock can inject it and the driver must judge it."""
    controller = Controller()
    q = np.array([math.nan, math.inf, 0, 0, 0, 0, 0])
    m = codec.decode_monitoring(codec.encode_monitoring(controller.frame(2, q=q)))
    controller.socket.close()
    np.testing.assert_array_equal(m.q, q)

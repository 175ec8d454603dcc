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


def _pair(part: dict[str, Any], name: str) -> tuple[int, float] | None:
    return (part[name]["strategy"], part[name]["value"]) if name in part else None


def _element(part: dict[str, Any], name: str) -> list[float] | None:
    return part[name]["element"] if name in part else None


ALL = [*golden(), *golden(version="2.7")]


def _name(vector: dict[str, Any]) -> str:
    return f"{vector['fri']}-{vector['name']}"


@pytest.mark.parametrize("vector", [v for v in ALL if v["kind"] == "monitoring"], ids=_name)
def test_monitoring_vector_reads_to_its_values(vector: dict[str, Any]) -> None:
    """Every field of a monitoring vector reads to the value its maker states."""
    m = codec_for(vector["fri"]).decode_monitoring(vector["data"])
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
    assert _list(m.external_force) == _element(data, "externalForce")
    assert _list(m.pose) == _element(data, "measuredCartesianPose")
    assert m.redundancy == _pair(data, "measuredRedundancyInformation")
    assert (m.pose_ipo, m.redundancy_ipo) == (None, None)
    stamp = data.get("timestamp")
    assert m.t_device_ns == (-1 if stamp is None else stamp["sec"] * 10**9 + stamp["nanosec"])
    assert _list(m.q_ipo) == _values(ipo, "jointPosition")
    assert (m.client_command_mode, m.overlay_type) == (ipo.get("clientCommandMode", -1), ipo.get("overlayType", -1))
    assert m.tracking == ipo["trackingPerformance"] if "trackingPerformance" in ipo else math.isnan(m.tracking)


@pytest.mark.parametrize("vector", [v for v in ALL if v["kind"] == "command"], ids=_name)
def test_command_vector_reads_to_its_values(vector: dict[str, Any]) -> None:
    """Every field of a command vector reads to the value its maker states."""
    c = codec_for(vector["fri"]).decode_command(vector["data"])
    d = vector["decoded"]
    data = d.get("commandData", {})
    assert (c.seq, c.reflected_seq) == (d["header"]["sequenceCounter"], d["header"]["reflectedSequenceCounter"])
    assert _list(c.q) == _values(data, "jointPosition")
    assert _list(c.tau) == _values(data, "jointTorque")
    assert _list(c.wrench) == data.get("cartesianWrenchFeedForward", {}).get("element")
    assert _plain(c.ios) == _ios(data, "writeIORequest")
    assert _list(c.pose) == _element(data, "cartesianPose")
    assert c.redundancy == _pair(data, "redundancyInformation")


def _written(codec: FriCodec, vector: dict[str, Any]) -> bytes:
    if vector["kind"] == "monitoring":
        return codec.encode_monitoring(codec.decode_monitoring(vector["data"]))
    c = codec.decode_command(vector["data"])
    return codec.encode_command(c.seq, c.reflected_seq, c.q, c.tau, c.wrench, c.ios, c.pose, c.redundancy)


@pytest.mark.parametrize("version", ["1.14", "1.15", "1.16"])
@pytest.mark.parametrize("vector", golden(), ids=lambda v: v["name"])
def test_vector_is_written_byte_for_byte(version: str, vector: dict[str, Any]) -> None:
    """What was read from a vector is written as exactly its bytes, in each version of the family."""
    assert _written(codec_for(version), vector) == vector["data"]


@pytest.mark.parametrize("vector", golden(version="2.7"), ids=lambda v: v["name"])
def test_a_2_7_vector_is_written_byte_for_byte(vector: dict[str, Any]) -> None:
    """Length, message and CRC of FRI 2.7 come out as they went in."""
    assert _written(codec_for("2.7"), vector) == vector["data"]


@pytest.mark.parametrize(
    "vector", [v for v in golden() if v["name"].split("_")[-1] not in ("io", "full")], ids=lambda v: v["name"]
)
def test_1_11_writes_the_vectors_without_ios_byte_for_byte(vector: dict[str, Any]) -> None:
    """FRI 1.11 is FRI 1.15 without inputs and outputs."""
    assert _written(codec_for("1.11"), vector) == vector["data"]


@pytest.mark.parametrize("vector", golden("command", "2.7"), ids=lambda v: v["name"])
def test_2_5_writes_the_bare_messages_of_2_7_commands(vector: dict[str, Any]) -> None:
    """The commands of FRI 2.5 are those of FRI 2.7 without length and CRC."""
    assert _written(codec_for("2.5"), {**vector, "data": vector["data"][4:-4]}) == vector["data"][4:-4]


def test_2_5_monitoring_is_that_of_2_7_without_envelope_and_external_force() -> None:
    """By hand: taking the 56 bytes of the external force out of the 2.7 vector, and mending the lengths, gives 2.5."""
    vector = next(v for v in golden("monitoring", "2.7") if v["name"] == "monitor_noio")
    bare = vector["data"][4:-4]
    force = b"\x32\x32\x0a\x30" + struct.pack("<6d", 0.5, 1.5, 2.5, 3.5, 4.5, 5.5)
    assert bare.count(force) == 1
    # monitorData is 0x190 bytes long (tag 1a, length 90 03); without the force 0x15c (dc 02).
    assert bare.count(b"\x1a\x90\x03") == 1
    expected = bare.replace(force, b"").replace(b"\x1a\x90\x03", b"\x1a\xdc\x02")
    codec = codec_for("2.5")
    m = codec.decode_monitoring(expected)
    assert _list(m.pose) == [450.5, -12.25, 780.0, 1.0, 0.0, 0.0, 0.0]
    assert m.external_force is None
    assert m.q_commanded is None
    assert codec.encode_monitoring(m) == expected
    full = codec_for("2.7").decode_monitoring(vector["data"])
    assert codec.encode_monitoring(full) == expected


def test_a_pose_of_the_interpolator_survives_the_way(codec: FriCodec) -> None:
    """With a Cartesian overlay FRI 2 sends pose and redundancy of the interpolator; FRI 1 leaves them out."""
    pose = np.array([450.0, 0.0, 700.0, 0.5, 0.5, 0.5, 0.5])
    m = Monitoring(1, 0, 3, 3, pose_ipo=pose, redundancy_ipo=(0, 0.25), client_command_mode=4, overlay_type=2)
    for version in ("2.5", "2.7"):
        two = codec_for(version)
        back = two.decode_monitoring(two.encode_monitoring(m))
        assert _list(back.pose_ipo) == pose.tolist()
        assert back.redundancy_ipo == (0, 0.25)
        assert (back.client_command_mode, back.overlay_type) == (4, 2)
    back = codec.decode_monitoring(codec.encode_monitoring(m))
    assert (back.pose_ipo, back.redundancy_ipo, back.client_command_mode) == (None, None, -1)


def test_what_a_version_lacks_is_not_written(codec: FriCodec) -> None:
    """Poses in FRI 1 and IOs in FRI 1.11 are refused by name."""
    with pytest.raises(ProtocolError, match="Cartesian poses") as caught:
        codec.encode_command(1, 0, pose=[0.0] * 7)
    assert caught.value.reason == "unsupported"
    with pytest.raises(ProtocolError, match="inputs and outputs") as caught:
        codec_for("1.11").encode_command(1, 0, ios=[IoValue("A.B", 0, 1, digital=1)])
    assert caught.value.reason == "unsupported"
    for bad in ([0.0] * 6, [0.0] * 8, [math.nan] + [0.0] * 6):
        with pytest.raises(ProtocolError):
            codec_for("2.5").encode_command(1, 0, pose=bad)
    with pytest.raises(ProtocolError):
        codec_for("2.5").encode_command(1, 0, redundancy=(0, math.inf))


def test_all_vectors_are_there() -> None:
    """The parametrised tests above run over every vector of the file, not over an empty list."""
    assert (len(golden("command")), len(golden("monitoring"))) == (5, 4)
    assert (len(golden("command", "2.7")), len(golden("monitoring", "2.7"))) == (6, 4)


@pytest.mark.parametrize("version", ["1.10", "2.6", "3.0", "", "1.150"])
def test_other_versions_are_refused(version: str) -> None:
    """A version without a table is refused by name and with the ones that work."""
    with pytest.raises(ProtocolError, match=r"1\.11, 1\.14, 1\.15, 1\.16, 2\.5, 2\.7") as caught:
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

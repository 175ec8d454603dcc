"""Broken bytes: every single-byte change and every truncation of the vectors, and random bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fri_rig import ACTIVE, IDLE, READY, SYNC, Rig, finite, golden
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import ArmState, RobotSample
from drivers.errors import ProtocolError
from drivers.fri import framing
from drivers.fri.codec import CommandMsg, IoValue, Monitoring, codec_for

MASKS = [1 << bit for bit in range(8)] + [0xFF, 0x55, 0xAA, 0x0F]
FAMILIES = ("1.11", "1.15", "2.5", "2.7")


def _vectors(version: str) -> list[dict[str, Any]]:
    """The vectors that a family reads: those of 1.15 less IOs, and the bare messages of 2.7 without external force."""
    if version in ("1.15", "2.7"):
        return golden(version=version)
    if version == "1.11":
        return [v for v in golden() if v["name"].split("_")[-1] not in ("io", "full")]
    codec = codec_for("2.5")
    vectors = []
    for v in golden(version="2.7"):
        data = v["data"][4:-4]
        if v["kind"] == "monitoring":
            data = codec.encode_monitoring(codec_for("2.7").decode_monitoring(v["data"]))
        vectors.append({**v, "data": data})
    return vectors


VECTORS = [(version, v) for version in FAMILIES for v in _vectors(version)]


def _id(value: Any) -> str:
    return value if isinstance(value, str) else f"{value['kind']}-{value['name']}"


def _corruptions(data: bytes) -> Iterator[bytes]:
    for position in range(len(data)):
        for mask in MASKS:
            broken = bytearray(data)
            broken[position] ^= mask
            yield bytes(broken)


def _truncations(data: bytes) -> Iterator[bytes]:
    for length in range(len(data)):
        yield data[:length]


def _is_joints(a: Any) -> bool:
    return a is None or (isinstance(a, np.ndarray) and a.shape == (7,) and a.dtype == np.float64)


def _are_ios(ios: list[IoValue]) -> bool:
    return len(ios) <= 10 and all(
        isinstance(io.name, str) and io.type in (0, 1, 2) and io.direction in (0, 1) for io in ios
    )


def _well_formed_monitoring(m: Monitoring) -> bool:
    return (
        0 <= m.seq < 2**32
        and 0 <= m.reflected_seq < 2**32
        and m.session_state in range(5)
        and m.quality in range(4)
        and -1 <= m.send_period_ms < 2**32
        and -1 <= m.receive_multiplier < 2**32
        and m.n_joints in (-1, 7)
        and m.safety_state in range(-1, 4)
        and m.operation_mode in range(-1, 3)
        and m.control_mode in range(-1, 4)
        and (m.drive_state == [] or (len(m.drive_state) == 7 and set(m.drive_state) <= {-1, 0, 1, 2}))
        and all(map(_is_joints, (m.q, m.tau_measured, m.q_commanded, m.tau_commanded, m.tau_external, m.q_ipo)))
        and m.client_command_mode in range(-1, 5)
        and all(a is None or a.shape == (7,) for a in (m.pose, m.pose_ipo))
        and (m.external_force is None or m.external_force.shape == (6,))
        and m.overlay_type in range(-1, 3)
        and isinstance(m.tracking, float)
        and m.t_device_ns >= -1
        and _are_ios(m.ios)
    )


def _well_formed_command(c: CommandMsg) -> bool:
    return (
        0 <= c.seq < 2**32
        and 0 <= c.reflected_seq < 2**32
        and _is_joints(c.q)
        and _is_joints(c.tau)
        and (c.pose is None or c.pose.shape == (7,))
        and (c.wrench is None or c.wrench.shape == (6,))
        and _are_ios(c.ios)
    )


def _tally(datagrams: Iterator[bytes], kind: str, version: str) -> tuple[int, int]:
    """(read, refused); anything but a well-formed message or ProtocolError fails."""
    read = refused = 0
    codec = codec_for(version)
    for data in datagrams:
        try:
            if kind == "monitoring":
                assert _well_formed_monitoring(codec.decode_monitoring(data)), data.hex()
            else:
                assert _well_formed_command(codec.decode_command(data)), data.hex()
            read += 1
        except ProtocolError:
            refused += 1
    return read, refused


@pytest.mark.parametrize(("version", "vector"), VECTORS, ids=_id)
def test_every_single_byte_change_is_refused_or_well_formed(version: str, vector: dict[str, Any]) -> None:
    """Each byte with each mask: a ProtocolError or a message whose every field is in its range, nothing else."""
    read, refused = _tally(_corruptions(vector["data"]), vector["kind"], version)
    assert read + refused == len(vector["data"]) * len(MASKS)
    assert (read == 0) == (version == "2.7"), "a CRC lets nothing pass; without one some changes must"
    assert refused > 0


@pytest.mark.parametrize(("version", "vector"), VECTORS, ids=_id)
def test_every_truncation_is_refused_or_well_formed(version: str, vector: dict[str, Any]) -> None:
    """Each shorter datagram is refused, but for those that end between two optional parts of the message."""
    read, refused = _tally(_truncations(vector["data"]), vector["kind"], version)
    assert read + refused == len(vector["data"])
    assert read <= (0 if version == "2.7" else 1)


@given(st.binary(max_size=1600))
@settings(max_examples=300, deadline=None)
def test_random_bytes_are_refused_or_well_formed(data: bytes) -> None:
    """Bytes from nowhere raise ProtocolError or give a well-formed message; in an envelope of 2.7 too."""
    for version in FAMILIES:
        for kind in ("monitoring", "command"):
            _tally(iter([data]), kind, version)
    for kind in ("monitoring", "command"):
        _tally(iter([framing.wrap(data[: framing.MAX_MESSAGE])]), kind, "2.7")


def _sane(sample: RobotSample) -> bool:
    good = not sample.valid or bool(np.isfinite(np.concatenate([sample.q, sample.qd, sample.tau])).all())
    return good and sample.q.shape == (7,) and isinstance(sample.state, ArmState)


def _feed(rig: Rig, datagrams: Iterator[bytes]) -> int:
    n = 0
    for data in datagrams:
        rig.controller.raw(data)
        sample = rig.arm.read()
        assert _sane(sample), data.hex()
        assert all(map(finite, rig.controller.answers())), data.hex()
        n += 1
    return n


@pytest.mark.parametrize("vector", golden("monitoring"), ids=lambda v: v["name"])
def test_no_single_byte_change_makes_the_driver_raise(vector: dict[str, Any]) -> None:
    """Every change and truncation through read(): no exception, finite samples and answers, and then the driver
    comes back to READY with a sound session."""
    rig = Rig()
    data = vector["data"]
    assert _feed(rig, _corruptions(data)) == len(data) * len(MASKS)
    assert _feed(rig, _truncations(data)) == len(data)
    assert sum(rig.arm.health().rejected.values()) > len(data)
    rig.controller.seq = 7_000_000
    states = [rig.tick(READY).state for _ in range(4)]
    assert states[-1] is ArmState.READY
    for _ in range(60):
        sample = rig.tick(READY)
    assert sample.valid
    rig.close()


def test_no_single_byte_change_in_a_commanded_session_resumes_or_raises() -> None:
    """A seeded slice of changes to live COMMANDED frames: the driver commands only while nothing has withdrawn the
    permission, and every withdrawal lasts until enable()."""
    rng = random.Random(1)
    rig = Rig()
    sample = rig.until_commanded()
    withdrawn = 0
    for _ in range(1500):
        rig.command(sample)
        rig.controller.answers()
        data = bytearray(rig.controller.codec.encode_monitoring(rig.controller.frame(ACTIVE)))
        data[rng.randrange(len(data))] ^= rng.choice(MASKS)
        rig.controller.raw(bytes(data))
        assert _sane(rig.arm.read())
        rig.controller.answers()
        sample = rig.tick(ACTIVE)
        if not sample.fresh:
            # The counter was hit, and the true ones look old: an outage follows, as if by the network.
            rig.controller.seq += 100
            rig.tick(ACTIVE)
            sample = rig.tick(ACTIVE)
            assert not rig.arm.enabled
        assert (sample.state is ArmState.COMMANDED) == rig.arm.enabled
        if not rig.arm.enabled:
            withdrawn += 1
            rig.tick(SYNC)
            assert rig.controller.answers() == []
            rig.tick(IDLE)
            sample = rig.until_commanded()
        assert sample.state is ArmState.COMMANDED
    assert 0 < withdrawn < 300
    rig.close()

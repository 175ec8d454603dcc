"""Whatever comes over the bus, the drives go on: no exception, torque within the motor's limits, SDO answered."""

from __future__ import annotations

import random
import struct

import pytest

from sim_mocks.cobot.bus import CanBus
from sim_mocks.cobot.drive import Motor, TorqueDrive, drive_dictionary
from sim_mocks.cobot.frames import Frame
from sim_mocks.cobot.node import Nmt, Node
from sim_mocks.cobot.slcan import SlcanAdapter
from sim_mocks.piper.controller import PiperController

MS = 1_000_000
INDICES = (0x1000, 0x1003, 0x1006, 0x1008, 0x1014, 0x1015, 0x1016, 0x1017, 0x1018, 0x1029, 0x1400, 0x1401, 0x1600,
           0x1601, 0x1800, 0x1801, 0x1802, 0x1A00, 0x1A02, 0x2000, 0x2100, 0x6007, 0x6040, 0x605A, 0x605E, 0x6060,
           0x6071, 0x6072, 0x6087, 0x60B2, 0x60C2, 0x60E0, 0x60E1, 0x6074, 0x7777)  # fmt: skip
WORDS = (0x60400010, 0x60710010, 0x60640020, 0x60770010, 0x60410010, 0x00050008, 0x60600008, 0x60740010, 0x10180120, 0)


def sdo(rng: random.Random) -> bytes:
    """A request that is often well-formed, about objects that often exist."""
    known = (0x40, 0x2F, 0x2B, 0x23, 0x22, 0x21, 0x60, 0x70, 0x00, 0x10, 0x01, 0x80, 0xA0)
    head = rng.choice((*known, rng.randrange(256)))
    value = rng.choice((rng.choice(WORDS), rng.randrange(1 << 32), rng.randrange(10), 0x8000_0201, 0x201, 0x4000_0181))
    return struct.pack("<BHBI", head, rng.choice(INDICES), rng.randrange(7), value)


def frame(rng: random.Random) -> Frame:
    pick = rng.random()
    if pick < 0.45:
        return 0x601, sdo(rng)
    if pick < 0.60:
        return 0x201, struct.pack("<Hh", rng.choice((0, 6, 7, 15, 0x80, 0x10F, 2)), rng.randrange(-32768, 32768))
    if pick < 0.70:
        return 0x080, b""
    if pick < 0.75:
        return 0x000, bytes((rng.choice((1, 1, 1, 2, 0x80, 0x80, 0x81, 0x82, 7)), rng.choice((0, 1, 9))))
    if pick < 0.80:
        return 0x77F, b"\x05"
    return rng.randrange(0x800), rng.randbytes(rng.randrange(9))


@pytest.mark.parametrize("seed", range(3))
def test_a_drive_survives_any_traffic(seed: int) -> None:
    rng = random.Random(seed)
    motor = Motor(1.5, 131072, 101.0, 0.01, 0.1)
    node = Node(drive_dictionary(1, motor, 0.05, 0.05), 2 * MS)
    drive = TorqueDrive(node, motor)
    bus = CanBus([node], 1_000_000)
    enabled = answered = 0
    for k in range(4000):
        if k % 400 == 0:  # now and then someone who means well
            sent = [(0x000, b"\x82\x01")]
        elif k % 400 == 20:
            sent = [(0x000, b"\x01\x01"), (0x601, b"\x2f\x60\x60\x00\x0a\0\0\0")]
        elif k % 400 in (22, 23, 24):
            sent = [(0x201, struct.pack("<Hh", (0x06, 0x07, 0x0F)[k % 400 - 22], 32767))]
        else:
            sent = [frame(rng) for _ in range(rng.randrange(4))]
        drive.sense(rng.randrange(-(1 << 31), 1 << 31), rng.uniform(-300, 300), rng.uniform(-9, 9))
        heard = bus.exchange(sent, k * MS, MS)
        torque, _ = drive.control(k * MS, 1e-3)
        assert abs(torque) <= 65.534 * motor.rated_torque
        if torque:
            assert drive.power.powered
        assert all(len(data) <= 8 and can_id <= 0x7FF for can_id, data in heard)
        enabled += drive.power.powered
        answered += sum(can_id == 0x581 for can_id, _ in heard)
        if node.nmt is not Nmt.OPERATIONAL and drive.power.stopping is None:
            assert torque == 0.0
    assert enabled > 20
    assert answered > 500


def test_an_adapter_survives_any_bytes() -> None:
    rng = random.Random(0)
    adapter = SlcanAdapter(1_000_000)
    adapter.feed(b"S8\rO\r")
    frames = 0
    for _ in range(3000):
        line = bytes(rng.choice(b"tTrR0123456789ABCDEFSOCLVNFXZ\r\x00\xff") for _ in range(rng.randrange(40)))
        frames += len(adapter.feed(line)[1])
        adapter.feed(b"\rC\rS8\rO\rt1232AABB\r")
    assert adapter.refused > 100


def test_a_piper_survives_any_frames() -> None:
    import numpy as np

    rng = random.Random(0)
    controller = PiperController(lambda q: np.zeros(6), 1e-3)
    ids = (*range(0x150, 0x160), *range(0x470, 0x480), 0x4AF)
    for k in range(5000):
        controller.sense(np.zeros(6), np.zeros(6), [0.0] * 3, [0.0] * 3)
        controller.tick(k * MS)
        for _ in range(3):
            data = rng.randbytes(rng.choice((8, 8, 8, rng.randrange(9))))
            if rng.random() < 0.5:
                data = bytes((rng.randrange(8), rng.randrange(6), rng.randrange(101))) + data[3:]
            controller.hear((rng.choice(ids), data), k * MS)
        assert np.isfinite(controller.control()).all()
        assert all(len(data) == 8 for _, data in controller.collect(k * MS))

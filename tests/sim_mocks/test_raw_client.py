"""A client of raw bytes takes a whole cell through a session over UDP: signs, counters and sevens on the wire."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from sim_mocks.config import MockConfig
from sim_mocks.host import CooperativeHost
from tests.sim_mocks.cells import mock_config
from tests.sim_mocks.raw_fri import Packet, RawClient, fields

STANDARD = mock_config("standard")


class Session:
    """A cell in this process with a raw client on its UDP port."""

    def __init__(self, config: MockConfig) -> None:
        self.cell = CooperativeHost(config)
        self.client = RawClient()
        self.cell.fri_peer(*self.client.address)
        self.packets: list[Packet] = []

    def tick(self) -> Packet | None:
        self.cell.wait(self.client.fileno(), 0)
        seen = self.client.read()
        if seen is not None:
            self.packets.append(seen)
        return seen

    def run(self, ticks: int, tau: tuple[float, ...] = (0.0,) * 7) -> None:
        for _ in range(ticks):
            seen = self.tick()
            if seen is not None:
                self.client.answer(self.cell.fri_address, seen, tau)

    def activate(self) -> None:
        self.run(120)
        self.cell.controller.start_overlay(self.cell.t_ns)
        self.run(120)
        assert self.packets[-1].state == 4

    def close(self) -> None:
        self.client.close()
        self.cell.close()


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session(STANDARD)
    yield session
    session.close()


def test_states_counters_and_sevens(session: Session) -> None:
    session.activate()
    session.cell.controller.close_session(session.cell.t_ns)
    session.run(20)
    packets = session.packets
    order = [p.state for k, p in enumerate(packets) if k == 0 or p.state != packets[k - 1].state]
    assert order == [1, 2, 3, 4, 0]
    assert packets[-1].state == 0
    assert [p.state for p in packets].count(0) == 1
    assert [p.seq for p in packets] == list(range(len(packets)))
    # The client answers packet k with its own counter k, which the next packet reflects (a closed session is deaf).
    assert [p.reflected for p in packets[1:-1]] == list(range(len(packets) - 2))
    for p in packets:
        for number in (1, 2, 3, 4, 5):
            values = p.joints(3, number)
            assert len(values) == 7
            assert all(map(math.isfinite, values))
        assert p.parts[2][1] == [7]
        assert len(p.parts[2][5]) == 7
        assert (5 in p.parts and 1 in p.parts[5]) == (p.state >= 3)
        if p.state >= 3:
            assert len(p.joints(5, 1)) == 7
            assert p.parts[5][10] == [3]
        stamp = fields(p.parts[3][15][0])
        assert stamp[1][0] >= 1_700_000_000


def test_gravity_and_commanded_torque_have_the_signs_of_the_robot(session: Session) -> None:
    session.activate()
    session.run(50)
    before = session.packets[-1]
    g = session.cell.controller.joints.g
    assert np.abs(g).max() > 10.0
    measured, total = np.array(before.joints(3, 2)), np.array(before.joints(3, 4))
    assert np.abs(measured + g).max() < 4.0  # friction, bias and model error; the wrong sign is off by 2 g
    assert np.abs(total + g).max() < 1.6
    for k in range(60):  # ramp joint 1, which carries no gravity, past its friction to +6 N·m
        session.run(1, (min(6.0, 0.1 * (k + 1)), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0))
    session.run(40, (6.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0))
    after = session.packets[-1]
    assert after.state == 4
    assert after.joints(3, 1)[0] > before.joints(3, 1)[0] + 1e-3  # it moves where it is pushed
    assert after.joints(3, 4)[0] == pytest.approx(-6.0, abs=0.5)  # and reads negative
    assert after.joints(3, 2)[0] < -2.0


def test_push_reads_positive_in_external_torque(session: Session) -> None:
    session.run(150)
    before = np.array(session.packets[-1].joints(3, 5))
    session.cell.world.push(np.array([0.0, 20.0, 0.0, 0.0, 0.0, 0.0]))
    session.run(150)
    truth = session.cell.world.tau_ext
    assert abs(truth[0]) > 5.0
    seen = np.array(session.packets[-1].joints(3, 5)) - before
    assert np.abs(seen - truth).max() < 1.0


@pytest.mark.parametrize(
    "tau",
    [(0.0,) * 6, (0.0,) * 8, (math.nan, *(0.0,) * 6), (50.0, *(0.0,) * 6), (*(0.0,) * 6, -1.6), (*(0.0,) * 6, 1e308)],
    ids=["six", "eight", "nan", "excess", "rate", "huge"],
)
def test_bad_torque_ends_the_motion_and_is_never_felt(session: Session, tau: tuple[float, ...]) -> None:
    session.activate()
    session.run(5)
    tick = session.cell.ticks
    session.run(1, tau)
    session.run(120)
    assert session.packets[-1].state == 2
    assert len(session.cell.controller.errors) == 1
    truth = session.cell.log.truth()
    assert not truth["overlay"].any()
    assert truth["braked"][-1]
    assert np.abs(truth["q"][tick:] - truth["q"][tick]).max() < 1e-3


def test_silence_is_bridged_braked_and_seen_in_quality(session: Session) -> None:
    session.activate()
    for k in range(30):
        session.run(1, (0.0, 0.0, 0.1 * (k + 1), 0.0, 0.0, 0.0, 0.0))
    silent = session.cell.ticks
    for _ in range(300):
        session.tick()
    truth = session.cell.log.truth()
    overlay = truth["overlay"][silent:, 2]
    assert overlay[0] == pytest.approx(3.0)  # the last answer acts in the first silent tick
    first_less = int(np.argmax(overlay < 3.0 - 1e-9))
    assert first_less == 10  # then 10 ms pass
    assert truth["braked"][silent + first_less + 50]
    assert np.abs(truth["qd"][-1]).max() < 1e-3
    qualities = [p.quality for p in session.packets[-300:]]
    assert qualities == sorted(qualities, reverse=True)
    assert set(qualities) == {0, 1, 2, 3}
    assert session.packets[-1].state == 1


def test_strangers_are_not_heard(session: Session) -> None:
    session.run(20)
    stranger = RawClient()
    seen = session.tick()
    assert seen is not None
    stranger.answer(session.cell.fri_address, seen)
    session.tick()
    session.tick()
    stranger.close()
    assert session.cell.udp.foreign == 1
    assert session.cell.controller.quality.missed == 1

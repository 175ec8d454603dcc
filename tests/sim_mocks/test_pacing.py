"""A mock cell by the wall clock: absolute times, whole periods skipped and never a burst; the clock is the test's."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from drivers.errors import ConnectError
from sim_mocks.config import MockConfig
from sim_mocks.control_plane import LockstepTicks
from sim_mocks.control_server import ControlServer
from sim_mocks.host import MockCell
from sim_mocks.pacing import WallPacer
from tests.sim_mocks.cells import mock_config
from tests.sim_mocks.raw_fri import RawClient

MS = 1_000_000


class Clock:
    """Time that passes by sleeping, and by what the test says is work."""

    def __init__(self) -> None:
        self.ns = 7 * MS

    def now(self) -> int:
        return self.ns

    def sleep(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)

    def pacer(self) -> WallPacer:
        return WallPacer(MS, self.now, self.sleep)


def starts(busy_ms: list[float]) -> tuple[list[float], WallPacer]:
    """When the ticks begin whose work takes ``busy_ms``, ms after the first."""
    clock = Clock()
    pacer, begun = clock.pacer(), []
    for busy in busy_ms:
        pacer.wait()
        begun.append((clock.ns - 7 * MS) / MS)
        clock.ns += round(busy * MS)
    return begun, pacer


def test_ticks_stay_on_the_grid_and_late_ones_are_left_out() -> None:
    begun, pacer = starts([0.2, 0.2, 3.6, 0.2, 1.3, 0.2, 0.2])
    # 3.6 ms of stall from t = 2: the ticks of 3 and 4 are left out, that of 5 begins late, the next on the grid.
    assert begun == pytest.approx([0.0, 1.0, 2.0, 5.6, 6.0, 7.3, 8.0])
    assert pacer.skipped == 2
    assert pacer.late_max_ns == 2.6 * MS


@pytest.mark.parametrize("seed", range(5))
def test_there_is_never_a_burst(seed: int) -> None:
    """However long ticks take: no more of them than times of the grid, and each within a period of its own time."""
    rng = np.random.default_rng(seed)
    begun, pacer = starts(rng.exponential(0.9, 2000).tolist())
    grid = np.floor(np.array(begun) + 1e-9)
    assert (np.diff(grid) >= 1).all()
    assert pacer.skipped == grid[-1] - (len(begun) - 1)


def test_a_sleep_that_ends_early_is_taken_up_again() -> None:
    clock = Clock()
    pacer = WallPacer(MS, clock.now, lambda seconds: clock.sleep(min(seconds, 0.0004)))
    pacer.wait()
    pacer.wait()
    assert clock.ns == 8 * MS


class Served:
    """A cell in wall-clock time, served in this thread for so many ticks."""

    def __init__(self, folder: Path, config: MockConfig) -> None:
        self.clock = Clock()
        self.cell = MockCell(config)
        self.client = RawClient()
        self.cell.fri_peer(*self.client.address)
        self.server = ControlServer(self.cell, folder, self.clock.pacer())

    def run(self, ticks: int, stall_at: int = -1, stall_ms: float = 0.0) -> None:
        """Serve until ``ticks`` are done; the host stands still for ``stall_ms`` in one of them."""
        cycle, end = self.cell.cycle, self.cell.ticks + ticks

        def counted() -> None:
            cycle()
            if self.cell.ticks == stall_at:
                self.clock.ns += round(stall_ms * MS)
            if self.cell.ticks >= end:
                self.server._quit = True

        self.cell.cycle = counted  # type: ignore[method-assign]
        self.server._quit = False
        self.server.serve()
        self.cell.cycle = cycle  # type: ignore[method-assign]

    def close(self) -> None:
        self.server.close()
        self.cell.close()
        self.client.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    config = mock_config("standard", ft=True, control_dir=str(tmp_path), realtime=True)
    made = Served(tmp_path, config)
    yield made
    made.close()


def test_the_world_goes_on_whoever_answers(served: Served) -> None:
    """Nobody holds a token and nobody answers: one packet leaves in each period, and stalls are counted."""
    begin = served.clock.ns
    served.run(50, stall_at=20, stall_ms=7.4)
    assert served.cell.ticks == 50
    assert served.cell.skipped == 6  # the newest of seven that have come is taken
    assert served.clock.ns - begin == 55 * MS  # 49 periods, and six that were left out
    served.client.read()
    assert served.client.count == 50
    state = json.loads(served.server._reply(b'{"op": "state"}'))
    assert state["skipped"] == 6
    assert state["late_max_ns"] == 6.4 * MS
    hello = json.loads(served.server._reply(b'{"op": "hello"}'))
    assert (hello["realtime"], hello["paced"]) == (True, True)


def test_there_is_no_token(served: Served, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as token:
        token.connect(str(tmp_path / "token.sock"))
        served.run(2)
        assert token.recv(64) == b""
    with pytest.raises(ConnectError):
        LockstepTicks(tmp_path / "elsewhere")


def test_what_is_sent_leaves_before_the_world_is_computed(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's time for its answer is the period, not what the simulation leaves of it."""
    order: list[str] = []
    for owner, name, word in ((served.cell.udp, "send", "sent"), (served.cell.world, "step", "computed")):
        inner = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *a, _i=inner, _w=word: (order.append(_w), _i(*a))[1])
    served.run(3)
    assert order == ["sent", "computed"] * 3


def test_an_answer_within_the_period_is_on_time_and_a_later_one_is_not(served: Served) -> None:
    """The client answers between two ticks, as fast or as slowly as it likes; the next tick is the deadline."""
    address = served.cell.fri_address
    answers = 120
    for _ in range(answers):
        served.run(1)
        seen = served.client.read()
        assert seen is not None
        served.client.answer(address, seen, (0.0,) * 7)
    quality = served.cell.controller.quality
    assert quality.answered == answers - 1  # the last one is still on its way
    assert quality.late == quality.missed == 0
    for _ in range(5):
        served.run(1)
        seen = served.client.read()
        assert seen is not None
        served.run(1)  # the next packet leaves, and only then comes the answer to the first
        served.client.answer(address, seen, (0.0,) * 7)
    served.run(1)
    assert quality.late == 5
    assert quality.missed >= 5

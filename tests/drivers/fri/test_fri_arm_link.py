"""Datagrams lost, late, doubled, out of order, foreign and broken, and what health() says about them."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import numpy as np
import pytest
from fri_rig import ACTIVE, IDLE, PERIOD_NS, Q0, READY, SYNC, WAIT, Rig, golden

from drivers.contract import ArmState, OperationMode, SafetyState


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.close()


@pytest.fixture
def stranger() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        yield s


def test_newest_of_a_backlog_is_acted_on(rig: Rig) -> None:
    """Five frames wait: the sample is the newest, one answer goes out, four count as late and unanswered."""
    rig.tick(READY)
    rig.controller.answers()
    for k in range(5):
        rig.controller.send(READY, q=Q0 + 1e-4 * k)
    sample = rig.arm.read()
    assert sample.seq == 5
    np.testing.assert_array_equal(sample.q, Q0 + 4e-4)
    assert [a.reflected_seq for a in rig.controller.answers()] == [5]
    health = rig.arm.health()
    assert (health.frames, health.late, health.unanswered, health.gaps) == (6, 4, 4, 0)
    assert not rig.arm.read().fresh


def test_lost_frames_are_gaps(rig: Rig) -> None:
    """Counters that never come count as gaps, also across the wrap of 32 bits."""
    rig.controller.seq = 2**32 - 2
    rig.tick(READY)
    rig.controller.seq = 3
    assert rig.tick(READY).seq == 3
    assert rig.arm.health().gaps == 4


def test_duplicates_and_reordered_frames_are_counted_and_not_acted_on(rig: Rig) -> None:
    """A doubled frame and one older than the newest give no answer and no fresh sample."""
    frames = [rig.controller.codec.encode_monitoring(rig.controller.frame(READY)) for _ in range(4)]
    for data in (frames[0], frames[2]):
        rig.controller.raw(data)
    rig.arm.read()
    assert rig.arm.health().gaps == 1
    rig.controller.answers()
    for data in (frames[2], frames[1], frames[1]):
        rig.controller.raw(data)
        sample = rig.arm.read()
        assert (sample.fresh, sample.seq) == (False, 2)
    assert rig.controller.answers() == []
    health = rig.arm.health()
    assert (health.duplicates, health.reordered, health.gaps, health.frames) == (2, 1, 0, 3)


def test_foreign_senders_are_ignored_after_the_first_good_frame(rig: Rig, stranger: socket.socket) -> None:
    """Without a configured peer the first good sender is the peer; another is counted, not obeyed, not answered."""
    stranger.sendto(b"rubbish", rig.arm.address)
    rig.arm.read()
    assert rig.tick(READY).state is ArmState.READY
    rig.controller.answers()
    stranger.sendto(rig.controller.codec.encode_monitoring(rig.controller.frame(IDLE)), rig.arm.address)
    sample = rig.arm.read()
    assert (sample.fresh, sample.state) == (False, ArmState.READY)
    assert rig.arm.health().rejected == {"malformed": 1, "foreign": 1}
    stranger.setblocking(False)
    with pytest.raises(BlockingIOError):
        stranger.recv(2048)


def test_a_configured_peer_is_the_only_one_heard(stranger: socket.socket) -> None:
    """With a peer in the configuration even the first good frame of another sender is foreign."""
    rig = Rig("controller")
    stranger.sendto(rig.controller.codec.encode_monitoring(rig.controller.frame(READY)), rig.arm.address)
    assert not rig.arm.read().fresh
    assert rig.arm.health().rejected == {"foreign": 1}
    assert rig.tick(READY).fresh
    rig.close()


def test_a_peer_with_port_zero_is_any_port_of_that_host(stranger: socket.socket) -> None:
    """Where only the controller's address is known, its first port is taken and kept."""
    rig = Rig(("127.0.0.1", 0))
    assert rig.tick(READY).fresh
    stranger.sendto(rig.controller.codec.encode_monitoring(rig.controller.frame(READY)), rig.arm.address)
    assert not rig.arm.read().fresh
    other_host = Rig(("127.0.0.2", 0))
    assert not other_host.tick(READY).fresh
    assert other_host.arm.health().rejected == {"foreign": 1}
    rig.close()
    other_host.close()


def test_after_idle_a_controller_may_come_from_another_port_and_count_anew(rig: Rig, stranger: socket.socket) -> None:
    """A session that was closed leaves nothing behind that keeps the next one out."""
    rig.controller.seq = 5000
    rig.tick(READY)
    rig.tick(IDLE)
    rig.controller.seq = 0
    stranger.sendto(rig.controller.codec.encode_monitoring(rig.controller.frame(WAIT)), rig.arm.address)
    sample = rig.arm.read()
    assert (sample.fresh, sample.seq, sample.state) == (True, 0, ArmState.MONITORING)
    assert np.isnan(sample.dt)
    assert rig.arm.health().gaps == 0


def test_silence_of_a_second_ends_the_session(rig: Rig) -> None:
    """Frames that stop without IDLE: age grows, the state stays for a second, then nothing is allowed any more."""
    rig.until_commanded()
    for k in range(1, 1001):
        sample = rig.arm.read()
        assert (sample.fresh, sample.age_ns, sample.state) == (False, k * PERIOD_NS, ArmState.COMMANDED)
    sample = rig.arm.read()
    assert sample.state is ArmState.DISCONNECTED
    assert np.isnan(sample.tau_accepted_lo).all()
    assert not rig.arm.enabled
    rig.controller.seq = 0
    assert rig.tick(READY).state is ArmState.READY


def test_a_restarted_controller_is_followed_from_its_second_frame(rig: Rig) -> None:
    """Counters that start anew without IDLE cost one frame and the permission to command."""
    rig.controller.seq = 100_000
    rig.command(rig.until_commanded())
    rig.controller.seq = 0
    assert not rig.tick(ACTIVE).fresh
    sample = rig.tick(ACTIVE)
    assert (sample.fresh, sample.seq, sample.state) == (True, 1, ArmState.MONITORING)
    assert not rig.arm.enabled
    assert rig.arm.health().rejected == {"sequence_jump": 1}


def test_one_frame_with_a_wild_counter_disturbs_nothing(rig: Rig) -> None:
    """A single broken counter is refused; commanding goes on with the next frame."""
    rig.command(rig.until_commanded())
    rig.controller.send(ACTIVE, seq=4_000_000_000)
    rig.controller.seq -= 1
    assert not rig.arm.read().fresh
    assert rig.tick(ACTIVE).state is ArmState.COMMANDED


def test_refused_datagrams_are_counted_by_reason(rig: Rig) -> None:
    """Each kind of broken datagram has a count of its own, and none makes read() raise or answer."""
    rig.tick(READY)
    rig.controller.answers()
    good = rig.controller.codec.encode_monitoring(rig.controller.frame(READY))
    for data in (
        b"",
        b"\xff" * 20,
        good[:-1],
        good + bytes(1501 - len(good)),
        bytes(9000),
        golden("command")[0]["data"],
    ):
        rig.controller.raw(data)
    assert not rig.arm.read().fresh
    assert rig.arm.health().rejected == {"missing": 1, "malformed": 2, "oversize": 2, "identifier": 1}
    assert rig.controller.answers() == []


def test_commanded_frames_left_alone_count_as_unanswered(rig: Rig) -> None:
    """A tick in COMMANDED without command() is unanswered once, when its time has passed."""
    rig.command(rig.until_commanded())
    before = rig.arm.health().unanswered
    rig.tick(ACTIVE)
    assert rig.arm.health().unanswered == before
    rig.command(rig.tick(ACTIVE))
    assert rig.arm.health().unanswered == before + 1


def test_rubbish_in_the_middle_of_a_period_does_not_end_the_wait(rig: Rig) -> None:
    """In wall-clock time a flood of rubbish must not make the cycle run faster: read() waits on for the tick."""
    rig.tick(READY)
    rig.ticks.tick_ns = PERIOD_NS // 10
    waits = rig.ticks.waits
    rig.controller.raw(b"rubbish")
    rig.arm.read()
    assert rig.ticks.waits - waits == 2
    rig.ticks.tick_ns = PERIOD_NS
    waits = rig.ticks.waits
    rig.controller.raw(b"rubbish")
    rig.arm.read()
    assert rig.ticks.waits - waits == 1


@pytest.mark.parametrize(("quality", "share"), [(0, 0.0), (1, 1 / 3), (2, 2 / 3), (3, 1.0)])
def test_health_maps_quality(rig: Rig, quality: int, share: float) -> None:
    """POOR to EXCELLENT become 0, 1/3, 2/3, 1."""
    rig.tick(READY, quality=quality)
    assert rig.arm.health().quality == pytest.approx(share)


@pytest.mark.parametrize(
    ("wire", "state"),
    [
        (0, SafetyState.NORMAL),
        (1, SafetyState.STOP_0),
        (2, SafetyState.STOP_1),
        (3, SafetyState.STOP_2),
        (7, SafetyState.UNKNOWN),
        (-1, SafetyState.UNKNOWN),
    ],
)
def test_health_maps_the_safety_state(rig: Rig, wire: int, state: SafetyState) -> None:
    """Each wire value has its word; an unknown or absent one is UNKNOWN, never NORMAL."""
    rig.tick(READY, safety_state=wire)
    assert rig.arm.health().safety is state


@pytest.mark.parametrize(
    ("wire", "mode"),
    [(0, OperationMode.T1), (1, OperationMode.T2), (2, OperationMode.AUTOMATIC), (3, OperationMode.UNKNOWN)],
)
def test_health_maps_the_operation_mode(rig: Rig, wire: int, mode: OperationMode) -> None:
    """T1, T2 and AUT have their words; anything else is UNKNOWN."""
    rig.tick(READY, operation_mode=wire)
    assert rig.arm.health().mode is mode


@pytest.mark.parametrize(("drives", "on"), [([2] * 7, True), ([2] * 6 + [1], False), ([0] * 7, False), ([], None)])
def test_drives_are_on_if_every_one_is(rig: Rig, drives: list[int], on: bool | None) -> None:
    """One drive that is not active means off; no statement means unknown."""
    rig.tick(READY, drive_state=drives)
    assert rig.arm.health().drives_on is on


def test_tracking_is_passed_on(rig: Rig) -> None:
    """The controller's tracking performance reaches health() as it is."""
    rig.tick(READY, tracking=0.75)
    assert rig.arm.health().tracking == 0.75


def test_a_receive_multiplier_is_refused_plainly(rig: Rig) -> None:
    """A controller that wants every second frame answered is flagged and never READY nor commanded."""
    for session in (READY, SYNC, ACTIVE):
        assert rig.tick(session, receive_multiplier=2).state is ArmState.MONITORING
        assert any("receive multiplier 2" in flag for flag in rig.arm.health().flags)
    assert rig.tick(READY, receive_multiplier=0).state is ArmState.READY


def test_a_send_period_other_than_the_cells_is_flagged() -> None:
    """A controller at 2 ms in a cell at 1 ms is named with both figures; at 1 ms there is no flag."""
    rig = Rig()
    rig.tick(READY)
    assert rig.arm.health().flags == frozenset()
    rig.close()
    rig = Rig()
    rig.tick(READY, send_period_ms=2)
    assert rig.arm.health().flags == {"send period 2 ms, cell says 1 ms"}
    rig.close()


def test_a_send_the_network_refuses_is_counted(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing send neither raises nor counts as sent: the frame is unanswered and no torque is taken as possible."""
    sample = rig.until_commanded()
    rig.command(sample, 1.0)
    rig.controller.answers()
    sample = rig.tick(ACTIVE)
    unanswered = rig.arm.health().unanswered
    monkeypatch.setattr(rig.arm._link, "send", lambda data: False)
    rig.command(sample, 5.0)
    monkeypatch.undo()
    sample = rig.tick(ACTIVE)
    assert rig.arm.health().rejected == {"send": 1}
    assert rig.arm.health().unanswered == unanswered + 1
    assert sample.tau_accepted_hi[0] == 1.0

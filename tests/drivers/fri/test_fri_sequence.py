"""Counters of frames, and the bounds of the torque that acts, without a socket."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.fri.accepted import MAX_HISTORY, AcceptedCommands
from drivers.fri.sequence import MAX_JUMP, Arrival, SequenceWindow, ahead

TOP = 2**32


@pytest.mark.parametrize("start", [0, 1000, TOP - 3, 2**31 - 2])
def test_gaps_late_arrivals_and_duplicates_across_the_wrap(start: int) -> None:
    """A hole is counted, filled by a late frame once, and a frame seen before is a duplicate, wherever it starts."""
    window = SequenceWindow()

    def judge(offset: int) -> Arrival:
        return window.judge((start + offset) % TOP)

    assert judge(0) is Arrival.FIRST
    assert judge(1) is Arrival.NEWEST
    assert (judge(5), window.step, window.gaps) == (Arrival.NEWEST, 4, 3)
    assert (judge(3), window.gaps) == (Arrival.REORDERED, 2)
    assert (judge(3), window.gaps) == (Arrival.DUPLICATE, 2)
    assert judge(5) is Arrival.DUPLICATE
    assert judge(1) is Arrival.DUPLICATE
    assert (judge(6), window.step, window.gaps) == (Arrival.NEWEST, 1, 2)
    assert window.newest == (start + 6) % TOP


def test_frames_from_before_the_first_repair_no_gap() -> None:
    """A left-over frame older than the first is never taken for a missing one."""
    window = SequenceWindow()
    window.judge(100)
    window.judge(102)
    assert window.judge(98) is Arrival.DUPLICATE
    assert window.gaps == 1


def test_one_wild_counter_does_not_move_the_window() -> None:
    """A single frame far away is a jump, and the true sequence goes on as if it had not been."""
    window = SequenceWindow()
    window.judge(10)
    assert window.judge(10 + MAX_JUMP + 1) is Arrival.JUMP
    assert window.judge(11) is Arrival.NEWEST
    assert window.gaps == 0


def test_a_controller_that_starts_anew_is_believed_at_its_second_frame() -> None:
    """Counting from zero again costs one frame, and does not count as a gap."""
    window = SequenceWindow()
    window.judge(500_000)
    assert window.judge(0) is Arrival.JUMP
    assert window.judge(1) is Arrival.FIRST
    assert window.judge(2) is Arrival.NEWEST
    assert window.gaps == 0


@given(start=st.integers(0, TOP - 1), order=st.permutations(range(30)))
@settings(max_examples=100, deadline=None)
def test_any_order_of_delivery_ends_with_the_right_count(start: int, order: list[int]) -> None:
    """Whatever the order, each frame counts once and only those from before the first are given up."""
    window = SequenceWindow()
    kinds = [window.judge((start + k) % TOP) for k in order]
    before_first = sum(k < order[0] for k in order)
    assert window.gaps == 0
    assert window.newest == (start + 29) % TOP
    assert kinds.count(Arrival.DUPLICATE) == before_first
    assert kinds.count(Arrival.NEWEST) + kinds.count(Arrival.REORDERED) == 29 - before_first


@given(a=st.integers(0, TOP - 1), d=st.integers(-(2**31), 2**31 - 1))
def test_ahead_is_the_signed_distance(a: int, d: int) -> None:
    """The distance of two counters is signed and wraps."""
    assert ahead((a + d) % TOP, a) == d


def _tau(value: float) -> np.ndarray:
    return np.full(7, value)


def _bounds(accepted: AcceptedCommands) -> tuple[float, float]:
    return float(accepted.lo[0]), float(accepted.hi[0])


def test_bounds_hold_the_reflected_command_and_those_after_it() -> None:
    """The envelope runs from the reflected command over all that were sent later, no more and no less."""
    accepted = AcceptedCommands(7)
    assert np.isnan(accepted.lo).all()
    assert np.isnan(accepted.hi).all()
    accepted.nothing_acts()
    assert _bounds(accepted) == (0.0, 0.0)
    accepted.enter(9, np.full(7, 0.5))
    assert (_bounds(accepted), accepted.reference[0]) == ((0.0, 0.0), 0.5)
    for seq, tau in ((10, 4.0), (11, -2.0), (12, 1.0)):
        accepted.sent(seq, _tau(tau), np.full(7, float(seq)))
    assert accepted.reflected(9)
    assert (_bounds(accepted), accepted.reference[0]) == ((-2.0, 4.0), 0.5)
    assert accepted.reflected(11)
    assert (_bounds(accepted), accepted.reference[0]) == ((-2.0, 1.0), 11.0)
    assert accepted.reflected(12)
    assert (_bounds(accepted), accepted.reference[0]) == ((1.0, 1.0), 12.0)
    accepted.nothing_acts()
    assert _bounds(accepted) == (0.0, 0.0)
    assert np.isnan(accepted.reference).all()


def test_a_reflected_counter_that_was_never_sent_keeps_the_worst() -> None:
    """An echo of something not ours is told and narrows nothing."""
    accepted = AcceptedCommands(7)
    accepted.enter(0, np.zeros(7))
    accepted.sent(1, _tau(3.0), np.zeros(7))
    assert not accepted.reflected(2)
    assert _bounds(accepted) == (0.0, 3.0)


def test_bounds_across_the_wrap_of_our_counter() -> None:
    """The reflected 32-bit counter is compared with ours after it has wrapped."""
    accepted = AcceptedCommands(7)
    accepted.enter(TOP - 1, np.zeros(7))
    accepted.sent(TOP, _tau(1.0), np.zeros(7))
    accepted.sent(TOP + 1, _tau(2.0), np.zeros(7))
    assert accepted.reflected(0)
    assert _bounds(accepted) == (1.0, 2.0)


@given(
    torques=st.lists(st.floats(-50, 50), min_size=1, max_size=4 * MAX_HISTORY),
    reflect_at=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_bounds_always_contain_what_may_act(torques: list[float], reflect_at: st.DataObject) -> None:
    """However long nothing is reflected, the envelope holds every command that may act on the robot."""
    accepted = AcceptedCommands(7)
    accepted.enter(0, np.zeros(7))
    sent = [0.0]
    for seq, tau in enumerate(torques, start=1):
        accepted.sent(seq, _tau(tau), np.zeros(7))
        sent.append(tau)
    reflected = reflect_at.draw(st.integers(0, len(torques)))
    assert accepted.reflected(reflected)
    lo, hi = _bounds(accepted)
    assert lo <= min(sent[reflected:])
    assert hi >= max(sent[reflected:])
    if len(torques) < MAX_HISTORY:
        assert (lo, hi) == (min(sent[reflected:]), max(sent[reflected:]))

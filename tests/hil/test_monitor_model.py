"""What the monitor makes of what a cell tells: bars, cycle times, frames."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.monitor.bars import Level, closeness, level, share_bar, signed_bar, span_bar
from hil.monitor.build import Known, build, event_line
from hil.monitor.figures import devices
from hil.monitor.frame import EventLine, Link, Mood
from hil.monitor.rows import Timing
from hil.monitor.words import STATE_WORDS, WORDS, words
from hil.operation.verbs import Situation
from hil.recording import STATE_NUMBERS
from hil.telemetry.row import row_layout
from safety.states import State

MS = 1_000_000
numbers = st.floats(allow_nan=True, allow_infinity=True)


@pytest.mark.parametrize(
    ("value", "drawn"),
    [
        (0.0, "──────│──────"),
        (10.0, "──────│━━━━━━"),
        (-10.0, "━━━━━━│──────"),
        (5.0, "──────│━━━───"),
        (-2.5, "────╺━│──────"),
        (99.0, "──────│━━━━━━"),
        (math.nan, "·············"),
    ],
)
def test_a_signed_bar_is_as_long_as_the_share_of_the_limit(value: float, drawn: str) -> None:
    assert signed_bar(value, 10.0, 13).plain == drawn


@pytest.mark.parametrize(
    ("value", "drawn"),
    [
        (-10.0, "●───│────"),
        (0.0, "────●────"),
        (10.0, "────│───●"),
        (5.0, "────│─●──"),
        (-99.0, "●───│────"),
        (math.nan, "·········"),
    ],
)
def test_a_span_bar_marks_the_place_in_the_range(value: float, drawn: str) -> None:
    assert span_bar(value, -10.0, 10.0, 9).plain == drawn


@given(numbers, numbers, numbers, st.integers(5, 80))
def test_bars_have_their_width_whatever_the_value(value: float, low: float, high: float, width: int) -> None:
    assert len(span_bar(value, low, high, width).plain) == width
    assert len(signed_bar(value, high, width | 1).plain) == width | 1
    assert len(share_bar(value, width).plain) == width


@given(st.floats(0.0, 1.0))
def test_a_longer_bar_never_means_less(share: float) -> None:
    """In half characters: within half of one of the exact length."""
    bar = signed_bar(share, 1.0, 41).plain
    assert (2 * bar.count("━") + bar.count("╸")) / 40 == pytest.approx(share, abs=0.5 / 40 + 1e-9)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, Level.CALM), (7.4, Level.CALM), (7.6, Level.NEAR), (-9.4, Level.NEAR), (9.6, Level.AT), (50.0, Level.AT)],
)
def test_closeness_to_the_limit_has_a_level_with_a_sign(value: float, expected: Level) -> None:
    assert level(closeness(value, -10.0, 10.0)) is expected
    assert level(math.nan) is Level.UNKNOWN
    assert len({each.value for each in Level}) == len(Level)  # told apart without colour


def test_an_unknown_limit_is_no_closeness() -> None:
    for low, high in ((math.nan, 1.0), (-1.0, math.inf), (1.0, 1.0), (1.0, -1.0)):
        assert math.isnan(closeness(0.0, low, high))


def test_every_situation_and_state_has_words() -> None:
    assert set(WORDS) == set(Situation)
    assert set(STATE_WORDS) == set(State)
    assert words("dancing") == ("DANCING", Mood.UNKNOWN, "")
    # Told apart by word, and by sign where the colour differs.
    assert len({word for word, _, _ in WORDS.values()}) == len(WORDS)


def timing(ticks: list[int], took_us: list[int], window: int = 1000) -> Timing:
    made = Timing(window)
    tick = np.array(ticks, dtype=np.int64)
    made.add(tick, tick * MS, 5_000 * MS + tick * MS, np.array(took_us, dtype=np.int64) * 1000)
    return made


def test_cycle_times_are_those_of_the_rows() -> None:
    told = timing(list(range(101)), [*range(100, 200), 1500]).summary()
    assert told.count == told.seen == 101
    assert told.p50 == pytest.approx(150e-6)
    assert told.max == pytest.approx(1500e-6)
    assert (told.missed, told.unseen) == (1, 0)
    assert told.period == pytest.approx(1e-3)


def test_the_rate_is_that_of_the_cycles_also_where_rows_are_missing() -> None:
    made = timing([0, 1, 2], [100] * 3)
    tick = np.array([500, 501, 1002], dtype=np.int64)
    made.add(tick, tick * MS, 5_000 * MS + tick * MS, np.full(3, 100_000))
    told = made._summary()
    assert told.rate == pytest.approx(1000.0)
    assert told.unseen == 497 + 500
    assert told.seen == 6


def test_the_window_holds_the_newest_cycles() -> None:
    made = timing(list(range(60)), [900] * 60, window=50)
    for start in (60, 90):
        tick = np.arange(start, start + 30, dtype=np.int64)
        made.add(tick, tick * MS, tick * MS, np.full(30, 200_000))
    told = made._summary()
    assert (told.count, told.p50, told.max) == (50, pytest.approx(200e-6), pytest.approx(200e-6))


def test_nothing_measured_is_no_time() -> None:
    """A single first row has no period to be late against, and 0 stands for no measurement."""
    told = timing([7], [0]).summary()
    assert (told.count, told.missed) == (0, 0)
    assert math.isnan(told.p50)


def status(**changes: Any) -> dict[str, Any]:
    """What a cell that moves tells."""
    told: dict[str, Any] = {
        "mocks": True,
        "situation": "moving",
        "state": "enabled",
        "sentence": "motion 'swing' is under way (0.5 of 2.0 s)",
        "since": "2026-01-02T14:03:12",
        "tick": 100,
        "t_ns": 100 * MS,
        "faults": [],
        "motion": "swing",
        "elapsed": 0.5,
        "duration": 2.0,
        "motions": ["swing"],
        "log": "run.mcap",
        "joints": {
            "q": [0.1, 0.2], "qd": [0.3, 0.4], "tau": [5.0, 6.0],
            "q_min": [-1.0, -2.0], "q_max": [1.0, 2.0], "qd_max": [1.0, 1.0], "tau_max": [10.0, 20.0],
        },
        "wrench": {"estimated": [1.0, 2.0, 3.0, None, 5.0, 6.0], "measured": None},
        "devices": [
            {"name": "iiwa", "kind": "arm", "state": "commanded", "valid": True, "age_ms": 0.5, "quality": 1.0,
             "gaps": 2, "rejected": 3, "flags": ["late"], "safety": "STOPPED", "mode": "T1", "drives_on": False},
        ],
    }  # fmt: skip
    return {**told, **changes}


def row(state: State = State.ENABLED, **changes: Any) -> np.void:
    layout = row_layout(2)
    made = np.frombuffer(bytearray(layout.blank), dtype=layout.dtype)
    changes = {"tick": 300, "t_ns": 300 * MS, "safety_state": STATE_NUMBERS[state], **changes}
    for name, value in changes.items():
        made[name] = value
    return made[0]


def test_a_frame_from_a_status_alone() -> None:
    frame = build(Known("short", Link.LIVE, status=status()))
    assert (frame.safety.word, frame.safety.since) == ("MOVING", "14:03:12")
    assert frame.old  # no row has come yet
    one, two = frame.joints
    assert (one.name, one.q, one.qd, one.tau, one.tau_max) == ("A1", 0.1, 0.3, 5.0, 10.0)
    assert (two.q_min, two.q_max, two.qd_max) == (-2.0, 2.0, 1.0)
    assert math.isnan(frame.wrench.estimated[3])
    assert frame.wrench.measured is None
    (device,) = frame.devices
    assert device.age == pytest.approx(0.5e-3)
    assert device.notes == ("late", "safety stopped", "drives off", "mode t1")


def test_figures_come_from_the_newest_row_and_time_goes_on_in_it() -> None:
    newest = row(q=[0.5, 0.6], wrench_ft=[1, 2, 3, 4, 5, 6], wrench_est_sd=0.25)
    frame = build(Known("short", Link.LIVE, status=status(), row=newest, age=0.01))
    assert [joint.q for joint in frame.joints] == [0.5, 0.6]
    assert frame.motion is not None
    assert frame.motion.elapsed == pytest.approx(0.7)
    assert frame.wrench.measured == (1, 2, 3, 4, 5, 6)
    assert frame.wrench.estimated_sd == (0.25,) * 6
    assert not frame.old


def test_a_learnt_feed_forward_has_a_line_while_it_runs() -> None:
    learnt = {"kp": [100.0, 12.4], "tau_ff_sd": [0.25, 0.0123], "ff_version": 7}
    learnt |= {"load_mass": 3.014, "load_mass_sd": 0.02}
    frame = build(Known("short", Link.LIVE, status=status(), row=row(tau_ff=[1.0, 2.0], **learnt), age=0.01))
    last = devices(frame, 120, False)[-1].plain
    assert last.rstrip() == "≈ learnt  load 3.01 ± 0.02 kg  version 7  kp 100 12 N·m/rad  σ 0.25 0.012 N·m"
    without = build(Known("short", Link.LIVE, status=status(), row=row(), age=0.01))
    assert without.feed_forward is None
    assert len(devices(without, 120, False)) == len(devices(frame, 120, False)) - 1


def test_a_state_newer_than_the_cells_words_is_shown_at_once() -> None:
    """The words come twice a second, the state with every row."""
    frame = build(Known("short", Link.LIVE, status=status(), row=row(State.FAULTED), age=0.01))
    assert (frame.safety.word, frame.safety.mood) == ("FAULTED", Mood.BAD)
    # A row from before the words says nothing against them.
    frame = build(Known("short", Link.LIVE, status=status(), row=row(State.READY, tick=99), age=0.01))
    assert frame.safety.word == "MOVING"


@pytest.mark.parametrize(("link", "word"), [(Link.SILENT, "NO ANSWER"), (Link.GONE, "NO CELL")])
def test_a_cell_that_does_not_answer_is_not_shown_as_what_it_was(link: Link, word: str) -> None:
    frame = build(Known("short", link, "why", status=status(situation="ready"), row=row(), age=9.0))
    assert (frame.safety.word, frame.safety.sentence) == (word, "why")
    assert frame.safety.mood is not Mood.GOOD
    assert frame.safety.advice == "last known: READY"


def test_a_status_of_another_version_is_shown_as_far_as_it_goes() -> None:
    frame = build(Known("short", Link.LIVE, status={"situation": "sung to sleep"}))
    assert frame.safety.word == "SUNG TO SLEEP"
    assert (frame.joints, frame.devices, frame.motion) == ((), (), None)


def test_events_for_the_log_reader_are_left_out() -> None:
    told = {"number": 3, "time": "2026-01-02T14:03:12.250", "kind": "mark", "text": "new paper"}
    assert event_line(told) == EventLine("14:03:12", "mark", "new paper")
    assert event_line({**told, "kind": "phase"}) is None

"""Link quality: who answered what, when, and what level that makes."""

from __future__ import annotations

import pytest

from sim_mocks.fri_quality import EXCELLENT, FAIR, GOOD, POOR, Answer, LinkQuality

MS = 1_000_000


def drive(quality: LinkQuality, answers: list[bool], start: int = 0) -> None:
    for k, answered in enumerate(answers, start):
        quality.sent(k, k * MS)
        if answered:
            assert quality.answer(k, k * MS) is Answer.ON_TIME
        quality.expire((k + 1) * MS)


@pytest.mark.parametrize(
    ("answers", "level"), [(80, POOR), (81, FAIR), (95, FAIR), (96, GOOD), (99, GOOD), (100, EXCELLENT)]
)
def test_levels_are_entered_one_answer_above_their_threshold(answers: int, level: int) -> None:
    quality = LinkQuality(100, MS, 1)
    drive(quality, [True] * answers)
    assert quality.level == level


@pytest.mark.parametrize(
    ("misses", "level"), [(1, EXCELLENT), (2, GOOD), (5, GOOD), (6, FAIR), (20, FAIR), (21, POOR), (300, POOR)]
)
def test_levels_are_left_below_their_threshold(misses: int, level: int) -> None:
    quality = LinkQuality(100, MS, 1)
    drive(quality, [True] * 100 + [False] * misses)
    assert quality.level == level
    assert quality.misses == misses
    assert quality.missed == misses


def test_late_answer_counts_as_missing_and_may_not_act() -> None:
    quality = LinkQuality(100, MS, 1)
    drive(quality, [True] * 100)
    quality.sent(100, 100 * MS)
    quality.expire(101 * MS)
    assert quality.answer(100, 101 * MS) is Answer.LATE
    assert (quality.late, quality.missed) == (1, 1)


def test_answer_that_comes_after_one_period_is_late_even_before_it_expires() -> None:
    quality = LinkQuality(100, MS, 1)
    quality.sent(0, 0)
    assert quality.answer(0, MS) is Answer.LATE


def test_burst_is_accepted_but_only_newest_counters_act() -> None:
    quality = LinkQuality(100, 5 * MS, 2)  # two packets to a group, answers within 10 ms
    for seq in range(4):
        quality.sent(seq, seq * MS)
    assert quality.answer(3, 4 * MS) is Answer.ON_TIME
    assert quality.answer(1, 4 * MS) is Answer.STALE
    quality.expire(100 * MS)
    assert quality.missed == 0


def test_second_answer_and_unknown_counter_do_not_act() -> None:
    quality = LinkQuality(100, MS, 1)
    quality.sent(0, 0)
    assert quality.answer(0, 0) is Answer.ON_TIME
    assert quality.answer(0, 0) is Answer.STALE
    assert quality.answer(1, 0) is Answer.UNKNOWN
    assert (quality.answered, quality.stale, quality.unknown) == (1, 1, 1)


@pytest.mark.parametrize("phase", [0, 1])
def test_multiplier_takes_answers_in_either_phase(phase: int) -> None:
    quality = LinkQuality(100, MS, 2)
    for seq in range(240):
        quality.sent(seq, seq * MS)
        if seq % 2 == phase:
            assert quality.answer(seq, seq * MS) is Answer.ON_TIME
        quality.expire((seq + 1) * MS)
    assert quality.level == EXCELLENT
    assert quality.missed == 0

"""The benchmark: its figures from durations that are known, and a short run of the whole of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hil.bench.__main__ import main
from hil.bench.figures import Drive, histogram, judge, mode, stage_figures
from hil.bench.stages import STAGES
from hil.bench.text import WIDTH, bar

MICRO = 1e-6


def drive(answer_us: list[float]) -> Drive:
    """A drive whose cycles take 20 µs longer than its answers."""
    answer = np.array(answer_us) * MICRO
    stages = {"write": answer, "controller": 3.0 * answer}
    return Drive(answer, answer + 20.0 * MICRO, 2.0, {"supervisor": 0.5}, stages)


def test_figures_of_known_durations() -> None:
    m = mode(drive([50.0] * 97 + [1500.0, 990.0, 1200.0]))
    assert m.answer.p50 == pytest.approx(50 * MICRO)
    assert m.answer.max == pytest.approx(1500 * MICRO)
    assert m.missed == 3  # the cycle is over after the answer, 990 µs included
    assert m.longest_run == 3
    assert m.cycles_per_second == 50.0
    assert m.cpu_per_cycle["supervisor"] == pytest.approx(5e-3)


def test_histogram_counts_everything_once() -> None:
    rng = np.random.default_rng(1)
    durations = np.concatenate((rng.lognormal(np.log(80e-6), 0.5, 5000), [1e-9, 0.0, 0.09, 5.0]))
    bins = histogram(durations)
    assert sum(count for _, _, count in bins) == len(durations)
    for low, high, count in bins[1:-1]:
        assert count == np.count_nonzero((durations >= low) & (durations < high))
        assert high / low == pytest.approx(10.0**0.1)
    assert bins[0][2] > 0
    assert bins[-1][2] > 0
    assert histogram(np.array([])) == []


def test_bars_show_what_is_not_zero() -> None:
    assert bar(0, 1000) == ""
    assert bar(1, 1_000_000) == "▏"
    assert bar(1000, 1000) == "█" * WIDTH
    assert bar(500, 1000) == "█" * (WIDTH // 2)


@pytest.mark.parametrize(
    ("answer_us", "share", "word"),
    [(90.0, 0.05, "good"), (90.0, 0.07, "fair"), (110.0, 0.05, "fair"), (480.0, 0.05, "fair"), (510.0, 0.05, "poor")],
)
def test_one_word(answer_us: float, share: float, word: str) -> None:
    fast, m = mode(drive([60.0] * 1000)), mode(drive([answer_us] * 1000))
    for alone, recorded in ((m, fast), (fast, m)):
        verdict, advice = judge(alone, recorded, share)
        assert verdict == word
        assert bool(advice) == (word != "good")


def test_rare_late_answers_are_not_good() -> None:
    fast, late = mode(drive([60.0] * 1000)), mode(drive([60.0] * 995 + [400.0] * 5))
    assert judge(fast, late, 0.0)[0] == "fair"


def test_stages_share_the_cycle() -> None:
    figures = stage_figures(drive([10.0, 20.0, 30.0]))
    assert figures["write"].share == pytest.approx(0.25)
    assert figures["controller"].p50 == pytest.approx(60 * MICRO)


def test_a_short_run_of_the_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figures.json"
    assert main(["--cycles", "150", "--wall-cycles", "0", "--json", str(path)]) == 0
    figures = json.loads(path.read_text(encoding="utf-8"))
    for name in ("alone", "recorded"):
        m = figures[name]
        assert m["answer"]["n"] == 150
        assert sum(count for _, _, count in m["histogram"]) == 150
        # The answer is a part of the cycle, and the cycle a part of what passes by the clock on the wall.
        assert 0.0 < m["answer"]["mean"] < m["cycle"]["mean"] < 1.0 / m["cycles_per_second"]
        assert {"supervisor", "mock"} <= set(m["cpu_per_cycle"])
        assert 0.0 < m["cpu_per_cycle"]["supervisor"] < 2.0 / m["cycles_per_second"]
    assert "recorder" in figures["recorded"]["cpu_per_cycle"]
    assert set(figures["stages"]) == set(STAGES)
    assert all(stage["p50"] > 0.0 for stage in figures["stages"].values())
    assert sum(stage["share"] for stage in figures["stages"].values()) == pytest.approx(1.0)
    assert 0.0 < figures["recorder_share"] < 1.0
    said = capsys.readouterr().out
    assert f"verdict: {figures['verdict']}" in said
    assert all(word in said for word in (*STAGES, "read to write", "recorder at 1 kHz"))


@pytest.mark.parametrize("cycles", ["0", "-3", "many"])
def test_a_number_of_cycles_that_makes_no_sense(cycles: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["--cycles", cycles])
    assert refused.value.code == 2
    assert cycles in capsys.readouterr().err

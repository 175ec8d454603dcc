"""How long the cycles took, with one verdict that the numbers bear out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hil.telemetry.log import Log

GOOD_SHARE = 0.5
"""A good cell answers 99.9 % of the ticks within this share of the period. Franka's FCI allows 300-500 µs of 1 ms."""
FAIR_MISSED = 1e-3
"""Share of cycles longer than the period above which a cell is called poor."""
NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Distribution of a duration, s."""

    n: int
    mean: float
    p50: float
    p99: float
    p999: float
    max: float


@dataclass(frozen=True, slots=True)
class TimingSummary:
    """Durations of the cycle's work by the wall clock."""

    answer: Quantiles
    """Sample read to command written."""
    cycle: Quantiles
    """All of the cycle's work, without waiting for the robot."""
    missed: int
    """Cycles whose work took longer than the period."""
    longest_run: int
    """Most missed cycles in a row."""
    verdict: str
    """``good``, ``fair`` or ``poor``; ``not judged`` for a run that was not tied to real time."""
    sentence: str
    advice: str
    """What to try next; empty if there is nothing to do."""


def answer_times(log: Log) -> npt.NDArray[np.float64]:
    """Read-to-write durations of the cycles that wrote a command, s."""
    return durations(log, "wall_write_ns")


def cycle_times(log: Log) -> npt.NDArray[np.float64]:
    """Durations of the cycles' work, s."""
    return durations(log, "wall_cycle_ns")


def summarise_timing(log: Log, period: float, *, paced: bool = True) -> TimingSummary | None:
    """Timing of the run against ``period`` in s; None if the log holds no durations.

    A run that was not ``paced`` by real time had no deadlines: its durations stand there without a judgement.
    """
    cycle = cycle_times(log)
    answer = answer_times(log)
    if not len(cycle):
        return None
    answer = answer if len(answer) else cycle
    late = cycle > period  # with an unknown (NaN) period nothing counts as late
    missed = int(late.sum())
    answered = quantiles(answer)
    if not paced:
        sentence = (
            f"This run was not tied to real time, so it had no deadlines to keep; 99.9 % of the answers took at most "
            f"{answered.p999 * 1e6:.0f} µs."
        )
        return TimingSummary(answered, quantiles(cycle), 0, 0, NOT_JUDGED, sentence, "")
    if missed == 0 and answered.p999 <= GOOD_SHARE * period:
        verdict, advice = "good", ""
    elif missed <= FAIR_MISSED * len(cycle):
        verdict, advice = "fair", "Compare with `make bench` on an idle machine; other programs on it cost the most."
    else:
        verdict = "poor"
        advice = "Close other programs, grant what docs/realtime.md names, then run `make bench`."
    sentence = (
        f"99.9 % of the answers left within {answered.p999 * 1e6:.0f} µs of a period of {period * 1e6:.0f} µs; "
        f"{missed} of {len(cycle)} cycles took longer than the period"
        + (f", at most {longest_run(late)} in a row." if missed else ".")
    )
    return TimingSummary(answered, quantiles(cycle), missed, longest_run(late), verdict, sentence, advice)


def durations(log: Log, name: str) -> npt.NDArray[np.float64]:
    """Field ``name`` of ``/timing`` in s, without rows in which it was not measured."""
    if name not in (log.timing.dtype.names or ()):
        return np.empty(0)
    ns = log.timing[name]
    # 0 is the blank row's value: nothing was measured in that cycle.
    return np.asarray(ns[ns > 0] * 1e-9, dtype=np.float64)


def quantiles(values: npt.NDArray[np.float64]) -> Quantiles:
    """Distribution of durations (k,) s, at least one."""
    p50, p99, p999 = np.quantile(values, [0.5, 0.99, 0.999]).tolist()
    return Quantiles(len(values), float(values.mean()), p50, p99, p999, float(values.max()))


def longest_run(late: npt.NDArray[np.bool_]) -> int:
    """Most True in a row."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], late, [False])).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0

"""From durations to figures, a histogram and one word."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hil.report.timing import FAIR_MISSED, GOOD_SHARE, Quantiles, longest_run, quantiles

PERIOD = 1e-3
"""Tick of the benchmarked cell, s."""
P50_AIM = 100e-6
P999_AIM = 300e-6
"""Aims for awake to written in lockstep, s."""
RECORDER_AIM = 0.06
"""Aim for the recorder's share of a core at 1 kHz."""
BINS_PER_DECADE = 10
_EDGES = 10.0 ** (np.arange(-6 * BINS_PER_DECADE, -1 * BINS_PER_DECADE + 1) / BINS_PER_DECADE)


@dataclass(frozen=True)
class Drive:
    """What one driving process measured."""

    answer: npt.NDArray[np.float64]
    """Awake to command written, (cycles,) s."""
    cycle: npt.NDArray[np.float64]
    """Awake to telemetry sent, (cycles,) s."""
    wall: float
    """All the cycles, waiting included, s."""
    cpu: dict[str, float]
    """CPU time by process, s."""
    stages: dict[str, npt.NDArray[np.float64]]
    """Duration of each stage, (cycles,) s; empty where they were not measured."""
    late: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """Packet in the kernel to awake, (cycles,) s; 0 where it is not known."""
    skipped: int = 0
    """Ticks of the robot that passed without a cycle of ours."""
    most: int = 0
    """Most of them in a row."""
    granted: str = ""
    """By the wall clock: what the system granted, in words."""
    ended: str = ""
    """Why the drive ended before its time; empty if it did not."""


@dataclass(frozen=True)
class Mode:
    """Figures of one way to drive, s and 1/s."""

    answer: Quantiles
    cycle: Quantiles
    missed: int
    """Cycles that took longer than the period."""
    longest_run: int
    """Most of these in a row."""
    cycles_per_second: float
    cpu_per_cycle: dict[str, float]
    wake: Quantiles | None
    """Packet in the kernel to awake."""
    skipped: int
    """Ticks of the robot that passed without a cycle of ours."""
    skipped_in_a_row: int
    granted: str
    """By the wall clock: what the system granted, in words; empty in lockstep."""
    histogram: list[tuple[float, float, int]]
    """Bins of ``answer``: from, to, count; the empty ones at both ends left out."""


@dataclass(frozen=True)
class Stage:
    """Figures of one stage, s."""

    p10: float
    p50: float
    mean: float
    share: float
    """Of the mean cycle."""


@dataclass(frozen=True)
class Figures:
    """All that ``make bench`` says."""

    cell: str
    cycles: int
    alone: Mode
    recorded: Mode
    wall: Mode | None
    """By the wall clock, with a recorder; None where it was not, or could not be, measured."""
    wall_note: str
    """Why the wall clock's run ended before its time; empty if it did not."""
    wall_verdict: str
    recorder_share: float
    """Of a core, at 1 kHz in real time."""
    recorder_share_lockstep: float
    """The same in lockstep, where it follows every row: its CPU time for a thousand rows, s."""
    stages: dict[str, Stage]
    codec_us: dict[str, dict[str, float]]
    verdict: str
    advice: str
    machine: dict[str, Any]

    def to_json(self) -> str:
        """The figures, in seconds where no unit is named."""
        return json.dumps(dataclasses.asdict(self), indent=1)


def mode(drive: Drive) -> Mode:
    """Figures of one drive."""
    late = drive.cycle > PERIOD
    n = len(drive.answer)
    known = drive.late[drive.late > 0.0]
    return Mode(
        answer=quantiles(drive.answer),
        cycle=quantiles(drive.cycle),
        missed=int(late.sum()),
        longest_run=longest_run(late),
        cycles_per_second=n / drive.wall,
        cpu_per_cycle={name: used / n for name, used in drive.cpu.items()},
        wake=quantiles(known) if len(known) else None,
        skipped=drive.skipped,
        skipped_in_a_row=drive.most,
        granted=drive.granted,
        histogram=histogram(drive.answer),
    )


def histogram(durations: npt.NDArray[np.float64]) -> list[tuple[float, float, int]]:
    """Logarithmic bins (from, to, count) of durations in s, first to last that is not empty.

    What lies beyond 1 µs … 0.1 s is counted in the outermost bins.
    """
    inside = np.clip(durations, _EDGES[0], np.nextafter(_EDGES[-1], 0.0))
    counts, _ = np.histogram(inside, _EDGES)
    used = np.flatnonzero(counts)
    span = range(int(used[0]), int(used[-1]) + 1) if len(used) else range(0)
    return [(float(_EDGES[k]), float(_EDGES[k + 1]), int(counts[k])) for k in span]


def stage_figures(drive: Drive) -> dict[str, Stage]:
    """Figures of the stages of a drive that measured them."""
    whole = sum(float(spent.mean()) for spent in drive.stages.values())
    figures = {}
    for name, spent in drive.stages.items():
        p10, p50 = np.quantile(spent, [0.1, 0.5]).tolist()
        figures[name] = Stage(p10, p50, float(spent.mean()), float(spent.mean()) / whole)
    return figures


def judge(alone: Mode, recorded: Mode, recorder_share: float) -> tuple[str, str]:
    """One word, ``good``, ``fair`` or ``poor``, and what to try next (empty where nothing needs to be)."""
    p50 = max(alone.answer.p50, recorded.answer.p50)
    p999 = max(alone.answer.p999, recorded.answer.p999)
    if p50 <= P50_AIM and p999 <= P999_AIM and recorder_share <= RECORDER_AIM:
        return "good", ""
    if p999 <= 0.5 * PERIOD:
        return "fair", "Close other programs and run it again; `uptime` tells how busy the machine is."
    return "poor", "Close other programs; fix the CPU's clock (cpupower frequency-set -g performance); run it again."


def judge_wall(wall: Mode | None, cycles: int) -> str:
    """One word for the run by the wall clock, of which ``cycles`` were asked."""
    if wall is None or wall.answer.n < cycles:
        return "poor"
    if wall.skipped == 0 and wall.answer.p999 <= GOOD_SHARE * PERIOD:
        return "good"
    return "fair" if wall.skipped <= FAIR_MISSED * cycles else "poor"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()

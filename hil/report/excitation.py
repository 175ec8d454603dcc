"""The picture of an excitation plan: what each joint does over time, and which (q, q̇) it comes by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from estimators.excitation import Plan
from hil.report.drawing import COLOURS, GRID, INK

Array = npt.NDArray[np.float64]

_PER_RUN = 600
"""Samples of a run that are drawn."""


def picture(plan: Plan, q_min: Array, q_max: Array, qd_max: Array) -> Figure:
    """One row per joint: position of every run over time, and velocity over position. Limits (n,) frame the latter."""
    n = plan.n
    figure = Figure(figsize=(9.2, 1.35 * n + 1.0), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(n, 2, squeeze=False, gridspec_kw={"width_ratios": (2.0, 1.0)})
    runs = [(run.period, *run.sample(np.linspace(0.0, run.period, _PER_RUN))[:2]) for run in plan.runs]
    for j in range(n):
        time, phase = axes[j]
        for k, (period, q, qd) in enumerate(runs):
            colour = COLOURS[k % len(COLOURS)]
            t = np.linspace(0.0, period, _PER_RUN)
            time.plot(t, q[:, j], color=colour, lw=0.9, label=f"{plan.speeds[k]:.0%}" if j == 0 else None)
            phase.plot(q[:, j], qd[:, j], color=colour, lw=0.6, alpha=0.8)
        for points in plan.points:
            phase.plot(points.q[:, j], np.zeros(len(points.q)), ".", ms=2.5, color=INK)
        time.set_ylabel(f"A{j + 1} / rad", fontsize=8)
        phase.set_ylabel("rad/s", fontsize=8)
        reach = [q[:, j] for _, q, _ in runs] + [points.q[:, j] for points in plan.points]
        low, high = min(float(x.min()) for x in reach), max(float(x.max()) for x in reach)
        room = 0.15 * (high - low) + 1e-3
        for end in (float(q_min[j]), float(q_max[j])):
            if low - room <= end <= high + room:
                time.axhline(end, color="#b3261e", dashes=(5, 3), lw=0.9)
                phase.axvline(end, color="#b3261e", dashes=(5, 3), lw=0.9)
        for limit in (-float(qd_max[j]), float(qd_max[j])):
            phase.axhline(limit, color="#b3261e", dashes=(5, 3), lw=0.9)
        for axis in (time, phase):
            axis.tick_params(labelsize=7, colors=INK)
            axis.grid(color=GRID, lw=0.6)
            axis.spines[["top", "right"]].set_visible(False)
    axes[-1][0].set_xlabel("time / s", fontsize=8)
    axes[-1][1].set_xlabel("position / rad", fontsize=8)
    title = "speed over position; dots: points with dwells"
    axes[0][1].set_title(title, fontsize=8, color=INK, loc="left")
    if runs:
        axes[0][0].set_title(
            f"positions; log det of the set {plan.before:.1f} by chance, {plan.score:.1f} optimised",
            fontsize=8,
            color=INK,
            loc="left",
        )
        figure.legend(loc="outside upper right", ncols=len(runs), frameon=False, fontsize=8, labelcolor=INK)
    return figure


def draw(plan: Plan, q_min: Array, q_max: Array, qd_max: Array, out: Path) -> None:
    """Write the picture as PNG. Raises OSError."""
    picture(plan, q_min, q_max, qd_max).savefig(out, dpi=130)

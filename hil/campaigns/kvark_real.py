"""The section of the K-VARK report on real recordings: pictures, each with what it shows, computed from the data.

:mod:`hil.campaigns.kvark_ur10e` and :mod:`hil.campaigns.kvark_panda` make the results. Figures are made without pyplot.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hil.campaigns.kvark_panda import PandaResult
from hil.campaigns.kvark_ur10e import Score, Ur10eResult
from hil.campaigns.kvark_ur10e_data import LOAD

Array = npt.NDArray[np.float64]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK, GRID, LIMIT = "#2b3440", "#e4e8ec", "#b3261e"
_BAND = 1.959963984540054
_POINTS = 1500
WITHIN = {"given": 0.12, "refitted": 0.05}
"""Aimed at for the mass, by drive gains."""
VERTICAL = 3.0
"""Aimed at for the vertical force on the held-out free run, N."""

Part = tuple[str, str, Figure]
"""Title, what it shows, picture."""


def ur10e_section(result: Ur10eResult) -> list[Part]:
    """UR10e: residual before and after, load and vertical force by model, the load's torques, the hand push."""
    best = {gains: result.chosen(gains) for gains in result.armature}
    last = list(best.values())[-1]
    left = {gains: 100.0 * s.after.mean() / s.before.mean() for gains, s in best.items()}
    shares = ", ".join(f"{left[gains]:.0f} % ({s.model}, {gains} gains)" for gains, s in best.items())
    ratio = ", ".join(f"{r:.2f}" for r in result.gain_ratio)
    masses = "; ".join(
        f"{g} gains, {s.model}: {s.mass:.2f} kg, {100.0 * (s.mass / LOAD - 1.0):+.1f} % "
        f"({'within' if abs(s.mass / LOAD - 1.0) <= WITHIN[g] else 'outside'} {100.0 * WITHIN[g]:.0f} %), vertical "
        f"force on the free run {s.vertical:+.1f} N ({'within' if abs(s.vertical) < VERTICAL else 'outside'} "
        f"{VERTICAL:.0f} N)"
        for g, s in best.items()
    )
    unexplained = float(np.sqrt(np.mean((last.loaded - last.loaded_fit) ** 2)))
    reach = np.abs(last.push).max(axis=0)
    return [
        (
            "UR10e: residual torque of a free run that was not learnt from",
            f"What is left after the learnt mean: {shares} of the rigid-body model's residual; of joint samples, "
            + ", ".join(f"{100.0 * s.coverage:.1f} %" for s in best.values())
            + " lie in the 95 % band, and under virtual contacts "
            + ", ".join(f"{100.0 * s.coverage_contacts:.1f} %" for s in best.values()) + ".",
            _residuals(result),
        ),
        (
            "UR10e: a mass that nobody told the estimator",
            f"Model chosen by virtual loads on training runs. {masses}. Refitted over given drive gains: {ratio}.",
            _masses(result),
        ),
        (
            "UR10e: external torque of the loaded run",
            f"Estimate ({last.model}, {last.gains} gains) and what a load of {last.mass:.2f} kg at the flange causes: "
            f"{unexplained:.2f} N·m rms apart.",
            _loaded(last, result.dt),
        ),
        (
            "UR10e: pushed by hand, standing still",
            f"Largest change of the estimate by joint: {', '.join(f'{r:.1f}' for r in reach)} N·m. Nobody measured the "
            "push; friction at rest may carry part of it.",
            _push(last, result.dt),
        ),
    ]  # fmt: skip


def panda_section(result: PandaResult) -> list[Part]:
    """Panda: error of the force by run and method, and one run's force against the sensor."""
    names = [name for name in result.scores if name != "pseudo-inverse"]
    best = min(names, key=result.mean)
    scores = result.scores[best]
    coverage, nll = [s.coverage for s in scores], [s.nll for s in scores]
    means = "; ".join(f"{name} {result.mean(name):.2f} N, worst ratio {result.worst(name):.2f}" for name in names)
    aligned = float(np.mean([s.aligned for s in scores]))
    late = float(np.mean([s.learnt.delay for s in scores if s.learnt]) * np.median(np.diff(result.runs[0].t)))
    return [
        (
            "Panda: force from joint torques against a force-torque sensor, one run left out",
            f"Mean RMSE of the force, as recorded: pseudo-inverse {result.mean('pseudo-inverse'):.2f} N; {means}."
            f" The joint torques are {1e3 * late:.0f} ms late; aligned, {best} errs by {aligned:.2f} N.",
            _bars(result),
        ),
        (
            "Panda: force and its band",
            f"{best}: between {100.0 * min(coverage):.0f} % and {100.0 * max(coverage):.0f} % of force components in "
            f"the 95 % band, negative log-likelihood {min(nll):.1f} to {max(nll):.1f} nats a sample.",
            _traces(result, best),
        ),
    ]


def _figure(rows: int, columns: int, height: float, sharex: bool = True) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(8.6, height), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, sharex=sharex, squeeze=False).flat)
    for axis in axes:
        axis.grid(color=GRID, lw=0.8)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8, colors=INK)
    return figure, axes


def _legend(figure: Figure, axis: Axes, columns: int = 3) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=columns, frameon=False, fontsize=8)


def _residuals(result: Ur10eResult) -> Figure:
    kinds = list(result.armature)
    figure, axes = _figure(1, len(kinds), 3.2)
    for axis, gains in zip(axes, kinds, strict=True):
        scores = [s for s in result.scores if s.gains == gains]
        bars = [("rigid-body model", scores[0].before), *((s.model, s.after) for s in scores)]
        wide = 0.8 / len(bars)
        for k, (label, values) in enumerate(bars):
            at = np.arange(6) + (k - 0.5 * (len(bars) - 1)) * wide
            axis.bar(at, values, wide, color=COLOURS[k] if k else "#8a94a0", label=label)
        axis.set_yscale("log")
        axis.set_xticks(range(6), [f"A{j + 1}" for j in range(6)])
        axis.set_title(f"{gains} drive gains", fontsize=9, color=INK)
    axes[0].set_ylabel("RMS / N·m")
    _legend(figure, axes[0], 4)
    return figure


def _masses(result: Ur10eResult) -> Figure:
    figure, axes = _figure(1, 2, 3.0, sharex=False)
    labels = [f"{s.model}\n{s.gains} gains" for s in result.scores]
    at = np.arange(len(labels))[::-1]
    chosen = [s is result.chosen(s.gains) for s in result.scores]
    colours = [COLOURS[0] if yes else "#b5bec8" for yes in chosen]
    axes[0].barh(at, [s.mass for s in result.scores], 0.6, color=colours)
    axes[0].axvline(LOAD, color=INK, lw=1.2, label=f"{LOAD} kg")
    axes[0].axvspan(LOAD * 0.95, LOAD * 1.05, color=COLOURS[2], alpha=0.25, lw=0, label="5 %")
    axes[0].axvspan(LOAD * 0.88, LOAD * 1.12, color=COLOURS[2], alpha=0.12, lw=0, label="12 %")
    axes[0].set_yticks(at, labels, fontsize=7)
    axes[0].set_xlabel("mass of the load / kg", fontsize=8)
    axes[1].barh(at, [s.vertical for s in result.scores], 0.6, color=colours)
    for bound in (-VERTICAL, VERTICAL):
        axes[1].axvline(bound, color=LIMIT, dashes=(5, 3), lw=1.2)
    axes[1].set_yticks(at, [""] * len(at))
    axes[1].set_xlabel("vertical force on a free run / N (blue: chosen)", fontsize=8)
    _legend(figure, axes[0])
    return figure


def _loaded(score: Score, dt: float) -> Figure:
    figure, axes = _figure(3, 2, 5.4)
    step = max(1, len(score.loaded) // _POINTS)
    t = np.arange(len(score.loaded))[::step] * dt
    for j, axis in enumerate(axes):
        axis.plot(t, score.loaded[::step, j], color=COLOURS[0], lw=0.9, label="estimate")
        axis.plot(t, score.loaded_fit[::step, j], color=COLOURS[1], lw=0.9, label="the load that fits best")
        axis.set_ylabel(f"A{j + 1} / N·m", fontsize=8)
    _bottom(axes)
    _legend(figure, axes[0])
    return figure


def _push(score: Score, dt: float) -> Figure:
    figure, axes = _figure(3, 2, 5.4)
    t = np.arange(len(score.push)) * dt
    for j, axis in enumerate(axes):
        half = _BAND * score.push_sigma[:, j]
        axis.fill_between(t, -half, half, color=COLOURS[0], alpha=0.15, lw=0, label="95 % band about zero")
        axis.plot(t, score.push[:, j], color=COLOURS[0], lw=0.9, label="estimate, first second as zero")
        axis.set_ylabel(f"A{j + 1} / N·m", fontsize=8)
    _bottom(axes)
    _legend(figure, axes[0])
    return figure


def _bars(result: PandaResult) -> Figure:
    figure, (axis,) = _figure(1, 1, 3.2)
    wide = 0.8 / len(result.scores)
    for k, (name, scores) in enumerate(result.scores.items()):
        at = np.arange(len(scores)) + (k - 0.5 * (len(result.scores) - 1)) * wide
        axis.bar(at, [s.rmse for s in scores], wide, color=COLOURS[k - 1] if k else "#8a94a0", label=name)
    axis.set_xticks(range(len(result.runs)), [run.name.removesuffix(".csv") for run in result.runs], fontsize=7)
    axis.set_ylabel("RMSE of the force vector / N", fontsize=8)
    _legend(figure, axis, 4)
    return figure


def _traces(result: PandaResult, method: str) -> Figure:
    shown = (1, len(result.runs) - 1)
    figure, axes = _figure(3, 2, 5.4, sharex=False)
    for column, i in enumerate(shown):
        run, score, plain = result.runs[i], result.scores[method][i], result.scores["pseudo-inverse"][i]
        for k in range(3):
            axis = axes[2 * k + column]
            middle, half = score.force[:, k], _BAND * score.sigma[:, k]
            low, high = middle - half, middle + half
            axis.fill_between(run.t, low, high, color=COLOURS[0], alpha=0.18, lw=0, label="95 % band")
            axis.plot(run.t, plain.force[:, k], color="#8a94a0", lw=0.8, label="pseudo-inverse")
            axis.plot(run.t, middle, color=COLOURS[0], lw=1.0, label=method)
            axis.plot(run.t, run.wrench[:, k], color=COLOURS[1], lw=0.9, label="sensor")
            axis.set_ylabel(f"F{'xyz'[k]} / N", fontsize=8)
        axes[column].set_title(run.name.removesuffix(".csv"), fontsize=9, color=INK)
    _bottom(axes)
    _legend(figure, axes[0], 4)
    return figure


def _bottom(axes: list[Axes]) -> None:
    for axis in axes[-2:]:
        axis.set_xlabel("t / s", fontsize=8)

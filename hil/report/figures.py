"""The pictures of a run. Each function takes a log and returns a matplotlib figure, or None if it has no data for it.

Figures are made without pyplot: nothing global, no display, nothing to close.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from hil.report.summary import (
    BAND,
    cartesian_error,
    contact_wrenches,
    force_direction,
    has,
    phase_spans,
    pressing_force,
    torque_limits,
)
from hil.report.timing import answer_times, cycle_times
from hil.telemetry.log import Log

Array = npt.NDArray[np.float64]

# Okabe and Ito: told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B5B5B")
INK, GRID, BAND_COLOUR = "#2b3440", "#e4e8ec", "#0072B2"
WIDE_BAND = 3.0
"""Half width of a band in spans of the values above which it is clipped."""
_POINTS = 3000  # more than a figure has pixels across


def tracking(log: Log) -> Figure | None:
    """Deviation of TCP and joints from their references."""
    panels: list[tuple[str, Array, list[str]]] = []
    if has(log, "x", "x_ref", "force_ref"):
        panels.append(("TCP error / mm", cartesian_error(log) * 1e3, ["x", "y", "z"]))
    if has(log, "rot_err", "x_ref"):
        turned = np.where(np.isfinite(log.cycle["x_ref"]), log.cycle["rot_err"], np.nan)
        panels.append(("orientation error / mrad", turned * 1e3, ["about x", "about y", "about z"]))
    if has(log, "q", "q_ref"):
        joints = (log.cycle["q"] - log.cycle["q_ref"]) * 1e3
        panels.append(("joint error / mrad", joints, _joint_names(joints.shape[1])))
    # Where a force begins or ends another error is shown: no line may lead from the one to the other.
    masked = force_direction(log).any(axis=1) if has(log, "force_ref") else np.zeros(len(log.cycle), dtype=bool)
    edges = tuple((np.flatnonzero(np.diff(masked)) + 1).tolist())
    panels = [p for p in panels if np.isfinite(p[1]).any()]
    if not panels:
        return None
    figure, axes = _figure(len(panels), 2.3)
    for axis, (label, values, names) in zip(axes, panels, strict=True):
        for k, name in enumerate(names):
            breaks = edges if label.startswith("TCP") else ()
            _line(axis, log.seconds, values[:, k], COLOURS[k % len(COLOURS)], breaks, label=name)
        axis.set_ylabel(label)
        _legend(axis)
    return _finish(log, figure, axes)


def torque(log: Log) -> Figure | None:
    """Total torque as share of its limit, and the torque that was commanded."""
    if not has(log, "tau_total", "tau_cmd", "limited"):
        return None
    limits = torque_limits(log)
    names = _joint_names(log.cycle["tau_cmd"].shape[1])
    panels: list[tuple[str, Array]] = []
    if limits is not None and np.isfinite(log.cycle["tau_total"]).any():
        panels.append(("total torque / % of limit", log.cycle["tau_total"] / limits * 100))
    if np.isfinite(log.cycle["tau_cmd"]).any():
        panels.append(("commanded torque / N·m", log.cycle["tau_cmd"]))
    if not panels:
        return None
    figure, axes = _figure(len(panels), 2.7)
    for axis, (label, values) in zip(axes, panels, strict=True):
        for k, name in enumerate(names):
            _line(axis, log.seconds, values[:, k], COLOURS[k % len(COLOURS)], label=name)
        axis.set_ylabel(label)
        if "limit" in label:
            for bound in (-100, 100):
                axis.axhline(bound, color="#b3261e", dashes=(5, 3), lw=1.2, label="limit" if bound > 0 else None)
            axis.set_ylim(-115, 115)
        _legend(axis)
    cut = (log.cycle["limited"] != 0).any(axis=1)
    if cut.any():
        height = axes[-1].get_ylim()[0]
        axes[-1].plot(log.seconds[cut], np.full(cut.sum(), height), "|", ms=5, color="#b3261e", clip_on=False)
        axes[-1].annotate("red ticks: a limit cut the command", (1, 1), xycoords="axes fraction", ha="right",
                          va="bottom", fontsize=8, color="#b3261e")  # fmt: skip
    return _finish(log, figure, axes)


def wrench(log: Log) -> Figure | None:
    """Contact wrench from the joint torques, with its 95 % band, against the F/T sensor."""
    if not has(log, "wrench_est", "wrench_est_sd", "wrench_ft"):
        return None
    (estimate, measured), spread = contact_wrenches(log), log.cycle["wrench_est_sd"]
    if not (np.isfinite(estimate).any() or np.isfinite(measured).any()):
        return None
    figure = _canvas(8.6, 6.6)
    axes = list(figure.subplots(3, 2, sharex=True).T.flat)
    for k, axis in enumerate(axes):
        t, middle = _thin(log.seconds, estimate[:, k])
        _, half = _thin(log.seconds, spread[:, k] * BAND, t)
        axis.fill_between(t, middle - half, middle + half, color=BAND_COLOUR, alpha=0.18, lw=0, label="95 % band")
        axis.plot(t, middle, color=BAND_COLOUR, lw=1.0, label="from joint torques")
        _line(axis, log.seconds, measured[:, k], COLOURS[1], label="F/T sensor", lw=0.9)
        axis.set_ylabel(f"{'FM'[k // 3]}{'xyz'[k % 3]} / {'N' if k < 3 else 'N·m'}")
        unit = "N" if k < 3 else "N·m"
        _focus(axis, np.concatenate((estimate[:, k], measured[:, k])), half[np.isfinite(middle + half)], unit)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=3, frameon=False, fontsize=9, labelcolor=INK)
    return _finish(log, figure, axes, bottom=(axes[2], axes[5]), names_on=())


def force(log: Log) -> Figure | None:
    """Force along its reference while pressing."""
    if not has(log, "force_ref", "wrench_ft", "wrench_est"):
        return None
    reference, measured = pressing_force(log, "wrench_ft")
    _, estimated = pressing_force(log, "wrench_est")
    if not np.isfinite(measured).any() and not np.isfinite(estimated).any():
        return None
    figure, axes = _figure(1, 3.0)
    axis = axes[0]
    _line(axis, log.seconds, estimated, COLOURS[0], label="from joint torques")
    _line(axis, log.seconds, measured, COLOURS[1], label="F/T sensor")
    axis.plot(log.seconds, reference, color=INK, dashes=(5, 3), lw=1.2, label="reference")
    axis.set_ylabel("force on the surface / N")
    shown = np.flatnonzero(np.isfinite(reference))
    margin = 0.05 * (log.seconds[shown[-1]] - log.seconds[shown[0]])
    _legend(axis)
    _finish(log, figure, axes)
    axis.set_xlim(log.seconds[shown[0]] - margin, log.seconds[shown[-1]] + margin)
    _name_phases(log, axis)
    return figure


def cycle_time(log: Log) -> Figure | None:
    """Histogram of read-to-write and of the whole cycle, fixed logarithmic bins from 1 µs to 100 ms."""
    answer, cycle = answer_times(log), cycle_times(log)
    if not len(cycle):
        return None
    figure, axes = _figure(1, 3.2)
    axis = axes[0]
    # 40 bins a decade, always the same, so that two reports can be laid side by side.
    bins = np.logspace(0, 5, 201).tolist()
    for k, (values, label) in enumerate(((cycle, "whole cycle"), (answer, "read to write"))):
        if not len(values):
            continue
        colour = COLOURS[1 - k]
        axis.hist(values * 1e6, bins=bins, histtype="stepfilled", color=colour, alpha=0.35, label=label)
        axis.hist(values * 1e6, bins=bins, histtype="step", color=colour, lw=1.2)
    values, top = (answer if len(answer) else cycle) * 1e6, axis.get_ylim()[1]
    marks = {"p50": np.quantile(values, 0.5), "p99": np.quantile(values, 0.99), "p99.9": np.quantile(values, 0.999)}
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_ylim(0.7, top * 30)
    for k, (name, value) in enumerate({**marks, "max": values.max()}.items()):
        axis.axvline(value, ymax=0.72 + 0.07 * k, color=COLOURS[0], lw=0.9)
        axis.annotate(f" {name} {value:.0f} µs", (value, 0.72 + 0.07 * k), xycoords=("data", "axes fraction"),
                      fontsize=8, color=COLOURS[0], va="center")  # fmt: skip
    if len(log.seconds) > 1 and log.meta("run", "paced") is not False:
        period = float(np.median(np.diff(log.seconds))) * 1e6
        axis.axvline(period, color="#b3261e", dashes=(5, 3), lw=1.3, label="period")
        axis.set_xlim(max(1.0, values.min() * 0.5), max(period * 2, cycle.max() * 1e6 * 1.6))
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("duration / µs")
    axis.set_ylabel("cycles")
    _legend(axis)
    _style(axis)
    return figure


FIGURES: dict[str, tuple[str, Callable[[Log], Figure | None]]] = {
    "tracking": ("Tracking error", tracking),
    "torque": ("Torque against limits", torque),
    "force": ("Pressing force", force),
    "wrench": ("Estimated against measured wrench", wrench),
    "timing": ("Cycle time", cycle_time),
}
"""Title and function by name, in the order of the report."""


def _canvas(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _figure(rows: int, row_height: float) -> tuple[Figure, list[Axes]]:
    figure = _canvas(8.6, rows * row_height + 0.5)
    return figure, list(figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0])


def _joint_names(n: int) -> list[str]:
    return [f"A{k + 1}" for k in range(n)]


def _thin(t: Array, values: Array, at: Array | None = None) -> tuple[Array, Array]:
    """Fewer points by plain picking (for bands, where both edges must be picked alike)."""
    if at is not None:
        return at, values[np.searchsorted(t, at)]
    step = max(1, len(t) // _POINTS)
    return t[::step], values[::step]


def _line(
    axis: Axes, t: Array, values: Array, colour: str, breaks: Sequence[int] = (), **kwargs: Any
) -> None:
    """A line of at most a few thousand points that keeps every peak, broken before the rows ``breaks``."""
    for begin, end in pairwise((0, *breaks, len(t))):
        _piece(axis, t[begin:end], values[begin:end], colour, len(t) // _POINTS + 1, kwargs)
        kwargs.pop("label", None)


def _piece(axis: Axes, t: Array, values: Array, colour: str, step: int, kwargs: dict[str, Any]) -> None:
    """Smallest and largest value of each bin of ``step`` rows."""
    if step > 2:
        n = len(t) // step * step
        bins = values[:n].reshape(-1, step)
        empty = ~np.isfinite(bins).any(axis=1)
        low = np.where(empty, np.nan, np.min(np.where(np.isfinite(bins), bins, np.inf), axis=1))
        high = np.where(empty, np.nan, np.max(np.where(np.isfinite(bins), bins, -np.inf), axis=1))
        t = np.repeat(t[:n:step], 2)
        values = np.stack((low, high), axis=1).ravel()
    axis.plot(t, values, color=colour, **{"lw": 0.8, **kwargs})


def _focus(axis: Axes, values: Array, half: Array, unit: str) -> None:
    """Scale to what was seen and to the band; a band that would flatten it runs out and is stated in words."""
    seen = values[np.isfinite(values)]
    if not len(seen):
        return
    low, high = float(seen.min()), float(seen.max())
    margin = 0.15 * (high - low) or 1.0
    usual = float(np.median(half)) if len(half) else 0.0
    if usual <= WIDE_BAND * (high - low):
        margin = max(margin, 1.1 * usual)
    else:
        axis.annotate(f"95 % band ±{usual:.2g} {unit}, clipped", (0.99, 0.03), xycoords="axes fraction", ha="right",
                      va="bottom", fontsize=8, color=BAND_COLOUR)  # fmt: skip
    axis.set_ylim(low - margin, high + margin)


def _legend(axis: Axes) -> None:
    """Beside the axes: inside it would lie on the data sooner or later."""
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, handlelength=1.4)


def _style(axis: Axes) -> None:
    axis.grid(color=GRID, lw=0.7)
    axis.set_axisbelow(True)
    axis.tick_params(colors=INK, labelsize=8, length=3)
    axis.yaxis.label.set(color=INK, size=9)
    axis.xaxis.label.set(color=INK, size=9)
    for side, spine in axis.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color("#9aa5b1")
    legend = axis.get_legend()
    if legend:
        for text in legend.get_texts():
            text.set(size=8, color=INK)


def _finish(
    log: Log,
    figure: Figure,
    axes: list[Axes],
    bottom: tuple[Axes, ...] | None = None,
    names_on: tuple[Axes, ...] | None = None,
) -> Figure:
    spans = phase_spans(log)
    for axis in axes:
        _style(axis)
        if len(log.seconds) > 1:
            axis.set_xlim(0, log.seconds[-1])
        for k, (_, a, b) in enumerate(spans):
            if k % 2:
                axis.axvspan(log.seconds[a], log.seconds[b - 1], color="#f3f5f7", lw=0, zorder=-5)
    for axis in (axes[-1],) if bottom is None else bottom:
        axis.set_xlabel("time / s")
    for axis in (axes[0],) if names_on is None else names_on:
        _name_phases(log, axis)
    return figure


def _name_phases(log: Log, axis: Axes) -> None:
    low, high = axis.get_xlim()
    for text in list(axis.texts):
        if text.get_gid() == "phase":
            text.remove()
    for name, a, b in phase_spans(log):
        start, stop = max(log.seconds[a], low), min(log.seconds[b - 1], high)
        if stop - start < 0.012 * len(name) * (high - low):
            continue  # no room for the name
        axis.annotate(name, ((start + stop) / 2, 1.01), xycoords=("data", "axes fraction"), ha="center", va="bottom",
                      fontsize=8, color="#6b7785", gid="phase")  # fmt: skip

"""The pictures of a run. Each function takes a log and returns a matplotlib figure, or None if it has no data for it.

Figures are made without pyplot: nothing global, no display, nothing to close.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from hil.report.drawing import (
    BAND_COLOUR,
    COLOURS,
    INK,
    canvas,
    finish,
    focus,
    joint_names,
    legend,
    line,
    name_phases,
    panels,
    style,
    thin,
)
from hil.report.learnt import feed_forward
from hil.report.summary import (
    BAND,
    cartesian_error,
    contact_wrenches,
    force_direction,
    has,
    pressing_force,
    torque_limits,
)
from hil.report.timing import answer_times, cycle_times
from hil.telemetry.log import Log

Array = npt.NDArray[np.float64]


def tracking(log: Log) -> Figure | None:
    """Deviation of TCP and joints from their references."""
    drawn: list[tuple[str, Array, list[str]]] = []
    if has(log, "x", "x_ref", "force_ref"):
        drawn.append(("TCP error / mm", cartesian_error(log) * 1e3, ["x", "y", "z"]))
    if has(log, "rot_err", "x_ref"):
        turned = np.where(np.isfinite(log.cycle["x_ref"]), log.cycle["rot_err"], np.nan)
        drawn.append(("orientation error / mrad", turned * 1e3, ["about x", "about y", "about z"]))
    if has(log, "q", "q_ref"):
        joints = (log.cycle["q"] - log.cycle["q_ref"]) * 1e3
        drawn.append(("joint error / mrad", joints, joint_names(joints.shape[1])))
    # Where a force begins or ends another error is shown: no line may lead from the one to the other.
    masked = force_direction(log).any(axis=1) if has(log, "force_ref") else np.zeros(len(log.cycle), dtype=bool)
    edges = tuple((np.flatnonzero(np.diff(masked)) + 1).tolist())
    drawn = [p for p in drawn if np.isfinite(p[1]).any()]
    if not drawn:
        return None
    figure, axes = panels(len(drawn), 2.3)
    for axis, (label, values, names) in zip(axes, drawn, strict=True):
        for k, name in enumerate(names):
            breaks = edges if label.startswith("TCP") else ()
            line(axis, log.seconds, values[:, k], COLOURS[k % len(COLOURS)], breaks, label=name)
        axis.set_ylabel(label)
        legend(axis)
    return finish(log, figure, axes)


def torque(log: Log) -> Figure | None:
    """Total torque as share of its limit, and the torque that was commanded."""
    if not has(log, "tau_total", "tau_cmd", "limited"):
        return None
    limits = torque_limits(log)
    names = joint_names(log.cycle["tau_cmd"].shape[1])
    drawn: list[tuple[str, Array]] = []
    if limits is not None and np.isfinite(log.cycle["tau_total"]).any():
        drawn.append(("total torque / % of limit", log.cycle["tau_total"] / limits * 100))
    if np.isfinite(log.cycle["tau_cmd"]).any():
        drawn.append(("commanded torque / N·m", log.cycle["tau_cmd"]))
    if not drawn:
        return None
    figure, axes = panels(len(drawn), 2.7)
    for axis, (label, values) in zip(axes, drawn, strict=True):
        for k, name in enumerate(names):
            line(axis, log.seconds, values[:, k], COLOURS[k % len(COLOURS)], label=name)
        axis.set_ylabel(label)
        if "limit" in label:
            for bound in (-100, 100):
                axis.axhline(bound, color="#b3261e", dashes=(5, 3), lw=1.2, label="limit" if bound > 0 else None)
            axis.set_ylim(-115, 115)
        legend(axis)
    cut = (log.cycle["limited"] != 0).any(axis=1)
    if cut.any():
        height = axes[-1].get_ylim()[0]
        axes[-1].plot(log.seconds[cut], np.full(cut.sum(), height), "|", ms=5, color="#b3261e", clip_on=False)
        axes[-1].annotate("red ticks: a limit cut the command", (1, 1), xycoords="axes fraction", ha="right",
                          va="bottom", fontsize=8, color="#b3261e")  # fmt: skip
    return finish(log, figure, axes)


def wrench(log: Log) -> Figure | None:
    """Contact wrench from the joint torques, with its 95 % band, against the F/T sensor."""
    if not has(log, "wrench_est", "wrench_est_sd", "wrench_ft"):
        return None
    (estimate, measured), spread = contact_wrenches(log), log.cycle["wrench_est_sd"]
    if not (np.isfinite(estimate).any() or np.isfinite(measured).any()):
        return None
    figure = canvas(8.6, 6.6)
    axes = list(figure.subplots(3, 2, sharex=True).T.flat)
    for k, axis in enumerate(axes):
        t, middle = thin(log.seconds, estimate[:, k])
        _, half = thin(log.seconds, spread[:, k] * BAND, t)
        axis.fill_between(t, middle - half, middle + half, color=BAND_COLOUR, alpha=0.18, lw=0, label="95 % band")
        axis.plot(t, middle, color=BAND_COLOUR, lw=1.0, label="from joint torques")
        line(axis, log.seconds, measured[:, k], COLOURS[1], label="F/T sensor", lw=0.9)
        axis.set_ylabel(f"{'FM'[k // 3]}{'xyz'[k % 3]} / {'N' if k < 3 else 'N·m'}")
        unit = "N" if k < 3 else "N·m"
        focus(axis, np.concatenate((estimate[:, k], measured[:, k])), half[np.isfinite(middle + half)], unit)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=3, frameon=False, fontsize=9, labelcolor=INK)
    return finish(log, figure, axes, bottom=(axes[2], axes[5]), names_on=())


def force(log: Log) -> Figure | None:
    """Force along its reference while pressing."""
    if not has(log, "force_ref", "wrench_ft", "wrench_est"):
        return None
    reference, measured = pressing_force(log, "wrench_ft")
    _, estimated = pressing_force(log, "wrench_est")
    if not np.isfinite(measured).any() and not np.isfinite(estimated).any():
        return None
    figure, axes = panels(1, 3.0)
    axis = axes[0]
    line(axis, log.seconds, estimated, COLOURS[0], label="from joint torques")
    line(axis, log.seconds, measured, COLOURS[1], label="F/T sensor")
    axis.plot(log.seconds, reference, color=INK, dashes=(5, 3), lw=1.2, label="reference")
    axis.set_ylabel("force on the surface / N")
    shown = np.flatnonzero(np.isfinite(reference))
    margin = 0.05 * (log.seconds[shown[-1]] - log.seconds[shown[0]])
    legend(axis)
    finish(log, figure, axes)
    axis.set_xlim(log.seconds[shown[0]] - margin, log.seconds[shown[-1]] + margin)
    name_phases(log, axis)
    return figure


def cycle_time(log: Log) -> Figure | None:
    """Histogram of read-to-write and of the whole cycle, fixed logarithmic bins from 1 µs to 100 ms."""
    answer, cycle = answer_times(log), cycle_times(log)
    if not len(cycle):
        return None
    figure, axes = panels(1, 3.2)
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
    legend(axis)
    style(axis)
    return figure


FIGURES: dict[str, tuple[str, Callable[[Log], Figure | None]]] = {
    "tracking": ("Tracking error", tracking),
    "torque": ("Torque against limits", torque),
    "force": ("Pressing force", force),
    "wrench": ("Estimated against measured wrench", wrench),
    "gains": ("Learnt feed-forward and the gains that follow it", feed_forward),
    "timing": ("Cycle time", cycle_time),
}
"""Title and function by name, in the order of the report."""

"""The closed loop: unseen motion with and without a load that nobody announced, by controller and seed of the world."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from hil.report.drawing import COLOURS
from hil.reproduce import charts
from hil.reproduce.sections import Section, joined, missing, note, number, picture, table
from hil.reproduce.svdkl.results import Results, Row

CONTROLLERS = {
    "learnt": ("learnt torque with calibrated gains", "learnt", "load"),
    "rnea": ("rigid-body torque with full gains", "rigid body", "load-rnea"),
    "paper": ("learnt torque by the paper's law alone", "paper's law", "load-paper"),
    "computed-torque": ("computed torque of the cell", "computed\ntorque", "load-computed-torque"),
}
"""Run on unseen motion → title, short title, run with a load; in the order of the tables."""
FREE = (1e-3, 0.15)
"""Target of the toolkit for the first of them: RMS error, rad, and Kp/Kmax, at most."""
CARRYING = (1.5e-3, 0.25)
"""The same from :data:`SETTLED` on, with a load."""
SETTLED = 5.0
"""s since the load came."""
COMMAND = "hil reproduce svdkl --part loop"

Figures = tuple[float, float]
"""RMS error, rad, and Kp/Kmax; NaN where it is not known."""


def closed_loop(results: Results) -> Section:
    """Errors and gains by controller, for each seed and their mean."""
    key, heading = "closed_loop", "Closed loop"
    seeds = sorted(results.loop)
    rows = [results.loop[seed] for seed in seeds]
    shown = {name: [free(row, name) for row in rows] for name in CONTROLLERS}
    loads = {name: [settled(row, name) for row in rows] for name in CONTROLLERS}
    if not any(np.isfinite(each[0]) for of in (shown, loads) for every in of.values() for each in every):
        if "loop" in results.settings.parts:
            return missing(key, heading, results, "loop")
        return Section(key, heading, f"Not part of this run: {COMMAND} computes it.")
    kg = next((run["mass"] for row in rows for run in row["loaded"].values()), float("nan"))
    lines = [
        [f"{CONTROLLERS[name][0]}{aside}", _told(target) if name == "learnt" else "–", _told(mean(found)),
         *(_told(each) for each in found)]
        for aside, of, target in (("", shown, FREE), (f"; {kg:g} kg", loads, CARRYING))
        for name, found in of.items() if any(np.isfinite(each[0]) for each in found)
    ]  # fmt: skip
    head = ["RMS error / mrad at Kp/Kmax", "target, at most", "mean", *(f"seed {seed}" for seed in seeds)]
    text = (
        f"Each seed is a world of its own: {_recorded(rows)}recorded through the mock's real wire, a model trained and "
        "its gains calibrated on that alone, then unseen motions followed. RMS over joints; Kp/Kmax: mean over time "
        "and joints. Full gains are below 100 % where the loop could not bear more. The paper's law alone: σ_n and σ_f "
        f"as fitted, no innovation. With a load: {kg:g} kg come to the flange in the middle of an unseen motion and "
        f"nobody announces it; from {SETTLED:g} s after that on. Only the first controller estimates a load."
    )
    body = [_picture(seeds, shown, loads, kg), table(head, lines), note(text)]
    windows = _windows(rows, kg)
    return Section(key, heading, _finding(seeds, shown, loads, kg), (*body, *windows))


def free(row: Row, name: str) -> Figures:
    """Of unseen motion; ``name`` of :data:`CONTROLLERS`."""
    run = row["followed"].get(name)
    return (np.nan, np.nan) if run is None else (_number(run["rmse"]), _number(run["gain"]))


def settled(row: Row, name: str) -> Figures:
    """With a load, from :data:`SETTLED` on."""
    run = row["loaded"].get(CONTROLLERS[name][2])
    late = [] if run is None else [each for each in run["windows"] if each["from"] >= SETTLED]
    return mean([(_number(each["rmse"]), _number(each["gain"])) for each in late])


def mean(found: Sequence[Figures]) -> Figures:
    """Over those that are known."""
    columns = [[value for value in column if np.isfinite(value)] for column in zip(*found, strict=True)] or [[], []]
    error, gain = (float(np.mean(values)) if values else float("nan") for values in columns)
    return error, gain


def held(found: Sequence[Figures], seeds: Sequence[int], target: Figures) -> str:
    """Which of the seeds that have figures are outside ``target``, in words."""
    known = [(seed, each) for seed, each in zip(seeds, found, strict=True) if np.isfinite(each[0])]
    # A gain that is not known is not within anything.
    missed = [seed for seed, each in known if not (each[0] <= target[0] and each[1] <= target[1])]
    named = missed or [seed for seed, _ in known]
    words = f"{'outside' if missed else 'within'} the target of {1e3 * target[0]:g} mrad at {100 * target[1]:.0f} %"
    return f"{words} with seed{'s' if len(named) > 1 else ''} {joined([str(seed) for seed in named])}"


def _finding(seeds: Sequence[int], shown: dict[str, list[Figures]], loads: dict[str, list[Figures]], kg: float) -> str:
    sentences = []
    for of, target, where in ((shown, FREE, "Unseen motion"), (loads, CARRYING, f"With {kg:g} kg unannounced")):
        means = {name: mean(found) for name, found in of.items()}
        words = [f"{CONTROLLERS[name][0]} {_said(each)}" for name, each in means.items() if np.isfinite(each[0])]
        if words:
            judged = np.isfinite(means["learnt"][0])
            verdict = f" The first is {held(of['learnt'], seeds, target)}." if judged else ""
            sentences.append(f"{where}: {'; '.join(words)}.{verdict}")
    return " ".join([*sentences, "Means over seeds." if len(seeds) > 1 else "One seed."])


def _picture(seeds: Sequence[int], shown: dict[str, list[Figures]], loads: dict[str, list[Figures]], kg: float) -> str:
    figure, axes = charts.axes(1, 4, 2.7)
    for k, (of, target, title) in enumerate(((shown, FREE, "unseen motion"), (loads, CARRYING, f"with {kg:g} kg"))):
        for at, scale, words in ((0, 1e3, "RMS error / mrad"), (1, 100.0, "Kp/Kmax / %")):
            axis = axes[2 * k + at]
            _dots(axis, seeds, {name: [scale * each[at] for each in found] for name, found in of.items()})
            axis.axhline(scale * target[at], color="k", lw=0.7, ls=":")
            charts.label(axis, "", words, title)
            if at == 0:
                axis.set_yscale("log")
            else:
                axis.set_ylim(0.0, 105.0)
    charts.legend(figure, axes[0], 5)
    return picture(figure, f"Each dot a seed. With {kg:g} kg: from {SETTLED:g} s after it came. "
                           "Dotted: the target for the first controller.")  # fmt: skip


def _dots(axis: Axes, seeds: Sequence[int], series: dict[str, list[float]]) -> None:
    x = np.arange(len(series), dtype=np.float64)
    for k, seed in enumerate(seeds):
        values = [found[k] for found in series.values()]
        aside = 0.11 * (k - (len(seeds) - 1) / 2)
        axis.plot(x + aside, values, "o", ms=4, color=COLOURS[k % len(COLOURS)], label=f"seed {seed}")
    axis.set_xticks(x, [CONTROLLERS[name][1] for name in series], fontsize=7, rotation=50)
    axis.set_xlim(-0.5, len(series) - 0.5)


def _windows(rows: Sequence[Row], kg: float) -> list[str]:
    """What happens after the load came, mean over seeds."""
    found: dict[str, list[list[Row]]] = {}
    for title, _, name in CONTROLLERS.values():
        runs = [row["loaded"][name]["windows"] for row in rows if name in row["loaded"]]
        if runs:
            found[title] = [list(each) for each in zip(*runs, strict=True)]
    if not found:
        return []
    first = next(iter(found.values()))
    lines = [
        [title, *(_told(mean([(_number(each["rmse"]), _number(each["gain"])) for each in at])) for at in windows)]
        for title, windows in found.items()
    ]
    estimate = [[_number(each["mass"]) for each in at if each["mass"] is not None] for at in first]
    if any(estimate):
        name = f"estimated mass / kg ({kg:g})"
        lines.append([name, *(number(float(np.mean(each)) if each else None) for each in estimate)])
    head = ["since the load came", *(f"{at[0]['from']:g} to {at[0]['to']:g} s" for at in first)]
    return [table(head, lines), note("RMS error / mrad at Kp/Kmax, mean over seeds; the mass at the end of each span.")]


def _recorded(rows: Sequence[Row]) -> str:
    seconds = [value for row in rows if np.isfinite(value := _number(row.get("recorded_seconds")))]
    return f"{np.mean(seconds):.0f} s of rhythmic motion " if seconds else "rhythmic motion "


def _told(each: Figures) -> str:
    error = number(1e3 * each[0])
    return f"{error} at {100 * each[1]:.1f} %" if np.isfinite(each[1]) else error


def _said(each: Figures) -> str:
    gain = f" at {100 * each[1]:.0f} % of Kmax" if np.isfinite(each[1]) else ""
    return f"{1e3 * each[0]:.2f} mrad{gain}"


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)

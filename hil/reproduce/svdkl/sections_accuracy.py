"""Experiment I: error of the models over trials, on a random split, and training time against the size of the data."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from hil.report.drawing import COLOURS
from hil.reproduce import charts
from hil.reproduce.charts import SOFT
from hil.reproduce.sections import Section, joined, missing, note, number, picture, spread, table
from hil.reproduce.svdkl import paper
from hil.reproduce.svdkl.models import METHODS
from hil.reproduce.svdkl.results import Results, Row, median, numbers

COLOUR = {
    "svdkl": COLOURS[0], "svgp": COLOURS[1], "lstm": COLOURS[2], "sgpr": COLOURS[3], "dkl": COLOURS[4],
    "svdkl_large": COLOURS[0], "svgp_large": COLOURS[1], "svdkl_semi": COLOURS[5],
}  # fmt: skip
SOURCES = {
    "frozen": "frozen simulation of an iiwa; trials differ by the seed of the training",
    "simulated": "arms simulated in this run; each trial is another arm, with its own motions",
}
EVEN = 0.03
"""Relative difference of two errors below which neither is said to be ahead."""
_BLACK = ("dkl", "sgpr", "svgp", "svdkl", "lstm")


def label(row: Row) -> str:
    """The model, and how much of the data it got where that is not everything."""
    title = METHODS[row["method"]].title
    return title if row["subset"] is None else f"{title.removesuffix(', subset)')}, {row['samples']} samples)"


def accuracy(results: Results) -> Section:
    """Table I."""
    key, heading, of = "accuracy", "Test error of the models", "Table I"
    found = {name: rows for name in results.methods() if (rows := results.main(name))}
    if not found:
        return missing(key, heading, results, "fit", of)
    errors = {name: numbers(rows, "test", "mean_rmse") for name, rows in found.items()}
    mean = {name: float(np.mean(values)) for name, values in errors.items()}
    floor = float(np.mean(next(iter(found.values()))[0]["noise"]))
    figure, (axis,) = charts.axes(1, 1, 0.7 + 0.3 * len(found))
    names = [label(rows[0]) for rows in found.values()]
    sd = np.array([np.std(values, ddof=1) if len(values) > 1 else 0.0 for values in errors.values()])
    colours = [COLOURS[0] if name.startswith("svdkl") else SOFT for name in found]
    charts.lying_bars(axis, names, np.array(list(mean.values())), sd, colours)
    axis.axvline(floor, color=COLOURS[1], lw=1.0)
    axis.set_xlim(0.0, 1.15 * float(np.max(np.array(list(mean.values())) + sd)))
    charts.label(axis, "RMSE, mean over joints / N·m (line: noise of the torque sensors)")
    lines = []
    for name, each in found.items():
        ratio = mean[name] / mean["svgp"] if "svgp" in mean and name in _BLACK else float("nan")
        theirs = [values.get(name) for values in paper.RMSE.values()]
        lines.append([
            label(each[0]), *(number(value, 3) for value in theirs), spread(errors[name], 3),
            _ratios(name), number(ratio, 2), spread(numbers(each, "test", "coverage95"), 3),
            number(median(each, "test", "nll"), 2), number(median(each, "test", "constant_nll"), 2),
            number(median(each, "seconds"), 0),
        ])  # fmt: skip
    head = ["RMSE / N·m", *(f"paper, {name.removeprefix('KUKA ')}" for name in paper.RMSE), "here", "÷ SVGP, paper",
            "here", "95 % band", "NLL", "constant σ", "time / s"]  # fmt: skip
    best = min(mean, key=lambda name: mean[name])
    finding = f"Smallest error on motions left out: {label(found[best][0])}, {mean[best]:.3f} N·m"
    if "svdkl" in mean and "svgp" in mean:
        ratio = mean["svdkl"] / mean["svgp"]
        finding += (
            f". SVDKL has {ratio:.2f} times the error of SVGP with as many inducing points; in the paper "
            f"{_ratio('KUKA SIM', 'svdkl'):.2f} and {_ratio('KUKA REAL', 'svdkl'):.2f}"
        )
    if "svdkl" in mean and "lstm" in mean:
        finding += (
            f". The B-LSTM, the paper's best, is at {mean['lstm']:.3f} N·m, "
            f"{'above' if mean['lstm'] > mean['svdkl'] else 'below'} SVDKL's {mean['svdkl']:.3f}"
        )
    count = max(len(rows) for rows in found.values())
    first = next(iter(found.values()))[0]
    text = (
        f"{count} trial{'s' if count > 1 else ''}; {SOURCES[results.settings.source]}. {first['motions']} motions to "
        f"train on, others to stop and calibrate by, others to judge by. ± is the standard deviation over trials; NLL "
        "and time are medians. “Constant σ” is the NLL that the same errors would have with the best single variance "
        "for all samples: an NLL below it means that the predicted variance says something. “÷ SVGP” is the error over "
        "that of SVGP; of the paper's for KUKA SIM and REAL. Time is processor time of the whole training."
    )
    caption = f"Mean over trials, black bars: standard deviation over them. Sensor noise {floor:.3f} N·m."
    return Section(key, heading, finding + ".", (picture(figure, caption), table(head, lines), note(text)), of)


def _ratio(data: str, name: str) -> float:
    return paper.RMSE[data][name] / paper.RMSE[data]["svgp"]


def _ratios(name: str) -> str:
    if name not in paper.RMSE["KUKA SIM"]:
        return "–"
    return " / ".join(f"{_ratio(data, name):.2f}" for data in paper.RMSE)


def random_split(results: Results) -> Section:
    """The same samples dealt at random."""
    key, heading = "random_split", "What a random split would say"
    pairs = [(row, results.main(row["method"])) for row in results.leaking]
    pairs = [(row, same) for row, rows in pairs for same in [[r for r in rows if r["seed"] == row["seed"]]] if same]
    if not pairs:
        return missing(key, heading, results, "leaking")
    rows, words = [], []
    for row, same in pairs:
        honest, leaking = same[0]["test"]["mean_rmse"], row["test"]["mean_rmse"]
        rows.append([METHODS[row["method"]].title, number(honest, 3), number(leaking, 3), number(honest / leaking, 2)])
        words.append(f"{METHODS[row['method']].title} {leaking:.3f} instead of {honest:.3f} N·m")
    finding = f"With samples dealt at random the same trainings would be scored as {joined(words)}."
    text = (
        "Samples of one motion are in training, validation and test at once. At "
        f"{results.fits[0]['shown']['rate']:.0f} samples a second neighbours still differ; at the hundreds a second of "
        "most recordings they are copies."
    )
    head = ["RMSE / N·m", "motions left out", "random split", "ratio"]
    return Section(key, heading, finding, (table(head, rows), note(text)))


def training_time(results: Results) -> Section:
    """Fig. 1, and the error that the time buys."""
    key, heading, of = "training_time", "Training time against the size of the data", "Fig. 1"
    shown = {name: sizes for name in _BLACK if len(sizes := results.sizes(name)) > 1}
    if not shown:
        return missing(key, heading, results, "fit", of)
    figure, axes = charts.axes(1, 2, 3.0)
    for name, sizes in shown.items():
        x = np.array(list(sizes), dtype=np.float64)
        for axis, what in zip(axes, (("seconds",), ("test", "mean_rmse")), strict=True):
            values = [numbers(rows, *what) for rows in sizes.values()]
            middle = np.array([np.median(v) for v in values])
            axis.plot(x, middle, "-o", ms=3, lw=1.2, color=COLOUR[name], label=METHODS[name].title)
            axis.fill_between(x, [min(v) for v in values], [max(v) for v in values], color=COLOUR[name], alpha=0.18,
                              lw=0)  # fmt: skip
    for axis, words in zip(axes, ("processor time / s", "RMSE, mean over joints / N·m"), strict=True):
        axis.set_xscale("log")
        axis.set_yscale("log")
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            side.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            side.set_minor_formatter(NullFormatter())
        axis.tick_params(axis="x", labelrotation=45)
        charts.label(axis, "samples learnt from", words)
    charts.legend(figure, axes[0], 3)
    rows = [
        [METHODS[name].title, str(size), str(each[0]["motions"]) if each[0]["subset"] is None else "all",
         number(median(each, "seconds"), 1), number(median(each, "test", "mean_rmse"), 3),
         number(median(each, "test", "coverage95"), 3)]
        for name, sizes in shown.items() for size, each in sizes.items()
    ]  # fmt: skip
    growth = []
    for name, sizes in shown.items():
        (a, first), *_, (b, last) = sizes.items()
        growth.append(
            f"{METHODS[name].title} {median(first, 'seconds'):.0f} → {median(last, 'seconds'):.0f} s for {a} → {b}"
        )
    finding = "Processor time of a training: " + "; ".join(growth) + "." + _few(shown)
    text = (
        "Medians over trials, the shaded range from the fastest to the slowest. Epochs are fixed, so that the time of "
        "the mini-batch models grows with the samples; sparse regression takes its steps on 4000 samples however many "
        "there are, and KISS-GP stops at a subset. Samples are whole motions, the first so many, but for KISS-GP's, "
        "which are drawn from all."
    )
    head = ["", "samples", "motions", "time / s", "RMSE / N·m", "in 95 % band"]
    caption = "Left: processor time of one training, one core. Right: error on the motions left out."
    return Section(key, heading, finding, (picture(figure, caption), table(head, rows), note(text)), of)


def _few(shown: dict[str, dict[int, list[Row]]]) -> str:
    """A sentence about the fewest motions that both kernels were trained on."""
    if not {"svdkl", "svgp"} <= set(shown):
        return ""
    size = min(set(shown["svdkl"]) & set(shown["svgp"]), default=None)
    if size is None:
        return ""
    deep, plain = (shown[name][size] for name in ("svdkl", "svgp"))
    a, b = median(deep, "test", "mean_rmse"), median(plain, "test", "mean_rmse")
    says = "they are about even" if abs(a / b - 1.0) < EVEN else (
        "the deep kernel loses where motions are few" if a > b else "the deep kernel is ahead even there"
    )  # fmt: skip
    return f" With {deep[0]['motions']} motions only, SVDKL has {a:.3f} and SVGP {b:.3f} N·m: {says}."

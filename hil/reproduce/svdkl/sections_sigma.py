"""Experiment II: what the standard deviation says as data come in, and the gains that it would give."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hil.reproduce import charts
from hil.reproduce.sections import Section, joined, missing, note, number, picture, table
from hil.reproduce.svdkl.models import METHODS
from hil.reproduce.svdkl.plan import FRACTIONED, FRACTIONS, motions
from hil.reproduce.svdkl.results import Results, Row
from hil.reproduce.svdkl.results import number as of
from hil.reproduce.svdkl.sections_accuracy import COLOUR
from hil.reproduce.svdkl.trial import ASIDE, BAND, FASTER, SENSITIVITY, SOFTEST

Array = npt.NDArray[np.float64]

JOINTS = (1, 3)
"""Joints that are drawn."""
COVERED = (0.90, 0.99)
"""Share of samples in the 95 % band that is as it should be."""


def steps(results: Results, method: str) -> dict[int, Row]:
    """The first trial's training at each fraction, %, as far as it is there."""
    s = results.settings
    found = {}
    for share in FRACTIONS:
        rows = [row for row in results.rows(method, motions(s, share)) if row["seed"] == s.trials[0]]
        if rows:
            found[share] = rows[0]
    return found


def fractions(results: Results) -> Section:
    """Mean ± 2σ on one trajectory after each fraction of the data."""
    key, heading, where = "fractions", "Prediction and deviation as data come in", "Experiment II"
    found = {name: rows for name in FRACTIONED if len(rows := steps(results, name)) > 1}
    if not found:
        return missing(key, heading, results, "fit", where)
    pictures = [_bands(results, name, rows) for name, rows in found.items()]
    lines: list[list[str]] = []
    falls = []
    for name, each in found.items():
        title = METHODS[name].title
        for share, row in each.items():
            lines.append([
                f"{title}, {share} %", str(row["motions"]), number(row["shown"]["mean_rmse"], 3),
                number(of(row, "shown", "sigma"), 3), f"{100 * row['shown']['within']:.1f} %",
                f"{100 * of(row, 'test', 'coverage95'):.1f} %", number(row["test"]["mean_rmse"], 3),
                number(of(row, "test", "sigma"), 3), f"{100 * of(row, 'gains', 'shown'):.1f} %",
            ])  # fmt: skip
        falls.append(_falls(title, each))
    covered = {name: [of(row, "test", "coverage95") for row in each.values()] for name, each in found.items()}
    outside = [METHODS[name].title for name, values in covered.items()
               if not all(COVERED[0] <= value <= COVERED[1] for value in values)]  # fmt: skip
    kept = (
        f"the 95 % band of {joined(outside)} is outside of {100 * COVERED[0]:.0f} to {100 * COVERED[1]:.0f} % at some "
        "fraction"
        if outside
        else f"the 95 % bands hold {100 * min(map(min, covered.values())):.0f} to "
        f"{100 * max(map(max, covered.values())):.0f} % of the test samples"
    )
    head = ["", "motions", "RMSE / N·m", "mean σ / N·m", f"within {BAND:.0f}σ", "test: in 95 % band",
            "test: RMSE / N·m", "test: mean σ", "Kp/Kmax"]  # fmt: skip
    first = next(iter(next(iter(found.values())).values()))
    what = (
        "two motions of 10 s, one after the other" if results.settings.source == "frozen" else "one motion of 20 s"
    )
    text = (
        f"{what[0].upper()}{what[1:]}, {first['shown']['rate']:.0f} samples a second, of which no model has seen "
        "anything. At each fraction everything is trained anew from scratch: features, scales, noise, inducing points. "
        "Means are over joints."
    )
    if results.settings.source == "frozen":
        text += " Peaks of σ and gains at 0 and 10 s: each frozen motion begins with one sample of high acceleration."
    body = (*pictures, _course(found), _stiffness(results, found), table(head, lines), note(text))
    return Section(key, heading, f"{' '.join(falls)} As to calibration, {kept}.", body, where)


def _falls(title: str, rows: dict[int, Row]) -> str:
    """Whether mean σ falls from each fraction to the next, on the test set and on the trajectory."""
    for key, where in (("test", "over the test motions"), ("shown", "on the trajectory")):
        sigma = {share: of(row, key, "sigma") for share, row in rows.items()}
        rising = [(a, b) for a, b in pairwise(sigma) if sigma[b] >= sigma[a]]
        if rising:
            a, b = rising[0]
            return (
                f"{title}: mean σ does not fall monotonically {where}: {sigma[a]:.3f} N·m at {a} %, "
                f"{sigma[b]:.3f} at {b} %."
            )
    first, *_, last = rows
    sigma = {share: of(row, "shown", "sigma") for share, row in rows.items()}
    return f"{title}: mean σ falls with each step, from {sigma[first]:.3f} to {sigma[last]:.3f} N·m."


def _bands(results: Results, name: str, rows: dict[int, Row]) -> str:
    """One line a fraction: torque of a joint with its band, and of the drawn joints the error with its band."""
    columns = 1 + len(JOINTS)
    figure, axes = charts.axes(len(rows), columns, 1.35, share_x=True)
    for line, (share, row) in enumerate(rows.items()):
        one = results.arrays(row["part"])
        t = np.arange(len(one["tau"])) / row["shown"]["rate"]
        for column, j in enumerate((JOINTS[0], *JOINTS)):
            axis = axes[line * columns + column]
            mean, sd = one["mean"][:, j], BAND * one["sigma"][:, j]
            zero = mean if column else 0.0 * mean
            axis.fill_between(t, mean - sd - zero, mean + sd - zero, color=COLOUR[name], alpha=0.25, lw=0,
                              label=f"± {BAND:.0f} σ")  # fmt: skip
            axis.plot(t, one["tau"][:, j] - zero, color="k", lw=0.6, label="measured")
            axis.plot(t, mean - zero, color=COLOUR[name], lw=0.9, label="mean")
            what = f"A{j + 1} less its mean" if column else f"A{j + 1}, {share} % of the data"
            charts.label(axis, "time / s" if line == len(rows) - 1 else "", "N·m" if column == 0 else "", what)
    for column in range(columns):
        same = axes[column::columns]
        low, high = min(each.get_ylim()[0] for each in same), max(each.get_ylim()[1] for each in same)
        if column:
            # Single samples may be far off: they are cut, or nothing else could be seen.
            high = 1.2 * max(_usual(results.arrays(row["part"]), JOINTS[column - 1]) for row in rows.values())
            low = -high
        for each in same:
            each.set_ylim(low, high)
    charts.legend(figure, axes[0])
    return picture(figure, f"{METHODS[name].title}, after each fraction of the training motions. Left: torque; beside "
                           "it measured torque less the predicted mean, at a scale that shows the band.")  # fmt: skip


def _usual(one: dict[str, Array], joint: int) -> float:
    """What error and band stay below on all but one sample of a hundred."""
    error, band = np.abs(one["tau"] - one["mean"])[:, joint], BAND * one["sigma"][:, joint]
    return float(np.quantile(np.maximum(error, band), 0.99))


def _stiffness(results: Results, found: dict[str, dict[int, Row]]) -> str:
    """Gains over the trajectory."""
    figure, axes = charts.axes(1, len(found), 2.3)
    for axis, (name, rows) in zip(axes, found.items(), strict=True):
        for k, (share, row) in enumerate(rows.items()):
            kp = 100.0 * results.arrays(row["part"])["kp"].mean(axis=1)
            axis.plot(np.arange(len(kp)) / row["shown"]["rate"], kp, color=COLOUR[name], lw=0.9,
                      alpha=0.35 + 0.65 * k / max(1, len(rows) - 1), label=f"{share} %")  # fmt: skip
        axis.axhline(100 * SOFTEST, color="k", lw=0.7, ls=":")
        axis.set_ylim(0.0, 100.0)
        axis.legend(fontsize=7, frameon=False, ncols=len(rows))
        charts.label(axis, "time / s", "Kp/Kmax / %", METHODS[name].title)
    return picture(figure, "Gains that the deviation would give along the trajectory, mean over joints, after each "
                           "fraction of the data. Dotted: the smallest gains.")  # fmt: skip


def _course(found: dict[str, dict[int, Row]]) -> str:
    figure, axes = charts.axes(1, 3, 2.5)
    for name, rows in found.items():
        x = list(rows)
        series = (
            [of(row, "shown", "sigma") for row in rows.values()],
            [100 * of(row, "test", "coverage95") for row in rows.values()],
            [100 * of(row, "gains", "shown") for row in rows.values()],
        )
        for axis, values in zip(axes, series, strict=True):
            axis.plot(x, values, "-o", ms=3, color=COLOUR[name], label=METHODS[name].title)
    axes[1].axhspan(100 * COVERED[0], 100 * COVERED[1], color="#f3f5f7", lw=0, zorder=-5)
    axes[2].axhline(100 * SOFTEST, color="k", lw=0.7, ls=":")
    for axis, words in zip(axes, ("mean σ / N·m", "in the 95 % band / %", "Kp/Kmax / %"), strict=True):
        charts.label(axis, "share of the data / %", words)
    axes[0].set_ylim(bottom=0.0)
    axes[2].set_ylim(bottom=0.0)
    charts.legend(figure, axes[0])
    return picture(figure, "σ and gains on the trajectory, coverage on all test motions (shaded: as it should be). "
                           "Dotted: the smallest gains.")  # fmt: skip


def gains(results: Results) -> Section:
    """Gains of eqs (6)–(8) from each model's own deviation: on the trajectory, and where nothing was learnt."""
    key, heading, where = "gains", "The gains that each deviation would give", "eqs (6)–(8)"
    rows = {name: each[0] for name in results.methods() if (each := results.main(name))}
    rows = {name: row for name, row in rows.items() if "elsewhere" in row["gains"]}
    if not rows:
        return missing(key, heading, results, "fit", where)
    figure, axes = charts.axes(1, 2, 2.7)
    groups = ["like the training", f"{ASIDE:.0f} rad aside", f"{FASTER:g} times as fast"]
    for axis, law, title in zip(axes, ("elsewhere", "calibrated"), ("by the paper's σ_n, σ_f", "calibrated"),
                                strict=True):  # fmt: skip
        series = {METHODS[name].title: _shares(row, law) for name, row in rows.items() if name in _DRAWN}
        charts.bars(axis, groups, series, colours=[COLOUR[name] for name in rows if name in _DRAWN])
        axis.set_ylim(0.0, 105.0)
        charts.label(axis, "", "Kp/Kmax / %", title)
    charts.legend(figure, axes[0], 3)
    lines = []
    for name, row in rows.items():
        values = [*_shares(row, "elsewhere"), *_shares(row, "calibrated")]
        lines.append([METHODS[name].title, number(100 * of(row, "gains", "shown"), 1), *(number(v, 1) for v in values),
                      number(row["gains"].get("sensitivity"), 1)])  # fmt: skip
    head = ["Kp/Kmax / %", "trajectory", "known", "aside", "fast", "known, cal.", "aside, cal.", "fast, cal.",
            "C, cal."]  # fmt: skip
    lead = "svdkl" if "svdkl" in rows else next(iter(rows))
    known, aside, fast = _shares(rows[lead], "elsewhere")
    finding = (
        f"By its own deviation {METHODS[lead].title} would run at {known:.0f} % of Kmax on motions like those learnt, "
        f"at {aside:.0f} % {ASIDE:.0f} rad aside and at {fast:.0f} % at {FASTER:g} times the speed."
    )
    if "lstm" in rows and lead != "lstm":
        other = _shares(rows["lstm"], "elsewhere")
        finding += (
            f" The B-LSTM's gains there are {other[1]:.0f} and {other[2]:.0f} %: "
            + (
                "its deviation rises less where nothing was learnt."
                if max(other[1:]) < min(aside, fast)
                else "its deviation tells the difference as well."
            )
        )
    text = (
        f"Kmin is {100 * SOFTEST:.0f} % of Kmax, C is {SENSITIVITY:.0f}. σ_n is a model's own noise, σ_f the spread of "
        "what it learnt (for the network, which has no such parameter, that of its training torques). Calibrated: σ_n, "
        "σ_f and C from validation motions and from those moved and made faster, judged on test motions. First trial; "
        "mean over joints. A load that is grasped moves none of these numbers: see the caveats."
    )
    caption = "Mean over joints; the model only says how sure it is there, nothing is driven."
    return Section(key, heading, finding, (picture(figure, caption), table(head, lines), note(text)), where)


_DRAWN = ("dkl", "sgpr", "svgp", "svdkl", "lstm", "svdkl_semi")


def _shares(row: Row, law: str) -> list[float]:
    found = row["gains"].get(law)
    if found is None:
        return [float("nan")] * 3
    return [100.0 * float(np.mean(found[name])) for name in ("known", "positions", "speeds")]


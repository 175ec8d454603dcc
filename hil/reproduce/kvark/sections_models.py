"""Sections about residual models: process models, mixtures, predictions, residual RMSE, velocity, relevance."""

from __future__ import annotations

import numpy as np

from hil.report.drawing import COLOURS
from hil.reproduce import charts
from hil.reproduce.charts import SOFT
from hil.reproduce.kvark import paper
from hil.reproduce.kvark.results import LEARNT, Results
from hil.reproduce.sections import Section, joined, missing, note, number, picture, table

JOINTS = 6
_LABELS = 0.01
"""s between labels."""


def process_models(results: Results) -> Section:
    """Fig. 1."""
    key, title, of = "process_models", "Filter with a Gaussian process against filter with a KMP", "Fig. 1"
    found, arrays = results.figures.get(key), results.arrays(f"figures/{key}")
    if found is None or not arrays:
        return missing(key, title, results, f"figures/{key}", of)
    names, colours = {"gp": "Gaussian process", "kmp": "KMP"}, {"gp": COLOURS[1], "kmp": COLOURS[0]}
    filters = found["filters"]
    figure, axes = charts.axes(2, 2, 2.5)
    limit, grid = found["limit"], arrays["grid"]
    for axis, name in zip(axes, ("gp", "kmp"), strict=False):
        axis.plot(arrays["s"], arrays["tau"], ".", ms=2, color=SOFT, label="training samples")
        charts.band(axis, grid, arrays[f"{name}/mean"], arrays[f"{name}/sd"], colours[name], names[name])
        axis.axvspan(-limit, limit, color="#f3f5f7", lw=0, zorder=-5)
        low, high = np.quantile(arrays["tau"], (0.001, 0.999))
        axis.set_ylim(low - 1.2 * (high - low), high + 1.2 * (high - low))
        charts.label(axis, "velocity / rad/s", "residual / N·m", f"{names[name]}: model")
    t = 0.01 * np.arange(len(arrays["gp/x"]), dtype=np.float64)
    window = slice(50, min(len(t), 850))
    for axis, name in zip(axes[2:], ("gp", "kmp"), strict=False):
        charts.band(axis, t[window], arrays[f"{name}/x"][window], arrays[f"{name}/band"][window], colours[name],
                    names[name])  # fmt: skip
        axis.plot(t[window], arrays[f"{name}/truth"][window], color="k", lw=0.9, label="added contact")
        charts.label(axis, "time / s", "external / N·m", f"{names[name]}: filter under virtual contacts")
    rows = [
        [names[name], *(number(filters[name][region][what]) for region in ("dense", "sparse")
                        for what in ("rmse", "sd", "coverage"))]
        for name in ("gp", "kmp")
    ]  # fmt: skip
    better = "KMP" if filters["kmp"]["dense"]["rmse"] < filters["gp"]["dense"]["rmse"] else "Gaussian process"
    growth = {
        name: float(arrays[f"{name}/sd"][-1] / np.median(arrays[f"{name}/sd"][np.abs(grid) < limit])) for name in names
    }
    finding = (
        f"In the dense, noisy region the filter with the {better} is the more accurate one (RMSE "
        f"{number(filters['kmp']['dense']['rmse'])} N·m with the KMP, {number(filters['gp']['dense']['rmse'])} "
        "with the "
        f"process); where training samples are sparse the errors are {number(filters['kmp']['sparse']['rmse'])} and "
        f"{number(filters['gp']['sparse']['rmse'])}, and beyond all data the stated deviation is "
        f"{growth['kmp']:.1f} and {growth['gp']:.1f} times that of the dense region."
    )
    head = ["joint " + str(found["joint"]), "dense RMSE", "mean σ", "coverage", "sparse RMSE", "mean σ", "coverage"]
    caption = (
        f"Joint {found['joint']}. Of training samples faster than {limit:.2f} rad/s one in "
        f"{round(1 / found['kept_share'])} was kept (shaded: the dense region). Bands are 95 %. RMSE and σ in N·m."
    )
    return Section(key, title, finding, (picture(figure, caption), table(head, rows)), of)


def components(results: Results) -> Section:
    """Figs 3 and 4: reference and mixture components."""
    key, title, of = "components", "Mixture components and their regression", "Figs 3–4"
    found, arrays = results.figures.get(key), results.arrays(f"figures/{key}")
    if found is None or not arrays:
        return missing(key, title, results, f"figures/{key}", of)
    figure, axes = charts.axes(2, 3, 2.3)
    for j, axis in enumerate(axes):
        axis.plot(arrays[f"s{j}"], arrays[f"tau{j}"], ".", ms=1.2, color="#c4ccd4", label="samples", zorder=1)
        charts.ellipses(axis, arrays[f"weights{j}"], arrays[f"means{j}"], arrays[f"covariances{j}"])
        charts.band(axis, arrays[f"grid{j}"], arrays[f"mean{j}"], arrays[f"sd{j}"], COLOURS[0], "regression, 95 % band")
        charts.label(axis, "velocity / rad/s" if j > 2 else "", "residual / N·m" if j % 3 == 0 else "", f"A{j + 1}")
    charts.legend(figure, axes[0])
    ratio = found["slow_over_fast_sd"]
    finding = (
        f"Below 0.05 rad/s the regression's standard deviation is {min(ratio):.1f} to {max(ratio):.1f} times that of "
        f"faster motion: the residual scatters most about standstill on {sum(r > 1.0 for r in ratio)} of {len(ratio)} "
        "joints."
    )
    caption = f"{found['components']} components a joint, two standard deviations each, fainter where they weigh less."
    return Section(key, title, finding, (picture(figure, caption),), of)


def predictions(results: Results) -> Section:
    """Figs 4 to 6."""
    key, title, of = "predictions", "Residual torque predicted on an unseen motion", "Figs 4–6"
    found, arrays = results.figures.get(key), results.arrays(f"figures/{key}")
    if found is None or not arrays:
        return missing(key, title, results, f"figures/{key}", of)
    kinds = list(found["rmse"])
    shown = [kind for kind in ("kmp", "gmr_gp", "sparse_gp", "network", "semiparametric") if kind in kinds]
    label = arrays["label"]
    window = slice(0, min(len(label), 800))
    t = _LABELS * np.arange(len(label), dtype=np.float64)[window]
    figure, axes = charts.axes(len(shown), 2, 1.5, share_x=True)
    for row, kind in enumerate(shown):
        for column, j in enumerate((1, 3)):
            axis = axes[2 * row + column]
            charts.band(axis, t, arrays[f"{kind}/mean"][window, j], arrays[f"{kind}/sd"][window, j],
                        COLOURS[row % 7], LEARNT[kind])  # fmt: skip
            axis.plot(t, label[window, j], color="k", lw=0.8)
            spread = np.ptp(label[window, j])
            axis.set_ylim(label[window, j].min() - 0.7 * spread, label[window, j].max() + 0.7 * spread)
            charts.label(axis, "time / s" if row == len(shown) - 1 else "", "N·m", f"A{j + 1}: {LEARNT[kind]}")
    means = {kind: float(np.mean(found["rmse"][kind])) for kind in kinds}
    bar, (axis,) = charts.axes(1, 1, 2.4)
    order = [kind for kind in ("sparse_gp", "gmr_gp", "kmp", "network", "gmr", "semiparametric") if kind in kinds]
    theirs = [paper.RESIDUAL_MEAN.get(kind, float("nan")) for kind in order]
    charts.bars(axis, [LEARNT[kind] for kind in order], {"paper": theirs, "here": [means[kind] for kind in order]})
    charts.label(axis, "", "mean RMSE / N·m")
    charts.legend(bar, axis)
    best = min(means, key=lambda kind: means[kind])
    finding = (
        f"On a motion that none of them has seen, the {LEARNT[best]} model is closest ({means[best]:.2f} N·m mean RMSE"
        + (f", KMP {means['kmp']:.2f}, GMR-GP {means['gmr_gp']:.2f}" if "gmr_gp" in means and "kmp" in means else "")
        + "); of its label's samples the 95 % band of the KMP holds "
        f"{100 * found['coverage']['kmp']:.0f} %."
    )
    rows = [[LEARNT[kind], number(means[kind]), f"{100 * found['coverage'][kind]:.0f} %"] for kind in order]
    return Section(
        key, title, finding,
        (
            picture(figure, "Black: the label, low-passed residual torque of contact-free motion. Bands are 95 % of "
                            "the model alone, not calibrated."),
            picture(bar, "Mean over joints. The paper's arm and motions are others: compare the order."),
            table(["model", "mean RMSE / N·m", "95 % band holds"], rows),
        ),
        of,
    )  # fmt: skip


def residual_table(results: Results) -> Section:
    """Table III."""
    key, title, of = "residual_rmse", "Residual RMSE of each joint", "Table III"
    source = results.best_source
    by_kind: dict[str, np.ndarray] = {}
    for trial in results.trials.get(source, []):
        by_kind.setdefault(trial["residual"], np.zeros((0, JOINTS)))
        row = np.array(trial["residual_rmse"]["test_free_fourier"])[None]
        by_kind[trial["residual"]] = np.vstack((by_kind[trial["residual"]], row))
    if not by_kind:
        return missing(key, title, results, source, of)
    rows, bold = [], []
    order = ("constant", "sparse_gp", "gmr_gp", "kmp", "network", "gmr", "semiparametric")
    means = {}
    for kind in order:
        if kind not in by_kind:
            continue
        values = by_kind[kind].mean(axis=0)
        means[kind] = float(values.mean())
        name = "rigid-body model alone" if kind == "constant" else LEARNT[kind]
        rows.append([f"{name}, here", *(number(v) for v in values), number(means[kind])])
        if kind in paper.RESIDUAL_RMSE:
            theirs = paper.RESIDUAL_RMSE[kind]
            rows.append([f"{LEARNT[kind]}, paper", *(number(v) for v in theirs), number(sum(theirs) / 6)])
    learnt = {kind: value for kind, value in means.items() if kind != "constant"}
    best = min(learnt, key=lambda kind: learnt[kind]) if learnt else None
    bold = [k for k, row in enumerate(rows) if best is not None and row[0] == f"{LEARNT[best]}, here"]
    finding = "Only the rigid-body model alone was scored."
    if best is not None:
        rest = [f"{LEARNT[kind]} {value:.2f}" for kind, value in learnt.items() if kind != best]
        finding = f"{LEARNT[best]} leaves least, {learnt[best]:.2f} N·m mean RMSE over joints and robots" + (
            f"; {joined(rest)}." if rest else "."
        )
    head = ["N·m", *(f"A{j + 1}" for j in range(JOINTS)), "mean"]
    text = "Test motion test_free_fourier, unseen by all, friction drifted since training; mean over robots."
    return Section(key, title, finding, (table(head, rows, bold), note(text)), of)


def wide_mixture(results: Results) -> Section:
    """Fig. 11."""
    key, title, of = "wide_mixture", "A mixture over 18 inputs instead of one", "Fig. 11"
    found, arrays = results.figures.get(key), results.arrays(f"figures/{key}")
    if found is None or not arrays:
        return missing(key, title, results, f"figures/{key}", of)
    counts = found["components"]
    most = max(counts, key=int)
    figure, axes = charts.axes(1, 2, 2.5)
    x = [int(k) for k in counts]
    for name, words, colour, dash in (
        ("train", "18 inputs, trained", COLOURS[1], ":"), ("unseen", "18 inputs, unseen", COLOURS[1], "-"),
        ("velocity_train", "velocity, trained", COLOURS[0], ":"),
        ("velocity_unseen", "velocity, unseen", COLOURS[0], "-"),
    ):  # fmt: skip
        axes[0].plot(x, [counts[k][name] for k in counts], dash, marker="o", ms=3, color=colour, label=words)
    charts.label(axes[0], "components", "RMSE / N·m")
    axes[0].legend(fontsize=7, frameon=False)
    t = np.arange(len(arrays["label"])) * _LABELS
    window = slice(0, min(len(t), 800))
    axes[1].plot(t[window], arrays["label"][window], "k", lw=0.9, label="label")
    axes[1].plot(t[window], arrays["wide"][window], color=COLOURS[1], lw=0.9, label="18 inputs")
    axes[1].plot(t[window], arrays["narrow"][window], color=COLOURS[0], lw=0.9, label="velocity")
    charts.label(axes[1], "time / s", "residual / N·m", f"{most} components, unseen motion")
    axes[1].legend(fontsize=7, frameon=False)
    c = counts[most]
    worse = "worse" if c["unseen"] > c["velocity_unseen"] else "better"
    finding = (
        f"With {most} components over 18 inputs, {c['numbers']} numbers from {found['samples']} samples, the "
        f"error rises from {c['train']:.2f} N·m on what was trained to {c['unseen']:.2f} on an unseen motion "
        f"({c['unseen'] / c['train']:.1f} "
        f"times); velocity alone has {c['velocity_unseen']:.2f} there, so the wide mixture is the {worse} one."
    )
    rows = [
        [k, number(v["train"]), number(v["unseen"]), number(v["velocity_train"]), number(v["velocity_unseen"]),
         str(v["numbers"]), number(v["seconds"], 1)]
        for k, v in counts.items()
    ]  # fmt: skip
    head = ["components", "18-D trained", "18-D unseen", "1-D trained", "1-D unseen", "numbers (18-D)", "s to fit"]
    caption = f"Joint {found['joint']}. Inputs: position, velocity and acceleration of six joints. RMSE in N·m."
    return Section(key, title, finding, (picture(figure, caption), table(head, rows)), of)


def velocity(results: Results) -> Section:
    """Fig. 12."""
    key, title, of = "velocity", "Residual torque depends on velocity, and not on it alone", "Fig. 12"
    found, arrays = results.figures.get(key), results.arrays(f"figures/{key}")
    if found is None or not arrays:
        return missing(key, title, results, f"figures/{key}", of)
    figure, axes = charts.axes(2, 3, 2.2)
    for j, axis in enumerate(axes):
        up = arrays[f"up{j}"] > 0.5
        for where, colour, words in ((up, COLOURS[1], "speeding up"), (~up, COLOURS[0], "slowing down")):
            axis.plot(arrays[f"s{j}"][where], arrays[f"tau{j}"][where], ".", ms=1.5, color=colour, label=words)
        charts.label(axis, "velocity / rad/s" if j > 2 else "", "residual / N·m" if j % 3 == 0 else "", f"A{j + 1}")
    charts.legend(figure, axes[0])
    explained = found["explained"]
    gap = [value for value in found["gap_at_low_speed"] if value is not None]
    finding = (
        f"Velocity alone explains {100 * min(explained):.0f} to {100 * max(explained):.0f} % of the residual's "
        "variance; "
        f"between 0 and 0.05 rad/s it differs by up to {max(map(abs, gap), default=float('nan')):.1f} N·m depending on "
        "whether the joint speeds up or slows down."
    )
    return Section(
        key, title, finding, (picture(figure, "Training runs of one robot, residual torque low-passed."),), of
    )


def relevance(results: Results) -> Section:
    """Fig. 13."""
    key, title, of = "relevance", "Which inputs the sparse Gaussian process uses", "Fig. 13"
    found, arrays = results.figures.get(key), results.arrays(f"figures/{key}")
    if found is None or not arrays:
        return missing(key, title, results, f"figures/{key}", of)
    share = arrays["share"]
    n = len(share)
    figure, (axis,) = charts.axes(1, 1, 3.0)
    image = axis.imshow(share, aspect="auto", cmap="Blues", vmin=0.0)
    axis.set_xticks(range(2 * n), [*(f"q{i + 1}" for i in range(n)), *(f"qd{i + 1}" for i in range(n))], fontsize=8)
    axis.set_yticks(range(n), [f"A{i + 1}" for i in range(n)], fontsize=8)
    axis.grid(visible=False)
    figure.colorbar(image, ax=axis, shrink=0.9).ax.tick_params(labelsize=8)
    own = found["own_velocity_first"]
    finding = (
        f"The joint's own velocity is the most relevant of the {2 * n} inputs on {sum(own)} of {n} joints, with "
        f"{100 * min(found['share_of_own_velocity']):.0f} to {100 * max(found['share_of_own_velocity']):.0f} % of the "
        "relevance."
    )
    caption = (
        "Inverse kernel length times the input's spread, as a share of the row: automatic relevance determination."
    )
    return Section(key, title, finding, (picture(figure, caption),), of)

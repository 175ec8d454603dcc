"""Sections about observers over robots: the score, ablation, uncertainty, detection, time per sample."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from estimators.kvark.methods import BASELINES
from hil.report.drawing import COLOURS
from hil.reproduce import charts
from hil.reproduce.charts import SOFT
from hil.reproduce.kvark import paper
from hil.reproduce.kvark.case import FREE, SCORED
from hil.reproduce.kvark.results import Results, of_test, score, title
from hil.reproduce.sections import Section, joined, missing, note, number, picture, spread, table

FAMILY = {"maxwell_slip": "Maxwell-slip", "lugre": "LuGre", "memoryless": "memoryless"}
TEST = {
    "test_free_fourier": "free, Fourier", "test_free_ptp": "free, dwells", "test_load_fourier": "2 kg, Fourier",
    "test_load_ptp": "2 kg, dwells", "test_polish": "polishing",
}  # fmt: skip
ABLATION = (
    "kmp_constant", "kmp_r", "kmp_vb", "kmp_variance", "kmp_variance_r", "kmp_variance_literal_vb", "kvark",
    "kmp_variance_vb_r", "kvark_literal", "gmr_variance_vb",
)  # fmt: skip
SOURCES = {"simulated": "robots simulated in this run", "frozen": "frozen simulations"}


def scores(results: Results, source: str) -> Section:
    """The main table: mean RMSE of loaded and contact runs, by family."""
    key, heading = f"score_{source}", f"External torque, loaded and in contact: {SOURCES[source]}"
    families, names = results.families(source), results.methods(source, compared=True)
    if not names:
        return missing(key, heading, results, source)
    figure, axes = charts.axes(1, len(families), 0.4 + 0.32 * len(names))
    for axis, family in zip(axes, families, strict=True):
        values = [results.values(source, family, name, score) for name in names]
        mean = np.array([v.mean() if len(v) else np.nan for v in values])
        sd = np.array([v.std(ddof=1) if len(v) > 1 else 0.0 for v in values])
        colours = [COLOURS[0] if name.startswith("kvark") else SOFT for name in names]
        charts.lying_bars(axis, [title(name) for name in names] if axis is axes[0] else [""] * len(names), mean, sd,
                          colours)  # fmt: skip
        axis.set_xlim(0.0, 1.25 * float(np.nanmax(mean + sd)))
        charts.label(axis, "mean RMSE / N·m", "", FAMILY[family])
    best = {f: min(names, key=lambda name, f=f: _nan_last(results.mean(source, f, name, score))) for f in families}  # type: ignore[misc]
    parts = [
        f"{title(best[f])} with {FAMILY[f]} friction ({results.mean(source, f, best[f], score):.2f} N·m)"
        for f in families
    ]
    finding = f"Lowest mean RMSE over loaded and contact runs: {joined(parts)}." + _against(results, source)
    rows = []
    for name in names:
        tests = [number(results.mean(source, None, name, of_test(test, "rmse"))) for test in (*FREE, *SCORED)]
        rows.append([title(name), *tests, *(spread(list(results.values(source, f, name, score))) for f in families)])
    head = ["N·m", *(TEST[test] for test in (*FREE, *SCORED)), *(FAMILY[f] for f in families)]
    robots = {f: len({t["part"].rsplit("/", 1)[0] for t in results.rows(source, f)}) for f in families}
    text = (
        "Columns by family: mean of the three loaded and contact runs; ± is the standard deviation over robots ("
        + ", ".join(f"{FAMILY[f]}: {count}" for f, count in robots.items())
        + "). Free motion alone says nothing: an observer that always says zero is perfect there."
    )
    return Section(
        key,
        heading,
        finding,
        (picture(figure, "Error bars: standard deviation over robots."), table(head, rows), note(text)),
    )


def _nan_last(value: float) -> float:
    return value if np.isfinite(value) else float("inf")


def _against(results: Results, source: str) -> str:
    """K-VARK and its semi-parametric form against the best baseline, by family."""
    parts = []
    for name, words in (("kvark", "K-VARK"), ("kvark_semi", "its semi-parametric form")):
        changes = []
        for family in results.families(source):
            there = [_nan_last(results.mean(source, family, each, score)) for each in BASELINES]
            ours = results.mean(source, family, name, score)
            if np.isfinite(min(there)) and np.isfinite(ours):
                changes.append(f"{100 * (ours / min(there) - 1):+.0f} % {FAMILY[family]}")
        if changes:
            parts.append(f"{words}: {', '.join(changes)}")
    return f" Against the best baseline, {'; '.join(parts)}." if parts else ""


def ablation(results: Results) -> Section:
    """What variance, R_emp and VB bring."""
    source = results.best_source
    key, heading = "ablation", "What carries the gain: variance, R_emp, VB"
    names = [name for name in ABLATION if name in results.methods(source)]
    families = results.families(source)
    if not {"kmp_constant", "kmp_variance"} <= set(names):
        return missing(key, heading, results, source)
    reference = {f: results.mean(source, f, "kmp_constant", score) for f in families}
    rows = []
    for name in names:
        cells = []
        for f in families:
            value = results.mean(source, f, name, score)
            cells += [number(value), f"{100 * (value / reference[f] - 1):+.0f} %" if np.isfinite(value) else "–"]
        rows.append([title(name), *cells])
    head = ["N·m", *(word for f in families for word in (FAMILY[f], "change"))]
    figure, (axis,) = charts.axes(1, 1, 2.8)
    charts.bars(
        axis, [FAMILY[f] for f in families],
        {title(name): [results.mean(source, f, name, score) for f in families] for name in names},
        {title(name): [_sd(results.values(source, f, name, score)) for f in families] for name in names},
    )  # fmt: skip
    charts.label(axis, "", "mean RMSE / N·m")
    charts.legend(figure, axis, 3)
    change = {f: 100 * (results.mean(source, f, "kmp_variance", score) / reference[f] - 1) for f in families}
    finding = "The model's variance in R changes the error by " + joined(
        [f"{change[f]:+.0f} % ({FAMILY[f]})" for f in families]
    )
    extra = []
    for name, words in (("kmp_r", "R_emp alone"), ("kmp_vb", "VB alone"), ("kvark_literal", "all of it to the letter")):
        if name in names:
            steps = [100 * (results.mean(source, f, name, score) / reference[f] - 1) for f in families]
            span = f"{min(steps):+.0f} to {max(steps):+.0f}" if len(steps) > 1 else f"{steps[0]:+.0f}"
            extra.append(f"{words} by {span} %")
    finding += ("; " + ", ".join(extra) if extra else "") + ", all against the KMP mean with constant R and Q."
    return Section(
        key, heading, finding, (picture(figure, "Same mean, other noise; error bars over robots."), table(head, rows))
    )


def _sd(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def uncertainty(results: Results) -> Section:
    """Coverage, NEES, mean sigma, likelihood."""
    source = results.best_source
    key, heading = "uncertainty", "Can the stated uncertainty be trusted"
    families, names = results.families(source), results.methods(source, compared=True)
    if not names:
        return missing(key, heading, results, source)
    tests = (*FREE, *SCORED)
    rows, held = [], {}
    for name in names:
        cells = []
        for test in tests:
            cells.append(f"{100 * results.mean(source, None, name, of_test(test, 'coverage')):.0f} %")
        scored = {what: float(np.mean([results.mean(source, None, name, of_test(t, what)) for t in SCORED]))
                  for what in ("coverage_filter_alone", "nees", "sigma", "nll", "nll_constant")}  # fmt: skip
        worst = min(
            float(results.values(source, f, name, of_test(test, "coverage")).min()) for f in families for test in tests
        )
        held[name] = worst
        rows.append([
            title(name), *cells, f"{100 * worst:.0f} %", f"{100 * scored['coverage_filter_alone']:.0f} %",
            number(scored["nees"], 1), number(scored["sigma"]), number(scored["nll"]), number(scored["nll_constant"]),
        ])  # fmt: skip
    figure, axes = charts.axes(1, len(families), 2.6)
    for axis, family in zip(axes, families, strict=True):
        for k, name in enumerate(names):
            x = [results.mean(source, family, name, of_test(test, "sigma")) for test in SCORED]
            y = [results.mean(source, family, name, of_test(test, "coverage")) for test in SCORED]
            axis.plot(x, y, "o", ms=5, color=COLOURS[k % 7], mfc=COLOURS[k % 7] if k < 7 else "none", label=title(name))
        axis.axhspan(0.85, 0.99, color="#e2f3ec", zorder=-5, lw=0)
        axis.axhline(0.95, color="#1b7f5c", lw=0.8)
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        charts.label(axis, "mean σ / N·m", "coverage of the 95 % band", FAMILY[family])
    charts.legend(figure, axes[0], 3)
    good = [title(name) for name, worst in held.items() if worst >= 0.85]
    alone = [results.mean(source, None, name, of_test(t, "coverage_filter_alone")) for name in names for t in SCORED]
    finding = (
        f"Methods whose 95 % band holds at least 85 % on every run of every robot: {joined(good)}. The filter's own "
        f"covariance, without the model's, would hold {100 * min(alone):.0f} to {100 * max(alone):.0f} % in the "
        "mean of a loaded or contact run."
    )
    head = ["", *(TEST[test] for test in tests), "worst run", "P alone", "NEES", "σ / N·m", "NLL", "NLL const."]
    text = (
        "Band: scale² (P + Σ), the scale from the calibration run alone, before friction drifted. The last five "
        "columns are means over loaded and contact runs; NEES is 1 where the variance is right; “NLL const.” has the "
        "same mean and one variance for each joint, that of the calibration run."
    )
    extra = _banded(results, source)
    caption = "Each point one loaded or contact run, mean over robots. Shaded: 85 to 99 %. Best is narrow and within."
    return Section(key, heading, finding, (picture(figure, caption), table(head, rows), note(text), *extra))


def _banded(results: Results, source: str) -> list[str]:
    """Table of the band with terms for drift and load, where it was computed."""
    rows = []
    tests = (*FREE, *SCORED)
    for name in results.methods(source):
        found = [trial["tests"] for trial in results.rows(source, None, name) if "band" in trial["tests"][SCORED[0]]]
        if not found:
            continue
        cells = [f"{100 * float(np.mean([each[test]['band']['coverage'] for each in found])):.0f} %" for test in tests]
        worst = min(each[test]["band"]["coverage"] for each in found for test in tests)
        means = [
            float(np.mean([each[test]["band"][what] for each in found for test in SCORED]))
            for what in ("nees", "sigma", "nll", "nll_constant")
        ]
        rows.append([title(name), *cells, f"{100 * worst:.0f} %", number(means[0], 1), *(number(v) for v in means[1:])])
    if not rows:
        return []
    head = ["", *(TEST[test] for test in tests), "worst run", "NEES", "σ / N·m", "NLL", "NLL const."]
    text = (
        "The same with a band that has terms for the drift of friction's level and for friction under load, weighed by "
        "likelihood on contact-free runs to which contacts, drift and load friction were added:"
    )
    return [note(text), table(head, rows)]


def detection(results: Results) -> Section:
    """Pulses of 30 N."""
    source = results.best_source
    key, heading = "detection", "Contact detection: 30 N for 250 ms"
    names = results.methods(source, compared=True)
    if not names:
        return missing(key, heading, results, source)
    rows, best = [], ""
    best_rate = -1.0
    for name in names:
        all_found = [trial["detection"] for trial in results.rows(source, None, name)]
        found = [each for each in all_found if each["rate"] is not None]
        if not found:
            continue
        rate = float(np.mean([each["rate"] for each in found]))
        delays = [each["delay"] for each in found if each["delay"] is not None]
        false = float(np.mean([each["false_per_minute"] for each in found]))
        delay = 1e3 * float(np.median(delays)) if delays else None
        rows.append([title(name), f"{100 * rate:.0f} %", number(delay, 0), number(false, 1)])
        if rate > best_rate:
            best_rate, best = (
                rate,
                (
                    f"{title(name)} finds most pulses, {100 * rate:.0f} % (median delay {number(delay, 0)} ms), with "
                    f"{false:.1f} false alarms a minute"
                ),
            )
    if not rows:
        return missing(key, heading, results, source)
    quiet = [row[0] for row in rows if float(row[3]) < 1.0]
    finding = f"{best}; under one false alarm a minute stay: {joined(quiet)}."
    text = (
        "Alarm where |estimate| over stated σ of any joint exceeds 1.2 times the largest value of the calibration run, "
        "which is free of contact and older than the drift; pulses are added to the free tests in random directions."
    )
    return Section(
        key, heading, finding, (table(["", "found", "median delay / ms", "false alarms / min"], rows), note(text))
    )


def timing(results: Results) -> Section:
    """Fig. 10."""
    key, heading, of = "timing", "Time per sample", "Fig. 10"
    found = results.figures.get(key)
    if found is None:
        return missing(key, heading, results, f"figures/{key}", of)
    spent = {name: value for name, value in found["microseconds"].items() if name != "model"}
    model = found["microseconds"]["model"]["p50"]
    names = list(spent)
    figure, (axis,) = charts.axes(1, 1, 2.6)
    colours = [COLOURS[0] if n.startswith("kvark") else SOFT for n in names]
    median = np.array([spent[n]["p50"] for n in names])
    charts.lying_bars(axis, [title(name) for name in names], median, np.zeros(len(names)), colours)
    axis.axvline(model, color=COLOURS[1], lw=1.0)
    axis.set_xlim(0.0, 1.2 * max(each["p50"] for each in spent.values()))
    charts.label(axis, "µs per sample, median (line: rigid-body model alone)")
    rows = [[title(n), number(spent[n]["p50"], 1), number(spent[n]["p99"], 1)] for n in names]
    cheapest = min(names, key=lambda n: spent[n]["p50"])
    finding = (
        f"K-VARK takes {spent['kvark']['p50']:.0f} µs a sample in the median with M, C and g, its "
        f"semi-parametric form {spent['kvark_semi']['p50']:.0f} µs; cheapest is {title(cheapest)} with "
        f"{spent[cheapest]['p50']:.0f} µs. The paper's times are {min(paper.TIMES_MS) * 1e3:.0f} to "
        f"{max(paper.TIMES_MS) * 1e3:.0f} µs."
    )
    text = (
        f"{found['samples']} samples one by one through the observers as a cycle has them, on this machine while "
        "it did "
        "what else it did: the median is the method, the 99 % quantile is also the machine. The paper says that K-VARK "
        "is its cheapest; which of its other bars is whose cannot be told."
    )
    return Section(
        key,
        heading,
        finding,
        (picture(figure, "Rigid-body model included."), table(["", "median / µs", "99 % / µs"], rows), note(text)),
        of,
    )

"""Recordings of real arms: whole trajectories left out."""

from __future__ import annotations

import numpy as np

from hil.reproduce import charts
from hil.reproduce.charts import SOFT
from hil.reproduce.sections import Section, missing, note, number, picture, table
from hil.reproduce.svdkl.recordings import RECORDED, methods
from hil.reproduce.svdkl.results import Results, Row
from hil.reproduce.svdkl.results import number as of
from hil.reproduce.svdkl.sections_accuracy import COLOUR


def recordings(results: Results) -> Section:
    """Error and calibration of each model on each recording, beside physics alone."""
    key, heading = "recordings", "Real arms, whole trajectories left out"
    found = {name: rows for name in RECORDED if (rows := results.real.get(name))}
    if not found:
        if results.settings.data is None:
            text = "Not computed in this run: recordings were not given. hil reproduce svdkl --data FOLDER adds them."
            return Section(key, heading, text)
        return missing(key, heading, results, "real")
    lines, words = [], []
    groups: list[str] = []
    series: dict[str, list[float]] = {"physics alone": [], "SVGP": [], "SVDKL": [], "on physics": []}
    for name, rows in found.items():
        by = {row["method"]: row for row in rows}
        order = [method for method in methods(name) if method in by]
        physics = _physics(rows)
        groups.append(RECORDED[name].title)
        series["physics alone"].append(physics)
        for title, method in (("SVGP", "svgp"), ("SVDKL", "svdkl"), ("on physics", "semi")):
            series[title].append(of(by[method], "test", "rmse") if method in by else float("nan"))
        if np.isfinite(physics):
            lines.append([f"{RECORDED[name].title}: physics alone", number(physics, 3), *["–"] * 6])
        for method in order:
            row = by[method]
            lines.append([
                f"{RECORDED[name].title}: {_title(name, row)}", number(of(row, "test", "rmse"), 3),
                number(of(row, "test", "nmse"), 3), number(of(row, "test", "coverage95"), 3),
                number(of(row, "test", "nll"), 2), number(of(row, "test", "constant_nll"), 2),
                number(of(row, "test", "sigma"), 3), number(of(row, "sigma_validation"), 3),
            ])  # fmt: skip
        best = min(order, key=lambda method: of(by[method], "test", "rmse"))
        words.append(
            f"{RECORDED[name].title}: {_title(name, by[best])} {of(by[best], 'test', 'rmse'):.3f} N·m, "
            f"{100 * of(by[best], 'test', 'coverage95'):.0f} % in the 95 % band"
            + (f" (physics alone {physics:.3f})" if np.isfinite(physics) else "")
        )
    figure, axes = charts.axes(1, len(groups), 2.4)
    for k, axis in enumerate(axes):
        charts.bars(axis, [""], {title: [values[k]] for title, values in series.items()},
                    colours=[SOFT, COLOUR["svgp"], COLOUR["svdkl"], COLOUR["svdkl_semi"]])  # fmt: skip
        charts.label(axis, "", "RMSE / N·m" if k == 0 else "", groups[k])
    charts.legend(figure, axes[0])
    absent = [each.files[0] for name, each in RECORDED.items() if name not in found]
    about = " ".join(f"{RECORDED[name].title}: {RECORDED[name].about}." for name in found)
    text = (
        f"{about} Means over joints, one training each. σ in N·m; “validated”: on the trajectories that stopped the "
        "training; “constant σ”: NLL with the best single variance. Likelihoods are tempered: samples so close in time "
        "are no independent evidence."
    )
    if absent:
        text += f" Not in the folder: {', '.join(absent)}."
    head = ["", "RMSE / N·m", "nMSE", "95 % band", "NLL", "constant σ", "mean σ", "σ validated"]
    caption = "Mean over joints of the test RMSE, whole trajectories left out; each recording has its own scale."
    return Section(
        key, heading, "; ".join(words) + ".", (picture(figure, caption), table(head, lines), note(text))
    )


def _title(name: str, row: Row) -> str:
    kernel = "SVDKL" if row["deep"] else "SVGP"
    return kernel if row["method"] != "semi" else f"{kernel} on {RECORDED[name].physics} physics"


def _physics(rows: list[Row]) -> float:
    known = [row["physics_rmse"] for row in rows if "physics_rmse" in row]
    return float(np.mean(known[0])) if known else float("nan")

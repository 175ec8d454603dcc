"""Sections about recordings of real arms."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from hil.report.drawing import COLOURS
from hil.reproduce import charts
from hil.reproduce.kvark.results import Results
from hil.reproduce.sections import Section, missing, note, number, picture, table


def ur10e(results: Results) -> Section:
    """Loaded and free runs of a real UR10e."""
    key, heading = "ur10e", "A real UR10e: weight of a load, from motor currents"
    found, arrays = results.real.get(key), results.arrays(f"real/{key}")
    if found is None or not arrays:
        return missing(key, heading, results, f"real/{key}")
    chosen = {row["gains"]: row for row in found["scores"] if row["chosen"]}
    given, refitted = chosen["given"], chosen["refitted"]
    finding = (
        f"Learnt from free runs alone, the load of {found['load']} kg is estimated as {given['mass']:.2f} kg "
        f"({100 * given['mass_error']:+.0f} %) with the given drive gains and {refitted['mass']:.2f} kg "
        f"({100 * refitted['mass_error']:+.0f} %) with refitted ones; the vertical force of the held-out free "
        f"run, truly 0, as {given['vertical']:.1f} and {refitted['vertical']:.1f} N."
    )
    figure, axes = charts.axes(2, 1, 2.0, share_x=True)
    t = np.arange(len(arrays["loaded"])) * found["step"]
    for axis, j in zip(axes, (1, 2), strict=True):
        axis.plot(t, arrays["loaded"][:, j], color=COLOURS[0], lw=0.9, label="estimate, loaded run")
        axis.plot(t, arrays["fit"][:, j], color="k", lw=0.9, label="what a load of the estimated mass causes")
        charts.label(axis, "time / s" if j == 2 else "", "N·m", f"A{j + 1}")
    charts.legend(figure, axes[0])
    rows = [
        [
            ("→ " if row["chosen"] else "") + row["model"], row["gains"], number(row["mass"]),
            f"{100 * row['mass_error']:+.0f} %", number(row["vertical"]), number(float(np.mean(row["before"]))),
            number(float(np.mean(row["after"]))), f"{100 * row['coverage']:.0f} %",
            f"{100 * row['coverage_contacts']:.0f} %", number(float(np.mean(row["sigma"]))),
        ]
        for row in found["scores"]
    ]  # fmt: skip
    head = ["residual model", "drive gains", "mass / kg", "error", "vertical / N", "before / N·m", "after / N·m",
            "coverage", "with contacts", "σ / N·m"]  # fmt: skip
    text = (
        "→ is the model chosen by virtual loads on held-out training runs, without a look at the scored ones. "
        "before and after: residual RMS of the held-out free run without and with the learnt model, mean over joints."
    )
    caption = f"Loaded run, model “{found['shown']}” with refitted gains."
    return Section(key, heading, finding, (picture(figure, caption), table(head, rows), note(text), *_more(found)))


def panda(results: Results) -> Section:
    """Contacts of a real Panda against its sensor."""
    key, heading = "panda", "A real Panda: contact force against an F/T sensor"
    found, arrays = results.real.get(key), results.arrays(f"real/{key}")
    if found is None or not arrays:
        return missing(key, heading, results, f"real/{key}")
    plain = float(np.mean(found["pseudo_inverse"]))
    best = found["methods"][found["shown"]]
    finding = (
        f"Each run left out once, “{found['shown']}” has a mean force-vector RMSE of {best['mean']:.2f} N, the "
        "pseudo-inverse "
        f"{plain:.2f} N; on its worst run it is {100 * (best['worst'] - 1):+.0f} % against the pseudo-inverse."
    )
    figure, axes = charts.axes(3, 1, 1.5, share_x=True)
    for k, axis in enumerate(axes):
        charts.band(axis, arrays["t"], arrays["force"][:, k], arrays["sd"][:, k], COLOURS[0], "estimate, 95 % band")
        axis.plot(arrays["t"], arrays["sensor"][:, k], color="k", lw=0.9, label="F/T sensor")
        charts.label(axis, "time / s" if k == 2 else "", f"F{'xyz'[k]} / N")
    charts.legend(figure, axes[0])
    rows = [["pseudo-inverse", *(number(v) for v in found["pseudo_inverse"]), number(plain), "–", "–", "–"]]
    for name, each in found["methods"].items():
        rows.append([name, *(number(v) for v in each["rmse"]), number(each["mean"]),
                     f"{100 * (each['worst'] - 1):+.0f} %", _share(each["coverage"]),
                     number(_mean(each["nll"]))])  # fmt: skip
    head = ["force-vector RMSE / N", *found["runs"], "mean", "worst run", "coverage", "NLL"]
    caption = f"Run “{found['runs'][-1]}”, method “{found['shown']}”."
    return Section(key, heading, finding, (picture(figure, caption), table(head, rows), *_more(found)))


def _mean(values: list[float | None]) -> float:
    """Of what is known: a method without a band has neither coverage nor likelihood."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def _share(values: list[float | None]) -> str:
    mean = _mean(values)
    return f"{100 * mean:.0f} %" if np.isfinite(mean) else "–"


def _more(found: dict[str, Any]) -> list[str]:
    """Pictures that were made with the results."""
    return [
        f'<h3>{escape(each["title"])}</h3><p>{escape(each["text"])}</p>'
        f'<figure><img alt="{escape(each["title"])}" src="data:image/png;base64,{each["png"]}"></figure>'
        for each in found.get("pictures", [])
    ]

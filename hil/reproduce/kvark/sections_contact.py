"""Sections about load and contact: free against loaded, polishing, and the cells: mocked and real."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hil.report.drawing import COLOURS
from hil.reproduce import charts
from hil.reproduce.kvark import paper
from hil.reproduce.kvark.results import Results, of_test, title
from hil.reproduce.kvark.sections_scores import FAMILY
from hil.reproduce.sections import Section, missing, note, number, picture, spread, table

Array = npt.NDArray[np.float64]

LOADED = "test_load_fourier"
TRACED = ("gmr_gp", "kmp_constant", "kvark", "kvark_semi")
_STEP = 0.02
"""s between rows of a trace."""


def traced(results: Results, source: str, test: str) -> tuple[str, dict[str, dict[str, Array]]]:
    """The first robot that has traces, and those of the methods that are drawn."""
    for family in results.families(source):
        found: dict[str, dict[str, Array]] = {}
        case = None
        for name in TRACED:
            for trial in results.rows(source, family, name):
                arrays = results.arrays(trial["part"]) if case in (None, trial["case"]) else {}
                if f"{test}/x" in arrays:
                    case = trial["case"]
                    found[name] = {key.removeprefix(f"{test}/"): value for key, value in arrays.items()
                                   if key.startswith(f"{test}/")}  # fmt: skip
        if found:
            return f"{FAMILY[family]} friction, one robot ({case})", found
    return "", {}


def free_loaded(results: Results) -> Section:
    """Figs 7 and 8."""
    key, heading, of = "free_loaded", "Free against loaded", "Figs 7–8"
    source = results.best_source
    names = results.methods(source, compared=True)
    where, traces = traced(results, source, LOADED)
    if not names or not traces:
        return missing(key, heading, results, source, of)
    figure, axes = charts.axes(2, 1, 2.2, share_x=True)
    first = next(iter(traces.values()))
    t = np.arange(len(first["x"])) * _STEP
    for axis, j in zip(axes, (1, 2), strict=True):
        if "apparent" in first:
            axis.plot(t, first["apparent"][:, j], color="#c4ccd4", lw=1.4, label="free − loaded")
        axis.plot(t, first["truth"][:, j], color="k", lw=1.0, label="truth")
        for k, (name, trace) in enumerate(traces.items()):
            axis.plot(t, trace["x"][:, j], color=COLOURS[k], lw=0.9, label=title(name))
        charts.label(axis, "time / s" if j == 2 else "", "N·m", f"A{j + 1}")
    charts.legend(figure, axes[0], 6)
    own = results.values(source, None, names[0], of_test(LOADED, "apparent_error"))
    rows, means = [], {}
    for name in names:
        apparent = results.values(source, None, name, of_test(LOADED, "rmse_apparent"))
        true = results.values(source, None, name, of_test(LOADED, "rmse"))
        means[name] = float(true.mean()) if len(true) else float("nan")
        theirs = paper.FREE_LOADED.get(name)
        rows.append([title(name), number(theirs), spread(list(apparent)), spread(list(true))])
    best = min(means, key=lambda name: means[name] if np.isfinite(means[name]) else np.inf)
    finding = (
        f"With 2 kg {title(best)} is closest to the truth, {means[best]:.2f} N·m mean joint RMSE. Free minus "
        "loaded, the "
        f"measure of the paper, is itself off by {own.mean():.2f} N·m: differences below that mean nothing in it."
    )
    head = ["mean joint RMSE / N·m", "paper", "here, to free − loaded", "here, to the truth"]
    text = (
        "External torque is motor torque of the free run minus that of the loaded run of the same trajectory, "
        "sample by "
        "sample, low-passed at 15 Hz. Its own error stems from friction that depends on load and from differences in "
        "tracking. Mean over all robots and families."
    )
    return Section(
        key, heading, finding, (picture(figure, f"{where}; joints 2 and 3."), table(head, rows), note(text)), of
    )


def polishing(results: Results) -> Section:
    """Fig. 9 and Table IV."""
    key, heading, of = "polishing", "Polishing a square", "Fig. 9, Table IV"
    source = results.best_source
    names = results.methods(source, compared=True)
    where, traces = traced(results, source, "test_polish")
    if not names or not traces:
        return missing(key, heading, results, source, of)
    figure, axes = charts.axes(3, 1, 1.7, share_x=True)
    first = next(iter(traces.values()))
    t = np.arange(len(first["x"])) * _STEP
    for k, axis in enumerate(axes):
        for c, (name, trace) in enumerate(traces.items()):
            axis.plot(t, trace["force"][:, k], color=COLOURS[c], lw=0.8, label=title(name))
        axis.plot(t, first["force_truth"][:, k], color="k", lw=1.0, label="truth")
        charts.label(axis, "time / s" if k == 2 else "", f"F{'xyz'[k]} / N")
    charts.legend(figure, axes[0], 5)
    rows, force = [], {}
    for name in names:
        trials = results.rows(source, None, name)
        wrench = np.mean([trial["tests"]["test_polish"]["wrench_rmse"] for trial in trials], axis=0)
        joints = np.mean([trial["tests"]["test_polish"]["rmse"] for trial in trials], axis=0)
        point = np.array([np.mean(trial["tests"]["test_polish"]["force_rmse"]) for trial in trials])
        force[name] = float(point.mean())
        rows.append(_row(f"{title(name)}, here", joints, wrench, spread(list(point))))
        if name in paper.CONTACT_JOINTS:
            rows.append(_row(f"{title(name)}, paper", np.array(paper.CONTACT_JOINTS[name]),
                             np.array(paper.CONTACT_WRENCH[name]), "–"))  # fmt: skip
    best = min(force, key=lambda name: force[name])
    finding = (
        f"{title(best)} has the smallest force error by the point-contact form, {force[best]:.1f} N RMS an axis "
        f"in the mean over robots"
        + (f"; K-VARK {force['kvark']:.1f} N" if "kvark" in force and best != "kvark" else "")
        + (f", momentum observer {force['momentum']:.1f} N" if "momentum" in force and best != "momentum" else "")
        + "."
    )
    head = ["RMSE", *(f"A{j + 1}" for j in range(6)), "joints", "Fx", "Fy", "Fz", "N", "Mx", "My", "Mz", "N·m",
            "mixed", "point, N"]  # fmt: skip
    text = (
        "A1 to A6 and their mean “joints” in N·m; Fx to Fz and their mean “N”; Mx to Mz and their mean “N·m”. "
        "“mixed” is the "
        "paper's average of forces and moments in one number, for comparison only. “point, N”: force by the form for a "
        "contact at the tool point that transmits no moment. Force of 20 to 40 N, friction .3, Cartesian "
        "impedance control."
    )
    caption = f"{where}; force at the tool point by the point-contact form."
    return Section(key, heading, finding, (picture(figure, caption), table(head, rows), note(text)), of)


def _row(name: str, joints: Array, wrench: Array, point: str) -> list[str]:
    force, moment = wrench[:3], wrench[3:]
    return [
        name, *(number(v) for v in joints), number(float(joints.mean())), *(number(v, 1) for v in force),
        number(float(force.mean()), 1), *(number(v) for v in moment), number(float(moment.mean())),
        number(float(wrench.mean())), point,
    ]  # fmt: skip


def mocked(results: Results) -> Section:
    """The cobot on its bus."""
    key, heading = "mocked", "The mocked cobot through its CAN bus"
    found, arrays = results.mocked, results.arrays("mocked/cobot")
    if found is None or not arrays:
        return missing(key, heading, results, "mocked")
    scores: dict[str, Any] = found["methods"]
    figure, axes = charts.axes(3, 1, 1.7, share_x=True)
    for k, axis in enumerate(axes):
        for c, name in enumerate(name for name in scores if name in ("momentum", "kvark", "kvark_semi")):
            axis.plot(arrays["t"], arrays[f"{name}/force"][:, k], color=COLOURS[c], lw=0.8, label=title(name))
        axis.plot(arrays["t"], arrays["sensor"][:, k], color="k", lw=1.0, label="F/T sensor")
        charts.label(axis, "time / s" if k == 2 else "", f"F{'xyz'[k]} / N")
    charts.legend(figure, axes[0], 5)
    rows = [
        [title(name), *(number(v, 1) for v in each["force_rmse"]), number(each["force_vector_rmse"], 1),
         number(float(np.mean(each["polish_rmse"]))), number(float(np.mean(each["loaded_rmse"]))),
         f"{100 * each['coverage']:.0f} %"]
        for name, each in scores.items()
    ]  # fmt: skip
    base, ours = scores["momentum"]["force_vector_rmse"], scores["kvark"]["force_vector_rmse"]
    best = min(scores, key=lambda name: scores[name]["force_vector_rmse"])
    finding = (
        f"While pressing ({found['pressing_s']:.0f} s), K-VARK's force is off from the F/T sensor by {ours:.1f} "
        "N RMS, the "
        f"momentum observer's by {base:.1f} N ({100 * (ours / base - 1):+.0f} %); best is {title(best)} with "
        f"{scores[best]['force_vector_rmse']:.1f} N."
    )
    head = ["", "Fx / N", "Fy / N", "Fz / N", "vector / N", "joints, polish / N·m", "joints, 2 kg / N·m", "coverage"]
    text = (
        f"Cell {found['cell']}, seed {found['seed']}, in lockstep at 500 Hz: learnt from "
        f"{found['trained_s']:.0f} s of free "
        "motion recorded through the bus; each observer gets the samples of the polishing run that the "
        "supervisor recorded. "
        "Force against the sensor at the tool point, while it reads more than 5 N; joint errors against the "
        "simulated truth."
    )
    return Section(key, heading, finding, (picture(figure, "Force of the plate on the tool, base axes."),
                                           table(head, rows), note(text)))  # fmt: skip

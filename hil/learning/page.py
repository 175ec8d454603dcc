"""The picture page of an evaluation: one HTML file, readable without a network."""

from __future__ import annotations

import base64
import os
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hil.learning.contact import ForceTrace
from hil.learning.evaluate import Evaluation
from hil.learning.free import Points
from hil.learning.judge import verdict
from hil.learning.score import Z95, Score
from hil.report.drawing import COLOURS, GRID, INK
from hil.report.page import png
from hil.report.style import CSS

Array = npt.NDArray[np.float64]

MOST_TRACES = 4
"""Stretches of contact that are drawn."""
_BINS = 80


def write_page(found: Evaluation, out: Path) -> None:
    """Write ``out``, replaced in one step. Raises OSError."""
    fit, sentence = verdict(found)
    word = '<span class="badge good">fit for use</span>' if fit else '<span class="badge bad">not fit for use</span>'
    parts = [
        f"<header><h1>Residual model of {escape(found.cell)} {word}</h1>"
        f'<p class="facts">{escape(found.model)}<br>{escape(", ".join(found.logs))}</p></header>',
        f"<section><h2>Verdict</h2><p>{escape(sentence)}</p></section>",
    ]
    if found.seen:
        names = escape(", ".join(dict.fromkeys(found.seen)))
        parts.insert(1, f"<aside><strong>Trained on {names}:</strong> the figures of these runs flatter.</aside>")
    if found.unknown_training:
        parts.insert(1, "<aside>The model does not say what it was trained on; the figures may flatter.</aside>")
    if found.free is not None:
        free = found.free
        columns = {"rigid body alone, RMS": free.before, "with learnt mean, RMS": free.after, "bias": free.bias}
        columns |= _columns("free motion", free.estimate) | _columns("virtual contacts", free.contacts)
        columns["momentum observer, virtual contacts, RMS"] = free.momentum
        parts.append(_section("Joint torques, N·m", _table([f"A{j + 1}" for j in range(len(free.before))], columns)))
        parts.append(
            _section(
                "Residual torque over velocity",
                _picture(over_velocity(free.points), "Grey: measured in free motion, low-passed. Blue: what the model "
                "says, with the 95 % band that it states (cut where it is far wider than the data)."),
            )
        )  # fmt: skip
    if found.force is not None:
        force = found.force
        axes = ["Fx, N", "Fy, N", "Fz, N", "Mx, N·m", "My, N·m", "Mz, N·m"]
        columns = _columns("K-VARK", force.wrench) | _columns("momentum observer", force.momentum)
        columns |= {name: np.append(x, [np.nan] * 3) for name, x in _columns("point contact", force.point).items()}
        parts.append(_section("Contact wrench against the sensor", _table(axes, columns)))
        for trace in force.traces[:MOST_TRACES]:
            caption = "At the TCP, base axes, environment on robot; a contact that transmits no moment is assumed."
            parts.append(_section(f"Contact force, {trace.name}", _picture(over_time(trace), caption)))
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Residual model of {escape(found.cell)}'
        f"</title><style>{CSS}</style></head><body><main>\n{''.join(parts)}\n</main></body></html>\n"
    )
    part = out.with_name(out.name + ".part")
    part.write_text(page, encoding="utf-8")
    os.replace(part, out)


def over_velocity(points: Points) -> Figure:
    """Residual torque of each joint over its velocity, with the model's mean and 95 % band."""
    n = points.qd.shape[1]
    figure = Figure(figsize=(8.6, 2.5 * -(-n // 2)), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    for j, axis in enumerate(figure.subplots(-(-n // 2), 2, squeeze=False).flat):
        if j >= n:
            axis.set_visible(False)
            continue
        qd = points.qd[:, j]
        axis.plot(qd, points.measured[:, j], ".", ms=2, color="#9aa5b1", alpha=0.6, rasterized=True)
        at, (mean, sd) = _binned(qd, points.mean[:, j], points.sd[:, j])
        axis.fill_between(at, mean - Z95 * sd, mean + Z95 * sd, color=COLOURS[0], alpha=0.18, lw=0)
        axis.plot(at, mean, color=COLOURS[0], lw=1.3)
        # Beyond the trained speeds the band is many times wider: it runs out of the picture instead of flattening it.
        low, high = float(points.measured[:, j].min()), float(points.measured[:, j].max())
        margin = 0.4 * (high - low) or 1.0
        axis.set_ylim(low - margin, high + margin)
        axis.set_title(f"A{j + 1}", fontsize=9, color=INK, loc="left")
        _style(axis, "velocity / rad/s", "residual / N·m")
    return figure


def over_time(trace: ForceTrace) -> Figure:
    """Force of sensor, K-VARK with its band, and momentum observer."""
    figure = Figure(figsize=(8.6, 6.6), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(3, 1, sharex=True))
    for k, axis in enumerate(axes):
        middle, half = trace.estimate[:, k], Z95 * trace.sd[:, k]
        axis.plot(trace.t, trace.momentum[:, k], color="#9aa5b1", lw=0.8, label="momentum observer")
        axis.fill_between(trace.t, middle - half, middle + half, color=COLOURS[0], alpha=0.18, lw=0)
        axis.plot(trace.t, middle, color=COLOURS[0], lw=1.0, label="K-VARK, 95 % band")
        axis.plot(trace.t, trace.sensor[:, k], color=COLOURS[1], lw=1.0, label="F/T sensor")
        _style(axis, "time / s" if k == 2 else "", f"F{'xyz'[k]} / N")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", frameon=False, fontsize=8, ncols=3)
    return figure


def _binned(qd: Array, mean: Array, sd: Array) -> tuple[Array, tuple[Array, Array]]:
    """Means over bins of velocity, for a curve where a model with memory has several values at one velocity."""
    edges = np.linspace(qd.min(), qd.max(), _BINS + 1)
    place = np.clip(np.digitize(qd, edges) - 1, 0, _BINS - 1)
    count = np.bincount(place, minlength=_BINS)
    filled = count > 0
    total = [np.bincount(place, weights=x, minlength=_BINS)[filled] / count[filled] for x in (mean, sd)]
    return (0.5 * (edges[1:] + edges[:-1]))[filled], (total[0], total[1])


def _style(axis: Axes, x: str, y: str) -> None:
    axis.grid(color=GRID, lw=0.7)
    axis.set_axisbelow(True)
    axis.tick_params(colors=INK, labelsize=8, length=3)
    axis.set_xlabel(x, fontsize=8, color=INK)
    axis.set_ylabel(y, fontsize=8, color=INK)
    for side, spine in axis.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color("#9aa5b1")


def _columns(what: str, score: Score) -> dict[str, Array]:
    names = ("RMS", "coverage", "NLL", "NLL if constant", "mean σ")
    values = (score.rms, score.coverage, score.nll, score.nll_constant, score.sd)
    return {f"{what}, {name}": value for name, value in zip(names, values, strict=True)}


def _table(columns: list[str], rows: dict[str, Array]) -> str:
    heading = "".join(f"<th>{escape(name)}</th>" for name in ("", *columns))
    lines = []
    for name, values in rows.items():
        cells = "".join(f"<td class='num'>{_number(x, 'coverage' in name)}</td>" for x in values)
        lines.append(f"<tr><td>{escape(name)}</td>{cells}</tr>")
    return f"<table><tr>{heading}</tr>{''.join(lines)}</table>"


def _number(value: float, share: bool) -> str:
    if not np.isfinite(value):
        return "·"
    return f"{value:.0%}" if share else f"{value:.2f}"


def _picture(figure: Figure, caption: str) -> str:
    data = base64.b64encode(png(figure)).decode()
    return f'<figure><img alt="" src="data:image/png;base64,{data}"><figcaption>{escape(caption)}</figcaption></figure>'


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"

"""Building bricks of the figures: axes in the style of our reports, bars, bands, ellipses."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from hil.report.drawing import COLOURS, GRID, INK

Array = npt.NDArray[np.float64]

_DPI = 120
SOFT = "#9aa5b1"


def axes(rows: int, columns: int, height: float, *, share_x: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of the page's width and its axes row by row; ``height`` of a row in inches."""
    figure = Figure(figsize=(8.6, height * rows), layout="constrained")
    FigureCanvasAgg(figure)
    found = list(np.atleast_1d(figure.subplots(rows, columns, sharex=share_x)).flat)
    for each in found:
        style(each)
    return figure, found


def style(axis: Axes) -> None:
    """Thin grid, no frame."""
    axis.grid(color=GRID, lw=0.7)
    axis.set_axisbelow(True)
    axis.tick_params(colors=INK, labelsize=8, length=3)
    for side, spine in axis.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(SOFT)


def label(axis: Axes, x: str = "", y: str = "", title: str = "") -> None:
    """Words of an axis."""
    axis.set_xlabel(x, size=9, color=INK)
    axis.set_ylabel(y, size=9, color=INK)
    if title:
        axis.set_title(title, size=9, color=INK, loc="left")


def legend(figure: Figure, axis: Axes, columns: int = 4) -> None:
    """One legend for the whole figure, outside of the axes."""
    handles, labels = axis.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper right", ncols=columns, frameon=False, fontsize=8,
                      labelcolor=INK)  # fmt: skip


def band(axis: Axes, x: Array, mean: Array, sd: Array, colour: str, name: str, *, lw: float = 1.0) -> None:
    """A line and its 95 % band."""
    axis.fill_between(x, mean - 1.96 * sd, mean + 1.96 * sd, color=colour, alpha=0.18, lw=0)
    axis.plot(x, mean, color=colour, lw=lw, label=name)


def ellipses(axis: Axes, weights: Array, means: Array, covariances: Array) -> None:
    """Two standard deviations of each component; the fainter, the less weight it has."""
    for w, m, S in zip(weights, means, covariances, strict=True):
        values, vectors = np.linalg.eigh(S)
        angle = float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])))
        width, height = 4.0 * np.sqrt(np.maximum(values[::-1], 0.0))
        alpha = float(np.clip(0.3 + 4.0 * w, 0.3, 0.9))
        axis.add_patch(Ellipse((m[0], m[1]), width, height, angle=angle, fill=False, ec=COLOURS[1], lw=1, alpha=alpha,
                              zorder=3))  # fmt: skip


def bars(
    axis: Axes, groups: Sequence[str], series: Mapping[str, Sequence[float]],
    spread: Mapping[str, Sequence[float]] | None = None, colours: Sequence[str] = COLOURS,
) -> None:  # fmt: skip
    """Grouped bars with their spread; groups along x."""
    width = 0.8 / max(len(series), 1)
    x = np.arange(len(groups), dtype=np.float64)
    for k, (name, values) in enumerate(series.items()):
        error: Any = None if spread is None else spread[name]
        axis.bar(x + (k - (len(series) - 1) / 2) * width, values, width * 0.92, yerr=error, label=name,
                 color=colours[k % len(colours)], error_kw={"lw": 0.9, "ecolor": INK}, alpha=1.0 if k < 7 else 0.55,
                 )  # fmt: skip
    axis.set_xticks(x, groups, fontsize=8)
    axis.grid(visible=False, axis="x")


def lying_bars(axis: Axes, names: Sequence[str], values: Array, spread: Array, colours: Sequence[str]) -> None:
    """Bars that lie, the first at the top, with their values written beside them."""
    y = np.arange(len(names))[::-1]
    axis.barh(y, values, 0.7, xerr=spread, color=list(colours), error_kw={"lw": 0.9, "ecolor": INK})
    axis.set_yticks(y, names, fontsize=8)
    axis.grid(visible=False, axis="y")
    for at, value, error in zip(y, values, spread, strict=True):
        if np.isfinite(value):
            axis.annotate(f"{value:.2f}", (value + error, at), xytext=(4, 0), textcoords="offset points", va="center",
                          fontsize=8, color=INK)  # fmt: skip


def png(figure: Figure) -> str:
    """Base64 of the picture."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return base64.b64encode(buffer.getvalue()).decode()

"""How the report's figures are drawn: panels over time, lines that keep every peak, bands, phases."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hil.report.summary import phase_spans
from hil.telemetry.log import Log

Array = npt.NDArray[np.float64]

# Okabe and Ito: told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B5B5B")
INK, GRID, BAND_COLOUR = "#2b3440", "#e4e8ec", "#0072B2"
WIDE_BAND = 3.0
"""Half width of a band in spans of the values above which it is clipped."""
_POINTS = 3000  # more than a figure has pixels across


def canvas(width: float, height: float) -> Figure:
    """An empty figure of these inches."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def panels(rows: int, row_height: float) -> tuple[Figure, list[Axes]]:
    """A figure of ``rows`` panels above one another over the same time."""
    figure = canvas(8.6, rows * row_height + 0.5)
    return figure, list(figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0])


def joint_names(n: int) -> list[str]:
    """A1 … An."""
    return [f"A{k + 1}" for k in range(n)]


def thin(t: Array, values: Array, at: Array | None = None) -> tuple[Array, Array]:
    """Fewer points by plain picking (for bands, where both edges must be picked alike)."""
    if at is not None:
        return at, values[np.searchsorted(t, at)]
    step = max(1, len(t) // _POINTS)
    return t[::step], values[::step]


def line(
    axis: Axes, t: Array, values: Array, colour: str, breaks: Sequence[int] = (), **kwargs: Any
) -> None:
    """A line of at most a few thousand points that keeps every peak, broken before the rows ``breaks``."""
    for begin, end in pairwise((0, *breaks, len(t))):
        _piece(axis, t[begin:end], values[begin:end], colour, len(t) // _POINTS + 1, kwargs)
        kwargs.pop("label", None)


def _piece(axis: Axes, t: Array, values: Array, colour: str, step: int, kwargs: dict[str, Any]) -> None:
    """Smallest and largest value of each bin of ``step`` rows."""
    if step > 2:
        n = len(t) // step * step
        bins = values[:n].reshape(-1, step)
        empty = ~np.isfinite(bins).any(axis=1)
        low = np.where(empty, np.nan, np.min(np.where(np.isfinite(bins), bins, np.inf), axis=1))
        high = np.where(empty, np.nan, np.max(np.where(np.isfinite(bins), bins, -np.inf), axis=1))
        t = np.repeat(t[:n:step], 2)
        values = np.stack((low, high), axis=1).ravel()
    axis.plot(t, values, color=colour, **{"lw": 0.8, **kwargs})


def fill(axis: Axes, t: Array, values: Array, half: Array) -> None:
    """A band of ``half`` above and below."""
    at, middle = thin(t, values)
    _, width = thin(t, half, at)
    axis.fill_between(at, middle - width, middle + width, color=BAND_COLOUR, alpha=0.18, lw=0, label="95 % band")


def focus(axis: Axes, values: Array, half: Array, unit: str) -> None:
    """Scale to what was seen and to the band; a band that would flatten it runs out and is stated in words."""
    seen = values[np.isfinite(values)]
    if not len(seen):
        return
    low, high = float(seen.min()), float(seen.max())
    margin = 0.15 * (high - low) or 1.0
    usual = float(np.median(half)) if len(half) else 0.0
    if usual <= WIDE_BAND * (high - low):
        margin = max(margin, 1.1 * usual)
    else:
        axis.annotate(f"95 % band ±{usual:.2g} {unit}, clipped", (0.99, 0.03), xycoords="axes fraction", ha="right",
                      va="bottom", fontsize=8, color=BAND_COLOUR)  # fmt: skip
    axis.set_ylim(low - margin, high + margin)


def legend(axis: Axes) -> None:
    """Beside the axes: inside it would lie on the data sooner or later."""
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, handlelength=1.4)


def style(axis: Axes) -> None:
    """Grid, ticks and spines."""
    axis.grid(color=GRID, lw=0.7)
    axis.set_axisbelow(True)
    axis.tick_params(colors=INK, labelsize=8, length=3)
    axis.yaxis.label.set(color=INK, size=9)
    axis.xaxis.label.set(color=INK, size=9)
    for side, spine in axis.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color("#9aa5b1")
    legend = axis.get_legend()
    if legend:
        for text in legend.get_texts():
            text.set(size=8, color=INK)


def finish(
    log: Log,
    figure: Figure,
    axes: list[Axes],
    bottom: tuple[Axes, ...] | None = None,
    names_on: tuple[Axes, ...] | None = None,
) -> Figure:
    """Style of all ``axes``, time and phases; the figure again."""
    spans = phase_spans(log)
    for axis in axes:
        style(axis)
        if len(log.seconds) > 1:
            axis.set_xlim(0, log.seconds[-1])
        for k, (_, a, b) in enumerate(spans):
            if k % 2:
                axis.axvspan(log.seconds[a], log.seconds[b - 1], color="#f3f5f7", lw=0, zorder=-5)
    for axis in (axes[-1],) if bottom is None else bottom:
        axis.set_xlabel("time / s")
    for axis in (axes[0],) if names_on is None else names_on:
        name_phases(log, axis)
    return figure


def name_phases(log: Log, axis: Axes) -> None:
    """Names of the phases above ``axis``, where there is room."""
    low, high = axis.get_xlim()
    for text in list(axis.texts):
        if text.get_gid() == "phase":
            text.remove()
    for name, a, b in phase_spans(log):
        start, stop = max(log.seconds[a], low), min(log.seconds[b - 1], high)
        if stop - start < 0.012 * len(name) * (high - low):
            continue  # no room for the name
        axis.annotate(name, ((start + stop) / 2, 1.01), xycoords=("data", "axes fraction"), ha="center", va="bottom",
                      fontsize=8, color="#6b7785", gid="phase")  # fmt: skip

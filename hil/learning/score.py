"""How good an estimate with a stated uncertainty is: error, bias, coverage, likelihood."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

Tell = Callable[[str, float], None]
"""What is being done, and the share of it that is done."""

SKIPPED = 0.5
"""Beginning of each piece that is not scored, s: the filters need it."""
_MOST_POINTS = 4000
Z95 = 1.959963984540054
"""95 % of a normal distribution lie within so many standard deviations."""


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """Of errors (m, k) with stated standard deviations (m, k), each figure (k,); NaN where nothing was scored."""

    rms: Array
    bias: Array
    """Mean error."""
    coverage: Array
    """Share of errors within the stated 95 % band."""
    nll: Array
    """Mean negative log-likelihood of the errors under the stated variance, nats; less is better."""
    nll_constant: Array
    """The same under the best constant variance, chosen with hindsight on these very errors."""
    sd: Array
    """Mean stated standard deviation."""
    samples: int


def score(error: Array, sd: Array) -> Score:
    """Figures of ``error`` (m, k) with ``sd`` (m, k) > 0; samples that are not finite are left out."""
    known = np.isfinite(error).all(axis=1) & np.isfinite(sd).all(axis=1)
    e, s = error[known], sd[known]
    if not len(e):
        nothing = np.full(error.shape[1], np.nan)
        return Score(nothing, nothing, nothing, nothing, nothing, nothing, 0)
    square = np.mean(e**2, axis=0)
    nll = 0.5 * np.mean(np.log(2.0 * np.pi * s**2) + (e / s) ** 2, axis=0)
    constant = 0.5 * (np.log(2.0 * np.pi * np.maximum(square, np.finfo(float).tiny)) + 1.0)
    inside = np.mean(np.abs(e) <= Z95 * s, axis=0)
    return Score(np.sqrt(square), e.mean(axis=0), inside, nll, constant, s.mean(axis=0), len(e))


def rms(values: Array) -> Array:
    """Root of the mean square of each column of (m, k); NaN where there is no row."""
    if not len(values):
        return np.full(values.shape[1], np.nan)
    root: Array = np.sqrt(np.mean(values**2, axis=0))
    return root


class Errors:
    """Errors and standard deviations, piece by piece."""

    def __init__(self) -> None:
        self._error: list[Array] = []
        self._sd: list[Array] = []

    def add(self, error: Array, sd: Array) -> None:
        self._error.append(error)
        self._sd.append(sd)

    def score(self) -> Score:
        return score(np.concatenate(self._error), np.concatenate(self._sd))


def thin(values: Array) -> Array:
    """As many rows as a picture can show."""
    return values[:: max(1, math.ceil(len(values) / _MOST_POINTS))]

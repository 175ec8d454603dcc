"""Whole recordings through the filter at once: what tuning and evaluation run hundreds of times."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.compiled import compiled
from estimators.kvark.diagonal import advance, prepare
from estimators.kvark.recursion import RecursionParams

Array = npt.NDArray[np.float64]


@compiled
def _run(
    y: Array, sigma: Array, dt: float, state: Array, nu: float, start: Array, numbers: Array,
    rules: npt.NDArray[Any], out: Array,
) -> int:
    """Rows of ``out`` (m, 2n + 1): x, P, NIS after each row of ``y``."""
    n = state.shape[1]
    for k in range(y.shape[0]):
        nu, nis = advance(state, nu, y[k], sigma[k], dt, start, numbers, rules)
        for j in range(n):
            out[k, j] = state[0, j]
            out[k, n + j] = state[1, j]
        out[k, 2 * n] = nis
    return 0


def replay(y: Array, model_variance: Array, dt: float, params: RecursionParams) -> tuple[Array, Array, Array]:
    """x (m, n) N·m, its variance (m, n) and NIS (m,) for virtual measurements ``y`` and Σ, both (m, n).

    The same arithmetic as :class:`estimators.kvark.diagonal.DiagonalRecursion`, step by step.
    """
    n = params.q_rate.size
    state, nu, start, numbers, rules = prepare(params)
    numbers[1], numbers[2] = math.exp(-dt / params.window_q), math.exp(-dt / params.window_r)
    out = np.empty((len(y), 2 * n + 1))
    sigma = np.ascontiguousarray(model_variance * (params.colour * params.dt_colour / dt))
    _run(np.ascontiguousarray(y), sigma, dt, state, nu, start, numbers, rules, out)
    return out[:, :n], out[:, n : 2 * n], out[:, 2 * n]

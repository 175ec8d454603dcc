"""Whole recordings through the filter at once: what tuning and evaluation run hundreds of times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from estimators import virtual_measurement
from estimators.compiled import compiled
from estimators.kvark.diagonal import advance, prepare
from estimators.kvark.recursion import RecursionParams
from estimators.residual.base import ResidualModel
from estimators.residual.semiparametric import Run
from estimators.rigid_body import RigidBodyModel

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One recording as the filter gets it; row k is about the step from sample k − 1 to k."""

    y: Array
    """Virtual measurement with the residual model's mean, (m, n) N·m; its first row is NaN."""
    variance: Array
    """The residual model's, (m, n) (N·m)²."""
    J: Array
    """TCP Jacobians (m, 6, n), base axes, of the samples."""
    dt: float


def measure(model: RigidBodyModel, residual: ResidualModel, run: Run, lag: int = 0) -> Measured:
    """``run`` through the momentum of ``model`` and through ``residual``, from rest.

    A residual model that corrects the inertial parameters gets its own for as long as this takes. ``lag``: see
    :class:`estimators.virtual_measurement.VirtualMeasurement`. Raises ParameterError for a run of another arm.
    """
    corrected = residual.inertial_parameters
    nominal = model.inertial_parameters()
    if corrected is not None:
        model.adjust(corrected)
    try:
        y, J = virtual_measurement.replay(model, run.q, run.qd, run.tau, run.dt, lag)
    finally:
        if corrected is not None:
            model.adjust(nominal)
    mean, variance = residual.run(run.q, run.qd, run.tau, run.dt)
    # The residual model is asked at the sample before: at the beginning of the step that y is about.
    y[1:] += mean[:-1]
    return Measured(y, np.vstack((variance[:1], variance[:-1])), J, run.dt)


class Replayed(NamedTuple):
    """What an observer made of a recording."""

    x: Array
    """External torque (m, n) N·m."""
    P: Array
    """Its variance (m, n) (N·m)², without that of the residual model."""
    nis: Array
    """(m,); NaN where there is none."""


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


def replay(y: Array, model_variance: Array, dt: float, params: RecursionParams) -> Replayed:
    """x (m, n) N·m, its variance (m, n) and NIS (m,) for virtual measurements ``y`` and Σ, both (m, n).

    The same arithmetic as :class:`estimators.kvark.diagonal.DiagonalRecursion`, step by step.
    """
    n = params.q_rate.size
    state, nu, start, numbers, rules = prepare(params)
    numbers[1], numbers[2] = math.exp(-dt / params.window_q), math.exp(-dt / params.window_r)
    out = np.empty((len(y), 2 * n + 1))
    sigma = np.ascontiguousarray(model_variance * (params.colour * params.dt_colour / dt))
    _run(np.ascontiguousarray(y), sigma, dt, state, nu, start, numbers, rules, out)
    return Replayed(out[:, :n], out[:, n : 2 * n], out[:, 2 * n])


@compiled
def _follow(y: Array, share: float, out: Array) -> int:
    for k in range(y.shape[0]):
        known = True
        for j in range(y.shape[1]):
            known = known and math.isfinite(y[k, j])
        for j in range(y.shape[1]):
            last = out[k - 1, j] if k > 0 else 0.0
            out[k, j] = last + share * (y[k, j] - last) if known else last
    return 0


def follow(y: Array, dt: float, bandwidth: float) -> Array:
    """What a momentum observer of ``bandwidth`` 1/s makes of ``y`` (m, n) N·m: a first-order low-pass from zero."""
    out = np.zeros(y.shape)
    _follow(np.ascontiguousarray(y), 1.0 - math.exp(-bandwidth * dt), out)
    return out


@compiled
def _squares(
    y: Array, sigma: Array, truth: Array, first: int, dt: float, state: Array, nu: float, start: Array,
    numbers: Array, rules: npt.NDArray[Any], out: Array,
) -> int:  # fmt: skip
    n = state.shape[1]
    for k in range(y.shape[0]):
        nu, _ = advance(state, nu, y[k], sigma[k], dt, start, numbers, rules)
        if k >= first:
            for j in range(n):
                away = state[0, j] - truth[k, j]
                out[j] += away * away
    return 0


def squared_error(
    y: Array, model_variance: Array, truth: Array, first: int, dt: float, params: RecursionParams
) -> Array:
    """Σ (x − truth)² (n,) over the rows from ``first`` on: :func:`replay` without keeping the estimates."""
    state, nu, start, numbers, rules = prepare(params)
    numbers[1], numbers[2] = math.exp(-dt / params.window_q), math.exp(-dt / params.window_r)
    out = np.zeros(y.shape[1])
    sigma = model_variance * (params.colour * params.dt_colour / dt)
    _squares(y, sigma, truth, first, dt, state, nu, start, numbers, rules, out)
    return out

"""How far friction has drifted since training: one factor for each joint, from some twenty seconds of free motion.

Contact-free, the virtual measurement without the residual model's mean is minus the residual torque. One factor c_j for
each joint by robust least squares::

    −y_j = c_j mean_j + offset_j + error_j

both sides through the low-pass of labels, weighted by the residual model's own variance, which is largest where a
joint sticks. Errors of a residual model are slow, so the standard error counts one witness per :data:`WITNESS` seconds
and not one per sample. A factor is refused, in words, where the joint has hardly moved, where something touched the
arm, and where it is not believable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators import virtual_measurement
from estimators.errors import ParameterError

Array = npt.NDArray[np.float64]

LEAST = 10.0
"""Motion below which nothing is concluded, s."""
WITNESS = 0.5
"""Time within which errors are copies of each other, s."""
REVERSALS = 2
"""Changes of direction a joint needs: without them a factor cannot be told from an offset."""
SIGMA_MOST = 0.1
"""Standard error above which a factor is not known."""
BELIEVABLE = (0.5, 2.0)
"""Factors beyond which something else has changed than a level."""
TOUCHED = 6.0
"""Error, in standard deviations of the residual model, that free motion hardly shows..."""
TOUCHED_SHARE = 0.1
"""... for more than this part of the time."""
WANDER = 0.02
"""What friction's level wanders by within minutes: a standard error below it says nothing about later."""
_SETTLE = 0.5
_HUBER = 1.5
_ROUNDS = 8


@dataclass(frozen=True, slots=True, eq=False)
class WarmUp:
    """Factors on the residual model's mean."""

    scale: Array
    """(n,); 1 where it was refused."""
    sigma: Array
    """Standard errors (n,); NaN where it was refused."""
    refused: tuple[str, ...]
    """Why, for each joint; empty where the factor holds."""
    rmse_before: Array
    """Of what the residual model leaves of the run, (n,) N·m."""
    rmse_after: Array
    """The same with the factors."""


def friction_scale(y: Array, mean: Array, variance: Array, dt: float) -> WarmUp:
    """Factors from one free run: ``y`` (m, n) N·m measured without the residual model's mean, every ``dt`` s.

    ``mean`` (m, n) N·m and ``variance`` (m, n) (N·m)² are the residual model's, of the same steps. Rows that are not
    finite at the beginning are skipped. Raises ParameterError for a run that is too short or not finite.
    """
    if not y.shape == mean.shape == variance.shape or y.ndim != 2:
        shapes = y.shape, mean.shape, variance.shape
        raise ParameterError(f"y, mean, variance have shapes {shapes}; expected the same (m, n) three times")
    finite = np.all(np.isfinite(np.hstack((y, mean, variance))), axis=1)
    first = int(np.argmax(finite)) if finite.any() else len(y)
    y, mean = y[first:], mean[first:]
    seconds = len(y) * dt - _SETTLE
    if seconds < LEAST:
        raise ParameterError(
            f"{max(seconds, 0.0):.0f} s of free motion; a warm-up needs at least {LEAST:.0f} s, better 20"
        )
    if not finite[first:].all():
        raise ParameterError("samples within the run are not finite: record it anew")
    every = max(1, round(1.0 / (virtual_measurement.LABEL_RATE * dt)))
    rows = slice(round(_SETTLE / dt), None, every)
    target = -virtual_measurement.smooth(y, dt)[rows]
    model = virtual_measurement.smooth(mean, dt)[rows]
    known = np.sqrt(np.maximum(variance[first:][rows], 1e-12))
    n = y.shape[1]
    scale, sigma = np.ones(n), np.full(n, math.nan)
    before, after = np.empty(n), np.empty(n)
    refused = []
    for j in range(n):
        factor, error, why, left = _joint(target[:, j], model[:, j], known[:, j], seconds)
        refused.append(why)
        before[j] = np.sqrt(np.mean((target[:, j] - model[:, j]) ** 2))
        after[j] = before[j] if why else np.sqrt(np.mean(left**2))
        if not why:
            scale[j], sigma[j] = factor, error
    return WarmUp(scale, sigma, tuple(refused), before, after)


def _joint(target: Array, model: Array, known: Array, seconds: float) -> tuple[float, float, str, Array]:
    """Factor, standard error, why it is refused or nothing, and what is left with the factor."""
    size = float(np.abs(model).max())
    turns = int(np.count_nonzero(np.diff(np.sign(model[np.abs(model) > 0.3 * size]))))
    if not size > 0.0 or turns < REVERSALS:
        why = f"it changed direction {turns} times, {REVERSALS} are needed: move it to and fro"
        return 1.0, math.nan, why, target
    A = np.column_stack((model, np.ones_like(model))) / known[:, None]
    b = target / known
    trust = np.ones_like(b)
    solution, error = np.array([1.0, 0.0]), b
    for _ in range(_ROUNDS):
        W = A * trust[:, None]
        solution = np.linalg.solve(A.T @ W + 1e-12 * np.eye(2), W.T @ b)
        error = b - A @ solution
        spread = max(1.4826 * float(np.median(np.abs(error))), 1e-9)
        trust = 1.0 / np.maximum(1.0, np.abs(error) / (_HUBER * spread))
    factor = float(solution[0])
    W = A * trust[:, None]
    normal = np.linalg.inv(A.T @ W + 1e-12 * np.eye(2))
    # The sandwich of M-estimation, with as many witnesses as there are independent errors.
    middle = (W * error[:, None]).T @ (W * error[:, None])
    copies = len(b) / (seconds / WITNESS)
    sigma = math.hypot(math.sqrt(float((normal @ middle @ normal)[0, 0]) * copies), WANDER)
    odd = float(np.mean(np.abs(error) > TOUCHED))
    if odd > TOUCHED_SHARE:
        why = f"{100.0 * odd:.0f} % of the time something acted that friction is not: let nothing touch the arm"
    elif not sigma < SIGMA_MOST:
        why = f"factor {factor:.2f} ± {sigma:.2f}: it has moved too little, or the residual model does not fit it"
    elif not BELIEVABLE[0] < factor < BELIEVABLE[1]:
        why = f"factor {factor:.2f} is not a drift (expected {BELIEVABLE[0]} to {BELIEVABLE[1]}): train the model anew"
    else:
        why = ""
    return factor, sigma, why, target - factor * model

"""What K-VARK does with one sample, twice: on arrays for the compiler, and on Python's own floats without one.

:func:`observe` and :func:`observe_plain` have the same arguments and give the same numbers, which a test holds them to.
Elements of arrays are slow to reach without a compiler, and so are numpy's calls on vectors of six: lists are not.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.compiled import compiled
from estimators.kvark.diagonal import advance, advance_plain

Array = npt.NDArray[np.float64]

MOMENTUM, BETA, TORQUE, MEAN, VARIANCE, POSITION = range(6)
"""Rows of ``now`` (6, n), one sample: p and β, measured torque, mean and variance of the residual model, q."""
SPEED, FROZEN = 6, 7
"""Further rows of ``past`` (8, n), the sample before: |Δq|/dt rad/s of the step that ended with it, and 0, or NaN for
an encoder that counts as stuck. The friction scale is in its MEAN."""
OFFSET, FRICTION, ABOVE = range(3)
"""Rows of ``fixed`` (3, n): the tare, the factor on the residual's mean, and λ, the part above that."""
SEEN, SEEN_MEAN, SEEN_VARIANCE = 2, 3, 4
"""Rows of ``out`` beside the estimate and its variance: what the step's measurement was, tared and corrected by λ, and
mean and variance of the residual model in it."""
SCALE2, LEVEL2, LAG, LONGEST = range(4)
"""Of ``settings``: squares of scale and level, lag in ticks, and the longest step, s, in which a torque still counts as
constant."""
STOPS_FROM = 0.1
"""rad/s from which no joint comes to rest, to the last bit of its encoder, within one sample."""


def start_past(n: int) -> Array:
    """``past`` before the first sample."""
    past = np.full((8, n), math.nan)
    past[SPEED] = past[FROZEN] = 0.0
    return past


@compiled
def observe(
    now: Array, dt: float, colour: float, past: Array, fixed: Array, settings: Array, state: Array, nu: float,
    start: Array, numbers: Array, rules: npt.NDArray[Any], out: Array,
) -> tuple[float, float]:  # fmt: skip
    """One sample; the new ν and the NIS (NaN where the sample said nothing).

    ``now``, ``past``, ``fixed``, ``settings``: see above; ``dt`` s since the sample before; ``colour``: factor on the
    residual model's variance in R, for this dt. ``state``, ``nu``, ``start``, ``numbers``, ``rules``: see
    :func:`estimators.kvark.diagonal.advance`. ``out`` (5, n): external torque and the variance to report, then the rows
    above; NaN where nothing is known.
    """
    n = now.shape[1]
    known = dt > 0.0 and dt <= settings[3]
    y, sigma = out[0], out[1]
    for j in range(n):
        moved = now[5, j] - past[5, j]
        if moved == 0.0:
            if past[6, j] > STOPS_FROM:
                past[7, j] = math.nan
        elif math.isfinite(moved):
            past[7, j] = 0.0
        past[6, j] = abs(moved) / dt if dt > 0.0 else 0.0
        acted = now[2, j] if settings[2] > 0.0 else past[2, j]
        y[j] = (now[0, j] - past[0, j]) / dt - acted - past[1, j] + past[3, j] + past[7, j] if known else math.nan
        y[j] += fixed[2, j] * past[3, j]
        sigma[j] = colour * past[4, j]
        known = known and math.isfinite(y[j] + now[2, j] + sigma[j])
    if not known:
        y[0] = math.nan
    nis = math.nan
    if dt > 0.0 and dt < math.inf:
        nu, nis = advance(state, nu, y, sigma, dt, start, numbers, rules)
    for j in range(n):
        if known:
            x = state[0, j] - fixed[0, j]
            slow = past[3, j] * past[3, j] + 0.25 * x * x
            out[2, j], out[3, j], out[4, j] = y[j] - fixed[0, j], past[3, j], past[4, j]
            y[j] = x
            sigma[j] = settings[0] * (state[1, j] + past[4, j] + settings[1] * slow)
        else:
            y[j] = sigma[j] = out[2, j] = out[3, j] = out[4, j] = math.nan
        for i in range(6):
            past[i, j] = now[i, j]
        past[3, j] *= fixed[1, j]
    return nu, nis


def observe_plain(
    now: Array, dt: float, colour: float, past: Array, fixed: Array, settings: Array, state: Array, nu: float,
    start: Array, numbers: Array, rules: npt.NDArray[Any], out: Array,
) -> tuple[float, float]:  # fmt: skip
    """:func:`observe` on Python's own floats."""
    scale2, level2, lag, longest = settings.tolist()
    p, _, tau, mean, _, q = now.tolist()
    p0, beta0, tau0, mean0, variance0, q0, speed, frozen = past.tolist()
    offset, friction, above = fixed.tolist()
    forward = dt > 0.0
    known = forward and dt <= longest
    y, n = [math.nan] * len(q), len(q)
    sigma = [colour * value for value in variance0]
    for j in range(n):
        moved = q[j] - q0[j]
        if moved == 0.0:
            if speed[j] > STOPS_FROM:
                frozen[j] = math.nan
        elif math.isfinite(moved):
            frozen[j] = 0.0
        speed[j] = abs(moved) / dt if forward else 0.0
        if known:
            acted = tau[j] if lag else tau0[j]
            y[j] = (p[j] - p0[j]) / dt - acted - beta0[j] + mean0[j] + frozen[j] + above[j] * mean0[j]
            known = math.isfinite(y[j] + tau[j] + sigma[j])
    if not known:
        y[0] = math.nan
    nis = math.nan
    if forward and dt < math.inf:
        nu, nis = advance_plain(state, nu, y, sigma, dt, start, numbers, rules)
    if known:
        xs, Ps, _, _ = state.tolist()
        seen = [y[j] - offset[j] for j in range(n)]
        for j in range(n):
            x = xs[j] - offset[j]
            slow = mean0[j] * mean0[j] + 0.25 * x * x
            y[j] = x
            sigma[j] = scale2 * (Ps[j] + variance0[j] + level2 * slow)
        out[:] = (y, sigma, seen, mean0, variance0)
    else:
        out.fill(math.nan)
    past[:SPEED] = now
    past[MEAN] = [factor * value for factor, value in zip(friction, mean, strict=True)]
    past[SPEED:] = (speed, frozen)
    return nu, nis

"""What K-VARK does with one sample, twice: as plain loops for the compiler and as vectors for numpy alone.

:func:`observe` and :func:`observe_vectors` have the same arguments and give the same numbers, which a test holds them
to. Without numba loops over six joints in Python take longer than numpy's calls, so the vectors run there.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.compiled import compiled
from estimators.kvark.diagonal import advance, advance_vectors

Array = npt.NDArray[np.float64]

MOMENTUM, BETA, TORQUE, MEAN, VARIANCE, POSITION = range(6)
"""Rows of ``now`` (6, n), one sample: p and β, measured torque, mean and variance of the residual model, q."""
SPEED, FROZEN = 6, 7
"""Further rows of ``past`` (8, n), the sample before: |Δq|/dt rad/s of the step that ended with it, and 0, or NaN for
an encoder that counts as stuck. The friction scale is in its MEAN."""
OFFSET, FRICTION = 0, 1
"""Rows of ``fixed`` (2, n): the tare, and the factor on the residual's mean."""
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
    :func:`estimators.kvark.diagonal.advance`. ``out`` (2, n): external torque and the variance to report, NaN where
    nothing is known.
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
            y[j] = x
            sigma[j] = settings[0] * (state[1, j] + past[4, j] + settings[1] * slow)
        else:
            y[j] = sigma[j] = math.nan
        for i in range(6):
            past[i, j] = now[i, j]
        past[3, j] *= fixed[1, j]
    return nu, nis


def observe_vectors(
    now: Array, dt: float, colour: float, past: Array, fixed: Array, settings: Array, state: Array, nu: float,
    start: Array, numbers: Array, rules: npt.NDArray[Any], out: Array,
) -> tuple[float, float]:  # fmt: skip
    """:func:`observe` without a loop over the joints."""
    scale2, level2, lag, longest = settings.tolist()
    p, tau, q = now[MOMENTUM], now[TORQUE], now[POSITION]
    p_before, beta_before, tau_before, mean, variance, q_before, speed, frozen = past
    forward = dt > 0.0
    moved = np.abs(q - q_before)
    # Most often all joints move; NaN, too, goes the long way.
    if moved.min() > 0.0:
        frozen.fill(0.0)
    else:
        frozen[(moved == 0.0) & (speed > STOPS_FROM)] = math.nan
        frozen[(moved > 0.0) & (moved < math.inf)] = 0.0
    if forward:
        np.divide(moved, dt, out=speed)
    else:
        speed.fill(0.0)
    sigma = colour * variance
    known = forward and dt <= longest
    if known:
        y = (p - p_before) / dt
        y -= tau if lag else tau_before
        y -= beta_before
        y += mean
        y += frozen
        # Products find NaN and infinity for less than np.isfinite costs, and without a warning.
        known = math.isfinite(float(y.dot(tau) + y.dot(sigma)))
    if not known:
        y = out[0]
        y.fill(math.nan)
    nis = math.nan
    if forward and dt < math.inf:
        nu, nis = advance_vectors(state, nu, y, sigma, dt, start, numbers, rules)
    if known:
        x = np.subtract(state[0], fixed[OFFSET], out=out[0])
        reported = state[1] + variance
        if level2:
            reported += level2 * (mean * mean + 0.25 * (x * x))
        np.multiply(reported, scale2, out=out[1])
    else:
        out.fill(math.nan)
    past[:SPEED] = now
    mean *= fixed[FRICTION]
    return nu, nis

"""The recursion of :mod:`estimators.kvark.recursion` with diagonal Q and R: n scalar filters in step.

Measured, full covariances gain nothing over diagonal ones here, and small matrices cost mostly call overhead. The
arithmetic of one joint is written once, in :func:`advance`, as plain float64 code: numba compiles it where it is
installed, and without numba :func:`advance_plain` does the same. Both give the same numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.compiled import COMPILED, compiled
from estimators.kvark.recursion import RecursionParams

Array = npt.NDArray[np.float64]

OFF, CORRECTED, LITERAL = 0, 1, 2
"""Adaptation rules as numbers: off, innovation (Q) or residual (R), literal."""
_RULES = {"off": OFF, "innovation": CORRECTED, "residual": CORRECTED, "literal": LITERAL}
X, P, PSI, R_EMP = 0, 1, 2, 3
"""Rows of the state (4, n): torque, its variance, Ψ per second, R_emp."""


@compiled
def advance(
    state: Array, nu: float, y: Array, sigma: Array, dt: float, start: Array, numbers: Array, rules: npt.NDArray[Any]
) -> tuple[float, float]:
    """One step in place; the new ν and the NIS (NaN for a step without measurement).

    ``state`` (4, n), see above. ``start`` (2, n): rows q_rate and r_empirical. ``numbers``: weight, ρ, λ_R, and low and
    high bounds of Q and of R_emp as multiples of the start (7). ``rules`` (2): for Q and R. ``sigma`` (n,): cΣ.
    """
    n = state.shape[1]
    weight, rho, forget, q_low, q_high, r_low, r_high = numbers
    known = True
    for j in range(n):
        known = known and math.isfinite(y[j]) and math.isfinite(sigma[j])
    # ν here is ν − n − 1 of the inverse Wishart distribution, of which each joint has its own diagonal element.
    grown = rho * nu + 1.0
    nis = 0.0 if known else math.nan
    for j in range(n):
        predicted = state[1, j] + state[2, j] / nu * dt
        if not known:
            state[1, j] = predicted
            continue
        model = max(sigma[j], 0.0)
        R = weight * state[3, j] + model
        S = predicted + R
        K = predicted / S
        innovation = y[j] - state[0, j]
        process = K * innovation
        x = state[0, j] + process
        # Equal to the Joseph form, eq. (45), for the K that was taken.
        variance = K * R
        nis += innovation * innovation / S
        state[0, j] = x
        state[1, j] = variance
        if rules[0] != 0:
            G = process * process
            if rules[0] == 2:
                G += variance
            rate = (rho * state[2, j] + G / dt) / grown
            rate = min(max(rate, q_low * start[0, j]), q_high * start[0, j])
            state[2, j] = rate * grown
        if rules[1] != 0:
            if rules[1] == 2:
                seen = innovation * innovation
            else:
                residual = y[j] - x
                seen = residual * residual + variance - model
            R_new = forget * state[3, j] + (1.0 - forget) * seen
            state[3, j] = min(max(R_new, r_low * start[1, j]), r_high * start[1, j])
    if known and rules[0] != 0:
        nu = grown
    return nu, nis


def advance_plain(
    state: Array, nu: float, y: list[float], sigma: list[float], dt: float, start: Array, numbers: Array,
    rules: npt.NDArray[Any],
) -> tuple[float, float]:  # fmt: skip
    """:func:`advance` on Python's own floats, for where there is no compiler.

    For six joints that takes half as long as numpy's calls on vectors of six.
    """
    weight, rho, forget, q_low, q_high, r_low, r_high = numbers.tolist()
    adapt_q, adapt_r = rules.tolist()
    xs, Ps, psis, r_emps = state.tolist()
    q_start, r_start = start.tolist()
    share, nis, known = dt / nu, 0.0, math.isfinite(sum(y) + sum(sigma))
    grown = rho * nu + 1.0
    for j, (x, P_before, psi, r_emp) in enumerate(zip(xs, Ps, psis, r_emps, strict=True)):
        predicted = P_before + psi * share
        if not known:
            Ps[j] = predicted
            continue
        model = max(sigma[j], 0.0)
        R = weight * r_emp + model
        S = predicted + R
        K = predicted / S
        innovation = y[j] - x
        process = K * innovation
        variance = K * R
        nis += innovation * innovation / S
        xs[j] = x + process
        Ps[j] = variance
        if adapt_q != OFF:
            G = process * process
            if adapt_q == LITERAL:
                G += variance
            rate = (rho * psi + G / dt) / grown
            psis[j] = min(max(rate, q_low * q_start[j]), q_high * q_start[j]) * grown
        if adapt_r != OFF:
            if adapt_r == LITERAL:
                seen = innovation * innovation
            else:
                residual = y[j] - xs[j]
                seen = residual * residual + variance - model
            R_new = forget * r_emp + (1.0 - forget) * seen
            r_emps[j] = min(max(R_new, r_low * r_start[j]), r_high * r_start[j])
    state[:] = (xs, Ps, psis, r_emps)
    if not known:
        return nu, math.nan
    return (grown if adapt_q != OFF else nu), nis


def prepare(params: RecursionParams) -> tuple[Array, float, Array, Array, npt.NDArray[np.int64]]:
    """What :func:`advance` begins with: state, ν, start, numbers (ρ and λ_R still zero), rules."""
    p, m0 = params, params.pseudo_samples
    state = np.vstack((np.zeros(p.q_rate.size), p.r_empirical, m0 * p.q_rate, p.r_empirical))
    numbers = np.array([p.weight, 0.0, 0.0, *p.q_clip, *p.r_clip])
    rules = np.array([_RULES[p.adapt_q], _RULES[p.adapt_r]])
    return state, m0, np.vstack((p.q_rate, p.r_empirical)), numbers, rules


class DiagonalRecursion:
    """See :class:`estimators.kvark.recursion.Recursion`; ``P``, ``Q`` and ``R_emp`` are (n,) here."""

    def __init__(self, params: RecursionParams) -> None:
        self.params = params
        self.n = params.q_rate.size
        self._dt = math.nan
        self.reset()

    def reset(self) -> None:
        """Start anew at zero torque, with P = R_emp as at start."""
        self._state, self._nu, self._start, self._numbers, self._rules = prepare(self.params)
        self._dt = math.nan
        self.nis = math.nan

    @property
    def x(self) -> Array:
        """External torque (n,) N·m."""
        value: Array = self._state[X].copy()
        return value

    @property
    def P(self) -> Array:
        """Its variance (n,) (N·m)², without that of the residual model."""
        value: Array = self._state[P].copy()
        return value

    @property
    def R_emp(self) -> Array:
        """Measurement noise beside the residual model's variance (n,) (N·m)²."""
        value: Array = self._state[R_EMP].copy()
        return value

    @property
    def q_rate(self) -> Array:
        """Process noise now, (n,) (N·m)²/s."""
        rate: Array = self._state[PSI] / self._nu
        return rate

    def step(self, y: Array, model_variance: Array, dt: float) -> Array:
        """As :meth:`estimators.kvark.recursion.Recursion.step`; a fresh array."""
        p = self.params
        if dt != self._dt:
            self._dt = dt
            self._numbers[1] = math.exp(-dt / p.window_q)
            self._numbers[2] = math.exp(-dt / p.window_r)
            self._colour = p.colour * p.dt_colour / dt
        sigma = self._colour * model_variance
        if COMPILED:
            self._nu, self.nis = advance(
                self._state, self._nu, y, sigma, dt, self._start, self._numbers, self._rules
            )
        else:
            self._nu, self.nis = advance_plain(
                self._state, self._nu, y.tolist(), sigma.tolist(), dt, self._start, self._numbers, self._rules
            )
        value: Array = self._state[X].copy()
        return value

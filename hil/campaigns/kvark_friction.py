"""Friction of the campaign's plant: three families of law, compiled, with what makes friction hard to model.

Beside what :mod:`sim_mocks.gear_friction` gives the mocks, from the same profile: frictional lag (the Stribeck level
follows the velocity with a delay), relaxation of what sticks, and the drift between training and test. Per joint::

    F = drift · Fc (1 + ripple sin(k q + phase)) (1 + wander(t)) + load_dependence |tau_link|
    s = F (1 + asymmetry sign(qd)) (1 + extra exp(−(qd / vs)²))

* ``maxwell_slip``: four parallel spring-sliders that slip at their share of the lagged s; those that stick relax.
* ``lugre``: one bristle, integrated semi-implicitly, over the lagged s.
* ``memoryless``: s tanh(qd / w), without lag.

The sub-linear viscous term and the gear's torque ripple are added to each. After Lampaert, Al-Bender, Swevers
(PhysCon 2003) and Canudas de Wit et al. (IEEE TAC 40, 1995). What the profile does not say is a constant here.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators.compiled import compiled
from sim_mocks.profiles import Profile

Array = npt.NDArray[np.float64]

FAMILIES = ("maxwell_slip", "lugre", "memoryless")
ELEMENTS = 4
LAG = 0.010
"""Frictional lag, s."""
RELAXATION = 6.0
"""Time constant with which a sticking element lets go, s."""
STANDS = 1e-3
"""Speed below which an element counts as at rest, rad/s."""
WANDER_TIME = 8.0
"""Of the level's slow noise (Ornstein–Uhlenbeck), s."""
_DAMPING = 0.1
"""Damping ratio of a sticking joint against its rotor's inertia."""
_WIDTH = (0.010, 0.020)
"""w of the memoryless law, rad/s."""

(COULOMB, EXTRA, STRIBECK, VISCOUS, SUBLINEAR, ASYMMETRY, LOAD, STIFFNESS, DAMPING, WIDTH, RIPPLE, PERIODS, PHASE,
 GEAR, GEAR_PHASE) = range(15)  # fmt: skip
"""Rows of the parameters (15, n)."""


@dataclass(frozen=True, slots=True, eq=False)
class Friction:
    """One robot's friction, drawn from a profile and a seed."""

    family: int
    rows: Array
    """Parameters (15, n), see the constants of the module."""
    gear_period: float
    """Periods of the gear's torque ripple in a revolution of the joint."""
    noise: float
    """Standard deviation of the level's wander."""
    drift: float
    """Part by which the level has risen between training and test."""

    def wander(self, samples: int, dt: float, rng: np.random.Generator) -> Array:
        """Relative error of the level (samples, n), stationary."""
        from scipy.signal import lfilter

        keep = math.exp(-dt / WANDER_TIME)
        draws = rng.standard_normal((samples, self.rows.shape[1]))
        draws[1:] *= math.sqrt(1.0 - keep * keep)
        value: Array = self.noise * lfilter([1.0], [1.0, -keep], draws, axis=0)
        return value

    def state(self) -> Array:
        """Relaxed: rows 0 to 3 the elements' forces (or the bristle), row 4 the lagged level (negative: not begun)."""
        state = np.zeros((ELEMENTS + 1, self.rows.shape[1]))
        state[ELEMENTS] = -1.0
        return state


def draw(profile: Profile, family: str, seed: int, inertia: Array) -> Friction:
    """The friction of one robot; ``inertia`` (n,) kg·m² scales the damping of sticking joints.

    Raises ValueError for a family that does not exist.
    """
    if family not in FAMILIES:
        raise ValueError(f"friction family {family!r}; expected one of {', '.join(FAMILIES)}")
    section, gear, n = profile.section("friction"), profile.section("gear"), profile.n
    rng = np.random.default_rng([seed, zlib.crc32(b"campaign friction")])
    spread = rng.uniform(0.85, 1.15, (2, n))
    stiffness = section.vector("presliding_stiffness", 5000.0)
    rows = np.empty((15, n))
    rows[COULOMB] = section.vector("coulomb") * spread[0]
    rows[EXTRA] = section.vector("static_over_coulomb", 1.0) - 1.0
    rows[STRIBECK] = section.vector("stribeck_velocity", 0.05)
    rows[VISCOUS] = section.vector("viscous") * spread[1]
    rows[SUBLINEAR] = section.vector("sublinear_velocity", 0.5)
    rows[ASYMMETRY] = section.vector("asymmetry")
    rows[LOAD] = section.vector("load_dependence")
    rows[STIFFNESS] = stiffness
    rows[DAMPING] = 2.0 * _DAMPING * np.sqrt(stiffness * inertia)
    rows[WIDTH] = rng.uniform(*_WIDTH, n)
    rows[RIPPLE] = section.vector("position_ripple")
    rows[PERIODS] = rng.integers(1, 4, n)
    rows[PHASE] = rng.uniform(0.0, math.tau, n)
    rows[GEAR] = gear.vector("torque_ripple")
    rows[GEAR_PHASE] = rng.uniform(0.0, math.tau, n)
    period = gear.number("ripple_per_motor_rev") * gear.number("ratio", 1.0)
    return Friction(
        FAMILIES.index(family), rows, period, section.number("level_noise"), section.number("drift_train_to_test")
    )


@compiled
def advance(
    family: int, rows: Array, state: Array, q: Array, qd: Array, load: Array, wander: Array, drift: float,
    gear_period: float, dt: float, out: Array,
) -> int:  # fmt: skip
    """Friction torque into ``out`` (n,) N·m for a step of ``dt`` s; ``state`` moves on.

    ``q`` rad, ``qd`` rad/s, ``load`` N·m transmitted, ``wander`` relative: (n,) each.
    """
    follow = 1.0 - math.exp(-dt / LAG)
    let_go = dt / RELAXATION
    for j in range(qd.size):
        v, speed = qd[j], abs(qd[j])
        sign = 1.0 if v >= 0.0 else -1.0
        level = rows[COULOMB, j] * drift * (1.0 + wander[j])
        level *= 1.0 + rows[RIPPLE, j] * math.sin(rows[PERIODS, j] * q[j] + rows[PHASE, j])
        level += rows[LOAD, j] * abs(load[j])
        fall = math.exp(-((v / rows[STRIBECK, j]) ** 2))
        wanted = level * (1.0 + sign * rows[ASYMMETRY, j]) * (1.0 + rows[EXTRA, j] * fall)
        if state[ELEMENTS, j] < 0.0:
            state[ELEMENTS, j] = wanted
        state[ELEMENTS, j] += follow * (wanted - state[ELEMENTS, j])
        s = state[ELEMENTS, j]
        if family == 0:
            dry, stuck = 0.0, 0.0
            for k in range(ELEMENTS):
                # Shares of the level rise by 0.1 from element to element, those of the stiffness fall.
                most, part = 0.1 * (k + 1.0) * s, 0.1 * (ELEMENTS - k)
                force = state[k, j] + part * rows[STIFFNESS, j] * v * dt
                if speed < STANDS:
                    force -= let_go * force
                if force > most:
                    force = most
                elif force < -most:
                    force = -most
                else:
                    stuck += part
                state[k, j] = force
                dry += force
            dry += stuck * rows[DAMPING, j] * v
        elif family == 1:
            before = state[0, j]
            after = (before + dt * v) / (1.0 + dt * rows[STIFFNESS, j] * speed / max(s, 1e-9))
            if speed < STANDS:
                after -= let_go * after
            state[0, j] = after
            dry = rows[STIFFNESS, j] * after + rows[DAMPING, j] * (after - before) / dt
        else:
            dry = wanted * math.tanh(v / rows[WIDTH, j])
        viscous = drift * rows[VISCOUS, j] * v * (rows[SUBLINEAR, j] / (rows[SUBLINEAR, j] + speed) + 0.35)
        out[j] = dry + viscous + rows[GEAR, j] * math.sin(gear_period * q[j] + rows[GEAR_PHASE, j])
    return 0

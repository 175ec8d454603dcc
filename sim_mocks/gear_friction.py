"""Friction of geared joints, as the ``cobot`` profile describes it: three families of law under one level.

The level of dry friction, per joint, in N·m::

    F = Fc (1 + ripple sin(k q + phase)) (1 + wander(t)) (1 + asymmetry sign(v)) + load_dependence |tau_motor|
    s(v) = F (1 + (static_over_coulomb − 1) exp(−(v / vs)²))

* ``maxwell_slip`` (default): four parallel spring-sliders, which stick and slip one after the other, so that there is
  presliding hysteresis; after Lampaert, Al-Bender, Swevers, "A generalized Maxwell-slip friction model appropriate
  for control purposes", PhysCon 2003, with elements that slip at their share of s(v).
* ``lugre``: one bristle, integrated semi-implicitly, as :mod:`sim_mocks.friction` has it, with this level.
* ``memoryless``: s(v) v / (|v| + eps), eps so large that one step cannot reverse the velocity.

To each the viscous term ``viscous qd (s / (s + |qd|) + 0.35)`` (sub-linear) and the gear's torque ripple are added.
The profile's ``drift_train_to_test`` belongs to experiments and is not applied here.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np

from drivers.contract import Array
from sim_mocks.errors import FrictionError, ProfileError
from sim_mocks.friction import MAX_SPRING
from sim_mocks.profiles import Profile

FAMILIES = ("maxwell_slip", "lugre", "memoryless")
_SHARES = (0.10, 0.20, 0.30, 0.40)
"""Of the level, by element."""
_STIFFNESS = (0.40, 0.30, 0.20, 0.10)
"""Of the presliding stiffness, by element: those that slip first are the stiffest."""
_DAMPING = 0.1
"""Damping ratio of a sticking joint against its smallest inertia."""
_WANDER_TIME = 8.0
"""Time constant of the level's slow noise (an Ornstein-Uhlenbeck process), s."""
_BLOCK = 4096


class GearFriction:
    """Friction and gear ripple of n joints: :meth:`begin` each tick, :meth:`advance` each step of the physics."""

    def __init__(self, profile: Profile, dt: float, inv_inertia: Array) -> None:
        """``dt``: step of the physics, s; ``inv_inertia``: largest diagonal of M⁻¹, rotors included, (n,).

        Raises ProfileError for a family that does not exist, FrictionError for a law unstable at this step.
        """
        section, gear, n = profile.section("friction"), profile.section("gear"), profile.n
        self.family = section.text("family", FAMILIES[0])
        if self.family not in FAMILIES:
            raise ProfileError(f"friction.family: read {self.family!r}; expected one of {', '.join(FAMILIES)}")
        rng = np.random.default_rng([profile.seed, zlib.crc32(b"gear friction")])
        spread, ripples, phases, periods = (
            rng.uniform(0.85, 1.15, (2, n)), rng.uniform(0.0, math.tau, n), rng.uniform(0.0, math.tau, n),
            rng.integers(1, 4, n),
        )  # fmt: skip
        self.n, self.dt = n, dt
        coulomb = section.vector("coulomb") * spread[0]
        stiffness = section.vector("presliding_stiffness", 5000.0)
        spring = dt * np.sqrt(stiffness * inv_inertia)
        if not (spring < MAX_SPRING).all():
            raise FrictionError(
                f"presliding stiffness {stiffness} N·m/rad is unstable at a step of {dt} s: dt·sqrt(K/I) = "
                f"{spring.max():.2f}, allowed is {MAX_SPRING}; use more sub-steps"
            )
        viscous = section.vector("viscous") * spread[1]
        if not (viscous * 1.35 * dt * inv_inertia < 1.0).all():
            raise FrictionError(f"viscous friction {viscous} N·m·s/rad is unstable at a step of {dt} s")
        static = section.vector("static_over_coulomb", 1.0)
        damping = 2.0 * _DAMPING * np.sqrt(stiffness / inv_inertia)
        epsilon = np.maximum(1e-3, 1.5 * static * coulomb * dt * inv_inertia)
        columns = (
            coulomb, static - 1.0, 1.0 / section.vector("stribeck_velocity", 0.05) ** 2, viscous,
            section.vector("sublinear_velocity", 0.5), section.vector("asymmetry"), section.vector("load_dependence"),
            stiffness, damping, epsilon,
        )  # fmt: skip
        self._rows = list(zip(*(column.tolist() for column in columns), strict=True))
        self._ripple, self._periods, self._phases = section.vector("position_ripple"), periods, ripples
        self._gear_ripple = gear.vector("torque_ripple")
        self._gear_period = gear.number("ripple_per_motor_rev") * gear.number("ratio", 1.0)
        self._gear_phase = phases
        self._noise = section.number("level_noise")
        self._wander = np.zeros(n)
        self._rng = np.random.default_rng([profile.seed, zlib.crc32(b"friction level")])
        self._draws, self._used = np.zeros((0, n)), 0
        self._time = 0.0
        self._z = [[0.0] * len(_SHARES) for _ in range(n)]
        self._level, self._extra = coulomb.tolist(), [0.0] * n

    def begin(self, t: float, q: Array, motor: Sequence[float]) -> None:
        """A tick begins at ``t`` s in posture ``q`` (n,) under the motor torque (n,), N·m."""
        factor = 1.0 + self._ripple * np.sin(self._periods * q + self._phases)
        if self._noise > 0.0:
            factor = factor * (1.0 + self._drift(t - self._time))
        self._time = t
        self._extra = (self._gear_ripple * np.sin(self._gear_period * q + self._gear_phase)).tolist()
        self._level = [
            row[0] * k + row[6] * abs(tau) for row, k, tau in zip(self._rows, factor.tolist(), motor, strict=True)
        ]

    def advance(self, qd: Sequence[float]) -> list[float]:
        """Friction torque (n,), N·m, of the coming step at velocity ``qd`` (n,); subtract it from the motor's."""
        law = {"maxwell_slip": self._maxwell, "lugre": self._lugre, "memoryless": self._memoryless}[self.family]
        out = []
        for i, (row, v) in enumerate(zip(self._rows, qd, strict=True)):
            _, extra, w, viscous, s, asymmetry, _, stiffness, damping, epsilon = row
            sign = 1.0 if v >= 0.0 else -1.0
            speed = abs(v)
            level = self._level[i] * (1.0 + sign * asymmetry) * (1.0 + extra * math.exp(-w * v * v))
            dry = law(self._z[i], v, level, stiffness, damping, epsilon)
            out.append(dry + viscous * v * (s / (s + speed) + 0.35) + self._extra[i])
        return out

    def reset(self) -> None:
        """All elements relaxed."""
        self._z = [[0.0] * len(_SHARES) for _ in range(self.n)]

    def _maxwell(self, z: list[float], v: float, level: float, stiffness: float, damping: float, _: float) -> float:
        total = 0.0
        stuck = 0.0
        step = v * self.dt * stiffness
        for k, (share, part) in enumerate(zip(_SHARES, _STIFFNESS, strict=True)):
            most = share * level
            force = z[k] + part * step
            if force > most:
                force = most
            elif force < -most:
                force = -most
            else:
                stuck += part
            z[k] = force
            total += force
        return total + stuck * damping * v

    def _lugre(self, z: list[float], v: float, level: float, stiffness: float, damping: float, _: float) -> float:
        if level <= 0.0:
            return 0.0
        before = z[0]
        after = z[0] = (before + self.dt * v) / (1.0 + self.dt * stiffness * abs(v) / level)
        return stiffness * after + damping * (after - before) / self.dt

    def _memoryless(self, z: list[float], v: float, level: float, _k: float, _d: float, epsilon: float) -> float:
        return level * v / (abs(v) + epsilon)

    def _drift(self, dt: float) -> Array:
        if self._used == len(self._draws):
            self._draws, self._used = self._rng.standard_normal((_BLOCK, self.n)), 0
        keep = math.exp(-dt / _WANDER_TIME)
        draw = self._draws[self._used]
        self._used += 1
        self._wander = keep * self._wander + self._noise * math.sqrt(1.0 - keep * keep) * draw
        return self._wander

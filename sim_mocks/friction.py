"""LuGre joint friction, integrated semi-implicitly so that joints really stick at 1 kHz.

Bristle state z (rad) with stiffness s0, damping s1 and viscous term s2, per joint::

    dz/dt = v − s0 |v| z / g(v),    g(v) = Fc + (Fs − Fc) exp(−(v / vs)²)
    tau   = s0 z + s1 dz/dt + s2 v

after Canudas de Wit, Olsson, Åström, Lischinsky, "A new model for control of systems with friction", IEEE TAC
40 (1995). With z taken at the end of the step where it decays, ``z⁺ = (z + dt v) / (1 + dt s0 |v| / g)``, the
bristle cannot overshoot; what is left to bound is the spring-damper of the bristle against the joint's inertia.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from drivers.contract import Array
from sim_mocks.errors import FrictionError

MAX_SPRING = 1.2
"""Largest ``dt sqrt(s0 / I)``. Measured on a simulated arm: still stable at 1.64, unstable at 2.3."""
MAX_DAMPER = 0.3
"""Largest ``s1 dt / I``; 0.5 destabilised joints whose spring term alone was fine."""
MAX_VISCOUS = 1.0
"""Largest ``s2 dt / I``: beyond it the explicit viscous term reverses the velocity within one step."""


class LuGre:
    """Friction of n independent joints. Positive torque opposes positive velocity: subtract it from the motor's.

    Args (all per joint, shape ``(n,)`` or a number for all, SI):
        coulomb: sliding friction Fc, N·m; zero switches the joint's dry friction off.
        stribeck_extra: (Fs − Fc) / Fc.
        stribeck_velocity: vs, rad/s.
        viscous: s2, N·m·s/rad.
        presliding_angle: deflection at which the joint breaks away; s0 = Fs / presliding_angle, rad.
        bristle_damping: s1, N·m·s/rad.
        dt: time step, s.
        inv_inertia: largest diagonal entries of ``M(q)⁻¹`` in the workspace, 1/(kg·m²).

    Raises FrictionError if a number is not finite or out of range, or if the law is unstable at this dt.
    """

    def __init__(
        self,
        coulomb: npt.ArrayLike,
        stribeck_extra: npt.ArrayLike,
        stribeck_velocity: npt.ArrayLike,
        viscous: npt.ArrayLike,
        presliding_angle: npt.ArrayLike,
        bristle_damping: npt.ArrayLike,
        dt: float,
        inv_inertia: Array,
    ) -> None:
        n = len(inv_inertia)
        fc, extra, vs, s2, angle, s1 = (
            np.broadcast_to(np.asarray(value, dtype=np.float64), (n,))
            for value in (coulomb, stribeck_extra, stribeck_velocity, viscous, presliding_angle, bristle_damping)
        )
        everything = np.concatenate([fc, extra, vs, s2, angle, s1, [dt], inv_inertia])
        if not np.isfinite(everything).all():
            raise FrictionError("a friction parameter is not finite; check the friction section of the profile")
        if min(fc.min(), extra.min(), s2.min(), s1.min()) < 0.0 or min(vs.min(), angle.min(), dt) <= 0.0:
            raise FrictionError(
                "expected coulomb, stribeck_extra, viscous and bristle_damping of at least 0, and stribeck_velocity, "
                f"presliding_angle and dt above 0; read {fc}, {extra}, {s2}, {s1}, {vs}, {angle}, {dt}"
            )
        fs = fc * (1.0 + extra)
        s0 = fs / angle
        s1 = np.where(fc > 0.0, s1, 0.0)
        self.n = n
        self.dt = dt
        self.stick_limit: Array = fs
        """Torque up to which a joint sticks, N·m, shape ``(n,)``."""
        self.stiffness: Array = s0
        """s0, N·m/rad, shape ``(n,)``."""
        self._check_stability(s1, s2, inv_inertia)
        # plain floats: seven joints in a Python loop cost less than a dozen numpy calls on seven numbers
        self._rows = list(zip(*(a.tolist() for a in (fc, fs - fc, 1.0 / vs**2, s0, s1, s2)), strict=True))
        self._z = [0.0] * n
        self._level = [1.0] * n

    def _check_stability(self, s1: Array, s2: Array, inv_inertia: Array) -> None:
        figures = (
            ("bristle stiffness, dt·sqrt(s0/I)", self.dt * np.sqrt(self.stiffness * inv_inertia), MAX_SPRING),
            ("bristle damping, s1·dt/I", s1 * self.dt * inv_inertia, MAX_DAMPER),
            ("viscous friction, s2·dt/I", s2 * self.dt * inv_inertia, MAX_VISCOUS),
        )
        for what, figure, limit in figures:
            worst = int(np.argmax(figure))
            if not figure[worst] < limit:
                raise FrictionError(
                    f"friction of joint {worst + 1} is unstable at dt = {self.dt:g} s and I = "
                    f"{1.0 / inv_inertia[worst]:.3g} kg·m²: {what} = {figure[worst]:.2f}, allowed is {limit:g}; "
                    "use more sub-steps, or a softer or less damped bristle"
                )

    @property
    def bristle(self) -> Array:
        """Deflection z of the bristles, rad, shape ``(n,)``."""
        return np.array(self._z)

    def set_level(self, level: Sequence[float]) -> None:
        """Multiply the dry friction of each joint by ``level`` from now on (drift, ripple over position)."""
        self._level = list(level)

    def torque(self, qd: Array) -> Array:
        """Advance the bristles by ``dt`` at velocity qd (n,), rad/s, and return the friction torque (n,), N·m."""
        return np.array(self.advance(qd.tolist()))

    def advance(self, qd: Sequence[float]) -> list[float]:
        """As :meth:`torque`, on plain floats: the form for the hot path."""
        z, level, dt = self._z, self._level, self.dt
        tau = [0.0] * self.n
        for i, (fc, fx, w, s0, s1, s2) in enumerate(self._rows):
            v = qd[i]
            if s0 == 0.0:
                tau[i] = s2 * v
                continue
            before = z[i]
            slip = dt * s0 * abs(v) / (level[i] * (fc + fx * math.exp(-w * v * v)))
            after = z[i] = (before + dt * v) / (1.0 + slip)
            tau[i] = s0 * after + s1 * (after - before) / dt + s2 * v
        return tau

    def reset(self) -> None:
        """All bristles relaxed."""
        self._z = [0.0] * self.n

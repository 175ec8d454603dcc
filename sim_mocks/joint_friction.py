"""The friction of an arm's joints as its profile describes it: the law, and how its level wanders."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pinocchio as pin

from drivers.contract import Array
from sim_mocks.errors import ProfileError
from sim_mocks.friction import LuGre
from sim_mocks.gear_friction import GearFriction
from sim_mocks.profiles import Profile

_POSTURES = 64
"""Arm postures over which the law's stability is judged."""
_RIPPLES_PER_TURN = 3.0


class JointFriction(Protocol):
    """The friction of an arm: once a tick :meth:`begin`, once a step of the physics :meth:`advance`."""

    def begin(self, t: float, q: Array, motor: Sequence[float]) -> None:
        """A tick begins at ``t`` s in posture ``q`` (n,) rad under the motor torque (n,), N·m."""
        ...

    def advance(self, qd: Sequence[float]) -> list[float]:
        """Friction torque (n,), N·m, of the coming step at velocity ``qd`` (n,) rad/s."""
        ...

    def reset(self) -> None:
        """Relaxed, as under closed brakes."""
        ...


class FrictionLevel:
    """Slow drift and position ripple of the dry friction (``coulomb_drift_per_hour``, ``position_ripple``)."""

    def __init__(self, drift_per_hour: float, ripple: float, phase: Array) -> None:
        self._drift = drift_per_hour / 3600.0
        self._ripple = ripple
        self._phase = phase

    @classmethod
    def of(cls, profile: Profile) -> FrictionLevel | None:
        """The level of a profile; None where it neither drifts nor ripples. The ripple's phase is drawn."""
        section = profile.section("friction")
        drift, ripple = section.number("coulomb_drift_per_hour"), section.number("position_ripple")
        rng = np.random.default_rng([profile.seed, zlib.crc32(b"friction ripple phase")])
        phase = rng.uniform(0.0, 2.0 * math.pi, profile.n)
        return cls(drift, ripple, phase) if drift or ripple else None

    def at(self, t: float, q: Array) -> list[float]:
        """Factor on each joint's dry friction after ``t`` seconds at ``q`` (n,) rad."""
        ripple = 1.0 + self._ripple * np.sin(_RIPPLES_PER_TURN * q + self._phase)
        level: list[float] = ((1.0 + self._drift * t) * ripple).tolist()
        return level


class WanderingLuGre:
    """A LuGre law whose level drifts and ripples; see :class:`JointFriction`."""

    def __init__(self, law: LuGre, level: FrictionLevel | None) -> None:
        self._law, self._level = law, level
        self.advance, self.reset = law.advance, law.reset

    def begin(self, t: float, q: Array, motor: Sequence[float]) -> None:
        """See :class:`JointFriction`."""
        if self._level is not None:
            self._law.set_level(self._level.at(t, q))


def joint_friction(profile: Profile, model: pin.Model, q0: Array, dt: float) -> JointFriction | None:
    """The friction of an arm, None where the profile has none; ``dt`` is the physics' step in s.

    A section with ``presliding_stiffness`` is that of a geared arm. Raises FrictionError if the law would be unstable
    in some posture, ProfileError for one that does not exist.
    """
    section = profile.section("friction")
    if not section:
        return None
    inv_inertia = largest_inverse_inertia(model, q0)
    if "presliding_stiffness" in section:
        return GearFriction(profile, dt, inv_inertia)
    law = section.text("law", "lugre")
    if law != "lugre":
        raise ProfileError(f"profile {profile.device}.{profile.name}: read friction law {law!r}; expected 'lugre'")
    lugre = LuGre(
        section.vector("coulomb"),
        section.vector("stribeck_extra"),
        section.vector("stribeck_velocity", 0.15),
        section.vector("viscous"),
        section.vector("presliding_angle", 0.0015),
        section.vector("bristle_damping"),
        dt,
        inv_inertia,
    )
    return WanderingLuGre(lugre, FrictionLevel.of(profile))


def largest_inverse_inertia(model: pin.Model, q0: Array) -> Array:
    """Largest diagonal of M⁻¹ over q0 (n,) and a fixed sample of postures, 1/(kg·m²): each joint at its lightest."""
    data = model.createData()
    rng = np.random.default_rng(0)
    postures = rng.uniform(model.lowerPositionLimit, model.upperPositionLimit, (_POSTURES, model.nq))
    largest: Array = np.max([np.diag(pin.computeMinverse(model, data, q)) for q in (q0, *postures)], axis=0)
    return largest

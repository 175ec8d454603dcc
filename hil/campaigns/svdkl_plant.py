"""A simulated iiwa with known torque, for campaigns over learnt inverse dynamics: Pinocchio alone, no bus and no world.

Rhythmic motions, followed exactly; the torque is that of perturbed inertials and of friction between motor and sensor
that depends on velocity alone; noise on everything that is measured. How wrong the arm is says the profile ``iiwa`` of
``sim_mocks/physics_profiles.yaml``, drawn from a seed: seed 3 is one arm and one set of motions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt
import pinocchio as pin

from estimators.dynamics.samples import Samples
from estimators.rigid_body import BodyInertia, RigidBodyModel
from sim_mocks.profiles import load_profile

Array = npt.NDArray[np.float64]

RATE = 25.0
"""Samples a second: neighbours are then no copies of each other."""
SECONDS = 10.0
"""Of a motion."""
HOME = np.array([0.0, 0.6, 0.0, -1.2, 0.0, 1.0, 0.0])
"""Around which the motions are, rad."""
SPREAD = 0.25
"""Of their centres around it, rad."""
HARMONICS = 3
FREQUENCY = (0.1, 0.5)
"""Of the first harmonic, Hz."""
AMPLITUDE = 0.22
"""Of the first harmonic at most, rad; the k-th has a k-th of it."""
TOOL = BodyInertia(1.0, np.array([0.0, 0.0, 0.105]), np.diag([0.004, 0.004, 0.003]))
"""Known, on the flange."""
NOISE = (1e-4, 2e-3, 2e-2)
"""Of measured position rad, velocity rad/s and acceleration rad/s²."""
_REST = 0.05
"""Velocity below which friction does not act fully, rad/s."""
_SHARE = 0.9
"""Of the joints' speed limits that a motion may use."""


@cache
def nominal_model() -> RigidBodyModel:
    """What is known of every arm of the campaign."""
    return RigidBodyModel(files("hil").joinpath("models/iiwa14.urdf").read_text(encoding="utf-8"), TOOL)


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """One arm: its true rigid body, friction and noise. Vectors are (7,)."""

    seed: int
    model: pin.Model
    coulomb: Array
    """N·m."""
    viscous: Array
    """N·m·s/rad."""
    breakaway: float
    """How much more friction there is at rest, relative to ``coulomb``."""
    stribeck: float
    """Velocity over which that is gone, rad/s."""
    tau_noise: Array
    """Standard deviation, N·m."""

    def friction(self, qd: Array) -> Array:
        """Torque (…, 7) N·m that friction takes at ``qd`` (…, 7) rad/s."""
        stick = 1.0 + self.breakaway * np.exp(-((qd / self.stribeck) ** 2))
        return self.coulomb * stick * np.tanh(qd / _REST) + self.viscous * qd


def draw(seed: int, profile: str = "standard") -> Arm:
    """The arm ``seed``; ``profile`` ``ideal`` is the nominal one without friction and noise."""
    nominal = nominal_model()
    p = load_profile("iiwa", profile, seed, nominal.n)
    inertials, friction = p.section("plant_inertials"), p.section("friction")
    mass, shift = inertials.vector("mass_factor", 1.0), inertials.array("com_shift", (nominal.n, 3))
    bare = RigidBodyModel(files("hil").joinpath("models/iiwa14.urdf").read_text(encoding="utf-8"))
    model = bare.model.copy()
    for j in range(nominal.n):
        body, tool = bare.model.inertias[j + 1], nominal.model.inertias[j + 1] - bare.model.inertias[j + 1]
        link = pin.Inertia(body.mass * mass[j], body.lever + shift[j], body.inertia * mass[j])
        if tool.mass > 0.5 * TOOL.mass:
            heavier = inertials.number("tool_mass_factor", 1.0)
            link = link + pin.Inertia(tool.mass * heavier, tool.lever, tool.inertia * heavier)
        model.inertias[j + 1] = link
    return Arm(
        seed,
        model,
        friction.vector("coulomb"),
        friction.vector("viscous"),
        friction.number("stribeck_extra"),
        friction.number("stribeck_velocity", 0.15),
        p.section("sensors").vector("tau_noise"),
    )


def rhythmic(arm: Arm, motion: int, seconds: float = SECONDS, rate: float = RATE) -> Samples:
    """Measured samples of the ``motion``-th motion of this arm; its number is the trajectory's.

    q_j(t) = c_j + Σ_k a_jk sin(2π k f_j t + φ_jk), all of it drawn, slower where a joint would be too fast.
    """
    rng = np.random.default_rng([arm.seed, motion, 20])
    n, K = arm.model.nq, HARMONICS
    k = np.arange(1, K + 1)
    centre = HOME + rng.uniform(-SPREAD, SPREAD, n)
    a = AMPLITUDE * rng.uniform(0.5, 1.0, (n, K)) / k
    w = math.tau * rng.uniform(*FREQUENCY, n)[:, None] * k
    w *= np.minimum(1.0, _SHARE * arm.model.velocityLimit / np.abs(a * w).sum(axis=1))[:, None]
    angle = w * (np.arange(round(seconds * rate)) / rate)[:, None, None] + rng.uniform(0.0, math.tau, (n, K))
    q = centre + (a * np.sin(angle)).sum(axis=2)
    qd = (a * w * np.cos(angle)).sum(axis=2)
    qdd = -(a * w**2 * np.sin(angle)).sum(axis=2)
    data = arm.model.createData()
    tau = np.array([pin.rnea(arm.model, data, *row) for row in zip(q, qd, qdd, strict=True)]) + arm.friction(qd)
    level = NOISE if arm.tau_noise.any() else (0.0, 0.0, 0.0)
    q, qd, qdd = (part + sd * rng.standard_normal(q.shape) for part, sd in zip((q, qd, qdd), level, strict=True))
    tau = tau + arm.tau_noise * rng.standard_normal(q.shape)
    return Samples(q, qd, qdd, tau, np.full(len(q), motion, dtype=np.int64))


def joined(parts: list[Samples]) -> Samples:
    """All samples, one after another."""
    q, qd, qdd, tau = (np.concatenate([getattr(part, name) for part in parts]) for name in ("q", "qd", "qdd", "tau"))
    return Samples(q, qd, qdd, tau, np.concatenate([part.trajectory for part in parts]))

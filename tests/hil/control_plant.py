"""A simulated arm for closed-loop tests: what the controllers know is nominal, what moves is not."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import hil
from drivers.contract import ArmState, Array, RobotSample
from estimators.differentiator import FadingMemoryDifferentiator
from estimators.rigid_body import BodyInertia, RigidBodyModel
from hil.control import Controller
from hil.motion import Motion, Reference

URDF = (Path(hil.__file__).parent / "models" / "iiwa14.urdf").read_text()
TOOL = BodyInertia(1.2, np.array([0.0, 0.002, 0.06]), np.diag([2e-3, 2e-3, 1e-3]))
HEAVY_TOOL = BodyInertia(1.32, TOOL.com, TOOL.inertia)
TCP = np.array([0.0, 0.0, 0.15])
HOME = np.array([0.0, 0.45, 0.0, -1.35, 0.0, 1.35, 0.0])
DT = 1e-3
ADDS = frozenset({"gravity"})


def nominal() -> RigidBodyModel:
    return RigidBodyModel(URDF, TOOL, TCP)


def perturbed(seed: int) -> RigidBodyModel:
    """The arm with masses off by up to 10 %, centres of mass by 8 mm, a tool that is 10 % too heavy."""
    rng = np.random.default_rng(seed)
    root = ET.fromstring(URDF)
    for inertial in root.iter("inertial"):
        mass, origin, inertia = (inertial.find(k) for k in ("mass", "origin", "inertia"))
        assert mass is not None
        assert origin is not None
        assert inertia is not None
        factor = rng.uniform(0.9, 1.1)
        mass.set("value", str(float(mass.get("value", "")) * factor))
        for key, value in inertia.attrib.items():
            inertia.set(key, str(float(value) * factor))
        com = np.array(origin.get("xyz", "").split(), dtype=float) + rng.uniform(-0.008, 0.008, 3)
        origin.set("xyz", " ".join(map(str, com)))
    return RigidBodyModel(ET.tostring(root, encoding="unicode"), HEAVY_TOOL, TCP)


@dataclass
class Step:
    t: float
    phase: str
    reference: Reference
    sample: RobotSample
    tau: Array
    q: Array
    qd: Array
    x: Array
    R: Array
    force: Array


class Plant:
    """The robot adds *nominal* gravity. Positions are noisy, quantised and ``delay`` ticks old, as is the force.

    ``friction`` scales LuGre friction in the size of a 14 kg arm's; ``plate``: height of a spring-damper plate
    (3e4 N/m, 300 N·s/m, friction 0.3), None: free space.
    """

    def __init__(self, seed: int | None = 0, noise: float = 1e-5, delay: int = 1, friction: float = 0.0,
                 plate: float | None = None, gravity: bool = True) -> None:  # fmt: skip
        self.true = nominal() if seed is None else perturbed(seed)
        self.robot = nominal()
        self.rng = np.random.default_rng(seed or 0)
        self.noise, self.plate, self.gravity = noise, plate, gravity
        self.coulomb = friction * np.array([1.5, 2.0, 1.0, 1.0, 0.35, 0.3, 0.1])
        self.viscous = friction * np.array([1.0, 1.5, 0.6, 0.8, 0.2, 0.2, 0.04])
        self.bristle = np.zeros(7)
        self.q, self.qd = HOME.copy(), np.zeros(7)
        self.force = np.zeros(3)
        self.tau = np.zeros(7)
        self.seq = 0
        self._q_old = [HOME.copy()] * (delay + 1)
        self._force_old = [np.zeros(3)] * 4
        self._differentiator = FadingMemoryDifferentiator()
        self._differentiator.reset(HOME)

    def read(self) -> tuple[RobotSample, Array]:
        self._q_old = [*self._q_old[1:], self.q.copy()]
        self._force_old = [*self._force_old[1:], self.force + self.rng.normal(0.0, 5e3 * self.noise, 3)]
        q = self._q_old[0]
        if self.noise > 0.0:
            q = np.round((q + self.rng.normal(0.0, self.noise, 7)) / 1e-5) * 1e-5
        qd, qdd = self._differentiator.update(q, DT)
        self.seq += 1
        nan = np.full(7, np.nan)
        sample = RobotSample(self.seq * 1_000_000, self.seq, True, True, 0, DT, q, qd, qdd, nan, nan, q,
                             self.tau.copy(), self.tau.copy(), q, ArmState.COMMANDED)  # fmt: skip
        return sample, np.concatenate((self._force_old[0], np.zeros(3)))

    def step(self, tau: Array, substeps: int = 2) -> None:
        self.tau = tau.copy()
        h = DT / substeps
        for _ in range(substeps):
            total = tau + self.robot.gravity(self.q) if self.gravity else tau.copy()
            if self.coulomb.any():
                stiffness = 1.3 * self.coulomb / 1.5e-3
                level = self.coulomb * (1.0 + 0.3 * np.exp(-((self.qd / 0.15) ** 2)))
                self.bristle = (self.bristle + h * self.qd) / (1.0 + h * stiffness * np.abs(self.qd) / level)
                total -= stiffness * self.bristle + self.viscous * self.qd
            if self.plate is not None:
                total += self._contact()
            self.qd = self.qd + h * self.true.forward(self.q, self.qd, total)
            self.q = self.q + h * self.qd

    def _contact(self) -> Array:
        dyn = self.true.update(self.q, self.qd)
        depth = self.plate - dyn.x[2]
        self.force = np.zeros(3)
        if depth > 0.0:
            v = dyn.J[:3] @ self.qd
            press = max(0.0, 3e4 * depth - 300.0 * v[2])
            self.force[:2] = -0.3 * press * v[:2] / max(float(np.hypot(v[0], v[1])), 1e-3)
            self.force[2] = press
        return dyn.J[:3].T @ self.force


def run(plant: Plant, controller: Controller, motion: Motion, duration: float | None = None, sensor: bool = True,
        tau_initial: Array | None = None) -> list[Step]:  # fmt: skip
    """Close the loop at 1 kHz from HOME; the truth of each tick beside what the controller saw and asked for."""
    model = nominal()
    sample, wrench = plant.read()
    dyn = model.update(sample.q, sample.qd)
    motion.start(sample.q, dyn.x, dyn.R)
    controller.reset(sample, dyn, tau_initial)
    steps = []
    for k in range(round((motion.duration if duration is None else duration) / DT)):
        t = k * DT
        reference = motion.at(t)
        tau = controller.torque(sample, dyn, reference, wrench if sensor else None, DT)
        x, R = plant.true.fk(plant.q)
        steps.append(Step(t, motion.phase(t), reference, sample, tau, plant.q, plant.qd, x, R, plant.force.copy()))
        plant.step(tau)
        sample, wrench = plant.read()
        dyn = model.update(sample.q, sample.qd)
    return steps

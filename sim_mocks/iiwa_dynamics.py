"""The robot controller's own physics: its imperfect gravity model and its noisy, delayed sensors."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from drivers.contract import Array
from estimators.rigid_body import BodyInertia, RigidBodyModel


class GravityModel(Protocol):
    """What the controller knows of the arm: the torque that holds it."""

    def gravity(self, q: Array) -> Array:
        """Gravity torque at ``q`` (n,), N·m, shape (n,)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ControllerPhysics:
    """The controller's share of an ``iiwa`` physics profile, drawn; the defaults are the ideal robot.

    Joint vectors have shape (n,); s, rad, N·m.
    """

    mass_factor: Array
    """Error of the controller's model: factor on each moving link's mass and inertia."""
    tau_noise: Array
    tau_bias: Array
    q_noise: float = 0.0
    q_quantum: float = 0.0
    delay_ticks: int = 0
    """Age of what the sensors report, in ticks of the world."""
    engage_delay: float = 0.05
    """From the brakes' signal to closed brakes."""
    bridging: float = 0.010
    """How long the last overlay is held when commands fail to come (at least 3 periods)."""

    @classmethod
    def ideal(cls, n: int = 7) -> ControllerPhysics:
        """A controller with a perfect model and exact sensors."""
        return cls(np.ones(n), np.zeros(n), np.zeros(n))


def controller_model(urdf_xml: str, mass_factor: Array, tool: BodyInertia | None) -> RigidBodyModel:
    """The controller's model: the nominal URDF with its link masses off by ``mass_factor`` (n,), and the load data.

    The factors belong to the child links of the moving joints in the order of the chain. Raises
    ``estimators.errors.ModelError`` for a URDF that makes no arm.
    """
    root = ET.fromstring(urdf_xml)
    moving = [joint for joint in root.iter("joint") if joint.get("type") in ("revolute", "continuous", "prismatic")]
    children = [child.get("link") for joint in moving if (child := joint.find("child")) is not None]
    factors = dict(zip(children, mass_factor.tolist(), strict=True))
    for link in root.iter("link"):
        factor, inertial = factors.get(link.get("name")), link.find("inertial")
        if factor is None or inertial is None:
            continue
        for tag in ("mass", "inertia"):
            element = inertial.find(tag)
            if element is not None:
                for key, value in element.attrib.items():
                    element.set(key, repr(float(value) * factor))
    return RigidBodyModel(ET.tostring(root, encoding="unicode"), tool)


class SensorModel:
    """Joint position and link torque as the robot reports them: delayed, noisy, biased, quantised."""

    def __init__(self, physics: ControllerPhysics, rng: np.random.Generator) -> None:
        self._physics, self._rng = physics, rng
        self._n = len(physics.tau_bias)
        self._depth = physics.delay_ticks + 1
        self._q = np.zeros((self._depth, self._n))
        self._tau = np.zeros((self._depth, self._n))
        self._count = 0
        self._noisy = physics.q_noise > 0.0 or bool(np.any(physics.tau_noise > 0.0))

    def push(self, q: Array, tau_link: Array) -> None:
        """Take this tick's truth; call once per tick."""
        if self._count == 0:  # before the first tick the arm stood where it stands
            self._q[:], self._tau[:] = q, tau_link
        slot = self._count % self._depth
        self._q[slot], self._tau[slot] = q, tau_link
        self._count += 1

    def read(self) -> tuple[Array, Array]:
        """``q, tau_link`` as measured now, both (n,), fresh arrays."""
        slot = self._count % self._depth  # the oldest entry of the ring: delay_ticks old
        physics = self._physics
        q = self._q[slot].copy()
        tau = self._tau[slot] + physics.tau_bias
        if self._noisy:
            noise = self._rng.standard_normal(2 * self._n)
            q += physics.q_noise * noise[: self._n]
            tau += physics.tau_noise * noise[self._n :]
        if physics.q_quantum > 0.0:
            q = np.rint(q / physics.q_quantum) * physics.q_quantum
        return q, tau

"""What a simulated arm and its surroundings are to the mock devices, and how such a world is described.

This module is light (no PyBullet), so that a client that only writes a configuration can import it; the physics
is in :mod:`sim_mocks.bullet_world`.

Units are SI. Joint vectors have shape ``(n,)``, wrenches ``(6,)`` as ``[Fx Fy Fz Mx My Mz]``. "Base axes" are the
axes of the arm's base frame, which is also the world frame; gravity is along −z unless configured otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from drivers.contract import Array
from sim_mocks.errors import WorldError

Vec3 = tuple[float, float, float]
Mat3 = tuple[Vec3, Vec3, Vec3]

_NO_ROTATION: Vec3 = (0.0, 0.0, 0.0)


class ArmWorld(Protocol):
    """One arm with a wrench sensor and a tool at its flange, and what it may touch.

    All arrays are fresh in every tick and never changed afterwards, so they may be kept without a copy.
    Before the first :meth:`step` the load on the sensor is that of the arm at rest in ``q0`` and ``tau_link`` is
    the torque that holds it there.
    """

    n: int
    """Number of joints."""
    dt: float
    """Length of a tick, s."""
    q: Array
    """Joint positions after the last tick, rad; truth."""
    qd: Array
    """Joint velocities after the last tick, rad/s; truth."""
    tau_link: Array
    """Torque through the joint sensors, mean over the last tick, N·m, positive along +q: motor minus friction, or
    the load on the brakes while braked. A joint standing at its hard stop is carried behind the sensor."""
    wrench_sensor: Array
    """Load that tool and environment exert on the F/T sensor, in the sensor's frame at its origin (polarity of
    ``WrenchSample``), mean over the last tick: weight and inertia of the tool, contact on the tool, push."""
    tau_ext: Array
    """Truth: ``J(q)ᵀ`` times contact and push, each at its own point, N·m, at the posture the tick began with."""
    wrench_contact: Array
    """Truth: wrench of the environment on the robot (contact and push) about the TCP, base axes."""

    def step(self, tau_motor: Array, braked: bool | Sequence[bool]) -> None:
        """Advance one tick under the motor torque (n,), N·m; ``braked`` engages the holding brakes instead, of all
        joints or of those whose entry is True."""
        ...

    def push(self, wrench: Array | None) -> None:
        """Apply a constant external wrench (6,) at the TCP in base axes until changed; None: no more."""
        ...

    def attach(self, mass: float, com: Array) -> None:
        """Fix a payload to the tool: mass in kg, centre of mass (3,) in the flange frame, m."""
        ...

    def release(self) -> None:
        """Drop the payload; it vanishes."""
        ...

    def grasp(self) -> bool:
        """Close jaws at the TCP: the loose object is held if it lies within reach. Whether it is held."""
        ...

    def let_go(self) -> None:
        """Open the jaws: what they held falls."""
        ...

    def object_pose(self) -> tuple[Array, Array] | None:
        """Middle (3,) and rotation matrix (3, 3) of the loose object in the base frame; None where there is none."""
        ...

    def pose(self) -> tuple[Array, Array]:
        """Position (3,) and rotation matrix (3, 3) of the TCP in the base frame; truth."""
        ...

    def close(self) -> None:
        """Free the physics; legal more than once."""
        ...


@dataclass(frozen=True, slots=True)
class Plate:
    """A fixed box to press on. Its material is that of the ``contact`` profile."""

    surface: Vec3
    """Centre of the face that looks along the plate's own +z, base frame, m."""
    rpy: Vec3 = _NO_ROTATION
    """Roll, pitch, yaw (fixed axes) of the plate in the base frame, rad; at zero the face looks up."""
    half_extents: Vec3 = (0.20, 0.20, 0.02)
    """Half the edge lengths along the plate's own axes, m."""


@dataclass(frozen=True, slots=True)
class LooseObject:
    """A box that lies about and may be grasped. The floor is at height 0 of the base frame."""

    mass: float
    """kg."""
    size: Vec3
    """Edge lengths along its own axes, m."""
    position: Vec3
    """Its middle at the start, base frame, m."""
    rpy: Vec3 = _NO_ROTATION
    com: Vec3 = (0.0, 0.0, 0.0)
    """Centre of mass from its middle, in its own axes, m."""
    reach: float = 0.03
    """How far its middle may be from the TCP when the jaws close around it, m."""
    inertia: Mat3 | None = None
    """About the centre of mass, own axes, kg·m²; None: that of a homogeneous box."""


@dataclass(frozen=True, slots=True)
class WorldConfig:
    """Everything a world is built from. Plain numbers and tuples, so that it goes through JSON unchanged.

    The model given here is the *nominal* one that supervisor and robot controller also see; the plant differs
    from it as the physics profile says.
    """

    urdf: str
    """Text of the nominal URDF: a fixed base, revolute joints in a chain, a link named ``flange``."""
    q0: tuple[float, ...]
    """Joint positions at the start, rad; the arm begins at rest."""
    flange: str = "flange"
    """Name of the link that the sensor is mounted on."""
    tool_mass: float = 0.0
    """Mass of everything beyond the sensor, kg."""
    tool_com: Vec3 = (0.0, 0.0, 0.0)
    """Its centre of mass in the flange frame, m."""
    tool_inertia: Mat3 = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    """Its inertia about the centre of mass, axes of the flange frame, kg·m²."""
    sensor_pos: Vec3 = (0.0, 0.0, 0.0)
    """Origin of the F/T sensor's measuring frame in the flange frame, m."""
    sensor_rpy: Vec3 = _NO_ROTATION
    """Orientation of the sensor frame in the flange frame, rad. As mounted by the drawing; the small errors of
    mounting belong to the sensor's profile and are added by the sensor's device model."""
    tcp_pos: Vec3 = (0.0, 0.0, 0.1)
    """Tool centre point in the flange frame, m."""
    tcp_rpy: Vec3 = _NO_ROTATION
    """Orientation of the TCP in the flange frame, rad; its +z is the approach direction."""
    tip_radius: float = 0.01
    """Radius of the ball at the tool's tip, m. Its centre lies one radius behind the TCP along the TCP's −z, so
    that the TCP is the point that touches a surface met head-on."""
    plate: Plate | None = None
    loose: LooseObject | None = None
    dt: float = 1e-3
    """Length of a tick, s."""
    substeps: int = 1
    """Steps of the physics in each tick; 4 resolves impacts better."""
    gravity: Vec3 = (0.0, 0.0, -9.81)
    """m/s², base frame."""
    device: str = "iiwa"
    """Which device's physics profiles to use."""
    profile: str = "standard"
    """Name of the physics profile."""
    contact_profile: str = "plate"
    seed: int = 0
    max_joint_speed: float = field(default=100.0)
    """Numerical ceiling of the simulation, rad/s; far above anything an arm does."""

    def __post_init__(self) -> None:
        numbers: Sequence[float] = (
            *self.q0, self.tool_mass, *self.tool_com, *(x for row in self.tool_inertia for x in row),
            *self.sensor_pos, *self.sensor_rpy, *self.tcp_pos, *self.tcp_rpy, self.tip_radius, self.dt,
            *self.gravity, self.max_joint_speed,
        )  # fmt: skip
        if not all(math.isfinite(x) for x in numbers):
            raise WorldError("the world's configuration holds a number that is not finite; check q0, tool and poses")
        if self.tool_mass < 0.0 or self.dt <= 0.0 or self.substeps < 1 or self.tip_radius <= 0.0:
            raise WorldError(
                f"read tool_mass {self.tool_mass} kg, dt {self.dt} s, substeps {self.substeps}, tip_radius "
                f"{self.tip_radius} m; expected a mass of at least 0, positive dt and radius, at least one sub-step"
            )
        inertia = np.array(self.tool_inertia)
        if not np.allclose(inertia, inertia.T, atol=1e-12):
            raise WorldError("tool_inertia is not symmetric; give Ixy and Iyx (and so on) the same value")

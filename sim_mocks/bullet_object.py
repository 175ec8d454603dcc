"""A loose object in the PyBullet world: it lies, falls, and is held by jaws as a fixed constraint.

The jaws have no geometry: what lies within their reach when they close is held where it is, and arm and object never
touch otherwise. What the object does to the wrist follows from Newton and Euler with the acceleration that the engine
really gave it, as for the tool; the constraint's own force report is not used.
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pybullet as pb
from scipy.spatial.transform import Rotation

from drivers.contract import Array
from estimators.inertia import inertia_problem
from sim_mocks.contact_truth import ContactTruth
from sim_mocks.errors import WorldError
from sim_mocks.world import LooseObject

_BASE = -1
"""Link number of a body's base."""
_MATERIAL = {"lateralFriction": 0.8, "restitution": 0.0, "rollingFriction": 0.0, "spinningFriction": 0.0}


class BulletObject:
    """One box of a world. Its inertia is the configured one, or that of a homogeneous box; about its centre of mass."""

    def __init__(self, client: int, config: LooseObject, gravity: Array, plate: int) -> None:
        """``plate``: body that it may lie on, -1 for none; below there is a floor at height 0 of the base frame.

        Raises WorldError for a box or an inertia that cannot be.
        """
        numbers = (config.mass, *config.size, *config.com, *config.position, *config.rpy)
        if not all(math.isfinite(x) for x in numbers) or config.mass <= 0.0 or min(config.size) <= 0.0:
            raise WorldError(f"read {config}; expected finite numbers, a mass above 0 and three lengths above 0")
        self._inertia, moments, turned = _principal(config)
        self.config = config
        self._client, self._gravity = client, gravity
        self._turned: Array = turned
        """From the principal axes, in which the engine has the body, to its own (3, 3)."""
        plane = pb.createCollisionShape(pb.GEOM_PLANE, physicsClientId=client)
        self._floor: int = pb.createMultiBody(0.0, plane, physicsClientId=client)
        pb.changeDynamics(self._floor, _BASE, physicsClientId=client, **_MATERIAL)
        box = pb.createCollisionShape(
            pb.GEOM_BOX, halfExtents=[0.5 * edge for edge in config.size], physicsClientId=client
        )
        self._body: int = pb.createMultiBody(
            config.mass, box, _BASE, list(config.position), pb.getQuaternionFromEuler(config.rpy),
            baseInertialFramePosition=list(config.com), baseInertialFrameOrientation=_quaternion(turned),
            physicsClientId=client,
        )  # fmt: skip
        # Two calls: with damping in the same call the engine ignores the friction.
        pb.changeDynamics(self._body, _BASE, linearDamping=0.0, angularDamping=0.0, physicsClientId=client)
        pb.changeDynamics(self._body, _BASE, localInertiaDiagonal=moments, physicsClientId=client, **_MATERIAL)
        self._grounds = [body for body in (plate, self._floor) if body >= 0]
        self._constraint = -1
        self._contacts = ContactTruth({_BASE: 0}, _BASE)
        self._read()

    @property
    def held(self) -> bool:
        """The jaws hold it."""
        return self._constraint >= 0

    def pose(self) -> tuple[Array, Array]:
        """Middle of the box (3,) m and its orientation (3, 3), base frame."""
        return self._com - self._R @ np.array(self.config.com), self._R

    def keep_apart(self, arm: int) -> None:
        """The arm touches neither the object nor the floor; needed for each arm that is loaded."""
        client = self._client
        for link in range(-1, pb.getNumJoints(arm, physicsClientId=client)):
            for body in (self._body, self._floor):
                pb.setCollisionFilterPair(arm, body, link, _BASE, 0, physicsClientId=client)

    def grasp(self, arm: int, link: int, tcp: Array) -> bool:
        """Hold it where it is, fixed to the arm's ``link``, if its middle lies within reach of ``tcp`` (3,).

        Whether it is held.
        """
        if not self.held and float(np.linalg.norm(self.pose()[0] - tcp)) <= self.config.reach:
            self._tie(arm, link)
        return self.held

    def tie_again(self, arm: int, link: int) -> None:
        """The arm was loaded anew: hold on to the new one."""
        if self.held:
            self._tie(arm, link)

    def let_go(self) -> None:
        """Leave it to gravity. It keeps the speed that it has."""
        if self.held:
            pb.removeConstraint(self._constraint, physicsClientId=self._client)
            self._constraint = -1

    # -- the tick ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A tick begins."""
        self._contacts = ContactTruth({_BASE: 0}, _BASE)

    def after_substep(self) -> None:
        """Note what it touches."""
        for body in self._grounds:
            self._contacts.add(pb.getContactPoints(self._body, body, physicsClientId=self._client))

    def end(self, dt: float) -> tuple[Array, Array]:
        """The tick of ``dt`` s is over. What the object does to the arm about the world's origin, base axes, (6,) each:
        its weight and inertia, and, summed over the sub-steps, what it touches. Zeros while it is not held."""
        com, R, v, w = self._com, self._R, self._v, self._w
        self._read()
        if not self.held:
            return np.zeros(6), np.zeros(6)
        force = self.config.mass * (self._gravity - (self._v - v) / dt)
        inertia = R @ self._inertia @ R.T
        moment = -inertia @ ((self._w - w) / dt) - np.cross(w, inertia @ w) + np.cross(com, force)
        return np.concatenate([force, moment]), self._contacts.total()

    def _read(self) -> None:
        """Centre of mass, its velocity, orientation and angular velocity as they are now."""
        client = self._client
        position, orientation = pb.getBasePositionAndOrientation(self._body, physicsClientId=client)
        linear, angular = pb.getBaseVelocity(self._body, physicsClientId=client)
        self._com, self._v, self._w = np.array(position), np.array(linear), np.array(angular)
        self._R: Array = np.array(pb.getMatrixFromQuaternion(orientation)).reshape(3, 3) @ self._turned.T

    def _tie(self, arm: int, link: int) -> None:
        client = self._client
        state: Any = pb.getLinkState(arm, link, computeForwardKinematics=1, physicsClientId=client)
        body = pb.getBasePositionAndOrientation(self._body, physicsClientId=client)
        # Frames of a constraint are given from the centres of mass, and so are these two poses.
        at, turned = pb.multiplyTransforms(*pb.invertTransform(state[0], state[1]), *body)
        self._constraint = pb.createConstraint(
            arm, link, self._body, _BASE, pb.JOINT_FIXED, [0.0] * 3, at, [0.0] * 3, turned, [0.0, 0.0, 0.0, 1.0],
            physicsClientId=client,
        )  # fmt: skip


def _principal(config: LooseObject) -> tuple[Array, list[float], Array]:
    """Inertia (3, 3) in the body's axes, principal moments (3,), and the rotation (3, 3) from principal axes to them.

    Raises WorldError for an inertia that no body has.
    """
    if config.inertia is None:
        a, b, c = config.size
        moments = [config.mass / 12.0 * (y * y + z * z) for y, z in ((b, c), (a, c), (a, b))]
        return np.diag(moments), moments, np.eye(3)
    inertia = np.array(config.inertia)
    if not np.isfinite(inertia).all() or (problem := inertia_problem(inertia)):
        said = problem if np.isfinite(inertia).all() else "the object's inertia is not finite"
        raise WorldError(f"{said}: {inertia.tolist()} kg·m²; give it about the centre of mass")
    moments_, axes = np.linalg.eigh(inertia)
    axes[:, 2] *= np.linalg.det(axes)  # a rotation, no mirror image
    return inertia, moments_.tolist(), axes


def _quaternion(R: Array) -> list[float]:
    """x, y, z, w."""
    return cast(list[float], Rotation.from_matrix(R).as_quat().tolist())

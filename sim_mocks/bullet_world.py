"""The world in PyBullet: arm, wrench sensor, tool, plate. The only module that imports PyBullet.

Choices that measurement dictated:

* Sub-steps are a loop of our own, torque sent before each: the engine's own sub-stepping reports contact forces
  too small by their number, and torque control acts for one step only.
* The wrench is the mean over the sub-steps; a contact force of a single one depends on its length.
* The sensor's reaction comes as the parent's wrench *on* the child, about the child's centre of mass, in the axes
  of the child's inertial frame; it is turned into the load on the sensor in the sensor's own frame.
* Payloads: PyBullet cannot move a link's centre of mass, so the arm is loaded anew with the payload merged into
  the tool, at the same q and qd. Exact, and it costs milliseconds only when something is attached.

Brakes are velocity motors at zero with 1.5 times the rated torque of each joint; while they hold, the drives are
off (``tau_motor`` is ignored) and the friction model rests. The arm does not collide with itself. Joint limits of
the URDF are hard stops. All parts of the arm collide with the plate except the base.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from typing import Any

import numpy as np
import pinocchio as pin
import pybullet as pb

from drivers.contract import Array
from estimators.rigid_body import BodyInertia
from sim_mocks.contact_truth import ContactTruth
from sim_mocks.errors import WorldError
from sim_mocks.joint_friction import FrictionLevel, joint_friction
from sim_mocks.plant_urdf import SENSOR_JOINT, combine, payload_body, perturbed, plant_tool, with_tool
from sim_mocks.profiles import load_profile
from sim_mocks.world import Plate, WorldConfig

BRAKE_FACTOR = 1.5
"""Brake torque over rated torque."""
_ITERATIONS, _ITERATIONS_BRAKED = 50, 100
"""Solver iterations; with 50 and seven brakes the arm would creep at some 1e-5 rad/s."""


class BulletWorld:
    """See :class:`sim_mocks.world.ArmWorld`. Deterministic: same configuration and inputs, same bits.

    Raises WorldError, ProfileError or FrictionError where the configuration cannot be simulated.
    """

    def __init__(self, config: WorldConfig) -> None:
        self.config = config
        self.n = n = len(config.q0)
        self.dt = config.dt
        profile = load_profile(config.device, config.profile, config.seed, n)
        self._arm = perturbed(config.urdf, config.flange, profile)
        self._tool = plant_tool(config, profile)
        self._substeps = config.substeps
        self._braked = False
        self._push: Array | None = None
        self._time = 0.0
        self._client: int = pb.connect(pb.DIRECT)
        try:
            self._setup(config)
            self._load(self._tool, [*config.q0], [0.0] * n)
            self._friction = joint_friction(profile, self._model, np.array(config.q0), config.dt / config.substeps)
        except BaseException:
            self.close()
            raise
        self._friction_level = FrictionLevel.of(profile)

        self.q: Array = np.array(config.q0, dtype=np.float64)
        self.qd: Array = np.zeros(n)
        self._qd = [0.0] * n
        self.tau_link: Array = pin.computeGeneralizedGravity(self._model, self._data, self.q).copy()
        self.tau_ext: Array = np.zeros(n)
        self.wrench_contact: Array = np.zeros(6)
        self.wrench_sensor: Array = self._static_load()

    # -- the tick ------------------------------------------------------------------------------------------------

    def step(self, tau_motor: Array, braked: bool) -> None:
        """One tick; see :meth:`ArmWorld.step`. Raises WorldError for torque that is not finite or not (n,)."""
        motor = tau_motor.tolist()
        n, body, client = self.n, self._body, self._client
        if len(motor) != n or not math.isfinite(sum(motor)):
            raise WorldError(f"read motor torque {motor}; expected {n} finite values")
        if braked != self._braked:
            self._engage(braked)
        friction, plate, qd = self._friction, self._plate, self._qd
        if self._friction_level is not None and friction is not None:
            friction.set_level(self._friction_level.at(self._time, self.q))
        tau_sum, load_sum = np.zeros(n), np.zeros(6)
        contacts = ContactTruth(self._joints_below)
        states: Any = ()
        for _ in range(self._substeps):
            if not braked:
                if friction is not None:
                    drag = friction.advance(qd)
                    link = [a - b for a, b in zip(motor, drag, strict=True)]
                else:
                    link = motor
                tau_sum += link
                pb.setJointMotorControlArray(body, self._joints, pb.TORQUE_CONTROL, forces=link, physicsClientId=client)
            if self._push is not None:
                self._apply_push(self._push, [s[0] for s in states[:n]] if states else self.q)
            pb.stepSimulation(physicsClientId=client)
            states = pb.getJointStates(body, self._joints_and_sensor, physicsClientId=client)
            qd = [s[1] for s in states[:n]]
            load_sum += states[n][2]
            if braked:
                tau_sum += [s[3] for s in states[:n]]
            if plate >= 0:
                contacts.add(pb.getContactPoints(body, plate, physicsClientId=client))
        self._time += self.dt
        self._qd = qd
        self.q = np.array([s[0] for s in states[:n]])
        self.qd = np.array(qd)
        scale = 1.0 / self._substeps
        self.tau_link = tau_sum * scale
        self.wrench_sensor = self._to_load @ (load_sum * scale)
        if contacts.touched or self._push is not None:
            pin.computeJointJacobians(self._model, self._data, self.q)
            tcp = self._tcp()
            truth = contacts.wrench_and_torque(scale, self._data.J, tcp.translation, self._push)
            self.wrench_contact, self.tau_ext = truth
        else:
            self.wrench_contact, self.tau_ext = np.zeros(6), np.zeros(n)

    def push(self, wrench: Array | None) -> None:
        """See :meth:`ArmWorld.push`. Raises WorldError for a wrench that is not finite or not (6,)."""
        if wrench is None:
            self._push = None
            return
        wrench = np.array(wrench, dtype=np.float64)
        if wrench.shape != (6,) or not np.isfinite(wrench).all():
            raise WorldError(f"read wrench {wrench}; expected six finite values Fx Fy Fz Mx My Mz")
        self._push = wrench

    def attach(self, mass: float, com: Array) -> None:
        """See :meth:`ArmWorld.attach`; a payload already there is replaced. Raises WorldError for an impossible one."""
        self._reload(combine(self._tool, payload_body(mass, com)))

    def release(self) -> None:
        """See :meth:`ArmWorld.release`."""
        self._reload(self._tool)

    def pose(self) -> tuple[Array, Array]:
        """See :meth:`ArmWorld.pose`."""
        pin.forwardKinematics(self._model, self._data, self.q)
        tcp = self._tcp()
        return tcp.translation.copy(), tcp.rotation.copy()

    def close(self) -> None:
        """Free the physics client; legal more than once."""
        client, self._client = self._client, -1
        if client >= 0:
            pb.disconnect(physicsClientId=client)

    # -- building ------------------------------------------------------------------------------------------------

    def _setup(self, config: WorldConfig) -> None:
        client = self._client
        pb.setPhysicsEngineParameter(
            fixedTimeStep=config.dt / config.substeps,
            numSubSteps=1,
            deterministicOverlappingPairs=1,
            solverResidualThreshold=0.0,
            physicsClientId=client,
        )
        pb.setGravity(*config.gravity, physicsClientId=client)
        self._plate = -1 if config.plate is None else _make_plate(client, config.plate, config)
        self._body = -1

    def _load(self, tool: BodyInertia, q: list[float], qd: list[float]) -> None:
        """Put the arm with ``tool`` (flange frame) into the world, in place of the one before."""
        client, config = self._client, self.config
        urdf = with_tool(self._arm, config, tool)
        if self._body >= 0:
            pb.removeBody(self._body, physicsClientId=client)
        self._body = body = _load_urdf(client, urdf)
        joints = {}
        for i in range(pb.getNumJoints(body, physicsClientId=client)):
            info = pb.getJointInfo(body, i, physicsClientId=client)
            joints[info[1].decode()] = (i, info[2], info[10])
        self._joints = [i for i, kind, _ in joints.values() if kind == pb.JOINT_REVOLUTE]
        rated = [effort for _, kind, effort in joints.values() if kind == pb.JOINT_REVOLUTE]
        if min(rated) <= 0.0:
            raise WorldError(f"read rated torques {rated}; expected positive <limit effort> for every joint (brakes)")
        self._brake_torque = [BRAKE_FACTOR * torque for torque in rated]
        self._sensor = joints[SENSOR_JOINT][0]
        self._joints_and_sensor = [*self._joints, self._sensor]
        self._joints_below = {link: sum(j <= link for j in self._joints) for link in range(-1, len(joints))}
        for link in range(-1, len(joints)):
            pb.changeDynamics(
                body, link, linearDamping=0.0, angularDamping=0.0, jointDamping=0.0, restitution=0.0,
                lateralFriction=1.0, spinningFriction=0.0, rollingFriction=0.0,
                maxJointVelocity=config.max_joint_speed, physicsClientId=client,
            )  # fmt: skip
        if self._plate >= 0:
            pb.setCollisionFilterPair(body, self._plate, -1, -1, 0, physicsClientId=client)
        for i, position, velocity in zip(self._joints, q, qd, strict=True):
            pb.resetJointState(body, i, position, velocity, physicsClientId=client)
        pb.enableJointForceTorqueSensor(body, self._sensor, True, physicsClientId=client)

        dynamics = pb.getDynamicsInfo(body, self._sensor, physicsClientId=client)
        self._to_load = _reaction_to_load(dynamics[3], dynamics[4])
        self._model = pin.buildModelFromXML(urdf)
        self._model.gravity.linear = np.array(config.gravity)
        self._data = self._model.createData()
        sensor = self._model.frames[self._model.getFrameId(SENSOR_JOINT)]
        in_flange = pin.SE3(pin.rpy.rpyToMatrix(np.array(config.sensor_rpy)), np.array(config.sensor_pos))
        tcp = pin.SE3(pin.rpy.rpyToMatrix(np.array(config.tcp_rpy)), np.array(config.tcp_pos))
        self._sensor_placement = sensor.placement
        self._tcp_placement = sensor.placement * in_flange.inverse() * tcp
        self._carried = tool
        self._engage(self._braked)

    def _reload(self, tool: BodyInertia) -> None:
        self._load(tool, self.q.tolist(), self.qd.tolist())

    def _engage(self, braked: bool) -> None:
        pb.setJointMotorControlArray(
            self._body, self._joints, pb.VELOCITY_CONTROL, targetVelocities=[0.0] * self.n,
            forces=self._brake_torque if braked else [0.0] * self.n, physicsClientId=self._client,
        )  # fmt: skip
        pb.setPhysicsEngineParameter(
            numSolverIterations=_ITERATIONS_BRAKED if braked else _ITERATIONS, physicsClientId=self._client
        )
        if braked and not self._braked and self._friction is not None:
            self._friction.reset()
        self._braked = braked

    # -- parts of a tick -----------------------------------------------------------------------------------------

    def _tcp(self) -> pin.SE3:
        """Pose of the TCP in the posture that Pinocchio was given last."""
        return self._data.oMi[self.n] * self._tcp_placement

    def _apply_push(self, wrench: Array, q: Any) -> None:
        pin.forwardKinematics(self._model, self._data, np.asarray(q))
        point = self._tcp().translation.tolist()
        f, body, client = wrench.tolist(), self._body, self._client
        pb.applyExternalForce(body, self._sensor, f[:3], point, pb.WORLD_FRAME, physicsClientId=client)
        pb.applyExternalTorque(body, self._sensor, f[3:], pb.WORLD_FRAME, physicsClientId=client)

    def _static_load(self) -> Array:
        pin.forwardKinematics(self._model, self._data, self.q)
        config = self.config
        in_flange = pin.SE3(pin.rpy.rpyToMatrix(np.array(config.sensor_rpy)), np.array(config.sensor_pos))
        sensor = self._data.oMi[self.n] * self._sensor_placement
        weight = sensor.rotation.T @ (self._carried.mass * np.array(config.gravity))
        return np.concatenate([weight, np.cross(in_flange.inverse().act(self._carried.com), weight)])


def _reaction_to_load(com: tuple[float, ...], orientation: tuple[float, ...]) -> Array:
    """(6, 6) matrix from PyBullet's reaction at the sensor joint to the load on the sensor at its frame's origin."""
    R = np.array(pb.getMatrixFromQuaternion(orientation)).reshape(3, 3)
    load = np.zeros((6, 6))
    load[:3, :3] = load[3:, 3:] = -R
    load[3:, :3] = -pin.skew(np.array(com)) @ R
    return load


def _load_urdf(client: int, urdf: str) -> int:
    handle, path = tempfile.mkstemp(suffix=".urdf")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(urdf)
        body: int = pb.loadURDF(path, useFixedBase=True, flags=pb.URDF_USE_INERTIA_FROM_FILE, physicsClientId=client)
    except pb.error as error:
        raise WorldError(f"the physics engine refused the plant's URDF: {error}") from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
    return body


def _make_plate(client: int, plate: Plate, config: WorldConfig) -> int:
    if not all(math.isfinite(x) for x in (*plate.surface, *plate.rpy)) or not all(h > 0.0 for h in plate.half_extents):
        raise WorldError(f"read {plate}; expected a finite pose and positive half extents")
    material = load_profile("contact", config.contact_profile, config.seed)
    R = pin.rpy.rpyToMatrix(np.array(plate.rpy))
    centre = np.array(plate.surface) - R[:, 2] * plate.half_extents[2]
    shape = pb.createCollisionShape(pb.GEOM_BOX, halfExtents=plate.half_extents, physicsClientId=client)
    body: int = pb.createMultiBody(
        0.0, shape, -1, centre.tolist(), pb.getQuaternionFromEuler(plate.rpy), physicsClientId=client
    )
    pb.changeDynamics(
        body, -1, restitution=0.0, spinningFriction=0.0, rollingFriction=0.0,
        lateralFriction=material.number("friction"), physicsClientId=client,
    )  # fmt: skip
    if "stiffness" in material:
        pb.changeDynamics(
            body, -1, contactStiffness=material.number("stiffness"), contactDamping=material.number("damping"),
            physicsClientId=client,
        )  # fmt: skip
    return body

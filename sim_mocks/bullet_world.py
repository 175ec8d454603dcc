"""The world in PyBullet: arm, wrench sensor, tool, plate. With :mod:`sim_mocks.bullet_object` the only module that
imports PyBullet.

Choices that measurement dictated:

* Sub-steps are a loop of our own, torque sent before each: the engine's own sub-stepping reports contact forces
  too small by their number, and torque control acts for one step only.
* Contact forces are means over the sub-steps; that of a single one depends on its length.
* The load on the F/T sensor follows from Newton and Euler: weight of the tool, less its mass times the acceleration
  that the engine really gave it, plus contact on the tool and push. The engine's own joint sensor agrees at rest and
  in contact, but adds terms quadratic in speed (0.9 N at 5 rad/s with a tool of 1.2 kg), which a real one does not.
* Payloads: PyBullet cannot move a link's centre of mass, so the arm is loaded anew with the payload merged into
  the tool, at the same q and qd. Exact, and it costs milliseconds only when something is attached. An object that
  jaws hold is another body instead, on a fixed constraint; its load on the sensor agrees with that of a payload.

* The engine knows no rotor inertia. Where the profile has ``armature`` (kg·m² at the joint), each step gives the
  engine the torque that makes its arm accelerate as the arm with rotors would: forward dynamics with armature under
  the same torque and the last contact, less armature times that acceleration. In contact this lags by one tick,
  which acts as damping (of stiffness times tick).

Brakes are velocity motors at zero with 1.5 times the rated torque of each joint; where they hold, the drive is
off (``tau_motor`` is ignored) and the friction model rests. The arm does not collide with itself. Joint limits of
the URDF are hard stops. All parts of the arm collide with the plate except the base.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import pinocchio as pin
import pybullet as pb

from drivers.contract import Array
from estimators.inertia import BodyInertia, combined
from sim_mocks.bullet_object import BulletObject
from sim_mocks.contact_truth import ContactTruth
from sim_mocks.errors import WorldError
from sim_mocks.joint_friction import joint_friction
from sim_mocks.plant_urdf import SENSOR_JOINT, payload_body, perturbed, plant_tool, se3, with_tool
from sim_mocks.profiles import load_profile
from sim_mocks.world import ArmWorld, Plate, WorldConfig

BRAKE_FACTOR = 1.5
"""Brake torque over rated torque."""
_HOLD_RATE, _HOLD_REACH = 20.0, 1e-4
"""The engine's brakes creep a little under load: they draw back at this rate, 1/s, to where they gripped, which
trails a slipping joint by this angle, rad."""


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
        self._braked, self._time = (False,) * n, 0.0
        self._tau_held: Array = np.zeros(n)
        self._push: Array | None = None
        factor = profile.section("plant_inertials").vector("armature_factor", 1.0)
        self._armature: Array = profile.vector("armature") * factor
        self._geared = bool(self._armature.any())
        self.q: Array = np.array(config.q0, dtype=np.float64)
        self.qd: Array = np.zeros(n)
        self._client: int = pb.connect(pb.DIRECT)
        try:
            self._setup(config)
            self._load(self._tool)
            self._friction = joint_friction(profile, self._model, self.q, config.dt / config.substeps)
        except BaseException:
            self.close()
            raise
        self._qd = [0.0] * n
        self.tau_link: Array = pin.computeGeneralizedGravity(self._model, self._data, self.q).copy()
        self.tau_ext: Array = np.zeros(n)
        self.wrench_contact: Array = np.zeros(6)
        pin.forwardKinematics(self._model, self._data, self.q, self.qd, self.qd)
        self.wrench_sensor: Array = self._load_of_tool()

    # -- the tick ------------------------------------------------------------------------------------------------

    def step(self, tau_motor: Array, braked: bool | Sequence[bool]) -> None:
        """One tick; see :meth:`ArmWorld.step`. Raises WorldError for torque that is not finite or not (n,)."""
        motor = tau_motor.tolist()
        n, body, client = self.n, self._body, self._client
        if len(motor) != n or not math.isfinite(sum(motor)):
            raise WorldError(f"read motor torque {motor}; expected {n} finite values")
        mask = (braked,) * n if isinstance(braked, bool) else tuple(braked)
        if mask != self._braked:
            self._engage(mask)
        held, free = any(mask), not all(mask)
        brake_load = self._hold() if held else []
        friction, plate, loose, qd = self._friction, self._plate, self._loose, self._qd
        if friction is not None and free:
            friction.begin(self._time, self.q, motor)
        tau_sum = np.zeros(n)
        contacts = ContactTruth(self._joints_below, self._sensor)
        states: Any = ()
        if loose is not None:
            loose.begin()
        for _ in range(self._substeps):
            if not free:
                link = brake_load
            else:
                link = motor
                if friction is not None:
                    link = [tau - drag for tau, drag in zip(motor, friction.advance(qd), strict=True)]
                if held:
                    link = [load if on else tau for load, tau, on in zip(brake_load, link, mask, strict=True)]
            tau_sum += link
            if self._geared and free:
                link = self._without_rotors(link, [s[0] for s in states] if states else self.q, qd)
            pb.setJointMotorControlArray(body, self._joints, pb.TORQUE_CONTROL, forces=link, physicsClientId=client)
            if self._push is not None:
                self._apply_push(self._push, [s[0] for s in states] if states else self.q)
            pb.stepSimulation(physicsClientId=client)
            states = pb.getJointStates(body, self._joints, physicsClientId=client)
            qd = [s[1] for s in states]
            if held:
                tau_sum += [s[3] if on else 0.0 for s, on in zip(states, mask, strict=True)]
            if plate >= 0:
                contacts.add(pb.getContactPoints(body, plate, physicsClientId=client))
            if loose is not None:
                loose.after_substep()
        before, speed_before = self.q, self.qd
        self._time += self.dt
        self._qd = qd
        self.q, self.qd = np.array([s[0] for s in states]), np.array(qd)
        self.tau_link = tau_sum / self._substeps
        model, data = self._model, self._data
        pin.forwardKinematics(model, data, before, speed_before, (self.qd - speed_before) / self.dt)
        load = self._load_of_tool()
        if loose is not None:
            carried, touched = loose.end(self.dt)
            contacts.pass_on(touched)
            load += self._on_sensor(carried)
            self._tau_held = pin.computeJointJacobians(model, data).T @ carried if loose.held else np.zeros(n)
        if contacts.touched or self._push is not None:
            pin.computeJointJacobians(model, data)
            truth = contacts.evaluate(1.0 / self._substeps, data.J, self._tcp().translation, self._push)
            self.wrench_contact, self.tau_ext = truth.wrench, truth.tau
            load += self._on_sensor(truth.on_tool)
        else:
            self.wrench_contact, self.tau_ext = np.zeros(6), np.zeros(n)
        self.wrench_sensor = load

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
        self._load(combined(self._tool, payload_body(mass, com)))

    def release(self) -> None:
        """See :meth:`ArmWorld.release`."""
        self._load(self._tool)

    def grasp(self) -> bool:
        """See :meth:`ArmWorld.grasp`."""
        loose = self._loose
        return loose is not None and loose.grasp(self._body, self._sensor, self.pose()[0])

    def let_go(self) -> None:
        """See :meth:`ArmWorld.let_go`."""
        if self._loose is not None:
            self._loose.let_go()

    def object_pose(self) -> tuple[Array, Array] | None:
        """See :meth:`ArmWorld.object_pose`."""
        return None if self._loose is None else self._loose.pose()

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
            fixedTimeStep=config.dt / config.substeps, numSubSteps=1, deterministicOverlappingPairs=1,
            solverResidualThreshold=0.0, physicsClientId=client,
        )  # fmt: skip
        pb.setGravity(*config.gravity, physicsClientId=client)
        self._plate = -1 if config.plate is None else _make_plate(client, config.plate, config)
        self._loose = (
            None if config.loose is None else BulletObject(client, config.loose, np.array(config.gravity), self._plate)
        )
        self._body = -1

    def _load(self, tool: BodyInertia) -> None:
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
        self._joints_below = {link: sum(j <= link for j in self._joints) for link in range(-1, len(joints))}
        # two calls: with damping in the same call the engine ignores the friction of a link
        pb.changeDynamics(
            body, -1, linearDamping=0.0, angularDamping=0.0, maxJointVelocity=config.max_joint_speed,
            physicsClientId=client,
        )  # fmt: skip
        for link in range(-1, len(joints)):
            pb.changeDynamics(body, link, lateralFriction=1.0, restitution=0.0, physicsClientId=client)
        if self._plate >= 0:
            pb.setCollisionFilterPair(body, self._plate, -1, -1, 0, physicsClientId=client)
        for i, position, velocity in zip(self._joints, self.q, self.qd, strict=True):
            pb.resetJointState(body, i, position, velocity, physicsClientId=client)
        if self._loose is not None:
            self._loose.keep_apart(body)
            self._loose.tie_again(body, self._sensor)
        self._model = pin.buildModelFromXML(urdf)
        self._model.armature = self._armature
        self._gravity = np.array(config.gravity)
        self._model.gravity.linear = self._gravity
        self._data = self._model.createData()
        sensor = self._model.frames[self._model.getFrameId(SENSOR_JOINT)]
        in_flange, tcp = se3(config.sensor_pos, config.sensor_rpy), se3(config.tcp_pos, config.tcp_rpy)
        self._sensor_placement = sensor.placement
        self._tcp_placement = sensor.placement * in_flange.inverse() * tcp
        inertia = pin.Inertia(tool.mass, tool.com, tool.inertia)
        self._tool_inertia = (self._sensor_placement * in_flange.inverse()).act(inertia)
        self._engage(self._braked)

    def _engage(self, braked: tuple[bool, ...]) -> None:
        self._gripped = self.q.tolist()
        if not any(braked):
            self._drive_brakes([0.0] * self.n, [0.0] * self.n)
        if all(braked) and not all(self._braked) and self._friction is not None:
            self._friction.reset()
        self._braked = braked

    def _drive_brakes(self, speed: list[float], torque: list[float]) -> None:
        pb.setJointMotorControlArray(
            self._body, self._joints, pb.VELOCITY_CONTROL, targetVelocities=speed, forces=torque,
            physicsClientId=self._client,
        )  # fmt: skip

    # -- parts of a tick -----------------------------------------------------------------------------------------

    def _tcp(self) -> pin.SE3:
        """Pose of the TCP in the posture that Pinocchio was given last."""
        return self._data.oMi[self.n] * self._tcp_placement

    def _hold(self) -> list[float]:
        """Set the brakes for this tick and return the load they carry in advance, from weight and last contact:
        with all of it left to the solver's iterations the joints would creep by milliradians a second."""
        gripped, q = self._gripped, self.q.tolist()
        for i, angle in enumerate(q):
            gripped[i] = min(max(gripped[i], angle - _HOLD_REACH), angle + _HOLD_REACH)
        speed = [_HOLD_RATE * (grip - angle) for grip, angle in zip(gripped, q, strict=True)]
        outer = self.tau_ext + self._tau_held
        weight = (pin.computeGeneralizedGravity(self._model, self._data, self.q) - outer).tolist()
        # never all of it in advance: a motor left with no torque at all reports that of the last step that had some
        load = [min(max(tau, -0.9 * most), 0.9 * most) for tau, most in zip(weight, self._brake_torque, strict=True)]
        rest = [
            most - abs(tau) if on else 0.0
            for tau, most, on in zip(load, self._brake_torque, self._braked, strict=True)
        ]
        self._drive_brakes(speed, rest)
        return load

    def _without_rotors(self, tau: list[float], q: Any, qd: Any) -> list[float]:
        """Torque that gives the engine's arm, which has no rotors, the acceleration that ``tau`` gives to the arm that
        has them. Joints under brakes do not accelerate."""
        model, data, armature = self._model, self._data, self._armature
        q, qd, total = np.asarray(q), np.asarray(qd), np.array(tau) + self.tau_ext
        if any(self._braked):
            free = [i for i, on in enumerate(self._braked) if not on]
            h = pin.nonLinearEffects(model, data, q, qd)
            M = pin.crba(model, data, q)
            M = np.triu(M) + np.triu(M, 1).T
            qdd = np.zeros(self.n)
            qdd[free] = np.linalg.solve(M[np.ix_(free, free)], (total - h)[free])
        else:
            qdd = pin.aba(model, data, q, qd, total)
        out: list[float] = (np.array(tau) - armature * qdd).tolist()
        return out

    def _apply_push(self, wrench: Array, q: Any) -> None:
        pin.forwardKinematics(self._model, self._data, np.asarray(q))
        point = self._tcp().translation.tolist()
        f, body, client = wrench.tolist(), self._body, self._client
        pb.applyExternalForce(body, self._sensor, f[:3], point, pb.WORLD_FRAME, physicsClientId=client)
        pb.applyExternalTorque(body, self._sensor, f[3:], pb.WORLD_FRAME, physicsClientId=client)

    def _on_sensor(self, wrench: Array) -> Array:
        """``wrench`` (6,) about the world's origin, base axes, as a load on the sensor, in its frame at its origin."""
        placement = self._data.oMi[self.n] * self._sensor_placement
        load: Array = placement.actInv(pin.Force(wrench)).vector
        return load

    def _load_of_tool(self) -> Array:
        """Weight and inertia of the tool on the sensor, for the motion that Pinocchio was given last."""
        data, n, inertia = self._data, self.n, self._tool_inertia
        a, v = data.a[n], data.v[n]
        a.linear -= data.oMi[n].rotation.T @ self._gravity
        wrench = inertia * a + v.cross(inertia * v)
        load: Array = -self._sensor_placement.actInv(wrench).vector
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


def open_world(config: WorldConfig) -> ArmWorld:
    """A fresh world of its own physics client. Raises WorldError, ProfileError or FrictionError."""
    return BulletWorld(config)

"""The simulated world: mechanics, the wrench sensor, contact, pushes, payloads, friction, brakes, repeatability."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pinocchio as pin
import pybullet as pb
import pytest

from drivers.contract import Array
from sim_mocks.bullet_world import BulletWorld, open_world
from sim_mocks.contact_truth import ContactTruth
from sim_mocks.errors import FrictionError, ProfileError, WorldError
from sim_mocks.plant_urdf import nominal_tool, payload_body, perturbed, plant_tool, with_tool
from sim_mocks.profiles import load_profile
from sim_mocks.world import ArmWorld, Plate, WorldConfig

DT = 1e-3
ZERO = np.zeros(7)
G = np.array([0.0, 0.0, -9.81])
IIWA14 = files("hil.models").joinpath("iiwa14.urdf").read_text(encoding="utf-8")
# the tool looks straight down; a crooked sensor and TCP, so that no frame is taken for another
Q_DOWN = tuple(np.radians([10.0, 25.0, 0.0, -90.0, 0.0, 65.0, 20.0]).tolist())
STRAIGHT = WorldConfig(
    urdf=IIWA14,
    q0=Q_DOWN,
    tool_mass=1.2,
    tool_com=(0.0, 0.002, 0.060),
    tool_inertia=((0.002, 0.0003, -0.0001), (0.0003, 0.0025, 0.0002), (-0.0001, 0.0002, 0.0012)),
    tcp_pos=(0.0, 0.0, 0.15),
    profile="ideal",
)
CROOKED = replace(
    STRAIGHT,
    sensor_pos=(0.003, 0.0, 0.02),
    sensor_rpy=(0.1, 0.2, 0.3),
    tcp_pos=(0.02, 0.0, 0.15),
    tcp_rpy=(0.0, 0.3, 0.1),
)


@pytest.fixture
def worlds() -> Iterator[list[ArmWorld]]:
    opened: list[ArmWorld] = []
    yield opened
    for world in opened:
        world.close()


class Twin:
    """Pinocchio's view of the plant, built from the configuration on its own."""

    def __init__(self, config: WorldConfig, payload: tuple[float, Array] | None = None) -> None:
        profile = load_profile(config.device, config.profile, config.seed)
        arm = perturbed(config.urdf, config.flange, profile)
        self.model = pin.buildModelFromXML(ET.tostring(arm, encoding="unicode"))
        self.flange = self.model.getFrameId(config.flange)
        placement = self.model.frames[self.flange].placement
        self.tool = plant_tool(config, profile)
        self.model.appendBodyToJoint(7, pin.Inertia(self.tool.mass, self.tool.com, self.tool.inertia), placement)
        if payload is not None:
            body = payload_body(*payload)
            self.model.appendBodyToJoint(7, pin.Inertia(body.mass, body.com, body.inertia), placement)
        self.data = self.model.createData()
        rotation = pin.rpy.rpyToMatrix(np.array(config.tcp_rpy))
        self.tcp_in_flange = pin.SE3(rotation, np.array(config.tcp_pos))
        self.sensor_in_flange = pin.SE3(pin.rpy.rpyToMatrix(np.array(config.sensor_rpy)), np.array(config.sensor_pos))

    def gravity(self, q: Array) -> Array:
        return np.array(pin.computeGeneralizedGravity(self.model, self.data, q))

    def frames(self, q: Array) -> tuple[pin.SE3, pin.SE3]:
        """TCP and sensor in the base frame."""
        pin.framesForwardKinematics(self.model, self.data, q)
        flange = self.data.oMf[self.flange]
        return flange * self.tcp_in_flange, flange * self.sensor_in_flange

    def jacobian(self, q: Array) -> Array:
        tcp, _ = self.frames(q)
        J = pin.computeFrameJacobian(self.model, self.data, q, self.flange, pin.ReferenceFrame.LOCAL_WORLD_ALIGNED)
        arm = tcp.translation - self.data.oMf[self.flange].translation
        J[:3] -= pin.skew(arm) @ J[3:]
        return np.array(J)

    def tool_load(self, q: Array, qd: Array, qdd: Array) -> Array:
        """Newton–Euler: weight and inertia of the tool as a load on the sensor, in its frame at its origin."""
        pin.forwardKinematics(self.model, self.data, q, qd, qdd)
        pin.updateFramePlacements(self.model, self.data)
        frame = pin.ReferenceFrame.LOCAL_WORLD_ALIGNED
        flange = self.data.oMf[self.flange]
        a = pin.getFrameClassicalAcceleration(self.model, self.data, self.flange, frame)
        w = pin.getFrameVelocity(self.model, self.data, self.flange, frame).angular
        c = flange.rotation @ self.tool.com
        inertia = flange.rotation @ self.tool.inertia @ flange.rotation.T
        a_com = a.linear + np.cross(a.angular, c) + np.cross(w, np.cross(w, c))
        force = self.tool.mass * (G - a_com)
        sensor = flange * self.sensor_in_flange
        lever = flange.translation + c - sensor.translation
        moment = np.cross(lever, force) - inertia @ a.angular - np.cross(w, inertia @ w)
        R = sensor.rotation.T
        return np.concatenate([R @ force, R @ moment])


def in_sensor(wrench_at_tcp: Array, tcp: pin.SE3, sensor: pin.SE3) -> Array:
    """A wrench at the TCP in base axes, moved to the sensor's origin and turned into its frame."""
    force = wrench_at_tcp[:3]
    moment = wrench_at_tcp[3:] + np.cross(tcp.translation - sensor.translation, force)
    return np.concatenate([sensor.rotation.T @ force, sensor.rotation.T @ moment])


@pytest.mark.parametrize("profile", ["ideal", "standard"])
def test_physics_and_pinocchio_agree_on_every_acceleration(worlds: list[ArmWorld], profile: str) -> None:
    """Random torque, tool attached; without friction |qdd| differs by rounding only."""
    config = replace(CROOKED, profile=profile, seed=2)
    twin, world = Twin(config), open_world(config)
    worlds.append(world)
    rng = np.random.default_rng(1)
    worst = 0.0
    for _ in range(300):
        q, qd = world.q, world.qd
        tau = twin.gravity(q) + rng.uniform(-1, 1, 7) * [30, 30, 10, 10, 2, 2, 0.5]
        world.step(tau, False)
        expected = pin.aba(twin.model, twin.data, q, qd, world.tau_link)
        worst = max(worst, float(np.abs((world.qd - qd) / DT - expected).max()))
        if profile == "ideal":
            np.testing.assert_array_equal(world.tau_link, tau)
    assert np.abs(world.qd).max() > 0.1
    assert worst < 1e-9


def test_the_sensor_carries_the_hanging_tool(worlds: list[ArmWorld]) -> None:
    world = open_world(STRAIGHT)
    worlds.append(world)
    # tool down: the sensor's z looks down, so the weight pulls along +z
    expected = np.array([0.0, 0.0, 1.2 * 9.81, 0.002 * 1.2 * 9.81, 0.0, 0.0])
    np.testing.assert_allclose(world.wrench_sensor, expected, atol=1e-9)
    gravity = Twin(STRAIGHT).gravity(world.q)
    np.testing.assert_allclose(world.tau_link, gravity, atol=1e-9)
    for _ in range(20):
        world.step(gravity, False)
    np.testing.assert_allclose(world.wrench_sensor, expected, atol=1e-6)


def test_the_sensor_follows_newton_and_euler_in_fast_motion(worlds: list[ArmWorld]) -> None:
    twin, world = Twin(CROOKED), open_world(CROOKED)
    worlds.append(world)
    rng = np.random.default_rng(3)
    tau, worst, largest = ZERO, 0.0, 0.0
    for k in range(400):
        q, qd = world.q, world.qd
        if k % 20 == 0:
            tau = rng.uniform(-1, 1, 7) * [60, 60, 20, 20, 3, 3, 0.3]
        world.step(twin.gravity(q) + tau, False)
        expected = twin.tool_load(q, qd, (world.qd - qd) / DT)
        worst = max(worst, float(np.abs(world.wrench_sensor - expected).max()))
        largest = max(largest, float(np.linalg.norm(world.wrench_sensor[:3])))
    assert largest > 20.0, "far from static"
    assert worst < 1e-6


@pytest.mark.parametrize("axis", range(6))
@pytest.mark.parametrize("size", [-15.0, 15.0])
def test_pushes_at_the_tcp_reach_sensor_and_joints_with_their_sign(
    worlds: list[ArmWorld], axis: int, size: float
) -> None:
    twin, world = Twin(CROOKED), open_world(CROOKED)
    worlds.append(world)
    push = np.zeros(6)
    push[axis] = size if axis < 3 else 0.1 * size
    world.push(push)
    q, qd = world.q, world.qd
    world.step(twin.gravity(q), False)
    qdd = (world.qd - qd) / DT
    tcp, sensor = twin.frames(q)
    external = twin.jacobian(q).T @ push
    np.testing.assert_allclose(qdd, pin.aba(twin.model, twin.data, q, qd, twin.gravity(q) + external), atol=1e-9)
    load = world.wrench_sensor - twin.tool_load(q, qd, qdd)
    np.testing.assert_allclose(load, in_sensor(push, tcp, sensor), atol=1e-6)
    np.testing.assert_array_equal(world.wrench_contact, push)
    np.testing.assert_allclose(world.tau_ext, external, atol=1e-9)
    world.push(None)
    world.step(twin.gravity(world.q), False)
    assert not world.wrench_contact.any()
    assert not world.tau_ext.any()


def press(world: ArmWorld, twin: Twin, force: Array, ticks: int, hold: pin.SE3 | None = None) -> None:
    """Gravity compensation, damping shaped by the inertia, and a force in base axes at the TCP.

    ``hold`` adds springs on orientation and, where no force is asked for, on position.
    """
    for _ in range(ticks):
        M = pin.crba(twin.model, twin.data, world.q)
        J = twin.jacobian(world.q)
        wrench = np.concatenate([force, np.zeros(3)])
        if hold is not None:
            tcp, _ = twin.frames(world.q)
            wrench[:3] += np.where(force == 0.0, 2000.0, 0.0) * (hold.translation - tcp.translation)
            wrench[3:] += 20.0 * pin.log3(hold.rotation @ tcp.rotation.T)
        world.step(twin.gravity(world.q) - M @ (60.0 * world.qd) + J.T @ wrench, False)


@pytest.mark.parametrize("substeps", [1, 4])
def test_pressing_with_twenty_newton(worlds: list[ArmWorld], substeps: int) -> None:
    tip = Twin(CROOKED).frames(np.array(Q_DOWN))[0]
    # the crooked TCP's approach axis is not the plate's normal: what touches is the ball, not the TCP itself
    ball = tip.translation - tip.rotation[:, 2] * 0.01
    plate = Plate(surface=(ball[0], ball[1], ball[2] - 0.0101))
    config = replace(CROOKED, plate=plate, substeps=substeps)
    twin, world = Twin(config), open_world(config)
    worlds.append(world)
    press(world, twin, np.array([0.0, 0.0, -20.0]), 1000, hold=tip)
    assert np.abs(world.qd).max() < 1e-3
    np.testing.assert_allclose(world.wrench_contact[2], 20.0, atol=0.1)
    tcp, sensor = twin.frames(world.q)
    ball = tcp.translation - tcp.rotation[:, 2] * 0.01
    lowest = ball - [0.0, 0.0, 0.01]
    depth = plate.surface[2] - lowest[2]
    assert depth == pytest.approx(20.0 / 30000.0, rel=0.02), "force over the plate's stiffness"
    np.testing.assert_allclose(
        world.wrench_contact[3:], np.cross(lowest - tcp.translation, world.wrench_contact[:3]), atol=0.02
    )
    load = world.wrench_sensor - twin.tool_load(world.q, world.qd, ZERO)
    np.testing.assert_allclose(load, in_sensor(world.wrench_contact, tcp, sensor), atol=0.01)
    np.testing.assert_allclose(world.tau_ext, twin.jacobian(world.q).T @ world.wrench_contact, atol=1e-3)


def engine_sensor(world: BulletWorld) -> tuple[int, Array]:
    """Switch the engine's own joint sensor on; the map from its reaction to a load on the sensor in our frame.

    The engine gives the parent's wrench on the child about the child's centre of mass, in its inertial axes.
    """
    pb.enableJointForceTorqueSensor(world._body, world._sensor, True, physicsClientId=world._client)
    info = pb.getDynamicsInfo(world._body, world._sensor, physicsClientId=world._client)
    R = np.array(pb.getMatrixFromQuaternion(info[4])).reshape(3, 3)
    load = np.zeros((6, 6))
    load[:3, :3] = load[3:, 3:] = -R
    load[3:, :3] = -pin.skew(np.array(info[3])) @ R
    return world._sensor, load


def test_the_engines_own_joint_sensor_agrees_while_sliding_under_load(worlds: list[ArmWorld]) -> None:
    """An independent witness, good to some mN at these speeds (its error grows with speed squared)."""
    tip = Twin(CROOKED).frames(np.array(Q_DOWN))[0]
    ball = tip.translation - tip.rotation[:, 2] * 0.01
    config = replace(CROOKED, plate=Plate(surface=(ball[0], ball[1], ball[2] - 0.0099)), profile="standard")
    twin, world = Twin(config), BulletWorld(config)
    worlds.append(world)
    sensor, load = engine_sensor(world)
    worst = 0.0
    for k in range(600):
        press(world, twin, np.array([0.0, 20.0 if k > 200 else 0.0, -20.0]), 1, hold=tip)
        reaction = np.array(pb.getJointState(world._body, sensor, physicsClientId=world._client)[2])
        worst = max(worst, float(np.abs(load @ reaction - world.wrench_sensor).max()))
    assert world.pose()[0][1] - tip.translation[1] > 0.01
    assert world.wrench_contact[2] > 5.0
    assert worst < 0.02


def test_sliding_friction_of_the_plate_acts_against_the_motion(worlds: list[ArmWorld]) -> None:
    tip = Twin(STRAIGHT).frames(np.array(Q_DOWN))[0]
    x, y, z = tip.translation
    config = replace(STRAIGHT, plate=Plate(surface=(x, y, z - 1e-4)))
    twin, world = Twin(config), open_world(config)
    worlds.append(world)
    press(world, twin, np.array([0.0, 0.0, -20.0]), 300, hold=tip)
    press(world, twin, np.array([0.0, 12.0, -20.0]), 300, hold=tip)
    before = world.pose()[0]
    press(world, twin, np.array([0.0, 12.0, -20.0]), 1, hold=tip)
    assert world.pose()[0][1] - before[1] > 5e-6, "sliding along +y"
    fx, fy, fz = world.wrench_contact[:3]
    assert fz == pytest.approx(20.0, abs=2.0)
    assert -fy == pytest.approx(0.3 * fz, rel=0.02), "Coulomb: friction coefficient of the plate times normal force"
    assert abs(fx) < 0.1 * fz


def test_the_tcp_is_the_point_that_touches_a_surface_met_head_on(worlds: list[ArmWorld]) -> None:
    x, y, z = Twin(STRAIGHT).frames(np.array(Q_DOWN))[0].translation
    for gap, touches in ((2e-5, False), (-2e-5, True)):
        world = open_world(replace(STRAIGHT, plate=Plate(surface=(x, y, z - gap))))
        worlds.append(world)
        world.step(Twin(STRAIGHT).gravity(world.q), False)
        assert bool(world.wrench_contact[2] > 0.1) is touches


def test_a_touch_on_the_forearm_loads_only_the_joints_below_it() -> None:
    truth = ContactTruth({3: 4, 7: 7}, tool=7)
    force, at = np.array([1.0, -2.0, 5.0]), np.array([0.3, 0.1, 0.8])

    def point(link: int) -> tuple[object, ...]:
        # normal along z, lateral directions x and y
        return (0, 0, 1, link, -1, tuple(at), (), (0, 0, 1), 0.0, 5.0, 1.0, (1, 0, 0), -2.0, (0, 1, 0))

    truth.add([point(3)])
    J = np.random.default_rng(0).normal(size=(6, 7))
    tcp = np.array([0.5, 0.0, 0.4])
    on_forearm = truth.evaluate(1.0, J, tcp, None)
    np.testing.assert_allclose(on_forearm.wrench, np.concatenate([force, np.cross(at - tcp, force)]))
    about_origin = np.concatenate([force, np.cross(at, force)])
    np.testing.assert_allclose(on_forearm.tau[:4], J[:, :4].T @ about_origin)
    assert not on_forearm.tau[4:].any()
    assert not on_forearm.on_tool.any(), "the sensor is beyond it"
    truth.add([point(7)])
    both = truth.evaluate(0.5, J, tcp, None)
    np.testing.assert_allclose(both.on_tool, 0.5 * about_origin)
    np.testing.assert_allclose(both.wrench, on_forearm.wrench)


def test_a_payload_adds_its_weight_and_inertia_and_release_takes_them_away(worlds: list[ArmWorld]) -> None:
    mass, com = 3.0, np.array([0.05, -0.02, 0.12])
    world, empty, loaded = open_world(CROOKED), Twin(CROOKED), Twin(CROOKED, (mass, com))
    worlds.append(world)
    press(world, empty, np.array([5.0, 0.0, 0.0]), 50)
    moving_q, moving_qd = world.q, world.qd
    world.attach(mass, com)
    tau = empty.gravity(moving_q)
    world.step(tau, False)
    expected = pin.aba(loaded.model, loaded.data, moving_q, moving_qd, tau)
    np.testing.assert_allclose((world.qd - moving_qd) / DT, expected, atol=1e-9)
    for _ in range(300):
        world.step(ZERO, True)
    np.testing.assert_allclose(world.tau_link, loaded.gravity(world.q), atol=1e-3)
    _, sensor = loaded.frames(world.q)
    payload_force = sensor.rotation.T @ (mass * G)
    lever = loaded.sensor_in_flange.actInv(com)
    weight = world.wrench_sensor - empty.tool_load(world.q, ZERO, ZERO)
    np.testing.assert_allclose(weight, [*payload_force, *np.cross(lever, payload_force)], atol=1e-3)
    world.release()
    world.step(ZERO, True)
    np.testing.assert_allclose(world.wrench_sensor, empty.tool_load(world.q, ZERO, ZERO), atol=1e-2)


def test_brakes_stop_the_arm_at_once_and_hold_it(worlds: list[ArmWorld]) -> None:
    twin, world = Twin(CROOKED), open_world(CROOKED)
    worlds.append(world)
    press(world, twin, np.array([60.0, 60.0, 0.0]), 300)
    assert np.abs(world.qd).max() > 0.05
    for _ in range(50):
        world.step(np.full(7, 30.0), True)
    held = world.q
    for _ in range(1000):
        world.step(ZERO, True)
    assert np.abs(world.q - held).max() < 1e-4
    assert np.abs(world.qd).max() < 1e-4
    np.testing.assert_allclose(world.tau_link, twin.gravity(world.q), atol=1e-4)
    world.push(np.array([100.0, -100.0, 100.0, 0.0, 0.0, 0.0]))
    for _ in range(500):
        world.step(ZERO, True)
    assert np.abs(world.q - held).max() < 1e-4
    np.testing.assert_allclose(world.tau_link, twin.gravity(world.q) - world.tau_ext, atol=1e-2)


def test_released_brakes_leave_nothing_behind(worlds: list[ArmWorld]) -> None:
    twin, world = Twin(CROOKED), open_world(CROOKED)
    worlds.append(world)
    for _ in range(10):
        world.step(ZERO, True)
    q, qd = world.q, world.qd
    world.step(ZERO, False)
    np.testing.assert_allclose((world.qd - qd) / DT, pin.aba(twin.model, twin.data, q, qd, ZERO), atol=1e-9)


def test_a_brake_that_is_too_weak_slips(worlds: list[ArmWorld]) -> None:
    world = open_world(CROOKED)
    worlds.append(world)
    world.push(np.array([0.0, 0.0, 0.0, 0.0, 0.0, 100.0]))
    for _ in range(30):
        world.step(ZERO, True)
    assert abs(world.qd[6]) > 0.5
    assert abs(world.tau_link[6]) == pytest.approx(1.5 * 40.0), "one and a half times the rated torque"


def test_stiction_holds_the_arm_against_a_small_gravity_mismatch(worlds: list[ArmWorld]) -> None:
    config = replace(CROOKED, profile="standard", seed=1)
    twin, world = Twin(config), open_world(config)
    worlds.append(world)
    mismatch = np.array([1.0, 1.5, -0.8, 0.8, 0.3, -0.25, 0.08])
    gravity = twin.gravity(np.array(Q_DOWN))
    for k in range(5000):
        world.step(gravity + mismatch * min(k / 1000.0, 1.0), False)
    settled = world.q
    assert np.abs(settled - Q_DOWN).max() < 0.01, "presliding only"
    for _ in range(500):
        world.step(gravity + mismatch, False)
    # what is left is the bristles' own lightly damped swing, largest where the joint is heavy
    assert np.abs(world.qd).max() < 5e-4
    assert abs(world.qd[6]) < 1e-5, "no chatter on the lightest joint"
    assert np.abs(world.q - settled).max() < 5e-5, "no creep"
    np.testing.assert_allclose(world.tau_link, twin.gravity(world.q), atol=0.05)


def test_motion_is_opposed_by_friction_between_motor_and_sensor(worlds: list[ArmWorld]) -> None:
    config = replace(CROOKED, profile="standard")
    twin, world = Twin(config), open_world(config)
    worlds.append(world)
    for _ in range(600):
        tau = twin.gravity(world.q) + np.array([6.0, 0, 0, 0, 0, 0, -0.3])
        world.step(tau, False)
    lost = tau - world.tau_link
    assert world.qd[0] > 0.05
    assert world.qd[6] < -0.05
    friction = load_profile("iiwa", "standard", 0).section("friction")
    for joint in (0, 6):
        v = world.qd[joint]
        g = friction.vector("coulomb")[joint] * (1.0 + 0.3 * np.exp(-((v / 0.15) ** 2)))
        assert lost[joint] == pytest.approx(np.sign(v) * g + friction.vector("viscous")[joint] * v, rel=0.02)


def test_hard_friction_ripples_over_position(worlds: list[ArmWorld]) -> None:
    """The same slide on the ``hard`` profile: the level stays within its ripple, and is not the standard one."""
    config = replace(CROOKED, profile="hard")
    twin, world = Twin(config), open_world(config)
    worlds.append(world)
    ratios = []
    for k in range(1200):
        tau = twin.gravity(world.q) + np.array([0, 0, 0, 0, 0, 0, 0.16])
        world.step(tau, False)
        v = world.qd[6]
        if k > 300:
            g = 0.10 * (1.0 + 0.3 * np.exp(-((v / 0.15) ** 2)))
            ratios.append(((tau - world.tau_link)[6] - 0.04 * v) / g)
    assert np.ptp(ratios) > 0.05
    assert 0.9 < min(ratios) < max(ratios) < 1.1


def test_the_plant_differs_from_the_nominal_model_as_the_profile_says() -> None:
    config = replace(CROOKED, profile="standard", seed=7)
    nominal, plant = Twin(replace(config, profile="ideal")).model, Twin(config).model
    factors = load_profile("iiwa", "standard", 7).section("plant_inertials").vector("mass_factor")
    for i in range(1, 7):
        assert plant.inertias[i].mass == pytest.approx(nominal.inertias[i].mass * factors[i - 1])
        shift = plant.inertias[i].lever - nominal.inertias[i].lever
        assert 0.0 < np.abs(shift).max() <= 0.008
        np.testing.assert_allclose(
            plant.inertias[i].inertia, nominal.inertias[i].inertia * factors[i - 1], rtol=1e-9, atol=1e-15
        )
    assert plant_tool(config, load_profile("iiwa", "standard", 7)).mass == pytest.approx(1.1 * 1.2)
    assert nominal_tool(config).mass == 1.2


def run(config: WorldConfig) -> Array:
    world = open_world(config)
    rng = np.random.default_rng(5)
    rows = []
    for k in range(400):
        if k == 250:
            world.attach(1.0, np.array([0.0, 0.0, 0.1]))
        tau = world.tau_link + rng.normal(size=7) * 0.3 if k else world.tau_link
        world.step(tau, 300 <= k < 320)
        rows.append(np.concatenate([world.q, world.qd, world.tau_link, world.wrench_sensor, world.tau_ext]))
    world.close()
    return np.array(rows)


def test_same_seed_same_bits_other_seed_other_bits() -> None:
    tip = Twin(STRAIGHT).frames(np.array(Q_DOWN))[0].translation
    config = replace(STRAIGHT, profile="standard", plate=Plate(surface=(tip[0], tip[1], tip[2] + 1e-4)), substeps=2)
    first, again, other = run(config), run(config), run(replace(config, seed=1))
    assert first[:, -7:].any(), "the run had contact"
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_two_worlds_at_once_do_not_disturb_each_other(worlds: list[ArmWorld]) -> None:
    a, b = open_world(STRAIGHT), open_world(replace(STRAIGHT, gravity=(0.0, 0.0, 0.0)))
    worlds += [a, b]
    for world in (a, b, a, b):
        world.step(ZERO, False)
    assert np.abs(a.qd).max() > 1e-3
    assert np.abs(b.qd).max() < 1e-12
    assert np.abs(b.wrench_sensor).max() < 1e-9


def test_without_a_tool_the_sensor_feels_nothing_to_speak_of(worlds: list[ArmWorld]) -> None:
    config = replace(STRAIGHT, tool_mass=0.0, tool_inertia=((0.0,) * 3,) * 3)
    world = open_world(config)
    worlds.append(world)
    world.step(Twin(config).gravity(world.q), False)
    assert np.abs(world.wrench_sensor).max() < 1e-4


def test_pose_is_the_tcps(worlds: list[ArmWorld]) -> None:
    world = open_world(CROOKED)
    worlds.append(world)
    position, rotation = world.pose()
    tcp, _ = Twin(CROOKED).frames(world.q)
    np.testing.assert_allclose(position, tcp.translation, atol=1e-12)
    np.testing.assert_allclose(rotation, tcp.rotation, atol=1e-12)


def test_joint_limits_are_hard_stops(worlds: list[ArmWorld]) -> None:
    world = open_world(replace(STRAIGHT, gravity=(0.0, 0.0, 0.0), profile="standard"))
    worlds.append(world)
    for _ in range(2500):
        world.step(np.array([0, 0, 0, 0, 0, 0, 0.3]), False)
    assert world.q[6] == pytest.approx(np.radians(175.0), abs=0.01)
    assert world.tau_link[6] == pytest.approx(0.3, abs=0.15), "the stop is behind the sensor"


@pytest.mark.parametrize("bad", [np.full(7, np.nan), np.array([np.inf, -np.inf, 0, 0, 0, 0, 0]), np.zeros(6)])
def test_impossible_torque_is_refused_and_changes_nothing(worlds: list[ArmWorld], bad: Array) -> None:
    world = open_world(STRAIGHT)
    worlds.append(world)
    before = world.q
    with pytest.raises(WorldError, match="motor torque"):
        world.step(bad, False)
    assert world.q is before


def test_impossible_calls_and_configurations_are_refused(worlds: list[ArmWorld]) -> None:
    world = open_world(STRAIGHT)
    worlds.append(world)
    with pytest.raises(WorldError, match="wrench"):
        world.push(np.array([1.0, 2.0, 3.0]))
    with pytest.raises(WorldError, match="payload"):
        world.attach(-1.0, np.zeros(3))
    for change in (
        {"q0": (float("nan"),) * 7},
        {"q0": (0.0,) * 6},
        {"tool_inertia": ((1.0, 0.0, 0.0), (0.0, 0.1, 0.0), (0.0, 0.0, 0.1))},
        {"tool_mass": -1.0},
        {"substeps": 0},
        {"flange": "link_7"},
        {"urdf": "<robot"},
        {"urdf": IIWA14.replace('effort="40"', 'effort="0"')},
        {"plate": Plate(surface=(0.0, 0.0, float("nan")))},
    ):
        with pytest.raises(WorldError):
            BulletWorld(replace(STRAIGHT, **change))  # type: ignore[arg-type]
    with pytest.raises(ProfileError, match="known are"):
        open_world(replace(STRAIGHT, profile="wrong"))
    with pytest.raises(FrictionError, match="joint 7"):
        open_world(replace(STRAIGHT, profile="standard", dt=5e-3))
    worlds.append(open_world(replace(STRAIGHT, profile="standard", dt=5e-3, substeps=5)))


def test_closing_twice_is_legal() -> None:
    world = open_world(STRAIGHT)
    world.close()
    world.close()


def test_plant_text_is_a_chain_with_the_tool_at_its_end() -> None:
    config = replace(CROOKED, profile="ideal")
    profile = load_profile("iiwa", "ideal", 0)
    model = pin.buildModelFromXML(with_tool(perturbed(IIWA14, "flange", profile), config, nominal_tool(config)))
    assert model.nq == 7
    assert model.existFrame("tool")
    assert not model.existFrame("flange")

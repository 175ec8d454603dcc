"""A loose object: it lies, is grasped where it is within reach, loads arm and sensor as a payload does, and falls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pinocchio as pin
import pytest
from test_world import CROOKED, DT, Q_DOWN, STRAIGHT, Twin, in_sensor

from drivers.contract import Array
from estimators.inertia import combined
from sim_mocks.bullet_world import BulletWorld
from sim_mocks.errors import WorldError
from sim_mocks.plant_urdf import PAYLOAD_RADIUS, payload_body
from sim_mocks.world import LooseObject, Plate, WorldConfig

MASS = 0.8
EDGE = float(np.sqrt(2.4)) * PAYLOAD_RADIUS
"""Edge of the cube that has the moment of inertia of a payload's ball."""
OFFSET = np.array([0.004, -0.003, 0.002])
"""From the TCP to the object's middle, base axes, m."""


class Worlds:
    """Worlds that are closed at the end of a test."""

    def __init__(self) -> None:
        self.opened: list[BulletWorld] = []

    def __call__(self, config: WorldConfig) -> BulletWorld:
        self.opened.append(BulletWorld(config))
        return self.opened[-1]


@pytest.fixture
def worlds() -> Iterator[Worlds]:
    found = Worlds()
    yield found
    for world in found.opened:
        world.close()


def at_tcp(config: WorldConfig, offset: Array = OFFSET, **more: object) -> WorldConfig:
    """``config`` with the object beside its TCP."""
    tip = Twin(config).frames(np.array(config.q0))[0].translation
    place = tuple((tip + offset).tolist())
    return replace(config, loose=LooseObject(MASS, (EDGE,) * 3, place, **more))  # type: ignore[arg-type]


def com_in_flange(config: WorldConfig) -> Array:
    """Where the centre of mass of the object at the start lies in the flange frame."""
    loose = config.loose
    assert loose is not None
    twin = Twin(config)
    tcp = twin.frames(np.array(config.q0))[0]
    turned = pin.rpy.rpyToMatrix(np.array(loose.rpy))
    inside = tcp.actInv(np.array(loose.position) + turned @ np.array(loose.com))
    return np.array(twin.tcp_in_flange.act(inside))


def both(worlds: Worlds, config: WorldConfig) -> tuple[BulletWorld, BulletWorld, Twin]:
    """The same object held by a constraint and hung on the flange as a mass, and Pinocchio's view of it."""
    com = com_in_flange(config)
    held, hung = worlds(config), worlds(replace(config, loose=None))
    assert held.grasp()
    hung.attach(MASS, com)
    return held, hung, Twin(config, (MASS, com))


def relative(held: list[Array], hung: list[Array]) -> float:
    """Root mean square of the difference over that of the load."""
    return float(np.linalg.norm(np.array(held) - np.array(hung)) / np.linalg.norm(np.array(hung)))


@pytest.mark.parametrize("com", [(0.0, 0.0, 0.0), (0.005, 0.01, -0.005)])
def test_held_and_hung_load_the_sensor_alike_at_standstill(
    worlds: Worlds, com: tuple[float, float, float]
) -> None:
    """Within 0.1 % of the object's weight, in force and, over 10 cm, in moment."""
    held, hung, twin = both(worlds, at_tcp(CROOKED, com=com))
    for world in (held, hung):
        for _ in range(300):
            M = pin.crba(twin.model, twin.data, world.q)
            world.step(twin.gravity(world.q) - M @ (60.0 * world.qd), False)
    np.testing.assert_allclose(held.q, hung.q, atol=1e-5)
    difference = np.abs(held.wrench_sensor - hung.wrench_sensor)
    assert difference[:3].max() < 1e-3 * MASS * 9.81
    assert difference[3:].max() < 1e-4 * MASS * 9.81
    assert np.linalg.norm(held.wrench_sensor[:3]) == pytest.approx((1.2 + MASS) * 9.81, rel=1e-4)
    assert not held.wrench_contact.any(), "a load in the jaws is no contact"
    assert not held.tau_ext.any()


def swing(world: BulletWorld, twin: Twin, ticks: int = 1000) -> tuple[list[Array], list[Array]]:
    """The same fast motion for both: loads on the sensor and joint positions in each tick."""
    loads, positions = [], []
    q0 = np.array(Q_DOWN)
    amplitude, omega = np.array([0.25, 0.15, 0.2, 0.2, 0.3, 0.3, 0.4]), 2.0 * np.pi * np.linspace(0.8, 1.4, 7)
    for k in range(ticks):
        t = k * DT
        aim = q0 + amplitude * (1.0 - np.cos(omega * t))
        speed, rate = amplitude * omega * np.sin(omega * t), amplitude * omega**2 * np.cos(omega * t)
        wanted = rate + 400.0 * (aim - world.q) + 40.0 * (speed - world.qd)
        world.step(np.array(pin.rnea(twin.model, twin.data, world.q, world.qd, wanted)), False)
        loads.append(world.wrench_sensor)
        positions.append(world.q)
    return loads, positions


@pytest.mark.parametrize("config", [at_tcp(STRAIGHT), at_tcp(CROOKED, rpy=(0.2, -0.1, 0.3))])
def test_held_and_hung_load_the_sensor_alike_in_fast_motion(worlds: Worlds, config: WorldConfig) -> None:
    """Within 2 % of the load over a second that is far from static; the arm moves the same way."""
    held, hung, twin = both(worlds, config)
    loads, positions = swing(held, twin)
    expected, there = swing(hung, twin)
    assert np.ptp(np.linalg.norm(np.array(expected)[:, :3], axis=1)) > 15.0, "far from static"
    assert np.abs(np.array(positions) - there).max() < 1e-3
    assert relative([w[:3] for w in loads], [w[:3] for w in expected]) < 0.02
    assert relative([w[3:] for w in loads], [w[3:] for w in expected]) < 0.02


def test_an_inertia_of_its_own_is_felt_in_its_own_axes(worlds: Worlds) -> None:
    """The same body twice: turned, and with its inertia given in axes that are not principal ones."""
    moments = np.diag([0.010, 0.004, 0.008])
    rpy = (0.4, -0.3, 0.7)
    R = pin.rpy.rpyToMatrix(np.array(rpy))
    offset = np.array([0.006, -0.004, 0.003])
    turned = at_tcp(STRAIGHT, rpy=rpy, com=tuple(offset), inertia=tuple(map(tuple, moments.tolist())))
    given = at_tcp(STRAIGHT, com=tuple((R @ offset).tolist()), inertia=tuple(map(tuple, (R @ moments @ R.T).tolist())))
    plain = at_tcp(STRAIGHT, com=tuple((R @ offset).tolist()))
    found = []
    for config in (turned, given, plain):
        world = worlds(config)
        assert world.grasp()
        found.append(swing(world, Twin(config, (MASS, com_in_flange(config))), 250)[0])
    moment = [np.array(loads)[:, 3:] for loads in found]
    np.testing.assert_allclose(moment[0], moment[1], atol=1e-3)
    assert np.abs(moment[1] - moment[2]).max() > 0.05, "another inertia than a homogeneous cube's"
    with pytest.raises(WorldError, match="about the centre of mass"):
        worlds(at_tcp(STRAIGHT, inertia=((1.0, 0.0, 0.0), (0.0, 0.1, 0.0), (0.0, 0.0, 0.1))))


def test_the_brakes_carry_the_object(worlds: Worlds) -> None:
    """Closed brakes hold arm and object without creeping, and the joint sensors feel the weight of both."""
    held, _, twin = both(worlds, at_tcp(STRAIGHT))
    for _ in range(500):
        held.step(np.zeros(7), True)
    assert np.abs(held.qd).max() < 1e-3
    assert np.abs(held.q - np.array(Q_DOWN)).max() < 1e-3
    np.testing.assert_allclose(held.tau_link, twin.gravity(held.q), atol=0.05)


def test_opened_jaws_let_the_object_fall_freely_onto_the_floor(worlds: Worlds) -> None:
    """½ g t² in the air; the sensor is without its load at once; then it lies on the floor."""
    config = at_tcp(STRAIGHT)
    world, twin = worlds(config), Twin(config)
    assert world.grasp()
    for _ in range(50):
        world.step(np.zeros(7), True)
    found = world.object_pose()
    assert found is not None
    height = found[0][2]
    world.let_go()
    world.step(np.zeros(7), True)
    assert np.linalg.norm(world.wrench_sensor[:3]) == pytest.approx(1.2 * 9.81, rel=1e-3)
    for _ in range(99):
        world.step(np.zeros(7), True)
    found = world.object_pose()
    assert found is not None
    assert height - found[0][2] == pytest.approx(0.5 * 9.81 * 0.1**2, rel=0.02)
    for _ in range(1500):
        world.step(np.zeros(7), True)
    found = world.object_pose()
    assert found is not None
    assert found[0][2] == pytest.approx(0.5 * EDGE, abs=2e-3)
    assert not world.grasp(), "it is out of reach now"
    np.testing.assert_allclose(world.tau_link, twin.gravity(world.q), atol=0.05)


@pytest.mark.parametrize(("distance", "held"), [(0.029, True), (0.031, False)])
def test_only_what_lies_between_the_jaws_is_held(worlds: Worlds, distance: float, held: bool) -> None:
    world = worlds(at_tcp(STRAIGHT, np.array([distance, 0.0, 0.0])))
    assert world.grasp() is held
    assert world.grasp() is held, "closing once more changes nothing"
    world.let_go()
    world.let_go()


def test_a_world_without_an_object_grasps_nothing(worlds: Worlds) -> None:
    world = worlds(STRAIGHT)
    assert not world.grasp()
    world.let_go()
    assert world.object_pose() is None


def resting(config: WorldConfig) -> WorldConfig:
    """The object stands on a plate right below the TCP."""
    tip = Twin(config).frames(np.array(config.q0))[0].translation
    x, y, z = (tip + OFFSET).tolist()
    plate = Plate(surface=(x, y, z - 0.5 * EDGE))
    return replace(config, loose=LooseObject(MASS, (EDGE,) * 3, (x, y, z)), plate=plate)


def test_an_object_on_the_plate_stays_where_it_lies(worlds: Worlds) -> None:
    world = worlds(resting(STRAIGHT))
    before = world.object_pose()
    for _ in range(500):
        world.step(np.zeros(7), True)
    after = world.object_pose()
    assert before is not None
    assert after is not None
    assert np.abs(after[0] - before[0]).max() < 1e-3
    assert np.linalg.norm(world.wrench_sensor[:3]) == pytest.approx(1.2 * 9.81, rel=1e-3)


def follow(world: BulletWorld, twin: Twin, aim: Callable[[float], Array], ticks: int) -> None:
    """Cartesian spring and damper that know the object's weight."""
    start = twin.frames(np.array(Q_DOWN))[0]
    for k in range(ticks):
        M, J = pin.crba(twin.model, twin.data, world.q), twin.jacobian(world.q)
        tcp, _ = twin.frames(world.q)
        turn = pin.log3(start.rotation @ tcp.rotation.T)
        pull = np.concatenate([3000.0 * (aim(k * DT) - tcp.translation), 30.0 * turn])
        world.step(twin.gravity(world.q) - M @ (60.0 * world.qd) + J.T @ pull, False)


def test_a_held_object_pressed_on_the_plate_is_contact(worlds: Worlds) -> None:
    """20 mm below the surface is asked for: what the plate pushes back reaches sensor and joints through the object."""
    config = resting(CROOKED)
    twin, world = Twin(config, (MASS, com_in_flange(config))), worlds(config)
    start = twin.frames(np.array(Q_DOWN))[0].translation
    assert world.grasp()
    follow(world, twin, lambda t: start - [0.0, 0.0, 0.005 * min(t / 0.3, 1.0)], 1500)
    force = world.wrench_contact[2]
    assert force > 10.0
    tcp, sensor = twin.frames(world.q)
    twin.tool = combined(twin.tool, payload_body(MASS, com_in_flange(config)))
    load = world.wrench_sensor - twin.tool_load(world.q, np.zeros(7), np.zeros(7))
    np.testing.assert_allclose(load, in_sensor(world.wrench_contact, tcp, sensor), atol=0.02 * force)
    np.testing.assert_allclose(world.tau_ext, twin.jacobian(world.q).T @ world.wrench_contact, atol=1e-6)


def test_a_grasp_outlives_a_payload_that_is_attached(worlds: Worlds) -> None:
    """Loading the arm anew ties the object to the new one."""
    world = worlds(at_tcp(STRAIGHT))
    assert world.grasp()
    for attach in (True, False):
        if attach:
            world.attach(0.5, np.array([0.0, 0.0, 0.1]))
        else:
            world.release()
        for _ in range(100):
            world.step(np.zeros(7), True)
        weight = (1.2 + MASS + (0.5 if attach else 0.0)) * 9.81
        assert np.linalg.norm(world.wrench_sensor[:3]) == pytest.approx(weight, rel=1e-2)


def test_the_same_grasp_gives_the_same_bits(worlds: Worlds) -> None:
    def go() -> Array:
        world = worlds(at_tcp(CROOKED))
        world.grasp()
        return np.array(swing(world, Twin(CROOKED), 200)[0])

    np.testing.assert_array_equal(go(), go())


@pytest.mark.parametrize(
    "bad", [{"mass": 0.0}, {"mass": float("nan")}, {"size": (0.1, 0.0, 0.1)}, {"position": (float("inf"), 0.0, 0.0)}]
)
def test_impossible_objects_are_refused(bad: dict[str, object]) -> None:
    loose = at_tcp(STRAIGHT).loose
    assert loose is not None
    with pytest.raises(WorldError, match="mass above 0"):
        BulletWorld(replace(STRAIGHT, loose=replace(loose, **bad)))  # type: ignore[arg-type]

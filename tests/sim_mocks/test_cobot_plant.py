"""The cobot's plant: rotor inertia against a pure Pinocchio plant, friction families, brakes of single joints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pinocchio as pin
import pytest

from sim_mocks.bullet_world import BulletWorld
from sim_mocks.errors import ProfileError
from sim_mocks.gear_friction import FAMILIES, GearFriction
from sim_mocks.plant_urdf import perturbed, plant_tool, with_tool
from sim_mocks.profiles import Profile, load_profile
from sim_mocks.world import Plate, WorldConfig

URDF = files("hil").joinpath("models/cobot6.urdf").read_text(encoding="utf-8")
Q0 = (0.3, -1.9, -1.9, -0.9, 1.57, 0.0)
CONFIG = WorldConfig(
    urdf=URDF,
    q0=Q0,
    tool_mass=1.2,
    tool_com=(0.0, 0.002, 0.06),
    tool_inertia=((2e-3, 0.0, 0.0), (0.0, 2e-3, 0.0), (0.0, 0.0, 1e-3)),
    tcp_pos=(0.0, 0.0, 0.12),
    device="cobot",
    profile="ideal",
)


@pytest.fixture
def worlds() -> Iterator[list[BulletWorld]]:
    opened: list[BulletWorld] = []
    yield opened
    for world in opened:
        world.close()


def pure_plant(config: WorldConfig) -> pin.Model:
    """Pinocchio's model of the plant with rotors, built from profile and configuration on its own."""
    profile = load_profile("cobot", config.profile, config.seed, 6)
    tool = plant_tool(config, profile)
    model = pin.buildModelFromXML(with_tool(perturbed(config.urdf, config.flange, profile), config, tool))
    model.armature = profile.vector("armature") * profile.section("plant_inertials").vector("armature_factor", 1.0)
    return model


def frictionless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim_mocks.bullet_world.joint_friction", lambda *_: None)


@pytest.mark.parametrize(("profile", "substeps"), [("ideal", 1), ("standard", 1), ("standard", 4)])
def test_free_motion_agrees_with_forward_dynamics_with_rotors(
    worlds: list[BulletWorld], monkeypatch: pytest.MonkeyPatch, profile: str, substeps: int
) -> None:
    frictionless(monkeypatch)
    config = replace(CONFIG, profile=profile, seed=3, substeps=substeps)
    world, model = BulletWorld(config), pure_plant(config)
    worlds.append(world)
    data = model.createData()
    rng = np.random.default_rng(0)
    h = config.dt / substeps
    worst = 0.0
    for k in range(400):
        q, qd = world.q, world.qd
        swing = np.array([30.0, 30.0, 20.0, 5.0, 5.0, 4.0]) * np.sin(0.02 * k + np.arange(6))
        tau = pin.rnea(model, data, q, qd, np.zeros(6)) + swing + rng.normal(0.0, 1.0, 6)
        expected_q, expected_qd = q, qd
        for _ in range(substeps):
            expected_qd = expected_qd + h * pin.aba(model, data, expected_q, expected_qd, tau)
            expected_q = expected_q + h * expected_qd
        world.step(tau, False)
        expected, got = (expected_qd - qd) / config.dt, (world.qd - qd) / config.dt
        worst = max(worst, float(np.linalg.norm(got - expected) / max(np.linalg.norm(expected), 1.0)))
    assert float(np.abs(world.qd).max()) > 1.0  # it moved fast enough for velocity terms to count
    assert worst < 0.01


def test_without_rotors_the_wrist_would_be_many_times_lighter(worlds: list[BulletWorld]) -> None:
    """The check above is not blind: the same torque on the bare arm gives a far larger acceleration."""
    model = pure_plant(CONFIG)
    data = model.createData()
    tau = pin.computeGeneralizedGravity(model, data, np.array(Q0)) + np.array([0, 0, 0, 0, 0, 1.0])
    with_rotors = pin.aba(model, data, np.array(Q0), np.zeros(6), tau)[5]
    model.armature = np.zeros(6)
    assert pin.aba(model, data, np.array(Q0), np.zeros(6), tau)[5] > 10.0 * with_rotors


def test_a_push_moves_the_arm_by_its_whole_inertia(worlds: list[BulletWorld]) -> None:
    world, model = BulletWorld(CONFIG), pure_plant(CONFIG)
    worlds.append(world)
    data = model.createData()
    world.push(np.array([8.0, 0.0, 5.0, 0.0, 0.0, 0.0]))
    for _ in range(200):
        hold = pin.computeGeneralizedGravity(model, data, world.q)
        q, before = world.q, world.qd
        world.step(hold, False)
    expected = pin.aba(model, data, q, before, hold + world.tau_ext)
    got = (world.qd - before) / CONFIG.dt
    assert np.linalg.norm(got - expected) < 0.01 * np.linalg.norm(expected)


def test_contact_with_rotors_is_stable(worlds: list[BulletWorld]) -> None:
    """Pressed onto the plate at 20 N with damping, the tool rests: force steady, speed nil."""
    probe = BulletWorld(CONFIG)
    worlds.append(probe)
    tip = probe.pose()[0]
    config = replace(CONFIG, plate=Plate(surface=(float(tip[0]), float(tip[1]), float(tip[2]) - 1e-4)))
    world, model = BulletWorld(config), pure_plant(config)
    worlds.append(world)
    data = model.createData()
    frame = model.addFrame(pin.Frame("tcp", 6, 0, pin.SE3(np.eye(3), np.array([0, 0, 0.12])), pin.FrameType.OP_FRAME))
    data = model.createData()
    damping = np.array([60.0, 60.0, 40.0, 10.0, 10.0, 8.0])
    force = []
    for k in range(1500):
        J = pin.computeFrameJacobian(model, data, world.q, frame, pin.LOCAL_WORLD_ALIGNED)[:3]
        g = pin.computeGeneralizedGravity(model, data, world.q)
        world.step(g + J.T @ np.array([0.0, 0.0, -20.0]) - damping * world.qd, False)
        if k >= 1000:
            force.append(world.wrench_contact[2])
    assert np.mean(force) == pytest.approx(20.0, abs=0.5)
    assert np.std(force) < 0.5
    assert np.abs(world.qd).max() < 5e-3


def with_family(family: str, seed: int = 0) -> Profile:
    profile = load_profile("cobot", "standard", seed, 6)
    content = dict(profile.content)
    content["friction"] = {**content["friction"], "family": family}
    return replace(profile, content=content)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_opposes_motion_with_the_profile_s_level(family: str) -> None:
    law = GearFriction(with_family(family), 1e-3, np.full(6, 1.0))
    nominal = np.array([7.0, 9.0, 6.0, 2.0, 1.8, 1.5])
    for first, sign in ((0, 1.0), (400, -1.0)):
        for k in range(first, first + 400):
            law.begin(1e-3 * k, np.full(6, 0.5), [0.0] * 6)
            drag = sign * np.array(law.advance([0.5 * sign] * 6))
        viscous = 0.5 * np.array([9.0, 10.0, 7.0, 2.5, 2.2, 1.8])
        assert (drag > 0.6 * nominal + 0.5 * viscous).all()
        assert (drag < 1.7 * nominal + 1.5 * viscous).all()


def test_a_loaded_gear_has_more_friction() -> None:
    law = GearFriction(with_family("memoryless"), 1e-3, np.full(6, 1.0))
    drag = []
    for load in (0.0, 50.0):
        law.begin(0.0, np.zeros(6), [load] * 6)
        drag.append(np.array(law.advance([0.3] * 6)))
    assert (drag[1] - drag[0] > 0.03 * 50.0).all()
    assert (drag[1] - drag[0] < 0.12 * 50.0).all()


def test_presliding_springs_back() -> None:
    """Below break-away a Maxwell-slip joint is a spring with hysteresis: pushed and let go it does not stay."""
    law = GearFriction(with_family("maxwell_slip"), 1e-3, np.full(6, 1.0))
    law.begin(0.0, np.zeros(6), [0.0] * 6)
    for _ in range(20):
        up = law.advance([0.01] * 6)
    still = law.advance([0.0] * 6)
    assert (np.array(up) > 0.3).all()
    assert (np.array(still) > 0.1).all()  # standing still, the springs still pull


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(ProfileError, match="viscoelastic"):
        GearFriction(with_family("viscoelastic"), 1e-3, np.full(6, 1.0))


@pytest.mark.parametrize("family", FAMILIES)
def test_arm_sticks_under_gravity_error_below_stiction(
    worlds: list[BulletWorld], monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    real = load_profile

    def chosen(device: str, name: str, seed: int, n: int = 7) -> Profile:
        return with_family(family, seed) if device == "cobot" else real(device, name, seed, n)

    monkeypatch.setattr("sim_mocks.bullet_world.load_profile", chosen)
    config = replace(CONFIG, profile="standard", seed=1)
    world, model = BulletWorld(config), pure_plant(config)
    worlds.append(world)
    g = pin.computeGeneralizedGravity(model, model.createData(), np.array(Q0))
    for _ in range(1000):
        world.step(g, False)
    assert np.abs(world.q - np.array(Q0)).max() < 5e-3
    # the memoryless law has no stiction: it only creeps
    assert np.abs(world.qd).max() < (2e-2 if family == "memoryless" else 2e-3)


def test_a_single_brake_holds_its_joint_while_the_others_fall(worlds: list[BulletWorld]) -> None:
    world = BulletWorld(CONFIG)
    worlds.append(world)
    mask = [False, True, False, False, False, False]
    for _ in range(100):
        world.step(np.zeros(6), mask)
    assert abs(world.q[1] - Q0[1]) < 1e-3
    assert abs(world.q[2] - Q0[2]) > 0.02
    world.step(np.zeros(6), True)
    for _ in range(200):
        world.step(np.zeros(6), True)
    assert np.abs(world.qd).max() < 1e-3

"""A simulated cobot with known external torque, for campaigns over many robots: Pinocchio alone, no bus and no world.

The *hard* plant: forward dynamics (ABA) of perturbed inertials integrated semi-implicitly at 4 kHz, 1 kHz in and out,
friction of :mod:`hil.campaigns.kvark_friction`, gear ripple, errors of the torque constant and its offset, torque
noise, quantised encoders, velocity by a 60 Hz low-pass of differences. Everything is drawn from (family, seed), so
that a robot is a pair of words. What the estimators know is :func:`nominal_model` and nothing else.

Runs are mappings of arrays with rows at 1 kHz: ``q`` rad, ``qd`` rad/s and ``tau`` N·m (measured motor torque, joint
side), and in tests ``tau_ext`` N·m and ``wrench`` N, N·m: the truth, environment on the tool point, base axes.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt
import pinocchio as pin
from scipy.signal import butter

from estimators.rigid_body import BodyInertia, RigidBodyModel
from hil.campaigns import kvark_friction as friction_law
from hil.campaigns import kvark_motions as motions
from hil.campaigns.kvark_contact import Contact, Impedance
from hil.campaigns.kvark_friction import Friction
from sim_mocks.profiles import Profile, load_profile

Array = npt.NDArray[np.float64]
Run = Mapping[str, Array]

DT = 1e-3
"""Of input and output, s."""
STEPS = 4
"""Of the physics in each sample."""
TOOL = 0.12
"""Of the tool point beyond the flange, m."""
PAYLOAD = BodyInertia(2.0, np.array([0.0, 0.0, TOOL]), 2e-3 * np.eye(3))
"""What loaded runs carry, flange frame."""
SECONDS = 20.0
POLISH_SECONDS = 32.0
AMPLITUDES = (1.0, 0.6, 0.9, 0.35, 0.8)
"""Of the training runs: different ones, so that low speeds are there too."""
_CUTOFF = 60.0
_BANDWIDTH, _RATIO = 25.0, 0.8
"""Of the joint controller that leads free motions: rad/s, and damping ratio."""


@cache
def urdf() -> str:
    """The nominal description, as text."""
    return files("hil").joinpath("models/cobot6.urdf").read_text(encoding="utf-8")


def nominal_model(payload: BodyInertia | None = None) -> RigidBodyModel:
    """What is known of every robot of the campaign, rotors included."""
    armature = load_profile("cobot", "standard", 0, 6).vector("armature")
    return RigidBodyModel(urdf(), payload, np.array([0.0, 0.0, TOOL]), armature=armature)


@dataclass(frozen=True, slots=True, eq=False)
class Robot:
    """One robot of a family."""

    family: str
    seed: int
    parameters: Array
    """Its true inertial parameters (66,), see :meth:`RigidBodyModel.inertial_parameters`."""
    friction: Friction
    torque_constant: Array
    """True over nominal torque constant (n,)."""
    offset: Array
    """Of the measured torque (n,) N·m."""
    noise: tuple[Array, float, Array]
    """Standard deviation of the measured torque: floor N·m, per N·m, and N·m per rad/s."""
    quantum: float
    """Of the measured position, rad."""


def draw(family: str, seed: int, profile: str = "standard") -> Robot:
    """The robot ``seed`` of ``family``; ``profile`` ``ideal`` has no error, no noise and no friction.

    Raises ValueError for a family that does not exist.
    """
    # Families share nothing but the profile: robot 0 of one is no robot 0 of another.
    if family not in friction_law.FAMILIES:
        raise ValueError(f"friction family {family!r}; expected one of {', '.join(friction_law.FAMILIES)}")
    number = zlib.crc32(f"{family} {seed}".encode())
    p = load_profile("cobot", profile, number, 6)
    model = nominal_model()
    inertia = np.diag(model.update(motions.HOME, np.zeros(6)).M)
    drive, noise = p.section("drive"), p.section("drive").section("tau_noise")
    counts = p.section("sensors").number("encoder_counts_motor")
    return Robot(
        family,
        seed,
        _parameters(model, p),
        friction_law.draw(p, family, number, inertia),
        drive.vector("torque_constant_factor", 1.0),
        drive.vector("tau_offset") * 0.05 * p.section("friction").vector("coulomb"),
        (noise.vector("floor"), noise.number("per_torque"), noise.vector("per_velocity")),
        math.tau / (counts * p.section("gear").number("ratio", 1.0)) if counts else 0.0,
    )


def _parameters(model: RigidBodyModel, profile: Profile) -> Array:
    section, n = profile.section("plant_inertials"), model.n
    mass, inertia = section.vector("mass_factor", 1.0), section.vector("inertia_factor", 1.0)
    com, shift = section.array("com_factor", (n, 3), 1.0), section.array("com_shift", (n, 3))
    links = []
    for j, body in enumerate(model.model.inertias[1:]):
        links.append(
            pin.Inertia(body.mass * mass[j], body.lever * com[j] + shift[j], body.inertia * inertia[j])
            .toDynamicParameters()
        )  # fmt: skip
    return np.concatenate((*links, model.model.armature * section.vector("armature_factor", 1.0)))


Law = Callable[[int, Array, Array], Array]
"""Torque (n,) N·m commanded at sample k with measured q and qd."""


def simulate(
    robot: Robot, law: Law, samples: int, name: str, *, drift: bool = False, payload: BodyInertia | None = None,
    contact: Contact | None = None,
) -> dict[str, Array]:  # fmt: skip
    """One run from rest at home under ``law``. ``name`` seeds noise and wander; ``drift``: friction as in tests.

    ``tau_ext`` of row k is the mean over the step that ended with it, as the observers' measurement is.
    """
    rng = np.random.default_rng([robot.seed, zlib.crc32(f"{robot.family} {name}".encode())])
    truth = nominal_model()
    truth.adjust(robot.parameters)
    bare = truth.model.copy()
    if payload is not None:
        truth.set_payload(payload)
    model, n, dt = truth.model, truth.n, DT / STEPS
    data, bare_data = model.createData(), bare.createData()
    f = robot.friction
    level, state = 1.0 + (f.drift if drift else 0.0), f.state()
    wander = f.wander(samples, DT, rng)
    white = rng.standard_normal((samples, n))
    floor, per_torque, per_velocity = robot.noise
    b, a = butter(2, _CUTOFF * 2.0 * DT)
    z1, z2 = np.zeros(n), np.zeros(n)
    q, qd, tau_f, touch = motions.HOME.copy(), np.zeros(n), np.zeros(n), np.zeros(n)
    before = _quantised(q, robot.quantum)
    names = ("q", "qd", "tau", "tau_ext")
    out = {key: np.zeros((samples, n)) for key in names} | {"wrench": np.zeros((samples, 6))}
    external, wrench, load = np.zeros(n), np.zeros(6), pin.rnea(model, data, q, qd, qd).copy()
    motor = load.copy()
    for k in range(samples):
        measured = _quantised(q, robot.quantum)
        difference = (measured - before) / DT
        before = measured
        speed = b[0] * difference + z1
        z1 = b[1] * difference - a[1] * speed + z2
        z2 = b[2] * difference - a[2] * speed
        command = law(k, measured, speed)
        spread = floor + per_torque * np.abs(command) + per_velocity * np.abs(speed)
        out["q"][k], out["qd"][k], out["tau_ext"][k], out["wrench"][k] = measured, speed, external, wrench
        out["tau"][k] = command + robot.offset + spread * white[k]
        motor = robot.torque_constant * command
        first = qd.copy()
        middle = q.copy()
        external, wrench = np.zeros(n), np.zeros(6)
        for _ in range(STEPS):
            if contact is not None:
                force, touch = contact.torque(truth, q, qd)
                wrench[:3] += force / STEPS
                external += touch / STEPS
            friction_law.advance(
                f.family, f.rows, state, q, qd, load, wander[k], level, f.gear_period, dt, tau_f
            )  # fmt: skip
            qd = qd + dt * pin.aba(model, data, q, qd, motor - tau_f + touch)
            q = q + dt * qd
        load = motor - tau_f
        if payload is not None:
            acceleration, middle = (qd - first) / DT, 0.5 * (middle + q)
            speed_mean = 0.5 * (first + qd)
            with_it = pin.rnea(model, data, middle, speed_mean, acceleration).copy()
            external = pin.rnea(bare, bare_data, middle, speed_mean, acceleration) - with_it
    return out


def _quantised(q: Array, quantum: float) -> Array:
    value: Array = np.round(q / quantum) * quantum if quantum else q.copy()
    return value


def free_law(reference: tuple[Array, Array, Array]) -> Law:
    """Computed torque of the nominal model along ``reference`` q, qd, qdd (m, n), with joint PD."""
    model = nominal_model()
    inertia = np.diag(model.update(motions.HOME, np.zeros(model.n)).M).copy()
    kp, kd = inertia * _BANDWIDTH**2, inertia * 2.0 * _RATIO * _BANDWIDTH
    q_ref, qd_ref, qdd_ref = reference

    def law(k: int, q: Array, qd: Array) -> Array:
        feed = model.rnea(q_ref[k], qd_ref[k], qdd_ref[k])
        torque: Array = feed + kp * (q_ref[k] - q) + kd * (qd_ref[k] - qd)
        return torque

    return law


def runs(robot: Robot, progress: Callable[[str], None] | None = None, *, shorten: float = 1.0) -> dict[str, Run]:
    """All runs of ``robot``: ``train0`` … ``train4``, ``validate``, ``tune_ptp``, ``calibrate_ptp``, ``test_…``.

    Motions belong to (robot, run): no two robots move alike; free and loaded tests are the same motion, and each test
    has friction that drifted since training. ``shorten`` scales the durations, for tests of the campaign itself.
    """
    samples, long = round(SECONDS * shorten / DT), round(POLISH_SECONDS * shorten / DT)
    done: dict[str, Run] = {}

    def rng(name: str) -> np.random.Generator:
        return np.random.default_rng([robot.seed, zlib.crc32(f"{robot.family} {name} motion".encode())])

    def add(
        name: str, law: Law, count: int, *, drift: bool = False, payload: BodyInertia | None = None,
        contact: Contact | None = None,
    ) -> None:  # fmt: skip
        run = simulate(robot, law, count, name, drift=drift, payload=payload, contact=contact)
        test = name.startswith("test_")
        keep = ("q", "qd", "tau", *(("tau_ext",) if test else ()), *(("wrench",) if name == "test_polish" else ()))
        done[name] = {key: run[key] for key in keep}
        if progress is not None:
            progress(name)

    for k, scale in enumerate(AMPLITUDES):
        add(f"train{k}", free_law(motions.fourier(samples, DT, scale, rng(f"train{k}"))), samples)
    add("validate", free_law(motions.fourier(samples, DT, 0.8, rng("validate"))), samples)
    for name in ("tune_ptp", "calibrate_ptp"):
        add(name, free_law(motions.point_to_point(samples, DT, rng(name))), samples)
    tests = {
        "fourier": motions.fourier(samples, DT, 0.8, rng("test_fourier")),
        "ptp": motions.point_to_point(samples, DT, rng("test_ptp")),
    }
    for kind, reference in tests.items():
        add(f"test_free_{kind}", free_law(reference), samples, drift=True)
        add(f"test_load_{kind}", free_law(reference), samples, drift=True, payload=PAYLOAD)
    impedance = Impedance(nominal_model(), long, DT)
    add("test_polish", impedance, long, drift=True, contact=Contact(impedance.surface))
    return done

"""Cartesian impedance: the law itself, pressing, takeover, singularities, and closed loops on a wrong model."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from drivers.contract import RobotSample
from hil.control import CartesianImpedance, ControlError, ForceParams, ImpedanceParams
from hil.control.force import ForceLoop
from hil.motion import CartesianHold, CartesianMove, CartesianReference, JointHold, PolishSquare
from tests.hil.control_plant import ADDS, DT, HOME, Plant, Step, nominal, run

PLAIN = ImpedanceParams(integral_time=math.inf, force=ForceParams(ki=0.0))


def sample_at(q: np.ndarray, qd: np.ndarray) -> RobotSample:
    sample, _ = Plant(None, noise=0.0).read()
    sample.q, sample.qd = q, qd
    return sample


def turn(axis: np.ndarray, angle: float) -> np.ndarray:
    x, y, z = axis / np.linalg.norm(axis)
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * K + (1 - math.cos(angle)) * K @ K


def test_law_gives_the_error_dynamics_it_promises() -> None:
    """TCP acceleration under the torque: a_ref + 2ζω ė + ω² e, whatever the null space does."""
    model = nominal()
    rng = np.random.default_rng(1)
    q, qd = HOME + rng.uniform(-0.3, 0.3, 7), rng.uniform(-0.3, 0.3, 7)
    controller = CartesianImpedance(7, frozenset(), replace(PLAIN, posture_bandwidth=8.0))
    start = model.update(HOME, np.zeros(7))
    controller.reset(sample_at(HOME, np.zeros(7)), start, np.zeros(7))
    sample, dyn = sample_at(q, qd), model.update(q, qd)
    axis, angle = np.array([1.0, 2.0, -1.0]), 0.1
    ref = CartesianReference(dyn.x + [0.01, -0.02, 0.005], turn(axis, angle) @ dyn.R,
                             rng.uniform(-0.1, 0.1, 6), rng.uniform(-1, 1, 6), np.zeros(6))  # fmt: skip
    tau = controller.torque(sample, dyn, ref, None, DT)
    error = np.concatenate((ref.x - dyn.x, 2 * math.sin(angle / 2) * axis / np.linalg.norm(axis)))
    omega = np.repeat([PLAIN.bandwidth, PLAIN.rotational_bandwidth], 3)
    wanted = ref.a + 2 * omega * (ref.v - dyn.J @ qd) + omega**2 * error
    np.testing.assert_allclose(dyn.J @ model.forward(q, qd, tau) + dyn.Jdot_qd, wanted, atol=1e-6)


def test_feed_forward_force_is_what_the_robot_exerts() -> None:
    """At the reference pose the torque is Jᵀ F, plus what gravity needs."""
    model = nominal()
    dyn = model.update(HOME, np.zeros(7))
    sample = sample_at(HOME, np.zeros(7))
    force = np.array([1.0, -2.0, -20.0, 0.1, 0.2, 0.0])
    controller = CartesianImpedance(7, frozenset(), PLAIN)
    controller.reset(sample, dyn)
    tau = controller.torque(sample, dyn, CartesianReference(dyn.x, dyn.R, np.zeros(6), np.zeros(6), force), None, DT)
    np.testing.assert_allclose(tau, dyn.g + dyn.J.T @ force, atol=1e-9)


def test_pressing_direction_is_free_and_the_others_are_not() -> None:
    """While a force is asked for, the reference position along it does not matter; across it does."""
    model = nominal()
    dyn = model.update(HOME, np.zeros(7))
    sample = sample_at(HOME, np.zeros(7))
    normal = np.array([0.0, 0.6, 0.8])
    force = np.concatenate((-20.0 * normal, np.zeros(3)))
    taus = []
    for offset in (np.zeros(3), 0.01 * normal, 0.01 * np.array([1.0, 0.0, 0.0])):
        controller = CartesianImpedance(7, ADDS, PLAIN)
        controller.reset(sample, dyn, np.zeros(7))
        ref = CartesianReference(dyn.x + offset, dyn.R, np.zeros(6), np.zeros(6), force)
        # The step to the law fades out: look at what is left of it.
        taus.append([controller.torque(sample, dyn, ref, None, DT) for _ in range(3000)][-1])
    np.testing.assert_allclose(taus[0], taus[1], atol=1e-6)
    assert np.abs(taus[0] - taus[2]).max() > 1.0


def test_null_space_damping_does_not_move_the_tcp() -> None:
    """An elbow motion at constant TCP pose is damped with no force at the TCP."""
    model = nominal()
    dyn = model.update(HOME, np.zeros(7))
    null = np.linalg.svd(dyn.J)[2][6]
    qd = 0.2 * null
    dyn = model.update(HOME, qd)
    sample = sample_at(HOME, qd)
    controller = CartesianImpedance(7, frozenset(), replace(PLAIN, posture_bandwidth=10.0))
    controller.reset(sample, dyn, np.zeros(7))
    controller.torque(sample, dyn, CartesianReference(dyn.x, dyn.R, np.zeros(6), np.zeros(6), np.zeros(6)), None, 1.0)
    ref = CartesianReference(dyn.x, dyn.R, np.zeros(6), np.zeros(6), np.zeros(6))
    qdd = model.forward(HOME, qd, controller.torque(sample, dyn, ref, None, DT))
    np.testing.assert_allclose(dyn.J @ qdd + dyn.Jdot_qd, 0.0, atol=1e-6)
    assert qdd @ null == pytest.approx(-20.0 * 0.2, rel=0.05)


@pytest.mark.parametrize("q", [np.zeros(7), np.array([0, 0.5, 0, 0, 0, 0.5, 0]), np.array([0, 0.5, 0, -1.3, 0, 0, 0])])
def test_torque_stays_bounded_in_singular_poses(q: np.ndarray) -> None:
    """Upright, stretched, and with a straight wrist: no torque beyond what the joints can do."""
    model = nominal()
    for offset in (np.zeros(7), np.full(7, 1e-4), np.full(7, 0.02)):
        dyn = model.update(q + offset, np.zeros(7))
        sample = sample_at(q + offset, np.zeros(7))
        controller = CartesianImpedance(7, ADDS, ImpedanceParams())
        controller.reset(sample, dyn)
        for direction in np.eye(3):
            ref = CartesianReference(dyn.x + 0.02 * direction, dyn.R, np.zeros(6), np.zeros(6), np.zeros(6))
            tau = controller.torque(sample, dyn, ref, None, 1.0)
            tau = controller.torque(sample, dyn, ref, None, 1e-6)
            assert np.isfinite(tau).all()
            assert np.abs(tau).max() < 320.0


def test_large_errors_are_taken_for_bounded_ones() -> None:
    model = nominal()
    dyn = model.update(HOME, np.zeros(7))
    sample = sample_at(HOME, np.zeros(7))
    taus = []
    for distance in (0.05, 0.5):
        controller = CartesianImpedance(7, frozenset(), PLAIN)
        controller.reset(sample, dyn)
        ref = CartesianReference(dyn.x + [distance, 0, 0], dyn.R, np.zeros(6), np.zeros(6), np.zeros(6))
        taus.append(controller.torque(sample, dyn, ref, None, DT))
    np.testing.assert_allclose(taus[0], taus[1], atol=1e-9)


def test_takeover_begins_with_the_torque_that_acts_and_blends_it_out() -> None:
    model = nominal()
    dyn = model.update(HOME, np.zeros(7))
    sample = sample_at(HOME, np.zeros(7))
    found = np.array([3.0, -8.0, 2.0, 4.0, 0.5, 0.4, 0.1])
    controller = CartesianImpedance(7, ADDS, PLAIN)
    controller.reset(sample, dyn, found)
    ref = CartesianReference(dyn.x, dyn.R, np.zeros(6), np.zeros(6), np.zeros(6))
    taus = [controller.torque(sample, dyn, ref, None, DT) for _ in range(600)]
    np.testing.assert_allclose(taus[0], found, atol=1e-9)
    np.testing.assert_allclose(taus[-1], 0.0, atol=1e-9)
    assert np.abs(np.diff(taus, axis=0)).max() < 8.0 * 1.875 / 0.5 * DT * 1.01


def test_one_bad_sample_is_shown_and_not_remembered() -> None:
    model = nominal()
    sample = sample_at(HOME, np.zeros(7))
    controller = CartesianImpedance(7, ADDS)
    dyn = model.update(HOME, np.zeros(7))
    ref = CartesianReference(dyn.x.copy(), dyn.R.copy(), np.zeros(6), np.zeros(6), np.zeros(6))
    controller.reset(sample, dyn)
    before = controller.torque(sample, dyn, ref, None, DT)
    bad = np.full(7, math.nan)
    assert not np.isfinite(controller.torque(sample_at(bad, bad), model.update(bad, bad), ref, None, DT)).any()
    after = controller.torque(sample, model.update(HOME, np.zeros(7)), ref, None, DT)
    np.testing.assert_allclose(after, before, atol=1e-6)


# Closed loops


def jumps(steps: list[Step]) -> float:
    return float(np.abs(np.diff([s.tau for s in steps], axis=0)).max())


@pytest.mark.parametrize("friction", [0.0, 1.0])
def test_line_is_tracked_and_held(friction: float) -> None:
    """0.1 m down at 0.15 m/s, then still: within millimetres, no drift."""
    x0, _ = nominal().fk(HOME)
    move = CartesianMove(x0 + np.array([0.03, 0.08, -0.06]), 0.15)
    steps = run(Plant(1, friction=friction), CartesianImpedance(7, ADDS), move, 4.0)
    model_error = np.array([s.reference.x - nominal_x(s) for s in steps])  # type: ignore[union-attr]
    assert np.abs(model_error).max() < (8e-3 if friction else 2e-3)
    assert np.abs(model_error[-500:]).max() < (4e-3 if friction else 3e-4)
    assert np.ptp(model_error[-500:], axis=0).max() < (2e-3 if friction else 3e-4)
    assert jumps(steps) < 2.0


_MODEL = nominal()


def nominal_x(step: Step) -> np.ndarray:
    return _MODEL.fk(step.q)[0]


@pytest.mark.parametrize("delay", [1, 2])
def test_hold_is_calm_with_noise_and_delay(delay: int) -> None:
    steps = run(Plant(0, delay=delay), CartesianImpedance(7, ADDS), CartesianHold(), 2.0)
    qd = np.array([s.qd for s in steps])[1000:]
    assert np.abs(qd[:, 6]).max() < 0.02
    assert np.abs(qd).max() < 0.02
    assert np.linalg.norm(nominal_x(steps[-1]) - nominal_x(steps[0])) < 3e-4


def polish(friction: float, gap: float = 0.0, seed: int = 1, sensor: bool = True,
           params: ImpedanceParams | None = None) -> list[Step]:  # fmt: skip
    """Press with 20 N and slide around 6 cm, the plate ``gap`` m lower than the reference believes."""
    plant = Plant(seed, friction=friction)
    x0, _ = plant.true.fk(HOME)
    plant.plate = float(x0[2]) - 0.03 - gap
    motion = PolishSquare(0.06, 20.0, 0.06, centre=x0 - [0, 0, 0.03], approach=0.02, touch_speed=0.05)
    return run(plant, CartesianImpedance(7, ADDS, params), motion, sensor=sensor)


def force_error(steps: list[Step]) -> np.ndarray:
    return np.array([s.force[2] - 20.0 for s in steps if s.phase == "slide"])


@pytest.mark.parametrize(("friction", "gap"), [(0.0, 0.0), (1.0, 0.0), (1.0, 0.003)])
def test_pressing_regulates_the_force_on_a_stiff_plate(friction: float, gap: float) -> None:
    """Gravity 10 % wrong, plate of 3e4 N/m: 20 N to within 0.2 N in the mean, 1.5 N rms; no impact, no jump."""
    steps = polish(friction, gap)
    error = force_error(steps)
    assert abs(error.mean()) < 0.2
    assert math.sqrt((error**2).mean()) < 1.5
    assert max(s.force[2] for s in steps) < 30.0
    assert steps[-1].force[2] == 0.0
    assert jumps(steps) < 2.0
    away = [abs(s.reference.x[i] - nominal_x(s)[i]) for s in steps for i in (0, 1)]  # type: ignore[union-attr]
    assert max(away) < 0.015


def test_without_a_sensor_the_force_is_about_right() -> None:
    """Feed-forward alone, with what the spring carried before touching: within 3 N on a frictionless arm."""
    steps = polish(0.0, sensor=False)
    assert abs(force_error(steps).mean()) < 3.0
    assert jumps(steps) < 2.0


def test_force_feedback_earns_its_place() -> None:
    """With joint friction the mean force is nearer with the sensor than without."""
    without = polish(1.0, sensor=False)
    error = force_error(without)
    assert math.sqrt((error**2).mean()) > 1.5 * math.sqrt((force_error(polish(1.0)) ** 2).mean())


def test_joint_reference_is_refused() -> None:
    model = nominal()
    dyn = model.update(HOME, np.zeros(7))
    hold = JointHold()
    hold.start(HOME, dyn.x, dyn.R)
    with pytest.raises(ControlError, match="Cartesian references"):
        CartesianImpedance(7).torque(sample_at(HOME, np.zeros(7)), dyn, hold.at(0.0), None, DT)


@pytest.mark.parametrize("name", ["bandwidth", "rotational_bandwidth", "damping_ratio", "integral_time", "max_error",
                                  "max_rotation", "max_mass", "max_inertia", "blend_time"])  # fmt: skip
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_parameters_must_be_positive(name: str, value: float) -> None:
    with pytest.raises(ControlError, match=name):
        ImpedanceParams(**{name: value})


# The force loop by itself


def test_correction_grows_slowly_before_contact_and_freely_in_it() -> None:
    loop = ForceLoop(ForceParams(ki=10.0, low_pass=1000.0, search_rate=5.0))
    for _ in range(100):
        loop.update(20.0, 0.0, DT)
    assert loop.correction == pytest.approx(0.5, rel=0.01)
    assert not loop.contact
    for _ in range(100):
        loop.update(20.0, 10.0, DT)
    assert loop.contact
    assert loop.correction == pytest.approx(0.5 + 10.0 * 10.0 * 0.1, rel=0.02)


def test_correction_is_bounded_and_frozen_without_a_measurement() -> None:
    loop = ForceLoop(ForceParams(limit=8.0))
    loop.begin(50.0)
    assert loop.correction == 8.0
    loop.begin(3.0)
    assert loop.update(20.0, math.nan, DT) == 3.0
    for _ in range(10_000):
        loop.update(20.0, 5.0, DT)
    assert loop.correction == 8.0


def test_contact_is_lost_below_a_quarter_of_the_threshold() -> None:
    loop = ForceLoop(ForceParams(contact=2.0, low_pass=1e6))
    seen = []
    for felt in (1.9, 2.1, 0.6, 0.4):
        loop.update(20.0, felt, DT)
        seen.append(loop.contact)
    assert seen == [False, True, True, False]


@pytest.mark.parametrize("name", ["ki", "low_pass", "limit", "contact", "search_rate"])
def test_force_parameters_are_checked(name: str) -> None:
    with pytest.raises(ControlError, match=name):
        ForceParams(**{name: -1.0})

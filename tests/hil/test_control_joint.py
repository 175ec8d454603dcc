"""Joint computed torque: the law itself, takeover, and closed loops on an arm that differs from the model."""

from __future__ import annotations

import math

import numpy as np
import pytest

from drivers.contract import RobotSample
from hil.control import ComputedTorque, ComputedTorqueParams, ControlError
from hil.motion import CartesianHold, JointHold, JointReference, JointSinusoids, Sequence
from tests.hil.control_plant import ADDS, DT, HOME, Plant, nominal, run

PLAIN = ComputedTorqueParams(integral_time=math.inf)


def sample_at(q: np.ndarray, qd: np.ndarray, accepted: np.ndarray | None = None) -> RobotSample:
    sample, _ = Plant(None, noise=0.0).read()
    sample.q, sample.qd = q, qd
    sample.tau_accepted_lo = sample.tau_accepted_hi = np.zeros(7) if accepted is None else accepted
    return sample


def test_law_gives_the_error_dynamics_it_promises() -> None:
    """Forward dynamics under the torque: qdd = qdd_ref + 2ζω ė + ω² e on each joint."""
    model = nominal()
    rng = np.random.default_rng(1)
    q, qd = HOME + rng.uniform(-0.3, 0.3, 7), rng.uniform(-0.5, 0.5, 7)
    ref = JointReference(q + rng.uniform(-0.1, 0.1, 7), qd + rng.uniform(-0.3, 0.3, 7), rng.uniform(-1, 1, 7))
    omega = np.array([10.0, 20.0, 30.0, 20.0, 30.0, 40.0, 50.0])
    params = ComputedTorqueParams(tuple(omega), 0.8, integral_time=math.inf, blend_time=0.0)
    controller = ComputedTorque(7, frozenset(), params)
    sample, dyn = sample_at(q, qd), model.update(q, qd)
    controller.reset(sample, dyn)
    tau = controller.torque(sample, dyn, ref, None, DT)
    wanted = ref.qdd + 1.6 * omega * (ref.qd - qd) + omega**2 * (ref.q - q)
    np.testing.assert_allclose(model.forward(q, qd, tau), wanted, atol=1e-8)


@pytest.mark.parametrize("adds", [frozenset({"gravity"}), frozenset({"coriolis"}), frozenset({"gravity", "coriolis"})])
def test_terms_the_robot_adds_are_left_out(adds: frozenset[str]) -> None:
    model = nominal()
    q, qd = HOME, np.linspace(-0.5, 0.5, 7)
    sample, dyn = sample_at(q, qd), model.update(q, qd)
    ref = JointReference(q, qd, np.zeros(7))
    taus = []
    for terms in (frozenset[str](), adds):
        controller = ComputedTorque(7, terms, ComputedTorqueParams(integral_time=math.inf, blend_time=0.0))
        controller.reset(sample, dyn)
        taus.append(controller.torque(sample, dyn, ref, None, DT))
    left_out = dyn.g * ("gravity" in adds) + dyn.Cqd * ("coriolis" in adds)
    np.testing.assert_allclose(taus[0] - taus[1], left_out, atol=1e-12)


@pytest.mark.parametrize("integral_time", [math.inf, 0.12])
def test_takeover_begins_with_the_torque_that_acts(integral_time: float) -> None:
    """The first command equals the accepted torque; without an integral the law rules after blend_time."""
    model = nominal()
    found = np.array([3.0, -8.0, 2.0, 4.0, 0.5, 0.4, 0.1])
    sample, dyn = sample_at(HOME, np.zeros(7), found), model.update(HOME, np.zeros(7))
    ref = JointReference(HOME, np.zeros(7), np.zeros(7))
    controller = ComputedTorque(7, ADDS, ComputedTorqueParams(integral_time=integral_time, blend_time=0.5))
    controller.reset(sample, dyn)
    taus = [controller.torque(sample, dyn, ref, None, DT) for _ in range(600)]
    np.testing.assert_allclose(taus[0], found, atol=1e-9)
    steps = np.abs(np.diff(taus, axis=0)).max()
    assert steps < 8.0 * 1.875 / 0.5 * DT * 1.01
    if math.isinf(integral_time):
        np.testing.assert_allclose(taus[-1], 0.0, atol=1e-9)


def test_arm_without_gravity_compensation_gets_its_weight_at_once() -> None:
    """Fading up from zero torque would let it fall when the brakes open."""
    model = nominal()
    sample, dyn = sample_at(HOME, np.zeros(7)), model.update(HOME, np.zeros(7))
    controller = ComputedTorque(7, frozenset())
    controller.reset(sample, dyn)
    tau = controller.torque(sample, dyn, JointReference(HOME, np.zeros(7), np.zeros(7)), None, DT)
    np.testing.assert_allclose(tau, dyn.g, atol=1e-9)


def test_integral_is_bounded_and_the_error_it_sees_too() -> None:
    """A blocked arm meets limited torque, however long and far it is held away."""
    model = nominal()
    sample, dyn = sample_at(HOME, np.zeros(7)), model.update(HOME, np.zeros(7))
    limit = np.array([15.0, 15.0, 8.0, 8.0, 2.0, 2.0, 0.5])
    ref = JointReference(HOME + 2.0, np.zeros(7), np.zeros(7))
    params = ComputedTorqueParams(integral_limit=tuple(limit), max_error=0.1, bandwidth=20.0)
    controller = ComputedTorque(7, ADDS, params)
    controller.reset(sample, dyn)
    for _ in range(5000):
        tau = controller.torque(sample, dyn, ref, None, DT)
    spring = dyn.M @ np.full(7, 400.0 * 0.1)
    np.testing.assert_allclose(np.abs(tau - dyn.Cqd - spring), limit, rtol=1e-9)


def test_one_bad_sample_is_shown_and_not_remembered() -> None:
    model = nominal()
    sample, dyn = sample_at(HOME, np.zeros(7)), model.update(HOME, np.zeros(7))
    ref = JointReference(HOME + 0.01, np.zeros(7), np.zeros(7))
    controller, spared = ComputedTorque(7, ADDS), ComputedTorque(7, ADDS)
    for c in (controller, spared):
        c.reset(sample, dyn)
        c.torque(sample, dyn, ref, None, DT)
    bad = sample_at(np.full(7, math.nan), np.zeros(7))
    assert np.isnan(controller.torque(bad, dyn, ref, None, DT)).all()
    after = controller.torque(sample, dyn, ref, None, DT)
    # Only the takeover has gone on by one tick meanwhile.
    np.testing.assert_allclose(after, spared.torque(sample, dyn, ref, None, DT), atol=0.01)


def test_tracks_sinusoids_with_imperfect_gravity_and_noise() -> None:
    """Without friction: within 3 mrad while moving; torque moves by less than 2 N·m a tick."""
    amplitude = np.array([0.3, 0.2, 0.3, 0.25, 0.3, 0.3, 0.4])
    frequency = np.array([0.2, 0.25, 0.3, 0.2, 0.35, 0.3, 0.4])
    steps = run(Plant(1), ComputedTorque(7, ADDS), JointSinusoids(amplitude, frequency, 4.0, 1.0))
    errors = np.array([s.reference.q - s.q for s in steps])  # type: ignore[union-attr]
    assert np.abs(errors[200:]).max() < 3e-3
    taus = np.array([s.tau for s in steps])
    assert np.abs(np.diff(taus, axis=0)).max() < 2.0


def test_tracks_and_comes_to_rest_with_friction() -> None:
    """With joint friction: within 40 mrad at reversals, 1 mrad per second of drift at rest afterwards."""
    amplitude = np.array([0.3, 0.2, 0.3, 0.25, 0.3, 0.3, 0.4])
    frequency = np.array([0.2, 0.25, 0.3, 0.2, 0.35, 0.3, 0.4])
    motion = Sequence([JointSinusoids(amplitude, frequency, 4.0, 1.0), JointHold()])
    steps = run(Plant(2, friction=1.0), ComputedTorque(7, ADDS), motion, 6.0)
    errors = np.array([s.reference.q - s.q for s in steps])  # type: ignore[union-attr]
    assert np.abs(errors).max() < 0.04
    assert np.sqrt((errors**2).mean(axis=0)).max() < 0.012
    assert np.ptp(errors[-1000:], axis=0).max() < 2e-3


@pytest.mark.parametrize("delay", [1, 2, 3])
def test_light_last_joint_stays_calm(delay: int) -> None:
    """Hold with noise through the differentiator and delay: joint 7 (0.002 kg m²) does not chatter."""
    steps = run(Plant(0, delay=delay), ComputedTorque(7, ADDS), JointHold(), 2.0)
    qd = np.array([s.qd for s in steps])[500:]
    assert np.abs(qd).max() < 8e-3
    assert np.abs(qd[-500:, 6]).std() < 2.0 * np.abs(qd[:500, 6]).std()
    assert np.abs(np.array([s.q for s in steps])[-1] - HOME).max() < 5e-4


def test_hold_takes_out_the_robots_gravity_error() -> None:
    """The sag of a robot that compensates the wrong weight fades; without the integral it stays."""
    sag = []
    for params in (None, PLAIN):
        steps = run(Plant(1, noise=0.0), ComputedTorque(7, ADDS, params), JointHold(), 1.5)
        sag.append(np.abs(steps[-1].q - HOME).max())
    assert sag[0] < 1e-4
    assert sag[1] > 1e-3


def test_cartesian_reference_is_refused() -> None:
    model = nominal()
    sample, dyn = sample_at(HOME, np.zeros(7)), model.update(HOME, np.zeros(7))
    hold = CartesianHold()
    hold.start(HOME, dyn.x, dyn.R)
    with pytest.raises(ControlError, match="joint references"):
        ComputedTorque(7).torque(sample, dyn, hold.at(0.0), None, DT)


@pytest.mark.parametrize(
    ("kwargs", "word"),
    [
        ({"bandwidth": -1.0}, "bandwidth"),
        ({"bandwidth": (1.0, math.nan)}, "bandwidth"),
        ({"damping_ratio": 0.0}, "damping_ratio"),
        ({"integral_time": 0.0}, "integral_time"),
        ({"integral_limit": math.inf}, "integral_limit"),
        ({"max_error": math.nan}, "max_error"),
        ({"blend_time": -0.1}, "blend_time"),
    ],
)
def test_parameters_are_checked(kwargs: dict[str, float], word: str) -> None:
    with pytest.raises(ControlError, match=word):
        ComputedTorqueParams(**kwargs)


def test_wrong_number_of_gains_is_refused() -> None:
    with pytest.raises(ControlError, match="bandwidth"):
        ComputedTorque(6)


def test_tau_initial_must_be_finite() -> None:
    model = nominal()
    sample, dyn = sample_at(HOME, np.zeros(7)), model.update(HOME, np.zeros(7))
    with pytest.raises(ControlError, match="tau_initial"):
        ComputedTorque(7).reset(sample, dyn, np.full(7, math.nan))

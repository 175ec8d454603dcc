"""Learnt feed-forward torque with gains that follow its uncertainty, on an arm that differs from the model."""

from __future__ import annotations

import math

import numpy as np
import pytest

from drivers.contract import Array
from estimators.gains.law import GainLaw
from estimators.rigid_body import BodyInertia, RigidBodyModel
from hil.control import ControlError
from hil.control.variable_gain import VariableGain, VariableGainParams
from hil.motion import CartesianHold, JointHold, JointSinusoids
from tests.hil.control_plant import ADDS, DT, HEAVY_TOOL, TCP, URDF, Plant, Step, nominal, perturbed, run

HIGH = np.array([1000.0, 1000.0, 600.0, 600.0, 200.0, 120.0, 40.0])
NOISE = np.array([0.4, 0.4, 0.3, 0.3, 0.1, 0.08, 0.05])
LAW = GainLaw(0.1 * HIGH, HIGH, NOISE, 10.0 * NOISE)
QDD_SIGMA = np.array([0.6] * 7)
"""Noise of the differentiator's acceleration on this plant, rad/s²."""


class Learnt:
    """A model that knows the arm it was trained on, as sure as it gets: torque beyond the gravity the robot adds."""

    n = 7

    def __init__(self, arm: RigidBodyModel) -> None:
        self.arm, self.robot = arm, nominal()
        self.sigma = NOISE.copy()
        self.broken = False

    def step(self, q: Array, qd: Array, qdd: Array, stream: int = 0) -> tuple[Array, Array]:
        if self.broken:
            return np.full(7, math.nan), np.full(7, math.nan)
        torque = self.arm.rnea(q, qd, qdd) - self.robot.gravity(q)
        return torque, self.sigma.copy()


def swing(seconds: float = 4.0) -> JointSinusoids:
    amplitude = np.array([0.3, 0.2, 0.3, 0.3, 0.4, 0.3, 0.5])
    return JointSinusoids(amplitude, np.linspace(0.25, 0.45, 7), duration=seconds)


def controller_of(model: Learnt, **options: object) -> VariableGain:
    params = VariableGainParams(qdd_sigma=tuple(QDD_SIGMA), qd_sigma=0.01, blend_time=0.1, **options)  # type: ignore[arg-type]
    return VariableGain(model, LAW, ADDS, params)


def error(steps: list[Step], begin: float = 1.0, end: float = math.inf) -> float:
    """RMS tracking error, mrad."""
    rows = [step.reference.q - step.q for step in steps if begin <= step.t < end]
    return 1e3 * float(np.sqrt(np.mean(np.square(rows))))


class Watched:
    """Keeps what was shown in every cycle; does ``at(k, plant)`` before it."""

    kind = "joint"

    def __init__(self, inner: VariableGain, at: object = None) -> None:
        self.inner, self.at, self.k = inner, at, 0
        self.share: list[Array] = []
        self.tank: list[float] = []

    def reset(self, *args: object) -> None:
        self.inner.reset(*args)  # type: ignore[arg-type]

    def torque(self, *args: object) -> Array:
        if self.at is not None:
            self.at(self.k)  # type: ignore[operator]
        self.k += 1
        tau = self.inner.torque(*args)  # type: ignore[arg-type]
        self.share.append(self.inner.shown.kp_share)
        self.tank.append(self.inner.shown.tank)
        return tau


def test_a_sure_model_is_followed_softly_and_well() -> None:
    plant = Plant(3)
    watched = Watched(controller_of(Learnt(perturbed(3))))
    steps = run(plant, watched, swing())
    share = np.array(watched.share[1500:])
    assert error(steps, 1.5) < 1.0
    assert share.mean() < 0.15
    # The same gains with a model of another arm: what the low error is owed to.
    worse = run(Plant(3), Watched(controller_of(Learnt(nominal()), innovation=False)), swing())
    assert error(worse, 1.5) > 5.0 * error(steps, 1.5)


def grasp(plant: Plant) -> object:
    """3 kg in the hand from the second second on."""

    def at(k: int) -> None:
        if k == 2000:
            mass = 3.0
            com = (HEAVY_TOOL.mass * HEAVY_TOOL.com + mass * np.array([0.0, 0.0, 0.15])) / (HEAVY_TOOL.mass + mass)
            plant.true = RigidBodyModel(URDF, BodyInertia(HEAVY_TOOL.mass + mass, com, 5.0 * HEAVY_TOOL.inertia), TCP)

    return at


def test_the_innovation_sees_a_payload_that_the_papers_law_does_not() -> None:
    errors, shares = {}, {}
    for innovation in (True, False):
        plant = Plant(None)
        plant.true = RigidBodyModel(URDF, HEAVY_TOOL, TCP)
        model = Learnt(RigidBodyModel(URDF, HEAVY_TOOL, TCP))
        watched = Watched(controller_of(model, innovation=innovation), grasp(plant))
        steps = run(plant, watched, swing(5.0))
        errors[innovation] = error(steps, 3.0)
        shares[innovation] = np.array(watched.share)
        assert min(watched.tank) >= 0.0
    assert shares[False][1000:].mean() < 0.15, "blind: the variance is a function of the inputs alone"
    before, after = shares[True][1000:2000].mean(axis=0), shares[True][3000:].mean(axis=0)
    assert before.mean() < 0.2
    assert (after[[1, 3]] > 0.5).all(), "the joints that carry it"
    assert errors[True] < 0.4 * errors[False]


def test_a_prediction_that_is_none_falls_back_to_the_rigid_body_model_at_full_gains() -> None:
    model = Learnt(nominal())

    def broken(k: int) -> None:
        model.broken = k >= 1500

    watched = Watched(controller_of(model), broken)
    steps = run(Plant(None), watched, swing(3.0))
    assert watched.inner.shown.fallback
    assert np.isfinite([step.tau for step in steps]).all()
    assert np.array(watched.share)[1000:1500, [1, 3]].max() < 0.5
    assert (np.array(watched.share)[-1, [1, 3]] > 0.9).all()
    assert error(steps, 1.6) < 10.0


def test_light_joints_stay_below_what_the_loop_can_bear() -> None:
    model = Learnt(nominal())
    model.sigma = 100.0 * NOISE
    watched = Watched(controller_of(model))
    steps = run(Plant(None), watched, swing(2.0))
    M = nominal().update(steps[-1].q, np.zeros(7)).M
    fastest = math.sqrt(np.linalg.eigvals(np.linalg.inv(M) * watched.inner.shown.kp).real.max())
    assert fastest < 1.05 * 55.0
    assert watched.inner.shown.kp[6] < HIGH[6]
    speeds = np.abs([step.qd for step in steps[500:]])
    assert speeds.max() < 3.0, "no joint oscillates"


def test_takeover_begins_with_the_torque_that_acts() -> None:
    found = np.array([3.0, -8.0, 2.0, 4.0, 0.5, 0.4, 0.1])
    controller = controller_of(Learnt(nominal()))
    steps = run(Plant(None), controller, JointHold(), duration=0.01, tau_initial=found)
    np.testing.assert_allclose(steps[0].tau, found, atol=1e-9)


def test_what_does_not_fit_is_refused() -> None:
    six = GainLaw(LAW.kp_min[:6], LAW.kp_max[:6], NOISE[:6], 2.0 * NOISE[:6])
    with pytest.raises(ControlError, match="7 joints"):
        VariableGain(Learnt(nominal()), six)
    with pytest.raises(ControlError, match="bandwidth_max"):
        VariableGainParams(bandwidth_max=math.nan)
    with pytest.raises(ControlError, match="joint references"):
        run(Plant(None), controller_of(Learnt(nominal())), CartesianHold(), duration=DT)

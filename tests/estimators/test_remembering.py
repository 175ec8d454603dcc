"""The semi-parametric model: what it learns of a wrong arm, step by step as in one go, and how it shows a push."""

from __future__ import annotations

import math

import numpy as np
import pytest
from arms import PLANAR

from estimators import virtual_measurement
from estimators.errors import ParameterError
from estimators.kvark.observer import KvarkObserver
from estimators.kvark.recursion import RecursionParams
from estimators.kvark.replay import replay
from estimators.residual.memory import MemoryFeatures, MemoryParams
from estimators.residual.remembering import MemoryResidual, fit
from estimators.residual.semiparametric import Run
from estimators.rigid_body import RigidBodyModel

DT = 1e-3
MEMORY = MemoryParams(travel=(3e-3,), smooth=(0.02,), harmonics=0)
COULOMB = np.array([3.0, 2.0])
PUSH = np.array([4.0, -3.0])


def nominal() -> RigidBodyModel:
    return RigidBodyModel(PLANAR, armature=np.array([0.5, 0.2]))


def swing(seconds: float, seed: int, push: np.ndarray | None = None) -> Run:
    """A run of an arm whose rotors are 8 % heavier than the model's and whose joints stick before they slide."""
    true = RigidBodyModel(PLANAR, armature=np.array([0.54, 0.216]))
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds / DT)) * DT
    q, qd, qdd = (np.zeros((t.size, 2)) for _ in range(3))
    for _ in range(3):
        a, w, phase = rng.uniform(0.1, 0.4, 2), 2.0 * math.pi * rng.uniform(0.2, 1.2, 2), rng.uniform(0.0, 6.0, 2)
        angle = t[:, None] * w + phase
        q += a * np.sin(angle)
        qd += a * w * np.cos(angle)
        qdd -= a * w * w * np.sin(angle)
    z = MemoryFeatures(2, MEMORY).run(q, qd, np.zeros_like(q), DT)[:, :, 0]
    tau = np.array([true.rnea(*row) for row in zip(q, qd, qdd, strict=True)]) + COULOMB * z + 1.5 * qd
    if push is not None:
        tau -= push
    return Run(q, qd, tau, DT)


@pytest.fixture(scope="module")
def learnt() -> MemoryResidual:
    return fit(nominal(), [swing(12.0, seed) for seed in range(3)], [swing(6.0, 7)], MEMORY)


def test_it_learns_rotors_and_hysteresis(learnt: MemoryResidual) -> None:
    run = swing(4.0, 9)
    model = nominal()
    model.adjust(learnt.inertial_parameters)
    y, _ = virtual_measurement.replay(model, run.q, run.qd, run.tau, DT)
    mean, _ = learnt.run(run.q, run.qd, run.tau, DT)
    left = np.sqrt(np.mean((y[500:] + mean[499:-1]) ** 2, axis=0))
    assert (left < 0.1 * COULOMB).all(), left


def test_step_by_step_as_in_one_go(learnt: MemoryResidual) -> None:
    run = swing(1.0, 5)
    mean, variance = learnt.run(run.q, run.qd, run.tau, DT)
    learnt.reset()
    for k in range(len(run.q)):
        one = learnt.step(run.q[k], run.qd[k], run.tau[k], DT if k else math.nan)
        np.testing.assert_allclose(one, (mean[k], variance[k]), rtol=1e-10, atol=1e-12)
    bad = learnt.step(run.q[0] * math.nan, run.qd[0], run.tau[0], DT)
    assert np.isnan(bad[0]).all()


def test_the_observer_finds_a_push_with_a_model_of_its_own(learnt: MemoryResidual) -> None:
    run = swing(2.0, 11, PUSH)
    params = RecursionParams(np.full(2, 50.0), np.full(2, 0.02), adapt_r="off")
    with pytest.raises(ParameterError, match="give a rigid-body model"):
        KvarkObserver(learnt, params)
    own, cycle = nominal(), nominal()
    before = cycle.inertial_parameters()
    observer = KvarkObserver(learnt, params, model=own)
    found = [
        observer.step(run.tau[k], cycle.update(run.q[k], run.qd[k]), DT if k else math.nan).tau_ext
        for k in range(len(run.q))
    ]
    np.testing.assert_allclose(found[500:], np.tile(PUSH, (len(found) - 500, 1)), atol=0.6)
    assert (cycle.inertial_parameters() == before).all(), "the controllers' model stays as it was"
    y, _ = virtual_measurement.replay(own, run.q, run.qd, run.tau, DT)
    mean, variance = learnt.run(run.q, run.qd, run.tau, DT)
    x, _, _ = replay(y[1:] + mean[:-1], variance[:-1], DT, params)
    np.testing.assert_allclose(found[1:], x, rtol=1e-9, atol=1e-10)

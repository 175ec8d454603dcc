"""The semi-parametric model: what it learns of a wrong arm, step by step as in one go, and how it shows a push."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

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
from estimators.residual.semiparametric import Run, fit_play
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
    options, arrays = learnt.pack()
    assert options["memory"]["play"] == learnt.memory.play
    assert MemoryResidual.unpack(options, arrays).memory == learnt.memory
    del options["memory"]["play"]
    assert MemoryResidual.unpack(options, arrays).memory.play == 0.0, "a file of before there was play"


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


def dwelling(seed: int, count: float) -> Run:
    """Moves and dwells of 1 s each, with memory of the true positions; the encoder flickers by ``count`` rad."""
    true = nominal()
    rng = np.random.default_rng(seed)
    t = np.arange(1000) * DT
    blend = 10.0 * t**3 - 15.0 * t**4 + 6.0 * t**5
    goals = np.vstack((np.zeros(2), rng.uniform(-0.8, 0.8, (6, 2))))
    moves = [a + blend[:, None] * (b - a) for a, b in itertools.pairwise(goals)]
    q = np.concatenate([np.vstack((move, np.tile(move[-1], (1000, 1)))) for move in moves])
    qd = np.gradient(q, DT, axis=0)
    qdd = np.gradient(qd, DT, axis=0)
    z = MemoryFeatures(2, MEMORY).run(q, qd, np.zeros_like(q), DT)[:, :, 0]
    tau = np.array([true.rnea(*row) for row in zip(q, qd, qdd, strict=True)]) + COULOMB * z
    return Run(q + count * rng.integers(-1, 2, q.shape), qd, tau, DT)


@pytest.mark.parametrize(("count", "chosen"), [(0.0, 0.0), (1e-5, 1.2e-5)])
def test_recordings_choose_the_play(count: float, chosen: float) -> None:
    """As wide as the encoder's flicker, and none where there is no flicker; the file says which."""
    runs, held_out = [dwelling(seed, count) for seed in range(2)], [dwelling(5, count)]
    fitted = fit_play(nominal(), runs, held_out, MEMORY, plays=(0.0, 1.2e-5, 1e-3))
    assert fitted.memory.play == chosen
    with pytest.raises(ParameterError, match="0 held out"):
        fit_play(nominal(), runs, [], MEMORY)
    broken = replace(held_out[0], tau=held_out[0].tau * math.nan)
    with pytest.raises(ParameterError, match="not finite"):
        fit_play(nominal(), runs[:1], [broken], MEMORY, plays=(0.0,))

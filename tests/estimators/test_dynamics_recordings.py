"""Learned inverse dynamics on the frozen simulation of an iiwa and on recordings of real arms, split by trajectory."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pybullet_data
import pytest
import torch

from estimators.dynamics.fitting.export import export
from estimators.dynamics.fitting.options import CONFIGURATIONS, KernelOptions, TrainOptions, plain
from estimators.dynamics.fitting.variational import VariationalModel
from estimators.dynamics.predictor import DynamicsPredictor
from estimators.dynamics.prior import STRIBECK, Prior, regress
from estimators.dynamics.samples import Samples
from estimators.dynamics.scores import Scores, score
from estimators.rigid_body import BodyInertia, RigidBodyModel

DATA = Path(os.environ.get("HIL_DATA", ""))
FLOOR = 0.0917
"""Sensor noise of the simulated iiwa, mean over joints, N·m."""
COVERED = (0.93, 0.97)

pytestmark = [
    pytest.mark.accept,
    pytest.mark.skipif(
        "HIL_DATA" not in os.environ or not (DATA / "iiwa_sim_rhythmic.npz").is_file(),
        reason="HIL_DATA names no folder with iiwa_sim_rhythmic.npz and the recordings of real arms",
    ),
]
torch.set_num_threads(1)


@cache
def recording(name: str) -> Samples:
    with np.load(DATA / f"{name}.npz", allow_pickle=False) as file:
        q, qd, qdd, tau = (np.array(file[key], dtype=np.float64) for key in ("q", "qd", "qdd", "tau"))
        return Samples(q, qd, qdd, tau, np.array(file["traj"], dtype=np.int64))


def every(samples: Samples, k: int) -> Samples:
    return samples.at(np.arange(0, len(samples), k))


def simulated() -> tuple[Samples, Samples, Samples]:
    samples = recording("iiwa_sim_rhythmic")
    return samples.of(list(range(320))), samples.of(list(range(320, 360))), samples.of(list(range(360, 400)))


@cache
def nominal() -> RigidBodyModel:
    """What the simulation calls nominal: PyBullet's own description, and a tool of 1 kg."""
    urdf = Path(pybullet_data.getDataPath(), "kuka_iiwa", "model.urdf").read_text()
    tool = BodyInertia(1.0, np.array([0.0, 0.0, 0.105]), np.diag([0.004, 0.004, 0.003]))
    return RigidBodyModel(urdf, tool, flange="lbr_iiwa_link_7")


def judged(model: VariationalModel, train: Samples, test: Samples) -> Scores:
    mean, variance = model.predict(test)
    return score(test.tau, mean, variance, train.tau.mean(axis=0), train.tau.var(axis=0))


@cache
def trained(size: str, deep: bool, seed: int = 0, physics: bool = False) -> tuple[VariationalModel, Scores, float]:
    """Model, scores on the test trajectories, processor time of the training in s."""
    kernel, options = CONFIGURATIONS[size]
    train, validate, test = simulated()
    prior = Prior(nominal()) if physics else None
    begin = time.process_time()
    model = VariationalModel(kernel if deep else plain(kernel), replace(options, seed=seed), prior)
    model.fit(train, validate)
    spent = time.process_time() - begin
    return model, judged(model, train, test), spent


def calibrated(scores: Scores) -> None:
    assert COVERED[0] <= scores.coverage95.mean() <= COVERED[1], f"{scores.coverage95}"
    assert scores.nll.mean() < scores.constant_nll.mean()


def test_the_nominal_model_is_the_simulations() -> None:
    with np.load(DATA / "iiwa_sim_rhythmic.npz", allow_pickle=False) as file:
        expected = np.array(file["tau_rnea_nominal"][:500], dtype=np.float64)
    found = Prior(nominal()).of(recording("iiwa_sim_rhythmic").at(np.arange(500)))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_small() -> None:
    _, plain_scores, _ = trained("small", deep=False)
    _, scores, spent = trained("small", deep=True)
    assert plain_scores.mean_rmse <= 1.15 * 0.396
    assert scores.mean_rmse <= 0.65 * plain_scores.mean_rmse, f"{scores.mean_rmse:.4f}, {plain_scores.mean_rmse:.4f}"
    assert spent <= 120.0, f"{spent:.0f} s"
    calibrated(plain_scores)
    calibrated(scores)


def test_large() -> None:
    _, plain_scores, _ = trained("large", deep=False)
    _, scores, spent = trained("large", deep=True)
    assert plain_scores.mean_rmse <= 1.15 * 0.295
    assert scores.mean_rmse <= min(0.5 * plain_scores.mean_rmse, 0.15), f"{scores.mean_rmse:.4f}"
    assert spent <= 300.0, f"{spent:.0f} s"
    calibrated(plain_scores)
    calibrated(scores)


def test_with_few_trajectories_neither_is_good_and_both_know_it() -> None:
    """Where a deep kernel can lose to a plain one: 40 trajectories instead of 320."""
    _, validate, test = simulated()
    train = recording("iiwa_sim_rhythmic").of(list(range(40)))
    kernel, options = CONFIGURATIONS["small"]
    for each in (kernel, plain(kernel)):
        model = VariationalModel(each, options)
        model.fit(train, validate)
        scores = judged(model, train, test)
        assert scores.mean_rmse <= 0.75, f"{scores.mean_rmse:.3f}"
        assert 0.93 <= scores.coverage95.mean() <= 0.98, f"{scores.coverage95}"


def test_on_physics_it_reaches_the_noise() -> None:
    _, scores, spent = trained("small", deep=True, physics=True)
    assert scores.mean_rmse <= 1.08 * FLOOR, f"{scores.mean_rmse:.4f}"
    assert spent <= 120.0
    calibrated(scores)


@pytest.mark.parametrize("kernel", ["compiled", "numpy"])
def test_the_predictor_of_a_trained_model_is_gpytorchs(kernel: str) -> None:
    model, _, _ = trained("small", deep=True)
    test = simulated()[2].at(np.arange(500))
    mean, variance = model.predict(test)
    fast = DynamicsPredictor(export(model).posterior, kernel="compiled" if kernel == "compiled" else "numpy")
    ours = [tuple(part.copy() for part in fast.step(*row)) for row in zip(test.q, test.qd, test.qdd, strict=True)]
    np.testing.assert_allclose([m for m, _ in ours], mean, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose([s for _, s in ours], np.sqrt(variance), rtol=1e-6)


REAL = TrainOptions(epochs=20, temper=0.05)
"""100 to 200 samples a second are no independent evidence."""


def test_a_real_kuka() -> None:
    """Trajectories 9 and 10 left out; two others, whole, stop the training and calibrate."""
    samples = recording("kuka_polydoros_real")
    train, validate, test = samples.of([1, 2, 4, 5, 7, 8]), samples.of([3, 6]), samples.of([9, 10])
    # Of another arm of the same kind: only its kinematics matter, everything else is regressed.
    arm = RigidBodyModel((DATA / "kuka_lwr4.urdf").read_text(), flange="lwr_7_link")
    prior = regress(arm, every(train, 2), widths=STRIBECK, loaded=True)
    model = VariationalModel(KernelOptions(inducing=100), REAL, prior)
    model.fit(train, validate)
    scores = judged(model, train, test)
    assert scores.mean_rmse <= 0.26, f"{scores.mean_rmse:.3f}"
    assert 0.90 <= scores.coverage95.mean() <= 0.98, f"{scores.coverage95}"


def test_a_motion_that_the_training_did_not_cover() -> None:
    """Runs 0 and 1 are one trajectory; run 2 is elsewhere. On physics the band still holds."""
    samples = recording("kuka_lwr4_real")
    train, validate, test = (every(samples.of([k]), 2) for k in (0, 1, 2))
    prior = Prior(RigidBodyModel((DATA / "kuka_lwr4.urdf").read_text(), flange="lwr_7_link"))
    model = VariationalModel(plain(KernelOptions(inducing=100)), REAL, prior)
    model.fit(train, validate)
    inside, outside = judged(model, train, validate), judged(model, train, test)
    assert outside.coverage95.mean() >= 0.90, f"{outside.coverage95}"
    assert (outside.sigma > 1.5 * inside.sigma).all(), "it knows that it is elsewhere"
    assert outside.mean_rmse < np.sqrt(np.mean((test.tau - prior.of(test)) ** 2, axis=0)).mean()


def test_a_real_ur10e() -> None:
    """A tenth below the ridge-regressed rigid body with offset, viscous and Coulomb friction."""
    samples = recording("ur10e_real")
    train, validate, test = samples.of([0, 1, 2, 4, 5, 6, 7, 9]), samples.of([3, 8]), samples.of([10])
    arm = RigidBodyModel((DATA / "ur10e.urdf").read_text(), flange="tool0")
    baseline = regress(arm, every(train, 4))
    alone = np.sqrt(np.mean((test.tau - baseline.of(test)) ** 2, axis=0)).mean()
    assert alone == pytest.approx(1.55, abs=0.05)
    prior = regress(arm, every(train, 4), widths=STRIBECK, loaded=True)
    options = TrainOptions(epochs=10, batch=256, temper=0.01, patience=5)
    model = VariationalModel(plain(KernelOptions(inducing=64)), options, prior)
    model.fit(every(train, 2), every(validate, 2))
    scores = judged(model, train, test)
    assert scores.mean_rmse <= 0.9 * alone, f"{scores.mean_rmse:.3f} of {alone:.3f}"

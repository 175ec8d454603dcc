"""Learned inverse dynamics on recordings of real arms, split by trajectory."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from estimators.dynamics.fitting.options import KernelOptions, TrainOptions, plain
from estimators.dynamics.fitting.variational import VariationalModel
from estimators.dynamics.prior import STRIBECK, Prior, regress
from estimators.dynamics.samples import Samples
from estimators.dynamics.scores import Scores, score
from estimators.rigid_body import RigidBodyModel

DATA = Path(os.environ.get("HIL_DATA", ""))

pytestmark = [
    pytest.mark.accept,
    pytest.mark.skipif(
        "HIL_DATA" not in os.environ or not (DATA / "ur10e_real.npz").is_file(),
        reason="HIL_DATA names no folder with the recordings of real arms",
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


def judged(model: VariationalModel, train: Samples, test: Samples) -> Scores:
    mean, variance = model.predict(test)
    return score(test.tau, mean, variance, train.tau.mean(axis=0), train.tau.var(axis=0))


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

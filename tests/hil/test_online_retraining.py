"""Gradient retraining between batches: better features where the plant has drifted, and nothing lost elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import shipped
from test_learned_cell import learned_cell
from test_online_cell import judged as judged_by

from estimators.dynamics.fitting.deep_kernel import DeepKernelGP
from estimators.dynamics.fitting.export import posterior as exported
from estimators.dynamics.fitting.options import KernelOptions
from estimators.dynamics.fitting.retrain import StepOptions, Steps, module
from estimators.dynamics.online import Guard, OnlinePosterior, predict
from estimators.dynamics.posterior import Posterior
from estimators.dynamics.predictor import DynamicsPredictor
from estimators.dynamics.samples import Scaling
from estimators.errors import ModelError
from hil.build import build_controllers
from hil.cell import CellError
from hil.learning import online
from hil.learning.online import Learner
from hil.learning.online_params import OnlineParams
from hil.learning.online_worker import OnlineLearning
from hil.learning.replay import Replay
from hil.learning.retraining import Retraining, RetrainingParams

P, D = 2, 6
FAST = RetrainingParams(steps=4, burst=20, gradient=StepOptions(part=1.0))
"""Steps as large as in training: there are but few batches."""


def plant(k: int, seed: int, drifted: bool) -> tuple[np.ndarray, np.ndarray]:
    """Samples of a plant where it was recorded, and where it is now: there, two inputs matter that did not before."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0.0, 0.5, (k, D))
    x[:, 0] += 1.2 if drifted else -1.2
    r = np.column_stack((np.sin(x[:, 0]) + x[:, 2], np.cos(x[:, 1]) * x[:, 3]))
    if drifted:
        r[:, 0] += 0.5 * x[:, 4] * x[:, 5]
    return x, r + rng.normal(0.0, 0.05, r.shape)


@pytest.fixture(scope="module")
def offline() -> Posterior:
    """A small deep-kernel model that knows the region in which it was recorded."""
    import torch

    torch.manual_seed(0)
    x, r = plant(600, 1, drifted=False)
    gp = DeepKernelGP(D, P, KernelOptions(32, hidden=12, features=3)).double()
    gp.place(torch.as_tensor(x), 0)
    blank = exported(gp, Scaling(np.zeros(D), np.ones(D), np.zeros(P), np.ones(P)))
    steps = Steps(blank, StepOptions(part=1.0), noise=True)
    for k in range(300):
        rows = np.random.default_rng(k).permutation(600)[:128]
        steps.step(x[rows], r[rows], 600)
    found = steps.posterior()
    known = OnlinePosterior(replace(found, alpha=0.0 * found.alpha, B=0.0 * found.B), keep=1.0)
    known.learn(x, r)
    return known.posterior()


def learning(offline: Posterior, params: RetrainingParams | None) -> OnlineLearning:
    probe, inputs = plant(200, 2, drifted=False), plant(250, 3, drifted=False)[0]
    guard = Guard(offline, *probe, np.full(P, 50.0))
    retraining = None if params is None else Retraining(offline, inputs, 0.8, params)
    return OnlineLearning(offline, guard, 0.8, 0.5, retraining)


def rmse(posterior: Posterior, x: np.ndarray, r: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(np.mean((predict(posterior, x)[0] - r) ** 2, axis=0)))


def drift(learner: OnlineLearning, batches: int) -> list[dict[str, Any]]:
    told = []
    for seed in range(batches):
        learner.batch(*plant(100, 100 + seed, drifted=True))
        if (said := learner.retrain()) is not None:
            told.append(said)
    return told


def test_a_model_survives_the_way_to_torch_and_back(offline: Posterior) -> None:
    x = plant(50, 4, drifted=False)[0]
    back = exported(module(offline), offline.scaling)
    for one, other in zip(predict(offline, x), predict(back, x), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(back.noise, offline.noise)


def test_retraining_learns_a_drift_that_closed_form_cannot_and_keeps_the_old_region(offline: Posterior) -> None:
    with_it, alone, again = (learning(offline, params) for params in (FAST, None, FAST))
    told = drift(with_it, 43)
    drift(alone, 43)
    assert sum(each["accepted"] for each in told) >= 2, told
    now, before = plant(500, 5, drifted=True), plant(500, 6, drifted=False)
    error = rmse(with_it.current, *now)
    assert (error < rmse(offline, *now)).all()
    assert (error < 0.95 * rmse(alone.current, *now)).all()
    assert (rmse(with_it.current, *before) < 1.25 * rmse(offline, *before)).all()
    first = drift(again, 13)
    assert told[: len(first)] == first, "the same samples teach the same"
    # The closed form goes on from what was retrained.
    new = with_it._online.posterior()
    assert all((a == b).all() for a, b in zip(new.weights, with_it.current.weights, strict=True))
    assert (with_it.current.weights[0] != offline.weights[0]).any()


class Worthless:
    """Retrains to a model of which nothing is right."""

    def __init__(self, offline: Posterior) -> None:
        wrong = replace(offline, weights=(3.0 * offline.weights[0], *offline.weights[1:]))
        self.made = OnlinePosterior(wrong)

    def take(self, x: np.ndarray, r: np.ndarray) -> None: ...

    def work(self, current: Posterior) -> OnlinePosterior:
        return self.made


def test_a_retrained_model_that_is_worse_is_not_used(offline: Posterior) -> None:
    guard = Guard(offline, *plant(200, 2, drifted=False), np.full(P, 50.0))
    learner = OnlineLearning(offline, guard, 0.8, 0.5, Worthless(offline))
    for seed in range(6):
        assert learner.batch(*plant(100, 200 + seed, drifted=False))["accepted"] == (seed >= 2)
        before = learner.current
        said = learner.retrain()
        if seed >= 1:
            assert said is not None
            assert not said["accepted"]
            assert "probe set" in said["reason"] or "NLL" in said["reason"]
        assert learner.current is before
    # What is learnt in closed form is not blamed for it.
    assert guard.rejected == 0


def test_old_samples_stay_among_the_new() -> None:
    numbers = np.arange(10_000.0)[:, None]
    seeds = -1.0 - numbers[:30]
    replays = [Replay(seeds, seeds, old=200, newest=100) for _ in range(2)]
    for replay in replays:
        for k in range(0, 5000, 50):
            replay.take(numbers[k : k + 50], numbers[k : k + 50])
    one, other = replays
    assert len(one) == 300
    np.testing.assert_array_equal(one.recent[0], numbers[4900:5000])
    old = one.old[0][:, 0]
    assert set(seeds[:, 0]) <= set(old)
    kept = old[old >= 0.0]
    assert len(kept) == len(set(kept)) == 170
    # Uniform over 0 … 4899: mean 2450, standard error of it 1414/√170.
    assert abs(kept.mean() - 2450.0) < 4.0 * 1414.0 / np.sqrt(170.0)
    x, r = one.draw(80)
    np.testing.assert_array_equal(x, r)
    assert (x >= 4900.0).sum() == 40 == (x < 4900.0).sum()
    np.testing.assert_array_equal(x, other.draw(80)[0])
    one.reset()
    assert len(one) == 30


def test_without_torch_it_is_refused_where_the_cell_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged_by(shipped()).save(tmp_path / "dynamics.npz")
    cell = learned_cell(tmp_path, online={"retrain": True})
    assert build_controllers(cell, cell.robot.terms)
    monkeypatch.setattr(online, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="needs torch, which is not installed"):
        build_controllers(cell, cell.robot.terms)
    with pytest.raises(CellError) as caught:
        learned_cell(tmp_path, online={"retrain": True, "guarded": False})
    assert "guarded" in caught.value.faults[0].allowed


@pytest.mark.accept
def test_in_lockstep_a_retrained_model_takes_effect_at_the_same_tick(offline: Posterior, tmp_path: Path) -> None:
    """The whole of it: another process, torch in it, the model swapped."""
    predictor = DynamicsPredictor(offline, probe=plant(400, 2, drifted=False))
    predictor.save(tmp_path / "model.npz")
    x, r = plant(2000, 7, drifted=True)
    runs, said = [], []
    for _ in range(2):
        told: list[dict[str, Any]] = []
        params = OnlineParams(every=1, settle=50, weight=0.5, retrain=True)
        learner = Learner(
            predictor, tmp_path / "model.npz", np.full(P, 50.0), lockstep=True, params=params, tell=told.append
        )
        seen = []
        try:
            for k in range(2000):
                mean, sigma = learner.predictor.step(*np.split(x[k], 3))
                seen.append((learner.predictor.version, *mean.tolist(), *sigma.tolist()))
                learner.step(*np.split(x[k], 3), r[k])
        finally:
            learner.close()
        runs.append(seen)
        said.append(told)
    assert runs[0] == runs[1]
    assert said[0] == said[1]
    assert any(each.get("retrained", {}).get("accepted") for each in said[0]), said[0]

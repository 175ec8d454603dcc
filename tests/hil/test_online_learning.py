"""Online learning beside a running cycle: the same model at the same tick, never half a model, never a wait."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from estimators.dynamics.online import Guard, predict
from estimators.dynamics.posterior import Posterior
from estimators.dynamics.predictor import DynamicsPredictor
from estimators.dynamics.samples import Scaling
from estimators.errors import ModelError
from hil.learning.online import Learner
from hil.learning.online_params import OnlineParams
from hil.learning.online_worker import OnlineLearning
from hil.learning.ring import ROWS, SampleRing
from hil.learning.swap import Swap, SwappedPredictor

P, M = 2, 20
FAST = OnlineParams(batch=50, every=1, settle=20, weight=0.05)


def offline(seed: int = 0) -> DynamicsPredictor:
    rng = np.random.default_rng(seed)
    points = rng.normal(0.0, 0.5, (P, M, 3 * P))
    posterior = Posterior(
        (), (), False, np.full((P, 3 * P), 2.0), points, np.ones(P), np.full(P, 0.02),
        np.zeros((P, M)), np.zeros((P, M, M)), Scaling(np.zeros(3 * P), np.ones(3 * P), np.zeros(P), np.ones(P)),
    )  # fmt: skip
    return DynamicsPredictor(posterior)


def torque(x: np.ndarray) -> np.ndarray:
    return np.array([0.8 * np.sin(x[0]) + 0.3 * x[2], 0.5 * np.cos(x[1]) - 0.2 * x[3]])


def judged() -> DynamicsPredictor:
    """The same with probe samples."""
    rng = np.random.default_rng(5)
    x = rng.normal(0.0, 0.6, (100, 3 * P))
    return DynamicsPredictor(offline().posterior, probe=(x, np.array([torque(row) for row in x])))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.npz"
    judged().save(path)
    return path


def follow(learner: Learner, ticks: int, seed: int = 1, at: Any = None) -> list[tuple[int, float]]:
    """Version and prediction in each tick."""
    rng = np.random.default_rng(seed)
    seen = []
    for k in range(ticks):
        if at is not None:
            at(k)
        x = rng.normal(0.0, 0.6, 3 * P)
        mean, _ = learner.predictor.step(*np.split(np.full(3 * P, 0.3), 3))
        seen.append((learner.predictor.version, float(mean[0])))
        learner.step(*np.split(x, 3), torque(x))
    return seen


def test_in_lockstep_a_model_takes_effect_at_the_same_tick_in_every_run(model: Path) -> None:
    runs, said = [], []
    for _ in range(2):
        told: list[dict[str, Any]] = []
        learner = Learner(judged(), model, np.full(P, 9.0), lockstep=True, params=FAST, tell=told.append)
        try:
            runs.append(follow(learner, 500))
        finally:
            learner.close()
        said.append(told)
    assert runs[0] == runs[1]
    versions = [version for version, _ in runs[0]]
    changes = [k for k in range(1, 500) if versions[k] != versions[k - 1]]
    assert changes, "something was learnt"
    assert all((k - FAST.settle) % FAST.batch == 0 for k in changes), changes
    assert [each["accepted"] for each in said[0]] == [each["accepted"] for each in said[1]]
    first, last = said[0][0], said[0][-1]
    assert sum(last["rmse"]) < 0.5 * sum(first["rmse"]), "batches are scored before they are learnt"


def test_without_a_guard_each_batch_is_learnt_at_once() -> None:
    """What the probe set would refuse, a torque that has changed for good, is in use after one batch."""
    rng = np.random.default_rng(1)
    x = rng.normal(0.0, 0.6, (50, 3 * P))
    r = np.array([torque(each) for each in x]) + 4.0
    offline = judged()
    assert offline.probe is not None
    guard = Guard(offline.posterior, *offline.probe, np.full(P, 50.0))
    held, free = (OnlineLearning(offline.posterior, each, 0.5, 0.05) for each in (guard, None))
    first = free.batch(x, r)
    assert first["accepted"]
    again, refused = free.batch(x, r), [held.batch(x, r) for _ in range(4)]
    assert sum(again["rmse"]) < 0.5 * sum(first["rmse"])
    assert first["rmse"] == refused[0]["rmse"], "scored before it was learnt"
    assert refused[3]["rmse"] == first["rmse"]
    assert "probe set" in refused[2]["reason"]


def test_the_cycle_goes_on_with_its_model_when_the_learner_dies(model: Path) -> None:
    told: list[dict[str, Any]] = []
    learner = Learner(judged(), model, np.full(P, 9.0), lockstep=True, params=FAST, tell=told.append)

    def kill(k: int) -> None:
        if k == 320:
            os.kill(learner._process.pid, signal.SIGKILL)
            learner._process.wait()

    try:
        seen = follow(learner, 600, at=kill)
    finally:
        learner.close()
        learner.close()
    assert not learner.alive
    assert told[-1]["died"]
    assert seen[-1][0] == seen[325][0] > 0
    assert np.isfinite([value for _, value in seen]).all()


def test_without_lockstep_nothing_is_waited_for(model: Path) -> None:
    """The learner is stopped (SIGSTOP): every tick goes on, and nothing changes."""
    learner = Learner(judged(), model, np.full(P, 9.0), lockstep=False, params=FAST)
    try:
        os.kill(learner._process.pid, signal.SIGSTOP)
        seen = follow(learner, 1000)
        assert {version for version, _ in seen} == {0}
        assert learner.alive
        os.kill(learner._process.pid, signal.SIGCONT)
    finally:
        learner.close()


def test_a_model_is_never_half_new() -> None:
    """Two models whose predictions differ, swapped as fast as it goes: each prediction is one or the other's."""
    base = offline()
    rng = np.random.default_rng(3)
    own = base.posterior
    models = [
        replace(
            own, alpha=np.full((P, M), value), B=np.zeros((P, M, M)), points=own.points + 0.1 * value,
            lengths=own.lengths + 0.3 * value, s2=own.s2 + 0.2 * value, noise=own.noise * (2.0 + value),
        )
        for value in (1.0, -1.0)
    ]  # fmt: skip
    x = rng.normal(0.0, 0.5, 3 * P)
    allowed = [np.concatenate([part[0] for part in predict(model, x[None])]) for model in models]
    swap = Swap(base.posterior)
    predictor = SwappedPredictor(base, swap)
    swap.publish(models[1])
    stop = threading.Event()

    def publish() -> None:
        k = 0
        while not stop.is_set():
            swap.publish(models[k % 2])
            k += 1

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        for _ in range(4000):
            mean, sigma = predictor.step(*np.split(x, 3))
            said = np.concatenate((mean, sigma**2))
            assert min(np.abs(said - each).max() for each in allowed) < 1e-9
    finally:
        stop.set()
        thread.join()
    assert swap.version > 100
    swap.close()


@pytest.mark.parametrize("kernel", ["compiled", "numpy"])
def test_both_kernels_use_the_newest_model(kernel: Any) -> None:
    base = DynamicsPredictor(offline().posterior, kernel=kernel)
    swap = Swap(base.posterior)
    predictor = SwappedPredictor(base, swap)
    x = np.full(3 * P, 0.2)
    own = base.posterior
    new = replace(
        own, alpha=np.ones((P, M)), B=0.01 * np.broadcast_to(np.eye(M), (P, M, M)), points=own.points + 0.1,
        lengths=1.2 * own.lengths, s2=1.1 * own.s2, noise=2.0 * own.noise,
    )  # fmt: skip
    assert swap.publish(new) == 1
    mean, sigma = predictor.step(*np.split(x, 3))
    expected, variance = predict(new, x[None])
    np.testing.assert_allclose(mean, expected[0], rtol=1e-9)
    np.testing.assert_allclose(sigma**2, variance[0], rtol=1e-9)
    predictor.pinned = 0
    np.testing.assert_allclose(predictor.step(*np.split(x, 3))[0], 0.0, atol=1e-12)
    swap.close()


def test_what_belongs_to_another_model_is_refused() -> None:
    swap = Swap(offline().posterior)
    own = offline().posterior
    other = replace(own, points=own.points[:, :5], alpha=own.alpha[:, :5], B=own.B[:, :5, :5])
    with pytest.raises(ModelError, match="another model"):
        Swap(other, swap.fd)
    with pytest.raises(ModelError, match="cannot follow"):
        swap.publish(other)
    swap.close()
    with pytest.raises(ModelError, match="settle"):
        OnlineParams(batch=10, every=1, settle=10)


def test_a_model_without_probe_samples_is_not_learnt_on(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no probe samples"):
        Learner(offline(), tmp_path / "model.npz", np.full(P, 9.0), lockstep=True, params=FAST)


def test_the_ring_keeps_the_newest_rows() -> None:
    ring = SampleRing(2)
    other = SampleRing(2, ring.fd)
    for k in range(ROWS + 30):
        ring.write(np.full(2, k), np.zeros(2), np.ones(2), np.full(2, -k))
    x, r = other.batch(ROWS - 10, 40)
    assert x.shape == (40, 6)
    np.testing.assert_array_equal(x[:, 0], np.arange(ROWS - 10, ROWS + 30))
    np.testing.assert_array_equal(r[:, 1], -x[:, 0])
    ring.close()

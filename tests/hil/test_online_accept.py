"""Learning beside a running cycle, for hours in minutes: thousands of swaps under load, learners killed at random."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drivers.contract import Array
from estimators.dynamics.posterior import Posterior
from estimators.dynamics.predictor import DynamicsPredictor, load
from hil.build import build_model
from hil.cell import load_cell, shipped_cells
from hil.learning.online import Learner
from hil.learning.online_params import OnlineParams
from hil.learning.swap import Swap, SwappedPredictor

pytestmark = pytest.mark.accept

SWAPS, MODELS = 10_000, 8
KILLS = 20
MODEL = shipped_cells()["iiwa14_learned"].parent / "iiwa14_learned.npz"

PUBLISHER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_online_accept import shipped, variants
from hil.learning.swap import Swap
models = variants(shipped())
swap = Swap(models[0], int(sys.argv[2]))
sys.stdin.readline()
for k in range(1, int(sys.argv[3]) + 1):
    swap.publish(models[k % len(models)])
"""


def shipped() -> DynamicsPredictor:
    return load(MODEL, build_model(load_cell("iiwa14_learned")))


def variants(predictor: DynamicsPredictor) -> list[Posterior]:
    """Models of one shape that differ in every number that is swapped."""
    own, rng = predictor.posterior, np.random.default_rng(0)
    return [
        replace(
            own,
            alpha=own.alpha + rng.normal(0.0, 0.1, own.alpha.shape),
            B=own.B * (1.0 - 0.1 * k),
            weights=tuple(W * (1.0 + 0.01 * k) for W in own.weights),
            points=own.points * (1.0 + 0.01 * k),
            lengths=own.lengths * (1.0 + 0.01 * k),
            s2=own.s2 * (1.0 + 0.05 * k),
            noise=own.noise * (1.0 + 0.1 * k),
        )
        for k in range(MODELS)
    ]


def state() -> tuple[Array, Array, Array]:
    q, qd, qdd = np.random.default_rng(1).normal(0.0, 0.3, (3, 7))
    return q, qd, qdd


def test_ten_thousand_swaps_under_load(record_property: Callable[[str, object], None]) -> None:
    """Another process publishes without pause; every prediction must be bit for bit that of the version it names."""
    base = shipped()
    models = variants(base)
    at = state()
    expected = []
    for model in models:
        alone = SwappedPredictor(base, Swap(model))
        expected.append(np.concatenate(alone.step(*at)))
    for a in range(MODELS):
        for b in range(a):
            assert (expected[a] != expected[b]).all(), "every number tells which model it came from"
    swap = Swap(models[0])
    predictor = SwappedPredictor(base, swap)
    predictor.step(*at)
    command = [sys.executable, "-c", PUBLISHER, str(Path(__file__).parent), str(swap.fd), str(SWAPS)]
    publisher = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(swap.fd,))
    first: list[tuple[int, int]] = []
    steady: list[tuple[int, int]] = []
    seen, last = 0, 0
    assert publisher.stdin is not None
    publisher.stdin.close()
    try:
        while last < SWAPS:
            wall, own = time.perf_counter_ns(), time.thread_time_ns()
            mean, sigma = predictor.step(*at)
            spent = time.thread_time_ns() - own, time.perf_counter_ns() - wall
            right = expected[predictor.version % MODELS]
            assert (mean == right[:7]).all(), f"mean of version {predictor.version} is torn"
            assert (sigma == right[7:]).all(), f"sigma of version {predictor.version} is torn"
            (steady if predictor.version == last else first).append(spent)
            seen, last = seen + (predictor.version != last), predictor.version
            assert publisher.poll() in (None, 0)
    finally:
        publisher.kill()
        publisher.wait()
    assert swap.version == SWAPS
    told: dict[str, object] = {
        "versions used": seen,
        "predictions": len(first) + len(steady),
        "made anew": predictor.again,
    }
    for name, times in (("first tick", first), ("steady", steady)):
        cpu, wall_ns = np.array(times).T / 1e3
        told |= {
            f"{name}, processor time p50 p99 max / us": np.quantile(cpu, [0.5, 0.99, 1.0]).round(1).tolist(),
            f"{name}, wall max / us": round(float(wall_ns.max()), 1),
        }
    print(json.dumps(told, indent=1))
    for name, value in told.items():
        record_property(name, value)
    assert seen > SWAPS / 20
    swap.close()


def test_learners_killed_at_random_while_they_update(tmp_path: Path) -> None:
    """The cycle never waits (no voluntary context switch in its calls), and its model is never half new."""
    base = shipped()
    assert base.probe is not None
    rng = np.random.default_rng(2)
    params = OnlineParams(batch=40, every=1, settle=20)
    x, r = base.probe
    waited, at_update = 0, 0
    spent: list[int] = []
    versions: list[int] = []
    for _ in range(KILLS):
        learner = Learner(base, MODEL, np.full(7, 320.0), lockstep=False, params=params)
        try:
            # Until a few versions are in use; then a moment at random after a batch was handed over.
            kill_after, target = rng.uniform(0.0, 0.02), 2 + int(rng.integers(3))
            killed, handed, ticks, after = False, 0.0, 0, 0
            kept: tuple[int, Array, Array] | None = None
            while after < 200:
                row = int(rng.integers(len(x)))
                before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
                own = time.thread_time_ns()
                learner.predictor.step(*np.split(x[row], 3))
                open_before = len(learner._open)
                learner.step(*np.split(x[row], 3), r[row] + rng.normal(0.0, 0.02, 7))
                spent.append(time.thread_time_ns() - own)
                waited += resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before
                ticks += 1
                if len(learner._open) > open_before:
                    handed = time.monotonic()
                swap, version = learner._swap, learner.predictor.version
                if kept is None or kept[0] != version:
                    kept = version, swap.buffers[version & 1].alpha.copy(), swap.buffers[version & 1].B.copy()
                    if swap.version != version:
                        kept = None
                if not killed and version >= target and learner._open and time.monotonic() - handed >= kill_after:
                    at_update += 1
                    os.kill(learner.pid, signal.SIGKILL)
                    learner._process.wait()
                    killed = True
                    versions.append(swap.version)
                after += killed
                time.sleep(0.0005)  # ticks pass; nothing is waited for
            version = learner.predictor.version
            assert version == swap.version == versions[-1]
            assert not learner.alive
            assert kept is not None
            assert kept[0] == version
            np.testing.assert_array_equal(swap.buffers[version & 1].alpha, kept[1])
            np.testing.assert_array_equal(swap.buffers[version & 1].B, kept[2])
            B = swap.buffers[version & 1].B
            np.testing.assert_array_equal(B, B.transpose(0, 2, 1))
            mean, sigma = learner.predictor.step(*np.split(x[0], 3))
            assert np.isfinite(mean).all()
            assert np.isfinite(sigma).all()
        finally:
            learner.close()
    print("updates interrupted", at_update, "versions", versions, "ticks", len(spent))
    print("processor time of a tick, us, p50 p99 max", np.quantile(spent, [0.5, 0.99, 1.0]) / 1e3, "waited", waited)
    assert at_update == KILLS
    assert waited == 0

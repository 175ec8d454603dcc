"""The benchmark of the learnt feed-forward torque measures what it says."""

from __future__ import annotations

import numpy as np
import pytest

from estimators.dynamics.predictor import DynamicsPredictor
from hil.bench import dynamics
from hil.bench.dynamics import SIZES, Cost, bench_dynamics, drawn, render


def test_every_size_is_measured_in_every_way() -> None:
    costs = bench_dynamics(calls=5)
    assert {each.size for each in costs} == set(SIZES)
    assert {each.way for each in costs} >= {"numpy", "gpytorch"}
    assert all(0.0 < each.p50 <= each.p99 for each in costs)
    assert "reached" in render(costs) or "missed" in render(costs)


def test_the_text_says_which_aims_were_missed_and_what_is_not_there() -> None:
    ours = Cost("small", "numba", 20.0, 4000.0, 35.0, 30.0, 0.01, 20.0)
    numpy = Cost("small", "numpy", 90.0, 95.0, 80.0)
    said = render([ours, numpy])
    lines = said.splitlines()
    assert lines[1].endswith("p50 35 reached, p99 100 reached")
    assert lines[2].endswith("p50 80 missed")
    assert "GPyTorch is not installed" in said
    said = render([ours, Cost("small", "gpytorch", 1800.0, 1900.0, None, cpu=900.0)])
    assert "45 times faster than GPyTorch by processor time (aim 50, missed)" in said
    assert "p99 100 missed" in render([Cost("small", "numba", 20.0, 4000.0, 35.0, 130.0, 0.01, 20.0)])


@pytest.mark.parametrize("size", list(SIZES))
def test_both_kernels_agree_on_the_drawn_arrays(size: str) -> None:
    arrays = drawn(size, 7)
    rng = np.random.default_rng(1)
    for _ in range(5):
        q, qd, qdd = rng.standard_normal((3, 7))
        a, b = (DynamicsPredictor(arrays, kernel=kernel).step(q, qd, qdd) for kernel in ("compiled", "numpy"))
        np.testing.assert_allclose(a, b, rtol=1e-10)


def test_the_sizes_are_those_of_the_configurations() -> None:
    from estimators.dynamics.fitting.options import CONFIGURATIONS

    named = {name: (k.inducing, k.hidden, k.features) for name, (k, _) in CONFIGURATIONS.items()}
    assert named == dynamics.SIZES

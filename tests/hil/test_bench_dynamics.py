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
    said = render([Cost("small", "numba", 20.0, 30.0, 35.0), Cost("small", "numpy", 90.0, 95.0, 80.0)])
    lines = said.splitlines()
    assert lines[1].endswith("reached")
    assert lines[2].endswith("missed")
    assert "GPyTorch is not installed" in said


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

"""The predictor's machine code: the same numbers as NumPy's, whatever the sizes, at one sample or several."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from estimators.dynamics.machine import Compiled, _exponentials
from estimators.dynamics.posterior import Posterior
from estimators.dynamics.predictor import DynamicsPredictor
from estimators.dynamics.prior import STRIBECK, Prior, friction_terms
from estimators.dynamics.reference import Reference
from estimators.dynamics.samples import Scaling
from tests.estimators.dynamics_arm import planar

P, D = 2, 6


def drawn(points: int, layers: tuple[int, ...], skip: bool, seed: int = 0) -> Posterior:
    rng = np.random.default_rng(seed)
    sizes = (D, *layers)
    width = (sizes[-1] if layers else 0) + (D if skip or not layers else 0)
    root = 0.1 * rng.standard_normal((P, points, points))
    scaling = Scaling(rng.standard_normal(D), rng.uniform(0.5, 2.0, D), np.array([1.0, -2.0]), np.array([3.0, 0.5]))
    return Posterior(
        tuple(rng.standard_normal((b, a)) / np.sqrt(a) for a, b in itertools.pairwise(sizes)),
        tuple(rng.standard_normal(b) for b in layers),
        skip,
        rng.uniform(2.0, 6.0, (P, width)),
        rng.standard_normal((P, points, width)) / 4.0,
        np.array([1.0, 0.3]),
        np.array([0.01, 0.002]),
        rng.standard_normal((P, points)),
        0.1 * root @ root.transpose(0, 2, 1) / points,
        scaling,
    )


@pytest.mark.parametrize("points", [1, 3, 8, 13])
@pytest.mark.parametrize("layers", [(), (5,), (9, 7, 3)])
@pytest.mark.parametrize("skip", [True, False])
def test_machine_code_and_numpy_agree(points: int, layers: tuple[int, ...], skip: bool) -> None:
    posterior = drawn(points, layers, skip)
    if points == 8:
        posterior = replace(posterior, standstill=np.array([[0.5, 0.0], [0.3, 1.0]]))
    if points == 13:
        posterior = replace(posterior, mixing=np.array([[1.0, 0.3], [-0.2, 0.8]]))
    x = np.random.default_rng(1).standard_normal((3, D))
    found = []
    for kernel in (Compiled(posterior), Reference(posterior)):
        mean, sigma = np.zeros((3, P)), np.zeros((3, P))
        kernel.at(x, mean, sigma)
        one = np.zeros((2, 1, P))
        kernel.at(x[1:2], one[0], one[1])
        np.testing.assert_allclose(one[:, 0], [mean[1], sigma[1]], rtol=1e-12)
        found.append((mean, sigma))
    assert (found[0][1] > 0.0).all()
    np.testing.assert_allclose(found[0], found[1], rtol=1e-10)


def test_exponentials_are_exact_to_rounding() -> None:
    v = np.concatenate((np.linspace(-690.0, 690.0, 4001), np.linspace(-1.0, 1.0, 501), [0.0]))
    found, powers = v.copy(), np.zeros(v.size)
    _exponentials(found, v.size, powers, powers.view(np.int64))
    np.testing.assert_allclose(found, np.exp(v), rtol=5e-16)
    edge = np.array([-1e9, -np.inf, np.nan, 1e9])
    _exponentials(edge, 4, powers, powers.view(np.int64))
    assert edge[0] < 1e-300
    assert edge[1] < 1e-300
    assert np.isnan(edge[2])
    assert edge[3] > 1e300


@pytest.mark.parametrize("kernel", ["compiled", "numpy"])
def test_several_samples_at_once_are_the_samples(kernel: Any) -> None:
    rng = np.random.default_rng(2)
    friction = rng.standard_normal(friction_terms(np.zeros(P), np.zeros(P), STRIBECK, True).shape)
    predictor = DynamicsPredictor(drawn(9, (4,), True), Prior(planar(), None, friction, STRIBECK, True), kernel=kernel)
    for count in (2, 1, 5):
        q, qd, qdd = rng.standard_normal((3, count, P))
        mean, sigma = (part.copy() for part in predictor.steps(q, qd, qdd))
        alone = [tuple(part.copy() for part in predictor.step(*row)) for row in zip(q, qd, qdd, strict=True)]
        np.testing.assert_allclose(mean, [m for m, _ in alone], rtol=1e-12)
        np.testing.assert_allclose(sigma, [s for _, s in alone], rtol=1e-12)


@pytest.mark.parametrize("kernel", ["compiled", "numpy"])
@pytest.mark.parametrize("layers", [(), (4,)])
def test_what_is_not_finite_is_seen_in_both_outputs_and_in_no_other_sample(kernel: Any, layers: Any) -> None:
    predictor = DynamicsPredictor(drawn(9, layers, True), Prior(planar()), kernel=kernel)
    good = np.zeros((2, P))
    for bad in (np.nan, np.inf):
        qd = good.copy()
        qd[0, 1] = bad
        mean, sigma = predictor.steps(good, qd, good)
        assert np.isnan(mean[0]).all()
        assert np.isnan(sigma[0]).all()
        assert np.isfinite(mean[1]).all()
        assert np.isfinite(sigma[1]).all()


@pytest.mark.parametrize("loaded", [True, False])
def test_compiled_friction_is_numpys(loaded: bool) -> None:
    rng = np.random.default_rng(3)
    friction = rng.standard_normal(friction_terms(np.zeros(P), np.zeros(P), STRIBECK, loaded).shape)
    prior = Prior(planar(), None, friction, STRIBECK, loaded)
    row = rng.standard_normal((3, P))
    compiled, plain = np.ones(P), np.ones(P)
    prior.add(*row, compiled, use_compiled=True)
    prior.add(*row, plain, use_compiled=False)
    np.testing.assert_allclose(compiled, plain, rtol=1e-12)
    np.testing.assert_allclose(prior.torque(*row), plain - 1.0, rtol=1e-12)

"""Every observer by name on a small arm with known friction: what it learns, that it steps as it replays, and packs."""

from __future__ import annotations

import json
import math
from functools import cache

import numpy as np
import pytest
from arms import PLANAR

from estimators.errors import ModelError, ParameterError
from estimators.kvark import methods, tuning
from estimators.kvark.methods import METHODS
from estimators.kvark.recursion import RecursionParams
from estimators.kvark.replay import follow, measure, replay
from estimators.residual import gmr_gp, network, sparse_gp
from estimators.residual.base import ResidualModel
from estimators.residual.memory import MemoryParams
from estimators.residual.packing import KINDS, unpack
from estimators.residual.semiparametric import Run
from estimators.rigid_body import RigidBodyModel

DT = 2e-3
ARMATURE = np.array([0.5, 0.2])
RESIDUALS = ("constant", "gmr", "gmr_gp", "kmp", "sparse_gp", "network", "semiparametric")


def arm() -> RigidBodyModel:
    return RigidBodyModel(PLANAR, armature=ARMATURE)


def friction(qd: np.ndarray) -> np.ndarray:
    return np.array([1.5, 0.8]) * np.tanh(qd / 0.05) + np.array([2.0, 1.0]) * qd


@cache
def motion(seed: int, seconds: float = 6.0) -> tuple[Run, np.ndarray]:
    """An arm that swings against friction, and is pushed in the second half if ``seed`` is 9; run and tau_ext."""
    rng = np.random.default_rng(seed)
    model, rows = arm(), round(seconds / DT)
    q, qd = np.array([0.3, -0.4]), np.zeros(2)
    amplitude, omega = rng.uniform(0.6, 0.8, 2), rng.uniform(1.5, 2.5, 2)
    seen: list[tuple[np.ndarray, ...]] = []
    for k in range(rows):
        target = np.array([0.3, -0.4]) + amplitude * np.sin(omega * k * DT)
        tau = model.gravity(q) + 120.0 * (target - q) - 4.0 * qd
        ext = np.array([6.0, -4.0]) if seed == 9 and k >= rows // 2 else np.zeros(2)
        noise = 1e-4 * rng.standard_normal(2)
        seen.append((q, qd + noise, tau + 0.05 * rng.standard_normal(2), ext))
        for _ in range(4):
            qdd = model.forward(q, qd, tau - friction(qd) + ext)
            qd = qd + 0.25 * DT * qdd
            q = q + 0.25 * DT * qd
    q_rows, qd_rows, tau_rows, ext_rows = (np.array(part) for part in zip(*seen, strict=True))
    return Run(q_rows, qd_rows, tau_rows, DT), ext_rows


@cache
def residual(kind: methods.ResidualKind) -> ResidualModel:
    runs, held_out = [motion(seed)[0] for seed in (0, 1, 2)], [motion(3)[0]]
    # What takes long to train is trained less: enough for a friction of two joints.
    if kind == "network":
        return network.fit(*methods.labelled(arm(), runs), methods.labelled(arm(), held_out), epochs=25)
    if kind == "sparse_gp":
        return sparse_gp.fit(*methods.labelled(arm(), runs), inducing=25, iterations=60)
    return methods.fit_residual(kind, arm(), runs, held_out, memory=MemoryParams(harmonics=0))


@cache
def tuned(name: str) -> methods.Tuned:
    chosen = METHODS[name]
    model = residual(chosen.residual)
    return methods.tune(chosen, model, [measure(arm(), model, motion(seed)[0]) for seed in (3, 4)])


@pytest.mark.parametrize("kind", RESIDUALS)
def test_a_residual_model_knows_friction_and_steps_as_it_runs(kind: methods.ResidualKind) -> None:
    model, (run, _) = residual(kind), motion(3)
    mean, variance = model.run(run.q, run.qd, run.tau, DT)
    assert (variance > 0.0).all()
    error = np.sqrt(np.mean((mean - friction(run.qd)) ** 2, axis=0))
    size = np.sqrt(np.mean(friction(run.qd) ** 2, axis=0))
    assert (error < 0.3 * size).all() or kind == "constant", error / size
    for again in range(2):
        model.reset()
        for k in range(400):
            m, v = model.step(run.q[k], run.qd[k], run.tau[k], DT if k else math.nan)
            np.testing.assert_allclose(m, mean[k], rtol=1e-9, atol=1e-10, err_msg=f"pass {again}, sample {k}")
            np.testing.assert_allclose(v, variance[k], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", RESIDUALS)
def test_a_residual_model_packs_without_loss(kind: methods.ResidualKind) -> None:
    model, (run, _) = residual(kind), motion(4)
    options, arrays = model.pack()
    assert options["kind"] in KINDS
    again = unpack(json.loads(json.dumps(options)), {name: np.array(value) for name, value in arrays.items()})
    assert again.n == model.n == 2
    for mine, theirs in zip(
        again.run(run.q, run.qd, run.tau, DT), model.run(run.q, run.qd, run.tau, DT), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-12)
    for name in arrays:
        with pytest.raises(ModelError):
            unpack(options, {key: value for key, value in arrays.items() if key != name})
        with pytest.raises(ModelError):
            unpack(options, {**arrays, name: np.full_like(arrays[name], math.nan)})


@pytest.mark.parametrize("kind", RESIDUALS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_residual_model_is_never_sure_of_what_it_cannot_know(kind: methods.ResidualKind, bad: float) -> None:
    """NaN in, NaN out; an infinite speed is at the end of a table, where the variance is that of no data."""
    model = residual(kind)
    model.reset()
    q, qd, tau = np.array([0.1, bad]), np.array([0.2, bad]), np.zeros(2)
    mean, variance = model.step(q, qd, tau, DT)
    table = kind in ("gmr", "gmr_gp", "kmp") and math.isinf(bad)
    assert np.isnan(mean[1]) or table
    assert np.isnan(variance[1]) or table or (kind == "semiparametric" and math.isinf(bad))
    means, _ = model.run(q[None], qd[None], tau[None], DT)
    assert np.isnan(means[0, 1]) or table
    model.reset()


@pytest.mark.parametrize("name", METHODS)
def test_every_method_steps_as_it_replays_and_finds_a_push(name: str) -> None:
    found, (run, ext) = tuned(name), motion(9)
    recording = measure(arm(), found.residual, run)
    (x, _, nis), variance = found.replay(recording)
    cycle, observer = arm(), found.observer(arm())
    assert np.isnan(observer.step(run.tau[0], cycle.update(run.q[0], run.qd[0]), math.nan).tau_ext).all() or (
        METHODS[name].rules is None
    )
    for k in range(1, 600):
        estimate = observer.step(run.tau[k], cycle.update(run.q[k], run.qd[k]), DT)
        np.testing.assert_allclose(estimate.tau_ext, x[k], rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(estimate.covariance.diagonal(), variance[k], rtol=1e-8)
        assert math.isnan(nis[k]) or estimate.nis == pytest.approx(nis[k], rel=1e-6)
    assert np.isnan(observer.step(run.tau[1] * math.nan, cycle.update(run.q[1], run.qd[1]), DT).tau_ext).all()
    half = len(x) // 2
    after = np.sqrt(np.mean((x - ext)[half + 500 :] ** 2, axis=0))
    assert (after < (0.15 if METHODS[name].residual != "constant" else 1.0) * np.abs(ext[-1])).all(), after


def test_literal_is_literal_and_the_adaptive_filter_has_no_model() -> None:
    literal, adaptive = tuned("kvark_literal").params, tuned("akf").params
    assert literal is not None
    assert adaptive is not None
    assert (literal.adapt_q, literal.adapt_r, literal.colour) == ("literal", "literal", 1.0)
    assert literal.q_clip == literal.r_clip == tuning.UNBOUNDED
    assert (adaptive.adapt_q, adaptive.adapt_r, adaptive.colour) == ("innovation", "residual", 0.0)


def test_tuning_is_reproducible_and_tells_how_far_it_is() -> None:
    model = residual("kmp")
    tests = tuning.cases([measure(arm(), model, motion(3)[0])], seed=5)
    shares: list[float] = []
    one = tuning.tune(tests, progress=shares.append)
    two = tuning.tune(tuning.cases([measure(arm(), model, motion(3)[0])], seed=5))
    other = tuning.tune(tuning.cases([measure(arm(), model, motion(3)[0])], seed=6))
    assert (one.rmse == two.rmse).all()
    assert (one.params.q_rate == two.params.q_rate).all()
    assert (one.rmse != other.rmse).any()
    assert shares == sorted(shares)
    assert 0.0 < shares[0] < 0.1
    assert shares[-1] == 1.0
    # No process noise near the chosen one is better, and far ones are worse.
    for factor in (1e-3, 1e-1, 10.0, 1e3):
        params = RecursionParams(
            factor * one.params.q_rate, one.params.r_empirical, colour=one.params.colour, dt_colour=DT,
            adapt_r="off", window_q=one.params.window_q,
        )  # fmt: skip
        assert tuning.judged(tests, params).rmse.mean() > one.rmse.mean()


def test_bandwidths_are_tuned_by_the_same_contacts() -> None:
    tests = tuning.cases([measure(arm(), residual("constant"), motion(3)[0])])
    best = tuning.tune_bandwidth(tests)
    for bandwidth in tuning.BANDWIDTHS:
        x = follow(tests[0].y, DT, float(bandwidth))
        error = np.sqrt(np.mean((x - tests[0].tau_ext)[round(tuning.SETTLE / DT) :] ** 2, axis=0)).mean()
        assert error >= best.rmse.mean() - 1e-12
    assert np.isfinite(best.errors).all()


def test_recordings_that_say_nothing_are_refused_in_words() -> None:
    case = tuning.Case(np.zeros((2000, 2)), np.ones((2000, 2)), np.zeros((2000, 2)), DT)
    with pytest.raises(ParameterError, match="does not vary on a joint"):
        tuning.tune([case])
    with pytest.raises(ParameterError, match="known are momentum, dkf"):
        methods.method("kalman")
    with pytest.raises(ParameterError, match="0 held out"):
        methods.fit_residual("kmp", arm(), [motion(0)[0]], [])
    bad = np.full((300, 2), math.nan)
    with pytest.raises(ParameterError, match="finite"):
        sparse_gp.fit(bad, bad, bad)
    with pytest.raises(ParameterError, match="finite"):
        network.fit(bad, bad, bad, (bad, bad, bad))
    with pytest.raises(ParameterError, match="0 or more"):
        RecursionParams(np.ones(2), np.ones(2), colour=-1.0)


def test_without_colour_the_variance_is_told_and_not_used() -> None:
    y, params = np.random.default_rng(0).standard_normal((500, 2)), RecursionParams(np.ones(2), np.ones(2), colour=0.0)
    one, two = replay(y, np.zeros_like(y), DT, params), replay(y, 7.0 + np.zeros_like(y), DT, params)
    assert (one.x == two.x).all()
    assert (one.P == two.P).all()


def test_a_sparse_process_with_all_points_is_an_exact_one() -> None:
    rng = np.random.default_rng(0)
    x, at = rng.standard_normal((40, 4)), rng.standard_normal((15, 4))
    tau = np.sin(x[:, 0]) + 0.1 * rng.standard_normal(40)
    hyper = sparse_gp.Hyper(np.array([1.0, 2.0, 3.0, 1.5]), 1.3, 0.02, x)
    weights, explained = sparse_gp.condition(x, tau, hyper)
    model = sparse_gp.SparseGpResidual(
        np.array([x, x]), np.array([hyper.lengths] * 2), np.full(2, 1.3), np.full(2, 0.02),
        np.array([weights] * 2), np.array([explained] * 2),
    )  # fmt: skip
    mean, variance = model.run(at[:, :2], at[:, 2:], at[:, :2], DT)

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        away = (a[:, None] - b) / hyper.lengths
        return 1.3 * np.exp(-0.5 * (away**2).sum(axis=2))

    K = kernel(x, x) + 0.02 * np.eye(40)
    k = kernel(at, x)
    np.testing.assert_allclose(mean[:, 0], k @ np.linalg.solve(K, tau), atol=1e-4)
    exact = 1.3 + 0.02 - np.einsum("ij,ji->i", k, np.linalg.solve(K, k.T))
    np.testing.assert_allclose(variance[:, 1], exact, atol=1e-4)
    assert model.relevance[0].argmax() == 0


def test_a_process_on_mixture_means_is_homoscedastic_and_falls_back_outside() -> None:
    s = np.linspace(-1.0, 1.0, 150)
    process = gmr_gp.GaussianProcess(s, np.sin(3.0 * s), 0.2, 1e-3)
    process.floor = 0.3
    mean, variance = process.predict(np.linspace(-0.7, 0.7, 50))
    np.testing.assert_allclose(mean, np.sin(3.0 * np.linspace(-0.7, 0.7, 50)), atol=1e-2)
    assert variance.max() / variance.min() < 1.01
    far, wide = process.predict(np.array([-9.0, 1.0, 9.0]))
    assert far[2] == far[1]
    np.testing.assert_allclose(wide[[0, 2]], process.amplitude + 0.3)

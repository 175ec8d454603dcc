"""Training of inverse dynamics: every family learns, bounds are GPyTorch's, and an interrupted training goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gpytorch
import numpy as np
import pytest
import torch

from estimators.dynamics import predictor as files
from estimators.dynamics import store
from estimators.dynamics.fitting import grid, refit
from estimators.dynamics.fitting.deep_kernel import JITTER, DeepKernelGP, bound, moments
from estimators.dynamics.fitting.export import export
from estimators.dynamics.fitting.grid import GridModel, GridOptions
from estimators.dynamics.fitting.loop import device_of, one_cycle
from estimators.dynamics.fitting.lstm import BayesianLstm, LstmModel, LstmOptions, windows
from estimators.dynamics.fitting.options import KernelOptions, TrainOptions, plain
from estimators.dynamics.fitting.regression import SparseRegressionModel, collapsed
from estimators.dynamics.fitting.variational import VariationalModel
from estimators.dynamics.prior import Prior, regress
from estimators.dynamics.scores import Scores, score
from estimators.errors import ModelError, ParameterError
from estimators.rigid_body import RigidBodyModel
from tests.estimators.arms import PLANAR
from tests.estimators.dynamics_arm import NOISE, WIDTH, moved, planar

torch.set_num_threads(1)
TINY = KernelOptions(inducing=24, hidden=16, features=3)
SHORT = TrainOptions(epochs=6, batch=128)
TRAIN, VALIDATE, TEST = moved(16, 1), moved(4, 2), moved(4, 3)

FAMILIES: dict[str, Any] = {
    "svdkl": lambda prior: VariationalModel(TINY, SHORT, prior),
    "svgp": lambda prior: VariationalModel(plain(TINY), SHORT, prior),
    "lmc": lambda prior: VariationalModel(replace(TINY, latents=3), replace(SHORT, epochs=10), prior),
    "sgpr": lambda prior: SparseRegressionModel(TINY, TrainOptions(epochs=40), prior, subset=400),
    "dkl": lambda prior: GridModel(
        GridOptions(subset=120, hidden=16, grid=12), TrainOptions(epochs=12, rate_network=2e-2), prior
    ),
    "lstm": lambda prior: LstmModel(LstmOptions(window=3, hidden=16), TrainOptions(epochs=25, batch=128), prior),
}


def judged(model: Any) -> Scores:
    mean, variance = model.predict(TEST)
    return score(TEST.tau, mean, variance, TRAIN.tau.mean(axis=0), TRAIN.tau.var(axis=0))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns_is_saved_and_is_the_same_again(family: str, tmp_path: Path) -> None:
    prior = Prior(planar()) if family in ("svgp", "lstm") else None
    model = FAMILIES[family](prior)
    with pytest.raises(ParameterError, match="not been trained"):
        model.predict(TEST)
    steps = []
    history = model.fit(TRAIN, VALIDATE, steps.append)
    assert len(steps) == len(history.steps) > 0
    assert history.cpu_seconds > 0.0
    found = judged(model)
    spread = (TEST.tau if prior is None else TEST.tau - prior.of(TEST)).std(axis=0)
    assert (found.rmse < 0.6 * spread).all(), f"{found.rmse} of {spread}"
    assert (found.coverage95 > 0.8).all(), f"{found.coverage95}"
    model.save(tmp_path / "model.npz", {"who": "test"})
    again = type(model).load(tmp_path / "model.npz", planar())
    for before, after in zip(model.predict(TEST), again.predict(TEST), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-6, atol=1e-9)
    (tmp_path / "model.npz").write_bytes(b"no model")
    with pytest.raises(ModelError, match="no learned model"):
        type(model).load(tmp_path / "model.npz", planar())


def test_a_deep_kernel_on_physics_reaches_the_noise() -> None:
    model = VariationalModel(TINY, SHORT, regress(planar(), TRAIN, widths=(WIDTH,)))
    model.fit(TRAIN, VALIDATE)
    assert (judged(model).rmse < 1.08 * NOISE).all()


@pytest.fixture(scope="module", params=["semi", "mixed"])
def trained(request: pytest.FixtureRequest) -> VariationalModel:
    """A model of independent joints on physics, and one of mixed joints without."""
    semi = request.param == "semi"
    options = TINY if semi else replace(TINY, latents=3)
    model = VariationalModel(options, replace(SHORT, epochs=12), Prior(planar()) if semi else None)
    model.fit(TRAIN, VALIDATE)
    return model


@pytest.mark.parametrize("kernel", ["compiled", "numpy"])
def test_the_predictor_is_gpytorchs_own_prediction(trained: VariationalModel, kernel: Any, tmp_path: Path) -> None:
    """On trained models, whose B is ill-conditioned; what GPyTorch adds to the data's own covariance set aside."""
    export(trained, {"who": "test"}).save(tmp_path / "predictor.npz")
    fast = files.load(tmp_path / "predictor.npz", planar() if trained.prior else None, kernel=kernel)
    assert fast.provenance == {"who": "test"}
    gp, scaling = trained.trained()
    with torch.no_grad():
        theirs = gp.likelihood(gp(torch.as_tensor(scaling.inputs(TEST.inputs))))
        found, mean = theirs.variance.numpy(), theirs.mean.numpy()
    W = np.zeros((1, 2)) if gp.mixing is None else gp.mixing.detach().numpy()
    variance = (found - JITTER * (1.0 + np.square(W).sum(axis=0))) * scaling.y_std**2
    mean = mean * scaling.y_std + scaling.y_mean
    if trained.prior is not None:
        mean += trained.prior.of(TEST)
    ours = [tuple(part.copy() for part in fast.step(*row)) for row in zip(TEST.q, TEST.qd, TEST.qdd, strict=True)]
    np.testing.assert_allclose([m for m, _ in ours], mean, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose([s for _, s in ours], np.sqrt(variance), rtol=1e-6)
    np.testing.assert_allclose(fast.sigma_noise, scaling.y_std * gp.likelihood.task_noises.detach().sqrt().numpy())
    far = fast.steps(*(np.full((1, 2), 1e3) for _ in range(3)))[1][0]
    np.testing.assert_allclose(far, np.hypot(fast.sigma_signal, fast.sigma_noise), rtol=1e-9)
    if trained.prior is not None:
        with pytest.raises(ModelError, match="another rigid-body model"):
            files.load(tmp_path / "predictor.npz", RigidBodyModel(PLANAR, armature=np.array([0.1, 0.0])))


def made(latents: int = 0) -> tuple[DeepKernelGP, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    gp = DeepKernelGP(6, 2, replace(TINY, latents=latents))
    x, y = torch.randn(300, 6), torch.randn(300, 2)
    gp.place(x, 0)
    distribution = gp.base._variational_distribution
    with torch.no_grad():
        distribution.variational_mean.normal_()
        distribution.chol_variational_covar.mul_(0.3).add_(0.05 * torch.randn(latents or 2, 24, 24))
    return gp.double(), x.double(), y.double()


@pytest.mark.parametrize("latents", [0, 3])
def test_the_bound_is_gpytorchs(latents: int) -> None:
    gp, x, y = made(latents)
    theirs = -gpytorch.mlls.VariationalELBO(gp.likelihood, gp, num_data=1000)(gp(x), y) / 2.0
    # Their latent variance has the jitter of the data's own covariance in it.
    extra = float((0.5 * gp.jitter / gp.likelihood.task_noises).mean().detach())
    assert float(bound(gp, x, y, 1.0 / 1000.0).detach()) == pytest.approx(float(theirs.detach()) - extra, rel=1e-6)


@pytest.mark.parametrize("latents", [0, 3])
def test_the_closed_form_is_the_best_q(latents: int) -> None:
    gp, x, y = made(latents)
    distribution = gp.base._variational_distribution
    stats, s2 = refit.statistics(gp, x, y), gp.covar_module.outputscale.detach()
    mean, root = stats.optimum(gp.likelihood.task_noises.detach())
    with torch.no_grad():
        distribution.variational_mean.copy_(mean)
        distribution.chol_variational_covar.copy_(root)
    best = bound(gp, x, y, 1.0 / len(x))
    if not latents:
        assert float(best.detach()) == pytest.approx(float(collapsed(gp, x, y).detach()), rel=1e-6)
    found = torch.autograd.grad(best, [distribution.variational_mean, distribution.chol_variational_covar])
    assert all(float(part.tril().abs().max()) < 1e-7 for part in found), "no gradient is left"
    m, v = moments(gp, x)
    squared, latent = stats.errors(s2, (mean, root))
    np.testing.assert_allclose(squared.numpy(), (y.T - m).square().mean(1).detach().numpy(), rtol=1e-8)
    np.testing.assert_allclose(latent.numpy(), v.mean(1).detach().numpy(), rtol=1e-6)


def test_the_worse_q_is_not_kept() -> None:
    """The closed form knows the training samples only; if it predicts others worse, the gradients' stays."""
    gp, x, y = made()
    distribution = gp.base._variational_distribution
    before = distribution.variational_mean.detach().clone()
    mean = moments(gp, x)[0].T.detach()
    said = refit.finish(gp, (x, y), (x, mean), torch.zeros(len(x)), 1.0)
    assert "q(u) of the gradients" in said
    assert torch.equal(distribution.variational_mean, before)


def test_few_trajectories_are_little_evidence_about_the_noise() -> None:
    gp, x, _ = made()
    mean = moments(gp, x)[0].T.detach()
    error = torch.where(torch.arange(len(x)) < 150, 1.0, 3.0)[:, None].double()
    halves = (torch.arange(len(x)) >= 150).long()
    latent = moments(gp, x)[1].detach()
    called = torch.stack([error[half].square().mean() - latent[:, half].mean(1) for half in (halves == 0, halves == 1)])
    found = refit.uncertainty(gp, (x, mean + error), halves)
    np.testing.assert_allclose(found.numpy(), (called[0] - called[1]).abs().numpy() / 2.0, rtol=1e-8)
    assert float(refit.uncertainty(gp, (x, mean + error), torch.zeros(len(x))).abs().max()) == 0.0


def test_noise_at_standstill_is_told_from_noise_in_motion(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    parts = []
    for samples in (TRAIN, VALIDATE, TEST):
        extra = 1.5 * rng.standard_normal(samples.tau.shape) * (np.abs(samples.qd) < 0.1)
        parts.append(replace(samples, tau=samples.tau + extra))
    train, validate, test = parts
    model = VariationalModel(replace(plain(TINY), standstill=0.1), SHORT, Prior(planar()))
    model.fit(train, validate)
    mean, variance = model.predict(test)
    error = np.abs(test.tau - mean) <= 1.96 * np.sqrt(variance)
    still = np.abs(test.qd) < 0.05
    assert 0.88 <= error[still].mean() <= 1.0
    assert 0.88 <= error[~still].mean() <= 0.99
    assert np.sqrt(variance[still].mean()) > 2.0 * np.sqrt(variance[np.abs(test.qd) > 0.3].mean())
    model.save(tmp_path / "model.npz")
    again = VariationalModel.load(tmp_path / "model.npz", planar())
    np.testing.assert_allclose(again.predict(test)[1], variance, rtol=1e-9)
    export(again).save(tmp_path / "predictor.npz")
    for kernel in ("compiled", "numpy"):
        way: Any = kernel
        fast = files.load(tmp_path / "predictor.npz", planar(), kernel=way)
        ours, sigma = fast.steps(test.q, test.qd, test.qdd)
        np.testing.assert_allclose(ours, mean, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(sigma, np.sqrt(variance), rtol=1e-6)


class _Interrupted(Exception):
    pass


def test_an_interrupted_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole = VariationalModel(TINY, SHORT)
    whole.fit(TRAIN, VALIDATE)
    path = tmp_path / "checkpoint.npz"

    def stop(step: Any) -> None:
        if step.epoch == 3:
            raise _Interrupted

    with pytest.raises(_Interrupted):
        VariationalModel(TINY, SHORT).fit(TRAIN, VALIDATE, stop, path)
    resumed = VariationalModel(TINY, SHORT)
    seen: list[int] = []
    history = resumed.fit(TRAIN, VALIDATE, lambda step: seen.append(step.epoch), path)
    assert seen == [4, 5, 6]
    assert [step.epoch for step in history.steps] == [1, 2, 3, 4, 5, 6]
    for a, b in zip(whole.predict(TEST), resumed.predict(TEST), strict=True):
        assert np.array_equal(a, b)
    with pytest.raises(ModelError, match="another training"):
        VariationalModel(TINY, replace(SHORT, seed=1)).fit(TRAIN, VALIDATE, None, path)


def test_an_interrupted_training_of_kiss_gp_goes_on_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def model() -> GridModel:
        return GridModel(GridOptions(subset=60, hidden=8, grid=8), TrainOptions(epochs=5))

    whole = model()
    known = whole.fit(TRAIN, VALIDATE)
    path = tmp_path / "checkpoint.npz"
    write, left = store.write, [0]

    def stop(*arguments: Any) -> None:
        write(*arguments)
        left[0] -= 1
        if left[0] == 0:
            raise _Interrupted

    monkeypatch.setattr(grid.store, "write", stop)
    # In the middle of the first joint, in the second one, and after its last iteration.
    for after in (3, 5, 2):
        left[0] = after
        with pytest.raises(_Interrupted):
            model().fit(TRAIN, VALIDATE, None, path)
    monkeypatch.undo()
    resumed = model()
    history = resumed.fit(TRAIN, VALIDATE, None, path)
    assert history.steps == known.steps
    for a, b in zip(whole.predict(TEST), resumed.predict(TEST), strict=True):
        assert np.array_equal(a, b)
    with pytest.raises(ModelError, match="another training"):
        GridModel(GridOptions(subset=61, hidden=8, grid=8), TrainOptions(epochs=5)).fit(TRAIN, VALIDATE, None, path)


def test_training_stops_early_and_keeps_the_best_weights() -> None:
    options = replace(SHORT, epochs=200, patience=2, rate_kernel=0.5, rate_variational=0.5, refit=False)
    history = VariationalModel(TINY, options).fit(TRAIN, VALIDATE)
    assert len(history.steps) == history.best_epoch + 2 < 200
    best = min(step.validation for step in history.steps)
    assert history.steps[history.best_epoch - 1].validation == best


def test_seeds_decide_and_repeat() -> None:
    def once(seed: int) -> np.ndarray:
        model = VariationalModel(TINY, replace(SHORT, epochs=1, seed=seed))
        model.fit(TRAIN, VALIDATE)
        return model.predict(TEST)[0]

    assert np.array_equal(once(0), once(0))
    assert not np.array_equal(once(0), once(1))


def test_windows_stay_within_their_trajectory() -> None:
    rows = windows(np.array([5, 5, 5, 7, 7]), 3)
    assert rows.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [3, 3, 3], [3, 3, 4]]


def test_the_cycle_of_rates_rises_and_falls() -> None:
    rates = [one_cycle(part) for part in np.linspace(0.0, 1.0, 101)]
    assert max(rates) == pytest.approx(1.0, abs=1e-3)
    assert rates[0] == pytest.approx(0.04)
    assert rates[-1] == pytest.approx(1e-4)
    assert int(np.argmax(rates)) == 30


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(ParameterError, match="inducing is 0"):
        KernelOptions(inducing=0)
    with pytest.raises(ParameterError, match="standstill"):
        KernelOptions(standstill=-1.0)
    with pytest.raises(ParameterError, match="temper"):
        TrainOptions(temper=0.0)
    with pytest.raises(ParameterError, match="rates"):
        TrainOptions(rate_kernel=float("nan"))
    with pytest.raises(ParameterError, match="auto, cpu or cuda"):
        TrainOptions(device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ParameterError, match="finds none"):
            device_of(TrainOptions(device="cuda"))
    assert device_of(TrainOptions(device="cpu")).type == "cpu"


@pytest.mark.parametrize("latents", [0, 3])
def test_all_that_is_computed_stays_on_the_device(latents: int) -> None:
    """Tensors without content stand for an accelerator: they refuse to meet one that lies with the processor."""
    gp = DeepKernelGP(6, 2, replace(TINY, latents=latents)).to("meta")
    x, y = torch.empty(50, 6, device="meta"), torch.empty(50, 2, device="meta")
    loss = bound(gp, x, y, 0.01)
    loss.backward()
    stats, noise = refit.statistics(gp, x, y).double(), gp.likelihood.task_noises.detach().double()
    q = stats.optimum(noise)
    found = [loss, *moments(gp, x), *q, *stats.errors(gp.covar_module.outputscale.double(), q)]
    found += [p.grad for p in gp.parameters() if p.grad is not None]
    if not latents:
        found.append(collapsed(gp, x, y))
    net = BayesianLstm(6, 2, LstmOptions(window=3, hidden=8)).to("meta")
    found += [net(torch.empty(4, 3, 6, device="meta"), net.draw()), net.kl()]
    assert all(each.device.type == "meta" for each in found)
    for wrong in ((torch.zeros(50, 6), y), (x, torch.zeros(50, 2))):
        with pytest.raises(RuntimeError, match="device"):
            bound(gp, *wrong, 0.01)

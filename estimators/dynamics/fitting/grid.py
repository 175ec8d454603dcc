"""Deep kernel learning with KISS-GP (Wilson et al. 2016): an exact GP for each joint, its kernel on a grid.

An iteration takes seconds where the sparse models take milliseconds: it learns from a subset, which is stated.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gpytorch
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from estimators.dynamics import store
from estimators.dynamics.base import History, Progress, Step
from estimators.dynamics.fitting import keep
from estimators.dynamics.fitting.loop import device_of
from estimators.dynamics.fitting.options import TrainOptions
from estimators.dynamics.fitting.variational import identity, targets
from estimators.dynamics.prior import Prior
from estimators.dynamics.samples import Samples, Scaling, scaling_of
from estimators.errors import ParameterError
from estimators.rigid_body import RigidBodyModel

Array = npt.NDArray[np.float64]
KIND = "dkl-kiss"
CHUNK = 2000


@dataclass(frozen=True, slots=True)
class GridOptions:
    """Of each joint's own network and grid."""

    subset: int = 2000
    """Training samples, drawn at random."""
    hidden: int = 64
    features: int = 2
    grid: int = 64
    """Points of the grid along each feature."""

    def __post_init__(self) -> None:
        if min(self.subset, self.hidden, self.grid) < 1 or self.features not in (1, 2, 3):
            raise ParameterError(f"{self}: sizes must be at least 1, and a grid has one to three dimensions")


class GridGP(gpytorch.models.ExactGP):  # type: ignore[misc]
    """One joint: network → features, scaled into the grid → interpolated RBF kernel."""

    def __init__(self, x: Tensor, y: Tensor, likelihood: Any, options: GridOptions) -> None:
        super().__init__(x, y, likelihood)
        h = options.hidden
        self.net = nn.Sequential(
            nn.Linear(x.shape[1], h), nn.SiLU(), nn.Linear(h, h), nn.SiLU(), nn.Linear(h, options.features)
        )
        self.bounds = gpytorch.utils.grid.ScaleToBounds(-1.0, 1.0)
        self.mean_module = gpytorch.means.ZeroMean()
        self.covar_module = gpytorch.kernels.ScaleKernel(
            gpytorch.kernels.GridInterpolationKernel(
                gpytorch.kernels.RBFKernel(ard_num_dims=options.features),
                grid_size=options.grid,
                num_dims=options.features,
                grid_bounds=[(-1.0, 1.0)] * options.features,
            )
        )
        self.covar_module.base_kernel.base_kernel.lengthscale = 0.3

    def forward(self, x: Tensor) -> Any:
        f = self.bounds(self.net(x))
        return gpytorch.distributions.MultivariateNormal(self.mean_module(f), self.covar_module(f))


class GridModel:
    """The joints' GPs with the interface that all families share; ``train.epochs`` are iterations on the subset."""

    def __init__(
        self, options: GridOptions | None = None, train: TrainOptions | None = None, prior: Prior | None = None
    ) -> None:
        self.options, self.prior = options or GridOptions(), prior
        self.train_options = train or TrainOptions(epochs=60, rate_network=1e-2)
        self.scaling: Scaling | None = None
        self.gps: list[GridGP] = []
        self._x: Array = np.zeros((0, 0))
        self._y: Array = np.zeros((0, 0))

    @property
    def kind(self) -> str:
        return KIND

    def fit(
        self, train: Samples, validate: Samples, progress: Progress | None = None, checkpoint: Path | None = None
    ) -> History:
        """As everywhere, on a subset. Checkpoints are written after each iteration of each joint."""
        o = self.train_options
        device = device_of(o)
        r, held = targets(train, self.prior), targets(validate, self.prior)
        self.scaling = scaling_of(train.inputs, r)
        rows = np.random.default_rng(o.seed).permutation(len(train))[: self.options.subset]
        self._x, self._y = self.scaling.inputs(train.inputs)[rows], self.scaling.targets(r)[rows]
        named = identity(self.options, o, train.inputs, r, validate.inputs, held)
        training = _Training(self, named, checkpoint)
        xv, yv = torch.as_tensor(self.scaling.inputs(validate.inputs)).float(), self.scaling.targets(held)
        for j in range(len(self.gps), train.n):
            step = training.joint(j, device, xv, yv[:, j])
            if progress is not None:
                progress(step)
        history = training.history
        history.notes.append(f"trained on {len(rows)} of {len(train)} samples, drawn at random")
        history.best_epoch = train.n
        return history

    def predict(self, samples: Samples) -> tuple[Array, Array]:
        if self.scaling is None:
            raise ParameterError("this model has not been trained: call fit, or load a file")
        x = torch.as_tensor(self.scaling.inputs(samples.inputs)).float()
        joints = [self._joint(gp, x) for gp in self.gps]
        mean, variance = self.scaling.torque(*(np.stack([part[k] for part in joints], axis=1) for k in (0, 1)))
        return (mean if self.prior is None else mean + self.prior.of(samples)), variance

    def save(self, path: Path, provenance: dict[str, object] | None = None) -> None:
        if self.scaling is None:
            raise ParameterError("this model has not been trained: call fit first")
        arrays = {"data/x": self._x, "data/y": self._y}
        for j, gp in enumerate(self.gps):
            arrays |= keep.state(gp, f"gp/{j}/")
        keep.write(path, KIND, self.options, self.train_options, self.prior, self.scaling, provenance, arrays)

    @classmethod
    def load(cls, path: Path, rigid_body: RigidBodyModel | None = None) -> GridModel:
        """What :meth:`save` wrote. Raises OSError; ModelError for another file, or another ``rigid_body``."""
        kept = keep.read(path, KIND, rigid_body)
        model = cls(GridOptions(**kept.options), kept.train, kept.prior)
        model.scaling = kept.scaling
        model._x, model._y = kept.arrays["data/x"], kept.arrays["data/y"]
        for j in range(kept.joints):
            gp = model._new(j)
            keep.restore(gp, kept.arrays, f"gp/{j}/", path)
            model.gps.append(gp.eval())
        return model

    def _new(self, joint: int) -> GridGP:
        x, y = torch.as_tensor(self._x).float(), torch.as_tensor(self._y[:, joint]).float()
        likelihood = gpytorch.likelihoods.GaussianLikelihood()
        likelihood.noise = 0.1
        return GridGP(x, y, likelihood, self.options)

    def _joint(self, gp: GridGP, x: Tensor) -> tuple[Array, Array]:
        with torch.no_grad():
            found = [gp.likelihood(gp(part)) for part in torch.split(x, CHUNK)]
            mean, variance = torch.cat([f.mean for f in found]), torch.cat([f.variance for f in found])
        return mean.double().numpy(), variance.double().clamp_min(1e-9).numpy()


class _Training:
    """The training of a :class:`GridModel`, joint after joint; goes on from ``checkpoint`` where there is one."""

    def __init__(self, model: GridModel, named: str, checkpoint: Path | None) -> None:
        self.model, self.named, self.checkpoint = model, named, checkpoint
        self.history = History()
        self._resumed: dict[str, npt.NDArray[Any]] = {}
        self._done, self._loss = 0, math.nan
        model.gps = []
        if checkpoint is None or not checkpoint.exists():
            return
        about, arrays = keep.read_checkpoint(checkpoint, named)
        steps = [Step(int(a), int(b), float(c), float(d)) for a, b, c, d in arrays["steps"]]
        self.history = History(steps, 0, float(about["cpu_seconds"]))
        for j in range(len(steps)):
            gp = model._new(j)
            keep.restore(gp, arrays, f"gp/{j}/", checkpoint)
            model.gps.append(gp.eval())
        self._done, self._loss = int(about["iteration"]), float(about["loss"])
        self._resumed = arrays if self._done else {}

    def joint(self, j: int, device: torch.device, xv: Tensor, yv: Array) -> Step:
        """Train the joint ``j``, set its noise by the validation samples (scaled), and keep it."""
        o, model = self.model.train_options, self.model
        begin = time.process_time()
        torch.manual_seed(o.seed * 1009 + j)
        gp = model._new(j).to(device)
        x, y = gp.train_inputs[0], gp.train_targets
        mll = gpytorch.mlls.ExactMarginalLogLikelihood(gp.likelihood, gp)
        net = list(gp.net.parameters())
        known = {id(p) for p in net}
        rest = [p for p in gp.parameters() if id(p) not in known]
        optimizer = torch.optim.AdamW(
            [
                {"params": net, "lr": o.rate_network, "weight_decay": o.weight_decay},
                {"params": rest, "lr": o.rate_kernel, "weight_decay": 0.0},
            ]
        )
        if self._resumed and self.checkpoint is not None:
            keep.restore(gp, self._resumed, "now/", self.checkpoint)
            keep.restore_moments(optimizer, self._resumed)
        gp.train()
        for k in range(self._done, o.epochs):
            # GPyTorch estimates determinants by random probes: of the iteration alone, so that it can be resumed.
            torch.manual_seed((o.seed * 1009 + j) * 100_003 + k)
            optimizer.zero_grad()
            loss = -mll(gp(x), y)
            loss.backward()
            optimizer.step()
            self._loss = float(loss.detach())
            self._spent(begin)
            begin = time.process_time()
            self._write(k + 1, gp, optimizer)
        gp.to("cpu").eval()
        model.gps.append(gp)
        judged = self._calibrate(gp, xv, yv)
        step = Step(j + 1, self.model._y.shape[1], self._loss, judged)
        self.history.steps.append(step)
        self._spent(begin)
        self._resumed, self._done = {}, 0
        self._write(0)
        return step

    def _calibrate(self, gp: GridGP, xv: Tensor, yv: Array) -> float:
        """Noise by the validation samples; their NLL, nats a sample."""
        mean, variance = self.model._joint(gp, xv)
        if self.model.train_options.refit:
            noise = float(gp.likelihood.noise.detach())
            gp.likelihood.noise = max(float(np.mean((yv - mean) ** 2 - (variance - noise))), 0.25 * noise)
            # What was computed with the old noise is forgotten on the way.
            gp.train()
            gp.eval()
            mean, variance = self.model._joint(gp, xv)
        return float(np.mean(0.5 * np.log(2.0 * np.pi * variance) + 0.5 * (yv - mean) ** 2 / variance))

    def _spent(self, begin: float) -> None:
        self.history.cpu_seconds += time.process_time() - begin

    def _write(self, iteration: int, gp: GridGP | None = None, optimizer: torch.optim.Optimizer | None = None) -> None:
        if self.checkpoint is None:
            return
        rows = [(s.epoch, s.epochs, s.loss, s.validation) for s in self.history.steps]
        arrays: dict[str, npt.NDArray[Any]] = {"steps": np.array(rows).reshape(-1, 4)}
        for j, finished in enumerate(self.model.gps):
            arrays |= keep.state(finished, f"gp/{j}/")
        if gp is not None and optimizer is not None:
            arrays |= keep.state(gp, "now/") | keep.moments_of(optimizer)
        about = {
            "kind": keep.CHECKPOINT,
            "identity": self.named,
            "iteration": iteration,
            "loss": self._loss if iteration else 0.0,
            "cpu_seconds": self.history.cpu_seconds,
        }
        store.write(self.checkpoint, about, arrays)

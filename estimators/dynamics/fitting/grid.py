"""Deep kernel learning with KISS-GP (Wilson et al. 2016): an exact GP for each joint, its kernel on a grid.

An iteration takes seconds where the sparse models take milliseconds: it learns from a subset, which is stated.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gpytorch
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from estimators.dynamics import prior as priors
from estimators.dynamics import store
from estimators.dynamics.base import History, Progress, Step
from estimators.dynamics.fitting.loop import device_of
from estimators.dynamics.fitting.options import TrainOptions
from estimators.dynamics.fitting.variational import targets
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
        """As everywhere, on a subset; without checkpoints (ParameterError if one is asked for)."""
        if checkpoint is not None:
            raise ParameterError("dkl-kiss learns from a small subset and has no checkpoints: leave it out")
        o = self.train_options
        begin = time.process_time()
        device = device_of(o)
        r = targets(train, self.prior)
        self.scaling = scaling_of(train.inputs, r)
        rows = np.random.default_rng(o.seed).permutation(len(train))[: self.options.subset]
        self._x, self._y = self.scaling.inputs(train.inputs)[rows], self.scaling.targets(r)[rows]
        held = self.scaling.targets(targets(validate, self.prior))
        xv = torch.as_tensor(self.scaling.inputs(validate.inputs)).float()
        history = History(notes=[f"trained on {len(rows)} of {len(train)} samples, drawn at random"])
        self.gps = []
        for j in range(train.n):
            torch.manual_seed(o.seed * 1009 + j)
            gp = self._new(j).to(device)
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
            gp.train()
            loss = torch.zeros(())
            for _ in range(o.epochs):
                optimizer.zero_grad()
                loss = -mll(gp(x), y)
                loss.backward()
                optimizer.step()
            gp.to("cpu").eval()
            self.gps.append(gp)
            mean, variance = self._joint(gp, xv)
            error = held[:, j] - mean
            if o.refit:
                noise = float(gp.likelihood.noise.detach())
                gp.likelihood.noise = max(float(np.mean(error**2 - (variance - noise))), 0.25 * noise)
                # What was computed with the old noise is forgotten on the way.
                gp.train()
                gp.eval()
                mean, variance = self._joint(gp, xv)
            judged = float(np.mean(0.5 * np.log(2.0 * np.pi * variance) + 0.5 * (held[:, j] - mean) ** 2 / variance))
            step = Step(j + 1, train.n, float(loss.detach()), judged)
            history.steps.append(step)
            if progress is not None:
                progress(step)
        history.best_epoch, history.cpu_seconds = train.n, time.process_time() - begin
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
        options, arrays = ({}, {}) if self.prior is None else self.prior.pack()
        about = {
            "kind": KIND,
            "options": asdict(self.options),
            "train": asdict(self.train_options),
            "joints": len(self.gps),
            "prior": options,
            "provenance": provenance or {},
        }
        state = {
            f"gp/{j}/{name}": value.cpu().numpy()
            for j, gp in enumerate(self.gps)
            for name, value in gp.state_dict().items()
        }
        data = {"data/x": self._x, "data/y": self._y}
        store.write(path, about, arrays | state | data | {f"scaling/{k}": v for k, v in asdict(self.scaling).items()})

    @classmethod
    def load(cls, path: Path, rigid_body: RigidBodyModel | None = None) -> GridModel:
        """What :meth:`save` wrote. Raises OSError; ModelError for another file, or another ``rigid_body``."""
        about, arrays = store.read(path, (KIND,))
        prior = priors.unpack(about["prior"], arrays, rigid_body) if about["prior"] else None
        model = cls(GridOptions(**about["options"]), TrainOptions(**about["train"]), prior)
        model.scaling = Scaling(**{k: arrays[f"scaling/{k}"] for k in ("x_mean", "x_std", "y_mean", "y_std")})
        model._x, model._y = arrays["data/x"], arrays["data/y"]
        for j in range(int(about["joints"])):
            gp = model._new(j)
            head = f"gp/{j}/"
            gp.load_state_dict({k[len(head) :]: torch.as_tensor(v) for k, v in arrays.items() if k.startswith(head)})
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

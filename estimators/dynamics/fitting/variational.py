"""SVDKL and SVGP: the sparse variational models, with the interface that all families share."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gpytorch
import numpy as np
import numpy.typing as npt
import torch
from gpytorch.utils.memoize import clear_cache_hook
from torch import Tensor

from estimators.dynamics.base import History, Progress
from estimators.dynamics.fitting import keep, refit
from estimators.dynamics.fitting.deep_kernel import DeepKernelGP, bound, moments
from estimators.dynamics.fitting.loop import Trainer, device_of
from estimators.dynamics.fitting.options import KernelOptions, TrainOptions
from estimators.dynamics.prior import Prior
from estimators.dynamics.samples import Ints, Samples, Scaling, scaling_of
from estimators.errors import ParameterError
from estimators.rigid_body import RigidBodyModel

Array = npt.NDArray[np.float64]
CHUNK = 1000
KIND = "variational"


class VariationalModel:
    """Sparse variational GPs on deep features (SVDKL) or on the inputs (SVGP), black-box or on a ``prior``."""

    def __init__(
        self, options: KernelOptions | None = None, train: TrainOptions | None = None, prior: Prior | None = None
    ) -> None:
        self.options, self.train_options, self.prior = options or KernelOptions(), train or TrainOptions(), prior
        self.scaling: Scaling | None = None
        self.gp: DeepKernelGP | None = None
        self.standstill: Array | None = None
        """As :attr:`estimators.dynamics.posterior.Posterior.standstill`."""

    @property
    def kind(self) -> str:
        return "svdkl" if self.options.deep else "svgp"

    def fit(
        self, train: Samples, validate: Samples, progress: Progress | None = None, checkpoint: Path | None = None
    ) -> History:
        o = self.train_options
        device = device_of(o)
        r, held = targets(train, self.prior), targets(validate, self.prior)
        self.scaling = scaling_of(train.inputs, r)
        x64, y64, xv64, yv64 = (
            torch.as_tensor(part, device=device)
            for part in (
                self.scaling.inputs(train.inputs),
                self.scaling.targets(r),
                self.scaling.inputs(validate.inputs),
                self.scaling.targets(held),
            )
        )
        x, y, xv, yv = (part.float() for part in (x64, y64, xv64, yv64))
        torch.manual_seed(o.seed)
        gp = self.gp = DeepKernelGP(x.shape[1], y.shape[1], self.options).to(device)
        mixed = torch.as_tensor(np.random.default_rng(o.seed).permutation(len(x)), device=device)
        gp.place(x[mixed[:8000]], o.seed)
        trainer = Trainer(gp, self._groups(), o, identity(self.options, o, train.inputs, r, validate.inputs, held))
        samples = len(x)
        chosen, batch = self._chosen(samples)
        x, y = (part[torch.as_tensor(chosen, device=device)] for part in (x, y))

        def batch_loss(rows: Tensor, epoch: int) -> Tensor:
            rows = rows.to(device)
            return self._loss(gp, x[rows], y[rows], samples)

        def validation() -> float:
            self._before_validation(gp, x, y)
            parts = [self._scaled(part) for part in torch.split(xv, CHUNK)]
            mean, variance = torch.cat([m for m, _ in parts]), torch.cat([v for _, v in parts])
            return float(nll(yv - mean, variance).mean())

        history = trainer.run(len(x), batch, batch_loss, validation, progress, checkpoint)
        gp.double()
        if o.refit:
            trajectory = torch.as_tensor(validate.trajectory, device=device)
            history.notes.append(refit.finish(gp, (x64, y64), (xv64, yv64), trajectory, o.temper))
        self.standstill = None
        if (speed := self.options.standstill) > 0.0:
            fading = torch.as_tensor(np.exp(-np.square(validate.qd / speed)), device=device)
            extra = refit.by_speed(gp, (xv64, yv64), fading)
            self.standstill = np.stack((extra, np.full(validate.n, speed)))
            history.notes.append("noise at standstill and in motion apart")
        gp.to("cpu").eval()
        clear_cache_hook(gp.base)
        return history

    def recentre(self, prior: Prior, train: Samples, validate: Samples) -> str:
        """Take ``prior`` for the mean from now on; q(u) and noise anew in closed form. A sentence about it.

        Features and kernel stay as they were learnt on what the first prior left: they say how far torque may stray
        where nothing was seen. A regressed prior fits its own training data so well that a kernel learnt on what *it*
        leaves knows of no strangeness at all. Raises ParameterError before training, and for joints mixed of latents.
        """
        gp, scaling = self.trained()
        if self.options.latents:
            raise ParameterError("joints mixed of latent GPs have no closed form: train them on the final prior")
        r, held = targets(train, prior), targets(validate, prior)
        self.prior, self.scaling = prior, replace(scaling, y_mean=r.mean(axis=0))
        pairs = [
            (torch.as_tensor(self.scaling.inputs(part.inputs)), torch.as_tensor(self.scaling.targets(y)))
            for part, y in ((train, r), (validate, held))
        ]
        with torch.no_grad():
            # What is compared with the closed form is the prior alone.
            gp.base._variational_distribution.variational_mean.zero_()
        said = refit.finish(gp, pairs[0], pairs[1], torch.as_tensor(validate.trajectory), self.train_options.temper)
        clear_cache_hook(gp.base)
        return f"on the regressed physics: {said}"

    def predict(self, samples: Samples) -> tuple[Array, Array]:
        gp, scaling = self.trained()
        x = torch.as_tensor(scaling.inputs(samples.inputs))
        with torch.no_grad():
            parts = [self._gpytorch(gp, part) for part in torch.split(x, CHUNK)]
        scaled, variance = (np.concatenate([p[k] for p in parts]) for k in (0, 1))
        if self.standstill is not None:
            variance = variance + self.standstill[0] * np.exp(-np.square(samples.qd / self.standstill[1]))
        mean, variance = scaling.torque(scaled, variance)
        return (mean if self.prior is None else mean + self.prior.of(samples)), variance

    def save(self, path: Path, provenance: dict[str, object] | None = None) -> None:
        gp, scaling = self.trained()
        arrays = keep.state(gp, "gp/")
        if self.standstill is not None:
            arrays["standstill"] = self.standstill
        keep.write(path, KIND, self.options, self.train_options, self.prior, scaling, provenance, arrays)

    @classmethod
    def load(cls, path: Path, rigid_body: RigidBodyModel | None = None) -> VariationalModel:
        """What :meth:`save` wrote. Raises OSError; ModelError for another file, or another ``rigid_body``."""
        kept = keep.read(path, KIND, rigid_body)
        model = cls(KernelOptions(**kept.options), kept.train, kept.prior)
        model.scaling, model.standstill = kept.scaling, kept.arrays.get("standstill")
        gp = DeepKernelGP(kept.scaling.x_mean.size, kept.joints, model.options).double()
        keep.restore(gp, kept.arrays, "gp/", path)
        model.gp = gp.eval()
        return model

    def trained(self) -> tuple[DeepKernelGP, Scaling]:
        """Model and scaling. Raises ParameterError before training."""
        if self.gp is None or self.scaling is None:
            raise ParameterError("this model has not been trained: call fit, or load a file")
        return self.gp, self.scaling

    def _groups(self) -> list[tuple[list[Any], float, float]]:
        gp, o = self.trained()[0], self.train_options
        net = list(gp.features.parameters())
        Z = [gp.base.inducing_points]
        q = list(gp.base._variational_distribution.parameters())
        known = {id(p) for p in (*net, *Z, *q)}
        rest = [p for p in gp.parameters() if id(p) not in known]
        return [
            (rest, o.rate_kernel, 0.0),
            (q, o.rate_variational, 0.0),
            (Z, o.rate_inducing, 0.0),
            (net, o.rate_network, o.weight_decay),
        ]

    def _loss(self, gp: DeepKernelGP, x: Tensor, y: Tensor, samples: int) -> Tensor:
        """Of a batch, nats a sample and joint; ``samples`` there are in all."""
        return bound(gp, x, y, 1.0 / (self.train_options.temper * samples))

    def _before_validation(self, gp: DeepKernelGP, x: Tensor, y: Tensor) -> None:
        """Whatever must be set before the model can predict."""

    def _chosen(self, samples: int) -> tuple[Ints, int]:
        """Rows to train on by gradients, and how many of them make a batch."""
        return np.arange(samples), self.train_options.batch

    def _scaled(self, x: Tensor) -> tuple[Tensor, Tensor]:
        gp = self.trained()[0]
        mean, variance = moments(gp, x)
        return mean.T, (variance + gp.likelihood.task_noises[:, None]).T

    def _gpytorch(self, gp: DeepKernelGP, x: Tensor) -> tuple[Array, Array]:
        with gpytorch.settings.fast_pred_var(False):
            found = gp.likelihood(gp(x))
        return found.mean.numpy(), (found.variance - gp.jitter).numpy()


def nll(error: Tensor, variance: Tensor) -> Tensor:
    """−log N(error | 0, variance)."""
    return 0.5 * (math.log(2.0 * math.pi) + torch.log(variance) + error.square() / variance)


def targets(samples: Samples, prior: Prior | None) -> Array:
    """What is learnt: torque, or what the prior leaves of it, (N, n) N·m."""
    return samples.tau if prior is None else samples.tau - prior.of(samples)


def identity(options: Any, train: TrainOptions, *data: Array) -> str:
    """SHA-256 (hex) of all that decides how a training goes, so that no checkpoint is resumed by another."""
    digest = hashlib.sha256(json.dumps([asdict(options), asdict(train)], sort_keys=True).encode())
    for part in data:
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()

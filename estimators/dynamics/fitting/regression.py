"""Sparse deep-kernel regression: features and kernel by the collapsed bound on a subset, q(u) in closed form on all.

With q(u) at its optimum the bound needs no gradient for it (Titsias 2009)::

    log N(y | 0, AᵀA + n I) − (N s² − tr A Aᵀ)/(2n),   A = L⁻¹ Kzx

so a few hundred steps on a few thousand samples suffice. An affordable stand-in for a deep kernel with KISS-GP.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from estimators.dynamics.base import History, Progress
from estimators.dynamics.fitting.deep_kernel import DeepKernelGP, projected
from estimators.dynamics.fitting.options import KernelOptions, TrainOptions
from estimators.dynamics.fitting.refit import statistics
from estimators.dynamics.fitting.variational import VariationalModel
from estimators.dynamics.prior import Prior
from estimators.dynamics.samples import Ints, Samples
from estimators.errors import ParameterError

SUBSET = 4000


def collapsed(gp: DeepKernelGP, x: Tensor, y: Tensor) -> Tensor:
    """The negative collapsed bound, nats a sample and joint, of scaled inputs (N, D) and targets (N, P)."""
    A, s2 = projected(gp, gp.features(x))
    A, s2, y, noise = A.double(), s2.double(), y.double(), gp.likelihood.task_noises.double()
    N = len(x)
    G, b = A @ A.mT, (A @ y.T[..., None]).squeeze(-1)
    eye = torch.eye(G.shape[-1], dtype=G.dtype, device=G.device)
    root = torch.linalg.cholesky(eye + G / noise[:, None, None])
    c = torch.linalg.solve_triangular(root, b[..., None], upper=False).squeeze(-1) / noise[:, None]
    fit = y.square().sum(0) / noise - c.square().sum(-1)
    logdet = 2.0 * root.diagonal(dim1=-2, dim2=-1).log().sum(-1) + N * noise.log()
    trace = (N * s2 - G.diagonal(dim1=-2, dim2=-1).sum(-1)) / noise
    joints: Tensor = 0.5 * (N * math.log(2.0 * math.pi) + logdet + fit + trace) / N
    return joints.mean()


class SparseRegressionModel(VariationalModel):
    """As the variational model, trained otherwise; one step a training "epoch"."""

    def __init__(
        self,
        options: KernelOptions | None = None,
        train: TrainOptions | None = None,
        prior: Prior | None = None,
        subset: int = SUBSET,
    ) -> None:
        super().__init__(options, train or TrainOptions(epochs=150, patience=40), prior)
        if self.options.latents or not self.train_options.refit or subset < 1:
            raise ParameterError("sparse regression takes independent joints, the refit and a subset of at least 1")
        self.subset = subset

    @property
    def kind(self) -> str:
        return "sgpr"

    def fit(
        self, train: Samples, validate: Samples, progress: Progress | None = None, checkpoint: Path | None = None
    ) -> History:
        history = super().fit(train, validate, progress, checkpoint)
        used = min(self.subset, len(train))
        history.notes.append(f"features and kernel learnt on {used} of {len(train)} samples, q(u) on all")
        return history

    def _loss(self, gp: DeepKernelGP, x: Tensor, y: Tensor, samples: int) -> Tensor:
        return collapsed(gp, x, y)

    def _before_validation(self, gp: DeepKernelGP, x: Tensor, y: Tensor) -> None:
        noise = gp.likelihood.task_noises.detach()
        mean, root = statistics(gp, x, y).double().optimum(noise.double(), self.train_options.temper)
        distribution = gp.base._variational_distribution
        distribution.variational_mean.copy_(mean)
        distribution.chol_variational_covar.copy_(root)

    def _chosen(self, samples: int) -> tuple[Ints, int]:
        rows = np.random.default_rng(self.train_options.seed).permutation(samples)[: self.subset]
        return rows, len(rows)

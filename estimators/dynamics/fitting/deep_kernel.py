"""The deep-kernel sparse variational GP as a GPyTorch model.

k_p(x, x') = s²_p exp(−½ Σ_d ((f_d − f'_d)/l_pd)²) with features f(x) = [φ(x), x] (Wilson et al. 2016; the skip of the
inputs is ours), q(u) whitened (Hensman et al. 2015). Inducing points lie in feature space: the network is applied
before the variational strategy, which hands inducing points and features to ``forward`` together.
"""

from __future__ import annotations

import math
from typing import Any

import gpytorch
import numpy as np
import numpy.typing as npt
import torch
from gpytorch.variational import (
    CholeskyVariationalDistribution,
    IndependentMultitaskVariationalStrategy,
    LMCVariationalStrategy,
    VariationalStrategy,
)
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn

from estimators.dynamics.fitting.options import KernelOptions

JITTER = 1e-6
"""Added to the diagonal of Kzz, as GPyTorch does in double precision."""
NOISE_FLOOR = 1e-6
"""Least noise variance, relative to the variance of the torque."""


class Features(nn.Module):
    """f(x) (…, F) from scaled inputs x (…, D)."""

    def __init__(self, inputs: int, options: KernelOptions) -> None:
        super().__init__()
        self.skip = options.skip or not options.deep
        self.learnt = options.features if options.deep else 0
        self.width = self.learnt + (inputs if self.skip else 0)
        h = options.hidden
        self.net = (
            nn.Sequential(
                nn.Linear(inputs, h), nn.SiLU(), nn.Linear(h, h), nn.SiLU(), nn.Linear(h, options.features)
            )
            if options.deep
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.net is None:
            return x
        learnt: Tensor = self.net(x)
        return torch.cat((learnt, x), -1) if self.skip else learnt


class DeepKernelGP(gpytorch.models.ApproximateGP):  # type: ignore[misc]
    """``tasks`` joints, ``inputs`` scaled inputs; Z from :meth:`place` before anything is computed."""

    def __init__(self, inputs: int, tasks: int, options: KernelOptions) -> None:
        features = Features(inputs, options)
        gps = options.latents or tasks
        batch = torch.Size([gps])
        distribution = CholeskyVariationalDistribution(options.inducing, batch_shape=batch)
        Z = torch.zeros(gps, options.inducing, features.width)
        base = VariationalStrategy(self, Z, distribution, learn_inducing_locations=True)
        # GPyTorch would overwrite q(u) with the prior at the first call, a loaded one too.
        base.variational_params_initialized.fill_(1)
        strategy: Any
        if options.latents:
            strategy = LMCVariationalStrategy(
                base, num_tasks=tasks, num_latents=gps, latent_dim=-1, jitter_val=JITTER
            )
            with torch.no_grad():
                # Starts with each joint on a GP of its own, as far as they go, and a little of the others.
                strategy.lmc_coefficients.mul_(0.3).add_(torch.eye(gps, tasks))
        else:
            strategy = IndependentMultitaskVariationalStrategy(base, num_tasks=tasks)
        super().__init__(strategy)
        self.options, self.tasks = options, tasks
        self.mean_module = gpytorch.means.ZeroMean(batch_shape=batch)
        self.covar_module = gpytorch.kernels.ScaleKernel(
            gpytorch.kernels.RBFKernel(
                ard_num_dims=features.width, batch_shape=batch, lengthscale_constraint=_logarithmic(0.0)
            ),
            batch_shape=batch,
            outputscale_constraint=_logarithmic(0.0),
        )
        lengths = torch.full((gps, 1, features.width), float(np.sqrt(inputs)))
        lengths[..., : features.learnt] = 6.0
        self.covar_module.base_kernel.lengthscale = lengths
        self.covar_module.outputscale = torch.ones(gps)
        self.likelihood = gpytorch.likelihoods.MultitaskGaussianLikelihood(
            num_tasks=tasks,
            rank=0,
            has_global_noise=False,
            noise_constraint=_logarithmic(NOISE_FLOOR),
        )
        self.likelihood.task_noises = torch.full((tasks,), 0.1)
        # Last, so that GPyTorch's own modules are named before it.
        self.features = features

    def forward(self, f: Tensor) -> Any:
        return gpytorch.distributions.MultivariateNormal(self.mean_module(f), self.covar_module(f))

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(self.features(x), *args, **kwargs)

    @property
    def base(self) -> Any:
        """GPyTorch's strategy of the single GPs."""
        return self.variational_strategy.base_variational_strategy

    @property
    def mixing(self) -> Tensor | None:
        """W (L, P), f_p = Σ_l W_lp g_l, where joints are mixed of latent GPs; None for independent joints."""
        return self.variational_strategy.lmc_coefficients if self.options.latents else None

    @property
    def jitter(self) -> Tensor:
        """What GPyTorch adds to the latent variance of each joint: numerics, and no part of the model."""
        W = self.mixing
        if W is None:
            return torch.full((self.tasks,), JITTER)
        return JITTER * (1.0 + W.detach().square().sum(0))

    def place(self, x: Tensor, seed: int, most: int = 8000) -> None:
        """Inducing points at the k-means of the features of up to ``most`` scaled inputs ``x`` (N, D)."""
        with torch.no_grad():
            f: npt.NDArray[np.float64] = self.features(x[:most]).double().cpu().numpy()
        m = self.options.inducing
        centres, _ = kmeans2(f, m, iter=20, minit="++", rng=np.random.default_rng(seed)) if len(f) > m else (f, None)
        if len(centres) < m:
            centres = np.vstack((centres, centres[np.arange(m - len(centres)) % len(centres)] + 1e-2))
        points = self.base.inducing_points
        with torch.no_grad():
            points.copy_(torch.as_tensor(centres, dtype=points.dtype).expand_as(points))


def _logarithmic(low: float) -> Any:
    """Above ``low``, searched by its logarithm: scales differ by orders of magnitude, and steps are alike for all."""
    return gpytorch.constraints.GreaterThan(low, transform=torch.exp, inv_transform=torch.log)


def moments(gp: DeepKernelGP, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of the joints' functions at ``x`` (B, D), (P, B) each, noise not included.

    The same numbers as GPyTorch's, without what it adds to the diagonal of the data's own covariance.
    """
    A, s2 = projected(gp, gp.features(x))
    variance = s2[:, None] - A.square().sum(1) + (lower(gp).mT @ A).square().sum(1)
    mean, variance = _mean(gp, A), variance.clamp_min(1e-8)
    W = gp.mixing
    return (mean, variance) if W is None else (W.mT @ mean, W.square().mT @ variance)


def bound(gp: DeepKernelGP, x: Tensor, y: Tensor, weight: float) -> Tensor:
    """The negative evidence lower bound, nats a sample and joint, from a batch ``x`` (B, D), ``y`` (B, P).

    ``weight`` is that of KL(q(u) ‖ p(u)). What GPyTorch's ``VariationalELBO`` gives at twice the cost: as only the sum
    of the latent variances over the batch counts, A Aᵀ is enough.
    """
    A, s2 = projected(gp, gp.features(x))
    noise, root = gp.likelihood.task_noises, lower(gp)
    S = root @ root.mT
    eye = torch.eye(S.shape[-1], dtype=S.dtype, device=S.device)
    latent = s2 + ((S - eye) * (A @ A.mT)).sum((-2, -1)) / len(x)
    found, W = _mean(gp, A), gp.mixing
    if W is not None:
        found, latent = W.mT @ found, W.square().mT @ latent
    squared = (y.T - found).square().mean(1)
    mean = gp.base._variational_distribution.variational_mean
    logdet = 2.0 * root.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)
    kl = 0.5 * (S.diagonal(dim1=-2, dim2=-1).sum(-1) + mean.square().sum(-1) - mean.shape[-1] - logdet)
    expected = 0.5 * (math.log(2.0 * math.pi) + noise.log() + (squared + latent) / noise)
    total: Tensor = (expected.sum() + weight * kl.sum()) / len(expected)
    return total


def _mean(gp: DeepKernelGP, A: Tensor) -> Tensor:
    mean: Tensor = (gp.base._variational_distribution.variational_mean[:, None, :] @ A).squeeze(1)
    return mean


def lower(gp: DeepKernelGP) -> Tensor:
    """Ls of S = Ls Lsᵀ, (P, M, M)."""
    root: Tensor = gp.base._variational_distribution.chol_variational_covar.tril()
    return root


def projected(gp: DeepKernelGP, f: Tensor) -> tuple[Tensor, Tensor]:
    """A = L⁻¹ Kzx (P, M, B) at features ``f`` (B, F), with L Lᵀ = Kzz + jitter, and s² (P,)."""
    W, Zs, s2 = whitening(gp)
    fs = f / gp.covar_module.base_kernel.lengthscale
    return W.to(f.dtype) @ _kernel(Zs.to(f.dtype), fs, s2), s2


def whitening(gp: DeepKernelGP) -> tuple[Tensor, Tensor, Tensor]:
    """W = L⁻¹ (P, M, M) and Z/l (P, M, F), in double precision as GPyTorch has it: Kzz is all but singular; s² (P,)."""
    Z = gp.base.inducing_points
    s2: Tensor = gp.covar_module.outputscale
    Zs = (Z / gp.covar_module.base_kernel.lengthscale).double()
    eye = torch.eye(Z.shape[-2], dtype=torch.float64, device=Z.device)
    L = torch.linalg.cholesky(_kernel(Zs, Zs, s2.double()) + JITTER * eye)
    return torch.linalg.solve_triangular(L, eye.expand_as(L), upper=False), Zs, s2


def _kernel(a: Tensor, b: Tensor, s2: Tensor) -> Tensor:
    """s² exp(−½|a − b|²) of rows (P, M, F) and (P, B, F), as one product: what it costs is memory, not arithmetic."""
    low, high = -0.5 * a.square().sum(-1, keepdim=True), -0.5 * b.square().sum(-1, keepdim=True)
    left = torch.cat((a, low + s2.log()[:, None, None], torch.ones_like(low)), -1)
    right = torch.cat((b, torch.ones_like(high), high), -1)
    product: Tensor = left @ right.mT
    return product.exp()

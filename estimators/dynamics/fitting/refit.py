"""The end of training in closed form: q(u) and noise, given features, kernel and inducing points.

For a Gaussian likelihood the optimal q(v) = N(m, S) of the whitened inducing variables is known (Titsias 2009)::

    Λ = I + β A Aᵀ/n,   S = Λ⁻¹,   m = β S A y/n,      A = L⁻¹ Kzx over all training samples, β the temper

All in double precision; one pass over the training samples, one over the validation samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from estimators.dynamics.fitting.deep_kernel import NOISE_FLOOR, DeepKernelGP, lower, moments, projected

CHUNK = 4096


@dataclass(slots=True, eq=False)
class Statistics:
    """All that q(u) and noise need of a set of N samples: A Aᵀ (P, M, M), A y (P, M), yᵀy (P,)."""

    G: Tensor
    b: Tensor
    yy: Tensor
    N: int


def statistics(gp: DeepKernelGP, x: Tensor, y: Tensor) -> Statistics:
    """Over scaled inputs (N, D) and targets (N, P); double precision."""
    P, M = gp.base.inducing_points.shape[:2]
    G, b = x.new_zeros(P, M, M), x.new_zeros(P, M)
    with torch.no_grad():
        for part_x, part_y in zip(torch.split(x, CHUNK), torch.split(y, CHUNK), strict=True):
            A, _ = projected(gp, gp.features(part_x))
            G += A @ A.mT
            b += (A @ part_y.T[..., None]).squeeze(-1)
    return Statistics(G, b, y.square().sum(0), len(y))


def optimum(stats: Statistics, noise: Tensor, temper: float = 1.0) -> tuple[Tensor, Tensor]:
    """m (P, M) and lower Cholesky factor of S (P, M, M)."""
    eye = torch.eye(stats.G.shape[-1], dtype=stats.G.dtype, device=stats.G.device)
    precision = torch.linalg.cholesky(eye + temper * stats.G / noise[:, None, None])
    S = torch.cholesky_inverse(precision)
    mean = temper * (S @ (stats.b / noise[:, None])[..., None]).squeeze(-1)
    return mean, torch.linalg.cholesky(0.5 * (S + S.mT))


def errors(stats: Statistics, s2: Tensor, mean: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
    """Mean squared error and mean latent variance over the samples of ``stats``, (P,) each."""
    squared = stats.yy - 2.0 * (mean * stats.b).sum(-1) + torch.einsum("pi,pij,pj->p", mean, stats.G, mean)
    S = root @ root.mT
    latent = s2 - (stats.G.diagonal(dim1=-2, dim2=-1).sum(-1) - (S * stats.G).sum((-2, -1))) / stats.N
    return squared / stats.N, latent


def calibrated(stats: Statistics, s2: Tensor, mean: Tensor, root: Tensor, floor: Tensor) -> Tensor:
    """Noise that makes the mean predictive variance on validation samples equal the mean squared error, (P,)."""
    squared, latent = errors(stats, s2, mean, root)
    return torch.maximum(squared - latent, floor)


def finish(
    gp: DeepKernelGP, train: tuple[Tensor, Tensor], validate: tuple[Tensor, Tensor], trajectory: Tensor, temper: float
) -> str:
    """Refit q(u), set the noise, and keep the gradients' q(u) instead if that predicts the validation samples better.

    ``gp`` in double precision; ``trajectory`` (N,) of the validation samples. Returns a sentence about what was done.
    """
    held = statistics(gp, *validate)
    s2 = gp.covar_module.outputscale.detach()
    distribution = gp.base._variational_distribution
    noise = gp.likelihood.task_noises.detach().clone()
    trained = distribution.variational_mean.detach().clone(), lower(gp).detach()
    stats = statistics(gp, *train)
    found = trained
    for _ in range(2):
        found = optimum(stats, noise, temper)
        squared, latent = errors(stats, s2, *found)
        noise = (squared + latent).clamp_min(NOISE_FLOOR)
    # Validation samples may by chance be easier than the training samples: never below half of their noise.
    floor = 0.5 * noise
    noise = calibrated(held, s2, *found, floor)
    found = optimum(stats, noise, temper)
    choices = {"refit": found, "trained": trained}
    candidates = {name: (q, calibrated(held, s2, q[0], q[1], floor)) for name, q in choices.items()}
    judged = {name: _likely(held, s2, q, n) for name, (q, n) in candidates.items()}
    better = "refit" if judged["refit"] <= judged["trained"] else "trained"
    (mean, root), noise = candidates[better]
    with torch.no_grad():
        distribution.variational_mean.copy_(mean)
        distribution.chol_variational_covar.copy_(root)
    noise = noise + uncertainty(gp, validate, trajectory)
    gp.likelihood.task_noises = noise.clamp_min(NOISE_FLOOR * (1.0 + 1e-9))
    kept = "closed-form q(u)" if better == "refit" else "q(u) of the gradients, which predicts better than closed form"
    return f"{kept}; validation NLL {judged[better]:.3f} (the other: {max(judged.values()):.3f}), scaled torque"


def uncertainty(gp: DeepKernelGP, validate: tuple[Tensor, Tensor], trajectory: Tensor) -> Tensor:
    """Standard error, over validation trajectories, of the noise that they call for, (P,); zero for a single one.

    Errors of one trajectory are not independent: two trajectories are two pieces of evidence about the next one,
    however many samples they have.
    """
    x, y = validate
    found = []
    with torch.no_grad():
        for k in torch.unique(trajectory):
            own = trajectory == k
            mean, latent = moments(gp, x[own])
            found.append(((y[own].T - mean).square() - latent).mean(1))
    if len(found) < 2:
        return torch.zeros_like(gp.likelihood.task_noises.detach())
    called = torch.stack(found)
    error: Tensor = called.std(0) / math.sqrt(len(found))
    return error


def _likely(held: Statistics, s2: Tensor, q: tuple[Tensor, Tensor], noise: Tensor) -> float:
    """NLL of the validation samples with the mean predictive variance for all of them."""
    squared, latent = errors(held, s2, *q)
    total = latent + noise
    return float((0.5 * (torch.log(2.0 * math.pi * total) + squared / total)).mean())

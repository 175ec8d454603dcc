"""The end of training in closed form: q(u) and noise, given features, kernel and inducing points.

For a Gaussian likelihood the optimal q(v) = N(m, S) of the whitened inducing variables is known (Titsias 2009)::

    Λ = I + β A Aᵀ/n,   S = Λ⁻¹,   m = β S A y/n,      A = L⁻¹ Kzx over all training samples, β the temper

Where joints are mixed of latent GPs by W, the best q that keeps the GPs independent of each other has::

    S_l = (I + β Σ_p W_lp²/n_p A_l A_lᵀ)⁻¹,   Λ m = b,   Λ_lk = δ_lk I + β Σ_p W_lp W_kp/n_p A_l A_kᵀ,
    b_l = β Σ_p W_lp/n_p A_l y_p

since the bound is quadratic in all means together. All in double precision; one pass over the training samples, one
over the validation samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from torch import Tensor

from estimators.dynamics.fitting.deep_kernel import NOISE_FLOOR, DeepKernelGP, lower, moments, projected

Array = npt.NDArray[np.float64]
CHUNK = 4096
Q = tuple[Tensor, Tensor]
"""m (L, M) and lower Cholesky factor of S (L, M, M); L is P without mixing."""


class Statistics(Protocol):
    """All that q(u) and noise need of a set of samples."""

    def double(self) -> Statistics:
        """In double precision."""
        ...

    def optimum(self, noise: Tensor, temper: float = 1.0) -> Q:
        """The best q for ``noise`` (P,)."""
        ...

    def errors(self, s2: Tensor, q: Q) -> tuple[Tensor, Tensor]:
        """Mean squared error and mean latent variance over the samples, (P,) each; ``s2`` (L,)."""
        ...


@dataclass(slots=True, eq=False)
class Independent:
    """A Aᵀ (P, M, M), A y (P, M), yᵀy (P,) of N samples."""

    G: Tensor
    b: Tensor
    yy: Tensor
    N: int

    def double(self) -> Independent:
        return Independent(self.G.double(), self.b.double(), self.yy.double(), self.N)

    def optimum(self, noise: Tensor, temper: float = 1.0) -> Q:
        S, root = _inverse(temper * self.G / noise[:, None, None])
        return temper * (S @ (self.b / noise[:, None])[..., None]).squeeze(-1), root

    def errors(self, s2: Tensor, q: Q) -> tuple[Tensor, Tensor]:
        mean, root = q
        squared = self.yy - 2.0 * (mean * self.b).sum(-1) + torch.einsum("pi,pij,pj->p", mean, self.G, mean)
        return squared / self.N, _latent(self.G, s2, root, self.N)


@dataclass(slots=True, eq=False)
class Mixed:
    """A_l A_kᵀ (L, L, M, M), A_l y_p (L, P, M), yᵀy (P,) of N samples, and the mixing W (L, P)."""

    G: Tensor
    b: Tensor
    yy: Tensor
    N: int
    W: Tensor

    def double(self) -> Mixed:
        return Mixed(self.G.double(), self.b.double(), self.yy.double(), self.N, self.W.double())

    def optimum(self, noise: Tensor, temper: float = 1.0) -> Q:
        L, M = self.G.shape[0], self.G.shape[-1]
        shares = temper * (self.W / noise) @ self.W.mT
        whole = (shares[:, :, None, None] * self.G).permute(0, 2, 1, 3).reshape(L * M, L * M)
        whole = whole + torch.eye(L * M, dtype=whole.dtype, device=whole.device)
        right = temper * torch.einsum("lp,lpm->lm", self.W / noise, self.b).reshape(L * M, 1)
        mean = torch.cholesky_solve(right, torch.linalg.cholesky(0.5 * (whole + whole.mT))).reshape(L, M)
        return mean, _inverse(shares.diagonal()[:, None, None] * self._own)[1]

    def errors(self, s2: Tensor, q: Q) -> tuple[Tensor, Tensor]:
        mean, root = q
        crossed = torch.einsum("li,lkij,kj->lk", mean, self.G, mean)
        squared = self.yy - 2.0 * torch.einsum("lp,lpm,lm->p", self.W, self.b, mean)
        squared = squared + torch.einsum("lp,lk,kp->p", self.W, crossed, self.W)
        return squared / self.N, self.W.square().mT @ _latent(self._own, s2, root, self.N)

    @property
    def _own(self) -> Tensor:
        """A_l A_lᵀ, (L, M, M)."""
        return self.G.diagonal(dim1=0, dim2=1).permute(2, 0, 1)


def _inverse(G: Tensor) -> Q:
    """S = (I + G)⁻¹ and its lower Cholesky factor."""
    eye = torch.eye(G.shape[-1], dtype=G.dtype, device=G.device)
    S = torch.cholesky_inverse(torch.linalg.cholesky(eye + G))
    return S, torch.linalg.cholesky(0.5 * (S + S.mT))


def _latent(G: Tensor, s2: Tensor, root: Tensor, N: int) -> Tensor:
    """Mean variance of each GP over the samples of ``G``."""
    S = root @ root.mT
    return s2 - (G.diagonal(dim1=-2, dim2=-1).sum(-1) - (S * G).sum((-2, -1))) / N


def statistics(gp: DeepKernelGP, x: Tensor, y: Tensor) -> Statistics:
    """Over scaled inputs (N, D) and targets (N, P), in their precision."""
    (L, M), P = gp.base.inducing_points.shape[:2], y.shape[1]
    W = gp.mixing
    G = x.new_zeros(L, M, M) if W is None else x.new_zeros(L, L, M, M)
    b = x.new_zeros(L, M) if W is None else x.new_zeros(L, P, M)
    with torch.no_grad():
        for part_x, part_y in zip(torch.split(x, CHUNK), torch.split(y, CHUNK), strict=True):
            A, _ = projected(gp, gp.features(part_x))
            if W is None:
                G += A @ A.mT
                b += (A @ part_y.T[..., None]).squeeze(-1)
            else:
                G += A[:, None] @ A.mT[None]
                b += (A @ part_y).mT
    yy = y.square().sum(0)
    return Independent(G, b, yy, len(y)) if W is None else Mixed(G, b, yy, len(y), W.detach().to(x.dtype))


def calibrated(stats: Statistics, s2: Tensor, q: Q, floor: Tensor) -> Tensor:
    """Noise that makes the mean predictive variance on validation samples equal the mean squared error, (P,)."""
    squared, latent = stats.errors(s2, q)
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
        found = stats.optimum(noise, temper)
        squared, latent = stats.errors(s2, found)
        noise = (squared + latent).clamp_min(NOISE_FLOOR)
    # Validation samples may by chance be easier than the training samples: never below half of their noise.
    floor = 0.5 * noise
    noise = calibrated(held, s2, found, floor)
    found = stats.optimum(noise, temper)
    choices = {"refit": found, "trained": trained}
    candidates = {name: (q, calibrated(held, s2, q, floor)) for name, q in choices.items()}
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


def by_speed(gp: DeepKernelGP, validate: tuple[Tensor, Tensor], fading: Tensor) -> Array:
    """Noise a + b w of each joint that makes the validation samples most likely, w ``fading`` (N, P); b (P,) is told.

    a becomes the noise of ``gp``. Both are scaled variances.
    """
    x, y = validate
    with torch.no_grad():
        found = [moments(gp, part) for part in torch.split(x, CHUNK)]
        squared = (y - torch.cat([mean.T for mean, _ in found])).square().cpu().numpy()
        latent = torch.cat([variance.T for _, variance in found]).cpu().numpy()
    w = fading.cpu().numpy()
    noise = np.empty((2, y.shape[1]))
    for p in range(y.shape[1]):

        def surprise(logs: Array, p: int = p) -> float:
            total = latent[:, p] + np.exp(logs[0]) + np.exp(logs[1]) * w[:, p]
            return float(np.mean(np.log(total) + squared[:, p] / total))

        start = math.log(max(float(squared[:, p].mean()), NOISE_FLOOR))
        best = minimize(surprise, np.full(2, start), method="L-BFGS-B", bounds=[(math.log(NOISE_FLOOR), 10.0)] * 2)
        noise[:, p] = np.exp(best.x)
    gp.likelihood.task_noises = torch.as_tensor(np.maximum(noise[0], NOISE_FLOOR * (1.0 + 1e-9)), device=x.device)
    return np.array(noise[1])


def _likely(held: Statistics, s2: Tensor, q: Q, noise: Tensor) -> float:
    """NLL of the validation samples with the mean predictive variance for all of them."""
    squared, latent = held.errors(s2, q)
    total = latent + noise
    return float((0.5 * (torch.log(2.0 * math.pi * total) + squared / total)).mean())

"""Residual torque by a sparse Gaussian process over position and velocity of all joints (GPADKF), one for each joint.

The variational approximation of Titsias (2009) with ``m`` inducing points and one length for each input (automatic
relevance determination). Hyper-parameters and inducing points maximise the evidence lower bound, by GPyTorch; what
predicts is plain arrays::

    mean = k*ᵀ w        variance = a² − k*ᵀ V k* + σ²        k(x, x') = a² exp(−½ Σ ((x_i − x'_i)/l_i)²)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, solve_triangular

from estimators.errors import ModelError, ParameterError

Array = npt.NDArray[np.float64]

INDUCING = 50
ITERATIONS = 300
RATE = 0.1
"""Of Adam, in the space of the parameters' softplus."""
MOST = 2500
"""States that hyper-parameters are learnt from; of more, evenly many are left out. Conditioning takes all."""
_START_LENGTH = 3.0
_JITTER = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Hyper:
    """Of one joint: ``lengths`` (2n,) in units of the inputs, ``amplitude`` a² and ``noise`` σ² in (N·m)², and the
    inducing ``points`` (m, 2n)."""

    lengths: Array
    amplitude: float
    noise: float
    points: Array


class SparseGpResidual:
    """:class:`estimators.residual.base.ResidualModel` of one sparse process for each joint, over (q, qd).

    ``points`` (n, m, 2n); ``lengths`` (n, 2n) in rad and rad/s: the shorter, the more the input matters; ``amplitude``,
    ``noise`` (n,) (N·m)²; ``weights`` (n, m); ``explained`` V (n, m, m). Raises ModelError for parts that do not fit.
    """

    kind = "sparse_gp"
    inertial_parameters = None

    def __init__(
        self, points: Array, lengths: Array, amplitude: Array, noise: Array, weights: Array, explained: Array
    ) -> None:
        n, m = weights.shape if weights.ndim == 2 else (0, 0)
        wanted = [(n, m, 2 * n), (n, 2 * n), (n,), (n,), (n, m), (n, m, m)]
        parts = (points, lengths, amplitude, noise, weights, explained)
        if n < 1 or [part.shape for part in parts] != wanted:
            raise ModelError(f"arrays of shapes {[part.shape for part in parts]}; expected {wanted}: train it anew")
        positive = np.concatenate([np.ravel(part) for part in (lengths, amplitude, noise)])
        if not all(np.isfinite(part).all() for part in parts) or not (positive > 0.0).all():
            raise ModelError("the processes hold numbers that are not finite or not above 0: train them anew")
        self.points, self.lengths, self.amplitude, self.noise = points, lengths, amplitude, noise
        self.weights, self.explained = weights, explained
        self._scaled = np.ascontiguousarray(points / lengths[:, None, :])
        self._inverse = 1.0 / lengths

    @property
    def n(self) -> int:
        """Number of joints."""
        return self.noise.size

    @property
    def relevance(self) -> Array:
        """1/length² (n, 2n): how fast each joint's torque changes with each of q, then qd."""
        value: Array = self._inverse**2
        return value

    def reset(self) -> None:
        """Nothing is remembered."""

    def step(self, q: Array, qd: Array, tau: Array, dt: float) -> tuple[Array, Array]:
        """Mean N·m and variance (N·m)², both (n,), at ``q`` rad and ``qd`` rad/s; NaN where one is not finite."""
        if not math.isfinite(float(q.sum() + qd.sum())):
            # An infinite input would be infinitely far away: a certain zero.
            return np.full(self.n, math.nan), np.full(self.n, math.nan)
        away = self._scaled - (np.concatenate((q, qd)) * self._inverse)[:, None, :]
        k = np.exp(-0.5 * np.einsum("jmi,jmi->jm", away, away)) * self.amplitude[:, None]
        mean = np.einsum("jm,jm->j", k, self.weights)
        explained = np.matmul(k[:, None, :], self.explained)[:, 0]
        variance = self.amplitude - np.einsum("jm,jm->j", explained, k)
        return mean, np.maximum(variance, 0.0) + self.noise

    def run(self, q: Array, qd: Array, tau: Array, dt: float) -> tuple[Array, Array]:
        """Mean and variance (m, n) along a run."""
        x = np.concatenate((q, qd), axis=1)
        x = np.where(np.isfinite(x).all(axis=1, keepdims=True), x, math.nan)
        mean, variance = np.empty(q.shape), np.empty(q.shape)
        for j in range(self.n):
            k = _kernel(x * self._inverse[j], self._scaled[j], float(self.amplitude[j]))
            mean[:, j] = k @ self.weights[j]
            left = self.amplitude[j] - np.einsum("km,km->k", k @ self.explained[j], k)
            variance[:, j] = np.maximum(left, 0.0) + self.noise[j]
        return mean, variance

    def pack(self) -> tuple[Mapping[str, Any], Mapping[str, Array]]:
        """Kind and arrays."""
        names = ("points", "lengths", "amplitude", "noise", "weights", "explained")
        return {"kind": self.kind}, {name: getattr(self, name) for name in names}

    @classmethod
    def unpack(cls, options: Mapping[str, Any], arrays: Mapping[str, Array]) -> SparseGpResidual:
        """What :meth:`pack` gave. Raises ModelError, KeyError."""
        names = ("points", "lengths", "amplitude", "noise", "weights", "explained")
        return cls(*(np.ascontiguousarray(arrays[name]) for name in names))


def _kernel(x: Array, z: Array, amplitude: float) -> Array:
    """(k, m) for scaled inputs (k, d) and scaled points (m, d)."""
    square = (x * x).sum(axis=1)[:, None] + (z * z).sum(axis=1) - 2.0 * (x @ z.T)
    kernel: Array = amplitude * np.exp(-0.5 * np.maximum(square, 0.0))
    return kernel


def condition(x: Array, tau: Array, hyper: Hyper) -> tuple[Array, Array]:
    """Weights (m,) and V (m, m) of one joint for inputs (k, 2n) and residual torques (k,), Titsias' optimal q(u)."""
    z, at = hyper.points / hyper.lengths, x / hyper.lengths
    Kuu = _kernel(z, z, hyper.amplitude)
    Kuu.flat[:: len(z) + 1] += _JITTER * hyper.amplitude
    L = cholesky(Kuu, lower=True)
    A = solve_triangular(L, _kernel(z, at, hyper.amplitude), lower=True) / np.sqrt(hyper.noise)
    B = A @ A.T
    B.flat[:: len(z) + 1] += 1.0
    LB = cholesky(B, lower=True)
    c = solve_triangular(LB, A @ tau, lower=True) / np.sqrt(hyper.noise)
    L_inv = solve_triangular(L, np.eye(len(z)), lower=True)
    both = solve_triangular(LB, L_inv, lower=True)
    weights: Array = both.T @ c
    explained: Array = L_inv.T @ L_inv - both.T @ both
    return weights, 0.5 * (explained + explained.T)


def fit(
    q: Array,
    qd: Array,
    tau: Array,
    inducing: int = INDUCING,
    iterations: int = ITERATIONS,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> SparseGpResidual:
    """One process for each joint from ``q`` rad, ``qd`` rad/s and residual torques ``tau`` N·m, (k, n) each.

    ``progress(joint)`` is called after each joint. Raises ParameterError for data that nothing can be learnt from.
    """
    from sklearn.cluster import KMeans  # for training only

    x = np.concatenate((q, qd), axis=1)
    if len(x) < 2 * inducing or not (np.isfinite(x).all() and np.isfinite(tau).all()):
        raise ParameterError(f"{len(x)} states and torques; expected at least {2 * inducing}, all finite")
    scale, spread = x.std(axis=0), tau.std(axis=0)
    if not ((scale > 0.0).all() and (spread > 0.0).all()):
        raise ParameterError("velocity or torque does not vary: nothing can be learnt from a joint that never moves")
    inside = x / scale
    thin = slice(None, None, max(1, math.ceil(len(x) / MOST)))
    start = KMeans(inducing, n_init=1, random_state=seed).fit(inside[thin]).cluster_centers_
    found: list[Hyper] = []
    for j in range(tau.shape[1]):
        hyper = _optimise(inside[thin], tau[thin, j] / spread[j], start, iterations)
        found.append(
            Hyper(
                hyper.lengths * scale,
                hyper.amplitude * float(spread[j]) ** 2,
                hyper.noise * float(spread[j]) ** 2,
                hyper.points * scale,
            )
        )
        if progress is not None:
            progress(j)
    solved = [condition(x, tau[:, j], hyper) for j, hyper in enumerate(found)]
    return SparseGpResidual(
        np.array([each.points for each in found]),
        np.array([each.lengths for each in found]),
        np.array([each.amplitude for each in found]),
        np.array([each.noise for each in found]),
        np.array([weights for weights, _ in solved]),
        np.array([explained for _, explained in solved]),
    )


def _optimise(x: Array, tau: Array, start: Array, iterations: int) -> Hyper:
    """Largest evidence lower bound from ``start`` (m, d) on, for standardised data; GPyTorch's SGPR in float64."""
    import gpytorch
    import torch

    inputs, targets = torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(np.ascontiguousarray(tau))
    likelihood = gpytorch.likelihoods.GaussianLikelihood().double()

    class Process(gpytorch.models.ExactGP):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(inputs, targets, likelihood)
            self.mean_module = gpytorch.means.ZeroMean()
            self.scaled = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel(ard_num_dims=x.shape[1]))
            self.covar_module = gpytorch.kernels.InducingPointKernel(
                self.scaled, inducing_points=torch.from_numpy(start.copy()), likelihood=likelihood
            )

        def forward(self, at: Any) -> Any:
            return gpytorch.distributions.MultivariateNormal(self.mean_module(at), self.covar_module(at))

    process = Process().double()
    process.scaled.base_kernel.lengthscale = _START_LENGTH
    process.scaled.outputscale = 1.0
    likelihood.noise = 0.2
    process.train()
    likelihood.train()
    bound = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, process)
    optimiser = torch.optim.Adam(process.parameters(), lr=RATE)
    for _ in range(iterations):
        optimiser.zero_grad()
        loss = -bound(process(inputs), targets)
        loss.backward()
        optimiser.step()
    return Hyper(
        process.scaled.base_kernel.lengthscale.detach().numpy().ravel().astype(np.float64),
        float(process.scaled.outputscale.detach()),
        float(likelihood.noise.detach()),
        process.covar_module.inducing_points.detach().numpy().astype(np.float64),
    )

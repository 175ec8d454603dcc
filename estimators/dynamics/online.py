"""Goes on learning from an exported posterior: recursive, in closed form, features and hyper-parameters as they are.

In whitened form u = L v, v ~ N(m, S), a batch with A = L⁻¹ K(Z, x) and noise n adds to the natural parameters
Λ = S⁻¹ and b = Λ m::

    Λ ← Λ₀ + κ (Λ − Λ₀) + A Aᵀ / n          b ← b₀ + κ (b − b₀) + A y / n

Everything fades by κ with every batch, towards the *tempered offline* posterior: Λ₀ = I + w (Λ_offline − I),
b₀ = w b_offline. With w = 1 a hundred thousand offline samples would outvote any payload; with w = 0, the GP's prior, a
model without rigid-body prior would forget gravity wherever the arm has not been for a while. w is the offline samples'
weight as witnesses of today.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_factor, cho_solve, cholesky, solve_triangular

from estimators.dynamics.posterior import Posterior
from estimators.dynamics.scores import gaussian_nll
from estimators.errors import ModelError, ParameterError

Array = npt.NDArray[np.float64]

BATCH = 100
"""Samples that are learnt at once."""
KEEP = 0.8
"""κ: what is left of what is above the base after each batch."""
WEIGHT = 0.005
"""w: of 80,000 offline samples 400 are left, as many as five batches at κ = 0.8."""


class OnlinePosterior:
    """A posterior that takes in batches; raises ModelError where ``offline`` has no proper covariance."""

    def __init__(self, offline: Posterior, keep: float = KEEP, weight: float = WEIGHT) -> None:
        for name, value in (("keep", keep), ("weight", weight)):
            if not (math.isfinite(value) and 0.0 <= value <= 1.0):
                raise ParameterError(f"{name} is {value}; expected 0 to 1")
        if offline.mixing is not None:
            raise ModelError("online learning takes independent joints: train a model without latent GPs")
        self.offline, self.keep = offline, keep
        P, M, _ = offline.points.shape
        identity = np.eye(M)
        self._L = np.array([_root(_kernel(z, z, s2)) for z, s2 in zip(offline.points, offline.s2, strict=True)])
        known, known_b = np.empty((P, M, M)), np.empty((P, M))
        for p in range(P):
            L = self._L[p]
            m = L.T @ offline.alpha[p]
            S = identity - L.T @ offline.B[p] @ L
            # S loses digits where B is large: what is left of its eigenvalues must be those of a covariance.
            values, vectors = np.linalg.eigh(0.5 * (S + S.T))
            if not np.isfinite(values).all() or values[-1] <= 0.0 or values[0] < -1e-3:
                raise ModelError("the exported posterior has no proper covariance: export it anew")
            values = np.maximum(values, 1e-9)
            known[p] = (vectors / values) @ vectors.T
            known_b[p] = known[p] @ m
        self._offline = known, known_b
        self._base, self._base_b = identity + weight * (known - identity), weight * known_b
        self.reset()

    @property
    def n(self) -> int:
        """Number of joints."""
        return self.offline.n

    def reset(self) -> None:
        """Forget what was learnt online."""
        self._Lambda, self._b = (part.copy() for part in self._offline)
        self.batches = 0
        """Batches taken in since the reset."""

    def learn(self, x: Array, r: Array) -> None:
        """Take in a batch: inputs ``x`` (k, 3n) rad, rad/s, rad/s², and ``r`` (k, n) N·m, the prior's torque taken off.

        Raises ParameterError and changes nothing where anything is not finite.
        """
        offline, n = self.offline, self.n
        if x.shape != (len(r), 3 * n) or r.shape != (len(r), n):
            raise ParameterError(f"the batch has shapes {x.shape} and {r.shape}; expected (k, {3 * n}) and (k, {n})")
        if not (np.isfinite(x).all() and np.isfinite(r).all()):
            raise ParameterError("the batch is not finite: leave out what the arm did not measure")
        features = features_of(offline, x)
        y = offline.scaling.targets(r)
        keep = self.keep
        for p in range(n):
            K = _kernel(offline.points[p], features / offline.lengths[p], offline.s2[p])
            A = solve_triangular(self._L[p], K, lower=True)
            self._Lambda[p] = self._base[p] + keep * (self._Lambda[p] - self._base[p]) + A @ A.T / offline.noise[p]
            self._b[p] = self._base_b[p] + keep * (self._b[p] - self._base_b[p]) + A @ y[:, p] / offline.noise[p]
        self.batches += 1

    def posterior(self) -> Posterior:
        """What is known now, for the predictor. Raises ModelError where it is no proper posterior."""
        P, M, _ = self.offline.points.shape
        alpha, B = np.empty((P, M)), np.empty((P, M, M))
        identity = np.eye(M)
        for p in range(P):
            try:
                factor = cho_factor(self._Lambda[p], lower=True)
            except LinAlgError as error:
                raise ModelError("the online posterior is no longer positive definite: reset it") from error
            S = cho_solve(factor, identity)
            m = S @ self._b[p]
            L = self._L[p]
            alpha[p] = solve_triangular(L, m, lower=True, trans="T")
            half = solve_triangular(L, identity - 0.5 * (S + S.T), lower=True, trans="T")
            whole = solve_triangular(L, half.T, lower=True, trans="T")
            B[p] = 0.5 * (whole + whole.T)
        return replace(self.offline, alpha=alpha, B=B)


def features_of(posterior: Posterior, x: Array) -> Array:
    """Features (k, F) of the inputs ``x`` (k, 3n), before they are divided by the lengths."""
    scaled = posterior.scaling.inputs(x)
    f = scaled
    for k, (W, b) in enumerate(zip(posterior.weights, posterior.biases, strict=True)):
        f = f @ W.T + b
        if k + 1 < len(posterior.weights):
            f = f / (1.0 + np.exp(-f))
    return np.hstack((f, scaled)) if posterior.weights and posterior.skip else f


def predict(posterior: Posterior, x: Array) -> tuple[Array, Array]:
    """Mean N·m and variance (N·m)², noise included, both (k, n), at the inputs ``x`` (k, 3n), prior not added."""
    features, L = features_of(posterior, x), len(posterior.s2)
    mean, variance = np.empty((len(x), L)), np.empty((len(x), L))
    for p in range(L):
        K = _kernel(posterior.points[p], features / posterior.lengths[p], posterior.s2[p])
        mean[:, p] = K.T @ posterior.alpha[p]
        latent = posterior.s2[p] - np.einsum("ik,ij,jk->k", K, posterior.B[p], K, optimize=True)
        variance[:, p] = np.maximum(latent, 0.0)
    if posterior.mixing is not None:
        mean, variance = mean @ posterior.mixing, variance @ np.square(posterior.mixing)
    return posterior.scaling.torque(mean, variance + posterior.noise_at(x))


@dataclass(frozen=True, slots=True)
class GuardParams:
    """What a new model must pass."""

    worse: float = 0.05
    """NLL on the held-out batches may be this much above the old model's, nats a sample."""
    probe: float = 1.2
    """RMSE on the offline probe set may be this many times the offline model's."""
    patience: int = 3
    """Rejections in a row after which the learner gives up."""


class Guard:
    """Accepts a new posterior only if it proves no worse than the one in use.

    ``probe_x`` (k, 3n), ``probe_r`` (k, n): offline samples that are never learnt from online. ``tau_max`` (n,) N·m:
    beyond it no mean is believed.
    """

    def __init__(
        self, offline: Posterior, probe_x: Array, probe_r: Array, tau_max: Array, params: GuardParams | None = None
    ) -> None:
        self.params = params or GuardParams()
        self._x, self._r, self._tau_max = probe_x, probe_r, tau_max
        self._allowed = self.params.probe * _rmse(predict(offline, probe_x)[0], probe_r)
        self.rejected = 0
        """In a row."""
        self.reason = ""
        """Of the last rejection."""

    @property
    def gave_up(self) -> bool:
        """So many rejections in a row that something is wrong with the data or the model."""
        return self.rejected >= self.params.patience

    def accepts(self, new: Posterior, old: Posterior, held_x: Array, held_r: Array) -> bool:
        """Whether ``new`` may replace ``old``, judged by batches (k, 3n), (k, n) that ``new`` has not learnt from."""
        self.reason = self._fault(new, old, held_x, held_r)
        self.rejected = self.rejected + 1 if self.reason else 0
        return not self.reason

    def _fault(self, new: Posterior, old: Posterior, held_x: Array, held_r: Array) -> str:
        x = np.vstack((held_x, self._x))
        mean, variance = predict(new, x)
        if not (np.isfinite(mean).all() and np.isfinite(variance).all() and (variance > 0.0).all()):
            return "a prediction is not finite, or a variance is not above 0"
        if (np.abs(mean) > self._tau_max).any():
            return f"a mean of {np.abs(mean).max():.0f} N·m is beyond what a joint can do"
        k = len(held_x)
        if k:
            before = float(gaussian_nll(held_r - predict(old, held_x)[0], predict(old, held_x)[1]).mean())
            after = float(gaussian_nll(held_r - mean[:k], variance[:k]).mean())
            if not after <= before + self.params.worse:
                return f"NLL on held-out batches rose from {before:.2f} to {after:.2f}"
        probe = _rmse(mean[k:], self._r)
        if not (probe <= self._allowed).all():
            j = int(np.argmax(probe / self._allowed))
            return f"RMSE on the probe set is {probe[j]:.3f} N·m on A{j + 1}, allowed {self._allowed[j]:.3f}"
        return ""


def _rmse(mean: Array, truth: Array) -> Array:
    rmse: Array = np.sqrt(np.mean((mean - truth) ** 2, axis=0))
    return rmse


def _kernel(points: Array, features: Array, s2: float) -> Array:
    """k (M, k) between scaled points (M, F) and scaled features (k, F)."""
    squares = np.square(points).sum(axis=1)[:, None] + np.square(features).sum(axis=1) - 2.0 * points @ features.T
    kernel: Array = s2 * np.exp(-0.5 * np.maximum(squares, 0.0))
    return kernel


def _root(K: Array) -> Array:
    """Lower Cholesky factor, with the least jitter that it takes.

    Any jitter will do: mean and variance are those of alpha and B, whatever L they are whitened with.
    """
    scale = float(K.diagonal().mean())
    for jitter in (1e-10, 1e-8, 1e-6, 1e-4):
        try:
            L: Array = cholesky(K + jitter * scale * np.eye(len(K)), lower=True)
        except LinAlgError:
            continue
        return L
    raise ModelError("the inducing points' covariance is not positive definite: export the model anew")

"""A sparse GP's posterior with its features as plain float64 arrays, and its prediction at one sample.

For each joint, with f the features of the scaled input and Zt = Z/l::

    k_i = s² exp(−½|f/l − Zt_i|²),   mean = kᵀ alpha,   variance = s² − kᵀ B k + noise
    alpha = L⁻ᵀ m,   B = L⁻ᵀ (I − S) L⁻¹

Double precision only: B of trained models is so large and ill-conditioned that single precision gives variances that
are wrong severalfold, and negative ones.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from estimators.compiled import compiled
from estimators.dynamics.samples import Scaling
from estimators.errors import ModelError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """P joints, D inputs, M inducing points, features of width F = m + (D if skip)."""

    weights: tuple[Array, ...]
    """Of the layers x → W x + b, each (out, in), SiLU between them; empty: the inputs are the features."""
    biases: tuple[Array, ...]
    skip: bool
    """The scaled inputs follow the learnt features."""
    lengths: Array
    """l, (P, F)."""
    points: Array
    """Zt, (P, M, F)."""
    s2: Array
    """(P,), of scaled torque, as everything below."""
    noise: Array
    """(P,)."""
    alpha: Array
    """(P, M)."""
    B: Array
    """Symmetric, (P, M, M)."""
    scaling: Scaling

    def __post_init__(self) -> None:
        P, M, F = self.points.shape if self.points.ndim == 3 else (0, 0, 0)
        D = self.scaling.x_mean.size
        sizes = [D, *(len(b) for b in self.biases)]
        learnt = sizes[-1] if self.weights else 0
        right = (
            self.lengths.shape == (P, F)
            and self.alpha.shape == (P, M)
            and self.B.shape == (P, M, M)
            and self.s2.shape == self.noise.shape == self.scaling.y_mean.shape == self.scaling.y_std.shape == (P,)
            and self.scaling.x_std.shape == (D,)
            and D == 3 * P
            and len(self.weights) == len(self.biases)
            and all(w.shape == (b, a) for w, a, b in zip(self.weights, sizes[:-1], sizes[1:], strict=True))
            and learnt + (D if self.skip or not self.weights else 0) == F
        )
        if not right or M == 0:
            raise ModelError("the arrays of the learned model do not fit each other: export it anew")
        for name, array in self.arrays().items():
            if array.dtype != np.float64 or not np.isfinite(array).all():
                raise ModelError(f"{name} of the learned model is not finite float64: export it anew")
        scales = (self.lengths, self.s2, self.noise, self.scaling.x_std, self.scaling.y_std)
        if not all((part > 0.0).all() for part in scales):
            raise ModelError("a length, variance or scale of the learned model is not above 0: export it anew")

    @property
    def n(self) -> int:
        """Number of joints."""
        return len(self.s2)

    def arrays(self) -> dict[str, Array]:
        """By name, as they stand in the file."""
        found = {name: getattr(self, name) for name in ("lengths", "points", "s2", "noise", "alpha", "B")}
        found |= {f"scaling/{each.name}": getattr(self.scaling, each.name) for each in fields(Scaling)}
        for k, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            found |= {f"net/{k}/weight": W, f"net/{k}/bias": b}
        return found

    @staticmethod
    def of(arrays: dict[str, Array], skip: bool) -> Posterior:
        """From :meth:`arrays`. Raises ModelError where one is missing or they do not fit."""
        layers = sum(name.startswith("net/") and name.endswith("/weight") for name in arrays)
        try:
            return Posterior(
                tuple(arrays[f"net/{k}/weight"] for k in range(layers)),
                tuple(arrays[f"net/{k}/bias"] for k in range(layers)),
                skip,
                scaling=Scaling(**{each.name: arrays[f"scaling/{each.name}"] for each in fields(Scaling)}),
                **{name: arrays[name] for name in ("lengths", "points", "s2", "noise", "alpha", "B")},
            )
        except KeyError as error:
            raise ModelError(f"the learned model lacks {error}: export it anew") from error


class Reference:
    """Prediction with NumPy: what there is where numba is not installed."""

    def __init__(self, posterior: Posterior) -> None:
        p = self._p = posterior
        self._points = np.ascontiguousarray(p.points)
        self._inverse = 1.0 / p.lengths
        self._half = 0.5 * np.square(p.points).sum(axis=2) - np.log(p.s2)[:, None]
        self._total = p.s2 + p.noise

    def at(self, x: Array, mean: Array, sigma: Array) -> None:
        """Torque at the input ``x`` (3n,): ``mean`` (n,) and ``sigma`` (n,), with noise, N·m, both written to."""
        p, scaling = self._p, self._p.scaling
        xs = (x - scaling.x_mean) / scaling.x_std
        f = xs
        if p.weights:
            for layer, (W, b) in enumerate(zip(p.weights, p.biases, strict=True)):
                f = W @ f
                f += b
                if layer + 1 < len(p.weights):
                    f /= 1.0 + np.exp(-f)
            if p.skip:
                f = np.concatenate((f, xs))
        fs = self._inverse * f
        k = (self._points @ fs[:, :, None])[:, :, 0]
        k -= self._half
        k -= (0.5 * np.square(fs).sum(axis=1))[:, None]
        np.exp(k, out=k)
        np.multiply((k * p.alpha).sum(axis=1), scaling.y_std, out=mean)
        mean += scaling.y_mean
        taken = ((p.B @ k[:, :, None])[:, :, 0] * k).sum(axis=1)
        np.maximum(self._total - taken, p.noise, out=taken)
        np.multiply(np.sqrt(taken), scaling.y_std, out=sigma)


def packed(B: Array) -> Array:
    """(P, M (M + 1)/2): one row of the lower triangle after the other, what is beside the diagonal doubled.

    Half of the memory, which is what the time of a prediction goes into.
    """
    rows, columns = np.tril_indices(B.shape[1])
    half: Array = B[:, rows, columns] * np.where(rows == columns, 1.0, 2.0)
    return half


class Compiled:
    """The same in machine code; the numbers differ by rounding only.

    ``shared``: alpha (P, M) and packed B, see :func:`packed`, to be used where they lie instead of the posterior's own.
    """

    def __init__(self, posterior: Posterior, shared: tuple[Array, Array] | None = None) -> None:
        p = posterior
        M = p.points.shape[1]
        alpha, B = (p.alpha, packed(p.B)) if shared is None else shared
        sizes = [p.scaling.x_mean.size, *(len(b) for b in p.biases)]
        net = [part.ravel() for W, b in zip(p.weights, p.biases, strict=True) for part in (W.T, b)]
        self._scaling = np.concatenate((p.scaling.x_mean, p.scaling.x_std, p.scaling.y_mean, p.scaling.y_std))
        self._net, self._sizes = np.concatenate((*net, np.zeros(0))), np.array(sizes, dtype=np.int64)
        self._skip = p.skip or not p.weights
        self._points = np.ascontiguousarray(p.points.transpose(0, 2, 1))
        self._inverse = 1.0 / p.lengths
        self._variances = np.stack((p.s2, p.noise))
        self._alpha, self._B = np.ascontiguousarray(alpha), np.ascontiguousarray(B)
        self._work = np.zeros((4, max(max(sizes), p.points.shape[2], M)))
        # Compiled (or read from the cache) now, not in somebody's cycle.
        self.at(p.scaling.x_mean.copy(), np.zeros(p.n), np.zeros(p.n))

    def at(self, x: Array, mean: Array, sigma: Array) -> None:
        """As :meth:`Reference.at`."""
        _predict(
            x, self._scaling, self._net, self._sizes, self._skip, self._points, self._inverse, self._variances,
            self._alpha, self._B, self._work, mean, sigma,
        )  # fmt: skip


@compiled
def _predict(
    x: Array, scaling: Array, net: Array, sizes: npt.NDArray[np.int64], skip: bool, points: Array, inverse: Array,
    variances: Array, alpha: Array, B: Array, work: Array, mean: Array, sigma: Array,
) -> int:  # fmt: skip
    # Inner loops add a multiple of one row to another: those become vector instructions without reordering sums.
    P, F, M = points.shape
    D = x.size
    xs, a, b, f = work[0], work[1], work[2], work[3]
    for i in range(D):
        xs[i] = (x[i] - scaling[i]) / scaling[D + i]
    learnt, at = 0, 0
    if sizes.size > 1:
        source = xs
        for layer in range(sizes.size - 1):
            n_in, n_out = sizes[layer], sizes[layer + 1]
            last = layer == sizes.size - 2
            target = f if last else (a if layer % 2 == 0 else b)
            bias = at + n_in * n_out
            for o in range(n_out):
                target[o] = net[bias + o]
            for i in range(0, n_in - 1, 2):
                first, second = source[i], source[i + 1]
                row, below = net[at + i * n_out :][:n_out], net[at + (i + 1) * n_out :][:n_out]
                for o in range(n_out):
                    target[o] += first * row[o] + second * below[o]
            if n_in % 2 == 1:
                row = net[bias - n_out : bias]
                for o in range(n_out):
                    target[o] += source[n_in - 1] * row[o]
            if not last:
                for o in range(n_out):
                    target[o] /= 1.0 + np.exp(-target[o])
            at = bias + n_out
            source = target
        learnt = sizes[-1]
    if skip:
        for i in range(D):
            f[learnt + i] = xs[i]
    k, taken = a[:M], b[:M]
    for p in range(P):
        for m in range(M):
            k[m] = 0.0
            taken[m] = 0.0
        for d in range(0, F - 1, 2):
            first, second = f[d] * inverse[p, d], f[d + 1] * inverse[p, d + 1]
            row, below = points[p, d], points[p, d + 1]
            for m in range(M):
                k[m] += (first - row[m]) ** 2 + (second - below[m]) ** 2
        if F % 2 == 1:
            first = f[F - 1] * inverse[p, F - 1]
            row = points[p, F - 1]
            for m in range(M):
                k[m] += (first - row[m]) ** 2
        s2, noise = variances[0, p], variances[1, p]
        total = 0.0
        for m in range(M):
            k[m] = s2 * np.exp(-0.5 * k[m])
            total += k[m] * alpha[p, m]
        packed = B[p]
        at = 0
        # Two rows at a time: half as much traffic to the sums.
        for m in range(0, M - 1, 2):
            first, second = k[m], k[m + 1]
            row, below = packed[at : at + m + 1], packed[at + m + 1 : at + 2 * m + 3]
            for j in range(m + 1):
                taken[j] += first * row[j] + second * below[j]
            taken[m + 1] += second * below[m + 1]
            at += 2 * m + 3
        if M % 2 == 1:
            row = packed[at : at + M]
            for j in range(M):
                taken[j] += k[M - 1] * row[j]
        explained = 0.0
        for m in range(M):
            explained += taken[m] * k[m]
        latent = s2 - explained
        if latent < 0.0:
            latent = 0.0
        mean[p] = scaling[2 * D + p] + scaling[2 * D + P + p] * total
        sigma[p] = scaling[2 * D + P + p] * np.sqrt(latent + noise)
    return 0

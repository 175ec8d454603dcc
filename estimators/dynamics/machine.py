"""The prediction of :mod:`estimators.dynamics.posterior` in machine code, at one or several samples at a time.

What it costs is memory: the lower triangles of B, the inducing points and the network are read once a call, in rows,
whatever the number of samples. Inner loops index arrays directly: a slice would cost more than the row that it names.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from estimators.compiled import compiled, reordered
from estimators.dynamics.packed import Packed
from estimators.dynamics.posterior import Posterior

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LOG2E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
"""ln 2 in two parts, the first with so few digits that its multiples are exact."""
_ROUND = 6755399441055744.0
"""1.5 · 2⁵²: what is added to it loses its fraction, and is an integer in the low bits."""


class Compiled:
    """The same numbers as :class:`estimators.dynamics.reference.Reference`, but for rounding.

    ``shared``: numbers to be used where they lie, instead of the posterior's own; of B only the lower triangles are
    read.
    """

    def __init__(self, posterior: Posterior, shared: Packed | None = None) -> None:
        p, a = posterior, Packed.of(posterior) if shared is None else shared
        D, L, M = a.inputs.shape[1], *a.alpha.shape
        self._sizes = np.array([D, *(len(b) for b in p.biases)], dtype=np.int64)
        # Layers of one width, so that a row is found by its indices.
        width = a.net.shape[2]
        self._arrays = a
        self._skip = p.skip or not p.weights
        self._mixing = np.eye(L) if p.mixing is None else np.ascontiguousarray(p.mixing)
        self._shape = width, L, M
        self._reserve(1)
        # Compiled (or read from the cache) now, not in somebody's cycle.
        self.at(p.scaling.x_mean[None].copy(), np.zeros((1, p.n)), np.zeros((1, p.n)))

    def _reserve(self, count: int) -> None:
        width, L, M = self._shape
        self._latent = np.zeros((2, count, L))
        self._hidden = np.zeros((3, count, width))
        self._k = np.zeros(max(count * L * M, width))
        self._powers = np.zeros(self._k.size)
        self._bits = self._powers.view(np.int64)

    def at(self, x: Array, mean: Array, sigma: Array) -> None:
        """As :meth:`estimators.dynamics.reference.Reference.at`. More samples than ever before allocate."""
        if len(x) > self._hidden.shape[1]:
            self._reserve(len(x))
        a = self._arrays
        _predict(
            x, a.inputs, a.outputs, a.spread, self._mixing, a.net, self._sizes, self._skip,
            a.points, a.inverse, a.alpha, a.B, self._hidden, self._latent, self._k, self._powers,
            self._bits, mean, sigma,
        )  # fmt: skip


@compiled
def _exponentials(v: Array, count: int, powers: Array, bits: Ints) -> int:
    """exp of the first ``count`` of ``v``, in place, within two units in the last place; ``bits`` is ``powers``.

    numba calls the C library for each number; this becomes vector instructions. exp v = 2ᵏ exp r, |r| ≤ ln 2/2.
    """
    for i in range(count):
        a = v[i]
        a = -700.0 if a < -700.0 else a
        a = 700.0 if a > 700.0 else a
        v[i] = a
        powers[i] = a * _LOG2E + _ROUND
    for i in range(count):
        k = powers[i] - _ROUND
        r = (v[i] - k * _LN2_HIGH) - k * _LN2_LOW
        # Taylor's series to r¹³, whose rest is below 1e-17.
        e = r / 6227020800.0 + 1.0 / 479001600.0
        e = e * r + 1.0 / 39916800.0
        e = e * r + 1.0 / 3628800.0
        e = e * r + 1.0 / 362880.0
        e = e * r + 1.0 / 40320.0
        e = e * r + 1.0 / 5040.0
        e = e * r + 1.0 / 720.0
        e = e * r + 1.0 / 120.0
        e = e * r + 1.0 / 24.0
        e = e * r + 1.0 / 6.0
        e = e * r + 0.5
        e = e * r + 1.0
        v[i] = e * r + 1.0
    for i in range(count):
        # The exponent of a double is in its upper bits.
        bits[i] = (bits[i] + 1023) << 52
    for i in range(count):
        v[i] *= powers[i]
    return 0


@reordered
def _layer(source: Array, net: Array, layer: int, n_in: int, n_out: int, target: Array) -> int:
    """target (S, n_out) ← W source (S, n_in) + b."""
    bias = net.shape[1] - 1
    for s in range(source.shape[0]):
        for o in range(n_out):
            target[s, o] = net[layer, bias, o]
    whole = n_in - n_in % 4
    # Four rows at a time: a quarter of the traffic to the sums.
    for i in range(0, whole, 4):
        for s in range(source.shape[0]):
            a, b, c, d = source[s, i], source[s, i + 1], source[s, i + 2], source[s, i + 3]
            for o in range(n_out):
                target[s, o] += (a * net[layer, i, o] + b * net[layer, i + 1, o]) + (
                    c * net[layer, i + 2, o] + d * net[layer, i + 3, o]
                )
    for i in range(whole, n_in):
        for s in range(source.shape[0]):
            a = source[s, i]
            for o in range(n_out):
                target[s, o] += a * net[layer, i, o]
    return 0


@reordered
def _exponents(f: Array, points: Array, inverse: Array, logs: Array, k: Array) -> int:
    """k (S, L, M) ← log s² − ½ |f/l − Zt|² from features f (S, F)."""
    L, F, M = points.shape
    whole = F - F % 4
    for p in range(L):
        for s in range(k.shape[0]):
            for m in range(M):
                k[s, p, m] = 0.0
        for d in range(0, whole, 4):
            for s in range(k.shape[0]):
                a, b = f[s, d] * inverse[p, d], f[s, d + 1] * inverse[p, d + 1]
                c, e = f[s, d + 2] * inverse[p, d + 2], f[s, d + 3] * inverse[p, d + 3]
                for m in range(M):
                    k[s, p, m] += ((a - points[p, d, m]) ** 2 + (b - points[p, d + 1, m]) ** 2) + (
                        (c - points[p, d + 2, m]) ** 2 + (e - points[p, d + 3, m]) ** 2
                    )
        for d in range(whole, F):
            for s in range(k.shape[0]):
                a = f[s, d] * inverse[p, d]
                for m in range(M):
                    k[s, p, m] += (a - points[p, d, m]) ** 2
        for s in range(k.shape[0]):
            for m in range(M):
                k[s, p, m] = logs[p] - 0.5 * k[s, p, m]
    return 0


@reordered
def _explained(k: Array, B: Array, p: int, taken: Array) -> int:
    """taken (S,) ← kᵀ B k of the GP ``p`` from k (S, L, M), reading the lower triangle of B (L, M, M)."""
    S, M = k.shape[0], B.shape[1]
    whole = M - M % 4
    for s in range(S):
        taken[s] = 0.0
    for i in range(0, whole, 4):
        for s in range(S):
            a, b, c, d = k[s, p, i], k[s, p, i + 1], k[s, p, i + 2], k[s, p, i + 3]
            total = 0.0
            for j in range(i):
                total += k[s, p, j] * (
                    (a * B[p, i, j] + b * B[p, i + 1, j]) + (c * B[p, i + 2, j] + d * B[p, i + 3, j])
                )
            # Of the block on the diagonal, the lower triangle too.
            total += b * a * B[p, i + 1, i] + c * (a * B[p, i + 2, i] + b * B[p, i + 2, i + 1])
            total += d * (a * B[p, i + 3, i] + b * B[p, i + 3, i + 1] + c * B[p, i + 3, i + 2])
            total += 0.5 * (a * a * B[p, i, i] + b * b * B[p, i + 1, i + 1])
            total += 0.5 * (c * c * B[p, i + 2, i + 2] + d * d * B[p, i + 3, i + 3])
            taken[s] += 2.0 * total
    for i in range(whole, M):
        for s in range(S):
            total = 0.5 * k[s, p, i] * B[p, i, i]
            for j in range(i):
                total += k[s, p, j] * B[p, i, j]
            taken[s] += 2.0 * k[s, p, i] * total
    return 0


@reordered
def _predict(
    x: Array, inputs: Array, outputs: Array, spread: Array, mixing: Array, net: Array, sizes: Ints, skip: bool,
    points: Array, inverse: Array, alpha: Array, B: Array, hidden: Array, latent: Array, flat: Array, powers: Array,
    bits: Ints, mean: Array, sigma: Array,
) -> int:  # fmt: skip
    S, D = x.shape
    (L, _, M), P = points.shape, outputs.shape[1]
    source, target, f = hidden[0][:S], hidden[1][:S], hidden[2][:S]
    for s in range(S):
        for i in range(D):
            source[s, i] = (x[s, i] - inputs[0, i]) * inputs[1, i]
    learnt = 0
    if sizes.size > 1:
        learnt = sizes[sizes.size - 1]
    if skip:
        for s in range(S):
            for i in range(D):
                f[s, learnt + i] = source[s, i]
    for layer in range(sizes.size - 1):
        n_out = sizes[layer + 1]
        if layer == sizes.size - 2:
            _layer(source, net, layer, sizes[layer], n_out, f)
            break
        _layer(source, net, layer, sizes[layer], n_out, target)
        for s in range(S):
            for o in range(n_out):
                flat[o] = -target[s, o]
            _exponentials(flat, n_out, powers, bits)
            for o in range(n_out):
                target[s, o] /= 1.0 + flat[o]
        source, target = target, source
    k = flat[: S * L * M].reshape((S, L, M))
    _exponents(f, points, inverse, spread[0], k)
    _exponentials(flat, S * L * M, powers, bits)
    for g in range(L):
        _explained(k, B, g, latent[1, :, g])
        for s in range(S):
            total = 0.0
            for m in range(M):
                total += k[s, g, m] * alpha[g, m]
            latent[0, s, g] = total
            left = spread[1, g] - latent[1, s, g]
            latent[1, s, g] = 0.0 if left < 0.0 else left
    for s in range(S):
        for p in range(P):
            total, variance = 0.0, outputs[2, p]
            if outputs[3, p] > 0.0:
                variance += outputs[3, p] * np.exp(-((x[s, P + p] * outputs[4, p]) ** 2))
            for g in range(L):
                total += mixing[g, p] * latent[0, s, g]
                variance += mixing[g, p] ** 2 * latent[1, s, g]
            mean[s, p] = outputs[0, p] + outputs[1, p] * total
            sigma[s, p] = outputs[1, p] * np.sqrt(variance)
    for s in range(S):
        for i in range(D):
            if not np.isfinite(x[s, i]):
                mean[s, :] = np.nan
                sigma[s, :] = np.nan
    return 0

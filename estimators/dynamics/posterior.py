"""A sparse GP's posterior with its features as plain float64 arrays; predicted by :mod:`estimators.dynamics.reference`.

For each joint, with f the features of the scaled input and Zt = Z/l::

    k_i = s² exp(−½|f/l − Zt_i|²),   mean = kᵀ alpha,   variance = s² − kᵀ B k + noise
    alpha = L⁻ᵀ m,   B = L⁻ᵀ (I − S) L⁻¹

Where joints are mixed of latent GPs g (a linear model of coregionalisation) this holds for each g, and
f_p = Σ_l W_lp g_l: means are mixed by W, variances by its squares.

Double precision only: B of trained models is so large and ill-conditioned that single precision gives variances that
are wrong severalfold, and negative ones.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from estimators.dynamics.samples import Scaling
from estimators.errors import ModelError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """P joints, L GPs, D inputs, M inducing points, features of width F = m + (D if skip); L is P without mixing."""

    weights: tuple[Array, ...]
    """Of the layers x → W x + b, each (out, in), SiLU between them; empty: the inputs are the features."""
    biases: tuple[Array, ...]
    skip: bool
    """The scaled inputs follow the learnt features."""
    lengths: Array
    """l, (L, F)."""
    points: Array
    """Zt, (L, M, F)."""
    s2: Array
    """(L,), of scaled torque, as everything below."""
    noise: Array
    """(P,)."""
    alpha: Array
    """(L, M)."""
    B: Array
    """Symmetric, (L, M, M)."""
    scaling: Scaling
    mixing: Array | None = None
    """W, (L, P); None: each joint has a GP of its own."""
    standstill: Array | None = None
    """(2, P): variance that the noise has in addition at standstill, and the speed v rad/s at which exp(−(qd/v)²) of
    it is left; None: the same noise at all speeds."""

    def __post_init__(self) -> None:
        L, M, F = self.points.shape if self.points.ndim == 3 else (0, 0, 0)
        P = self.noise.size
        D = self.scaling.x_mean.size
        sizes = [D, *(len(b) for b in self.biases)]
        learnt = sizes[-1] if self.weights else 0
        right = (
            self.lengths.shape == (L, F)
            and self.alpha.shape == (L, M)
            and self.B.shape == (L, M, M)
            and self.s2.shape == (L,)
            and self.noise.shape == self.scaling.y_mean.shape == self.scaling.y_std.shape == (P,)
            and (L == P if self.mixing is None else self.mixing.shape == (L, P))
            and self.scaling.x_std.shape == (D,)
            and D == 3 * P
            and len(self.weights) == len(self.biases)
            and all(w.shape == (b, a) for w, a, b in zip(self.weights, sizes[:-1], sizes[1:], strict=True))
            and learnt + (D if self.skip or not self.weights else 0) == F
        )
        if self.standstill is not None:
            right = right and self.standstill.shape == (2, P)
        if not right or M == 0:
            raise ModelError("the arrays of the learned model do not fit each other: export it anew")
        for name, array in self.arrays().items():
            if array.dtype != np.float64 or not np.isfinite(array).all():
                raise ModelError(f"{name} of the learned model is not finite float64: export it anew")
        scales: tuple[Array, ...] = (self.lengths, self.s2, self.noise, self.scaling.x_std, self.scaling.y_std)
        if self.standstill is not None and not (self.standstill[0] >= 0.0).all():
            raise ModelError("a variance at standstill of the learned model is below 0: export it anew")
        if self.standstill is not None:
            scales = (*scales, self.standstill[1])
        if not all((part > 0.0).all() for part in scales):
            raise ModelError("a length, variance or scale of the learned model is not above 0: export it anew")

    @property
    def n(self) -> int:
        """Number of joints."""
        return len(self.noise)

    @property
    def spread(self) -> Array:
        """Variance of what was learnt, far from all data, (n,), of scaled torque."""
        return self.s2 if self.mixing is None else self.s2 @ np.square(self.mixing)

    def noise_at(self, x: Array) -> Array:
        """Noise variance at the inputs ``x`` (S, 3n), (S, n) or (n,), of scaled torque."""
        if self.standstill is None:
            return self.noise
        n = self.n
        variance, speed = self.standstill
        result: Array = self.noise + variance * np.exp(-np.square(x[:, n : 2 * n] / speed))
        return result

    def arrays(self) -> dict[str, Array]:
        """By name, as they stand in the file."""
        found = {name: getattr(self, name) for name in ("lengths", "points", "s2", "noise", "alpha", "B")}
        if self.mixing is not None:
            found["mixing"] = self.mixing
        if self.standstill is not None:
            found["standstill"] = self.standstill
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
                mixing=arrays.get("mixing"),
                standstill=arrays.get("standstill"),
                **{name: arrays[name] for name in ("lengths", "points", "s2", "noise", "alpha", "B")},
            )
        except KeyError as error:
            raise ModelError(f"the learned model lacks {error}: export it anew") from error

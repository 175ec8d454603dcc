"""Residual torque by a neural network with two hidden layers (NNADKF), for the whole arm at once.

Training uses scikit-learn; what predicts is three products of plain arrays. The variance is one number for each joint,
that of the held-out trajectories.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.errors import ModelError, ParameterError

Array = npt.NDArray[np.float64]

INPUTS = ("q,qd", "q,qd,asinh", "qd,asinh")
"""What a network may look at; asinh(qd / :data:`SLOW`) spreads the velocities around standstill."""
SLOW = 0.02
"""rad/s."""
HIDDEN = (64, 64)
DECAYS = (0.3, 1.0, 3.0)
"""Weight decays that are tried."""
EPOCHS = 320
PATIENCE = 40
"""Epochs without a better held-out error after which training ends."""
MOST = 4000
"""States that are learnt from; of more, evenly many are left out."""


def inputs(kind: str, q: Array, qd: Array) -> Array:
    """What a network of ``kind`` (see :data:`INPUTS`) sees of ``q`` rad and ``qd`` rad/s, (..., n) each."""
    parts = {"q": q, "qd": qd, "asinh": np.arcsinh(qd / SLOW)} if "asinh" in kind else {"q": q, "qd": qd}
    return np.concatenate([parts[name] for name in kind.split(",")], axis=-1)


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """Weights (in, out) and biases (out,) of three layers; inputs and outputs are standardised by ``centre``, ``scale``
    and ``offset``, ``spread``."""

    weights: tuple[Array, Array, Array]
    biases: tuple[Array, Array, Array]

    @classmethod
    def standardised(
        cls, weights: list[Array], biases: list[Array], centre: Array, scale: Array, offset: Array, spread: Array
    ) -> Layers:
        """Layers that take and give unscaled numbers, from ones that work on standardised numbers."""
        first = weights[0] / scale[:, None]
        return cls(
            (first, weights[1].copy(), weights[2] * spread),
            (biases[0] - centre @ first, biases[1].copy(), biases[2] * spread + offset),
        )

    def __call__(self, x: Array) -> Array:
        """Outputs (..., n) for inputs (..., d)."""
        (w0, w1, w2), (b0, b1, b2) = self.weights, self.biases
        found: Array = np.tanh(np.tanh(x.dot(w0) + b0).dot(w1) + b1).dot(w2) + b2
        return found


class NetworkResidual:
    """:class:`estimators.residual.base.ResidualModel` of a network; constant variance (n,) (N·m)².

    Raises ModelError for parts that do not fit each other or are not finite.
    """

    kind = "network"
    inertial_parameters = None

    def __init__(self, look: str, layers: Layers, variance: Array) -> None:
        n = variance.size
        if look not in INPUTS:
            raise ModelError(f"a network with inputs {look!r}; known are {INPUTS}: train it anew")
        sizes = [len(look.split(",")) * n, *(bias.size for bias in layers.biases)]
        shapes = [weight.shape for weight in layers.weights]
        if shapes != list(itertools.pairwise(sizes)) or sizes[-1] != n:
            raise ModelError(f"layers of shapes {shapes} do not fit {n} joints with inputs {look!r}: train it anew")
        numbers = np.concatenate([np.ravel(part) for part in (*layers.weights, *layers.biases, variance)])
        if not np.isfinite(numbers).all() or not (variance > 0.0).all():
            raise ModelError("the network holds numbers that are not finite or a variance of 0: train it anew")
        self.look, self.layers, self._variance = look, layers, variance

    @property
    def n(self) -> int:
        """Number of joints."""
        return self._variance.size

    def reset(self) -> None:
        """Nothing is remembered."""

    def step(self, q: Array, qd: Array, tau: Array, dt: float) -> tuple[Array, Array]:
        """Mean N·m and variance (N·m)², both (n,), at ``q`` rad and ``qd`` rad/s; NaN where one is not finite."""
        if not math.isfinite(float(q.sum() + qd.sum())):
            # A tanh would make a finite number of an infinite one.
            return np.full(self.n, math.nan), np.full(self.n, math.nan)
        return self.layers(inputs(self.look, q, qd)), self._variance.copy()

    def run(self, q: Array, qd: Array, tau: Array, dt: float) -> tuple[Array, Array]:
        """Mean and variance (m, n) along a run."""
        known = np.isfinite(q + qd).all(axis=1, keepdims=True)
        mean = self.layers(inputs(self.look, np.where(known, q, math.nan), np.where(known, qd, math.nan)))
        return mean, self._variance + 0.0 * mean

    def pack(self) -> tuple[Mapping[str, Any], Mapping[str, Array]]:
        """Kind and inputs; weights, biases and variance."""
        arrays = {"variance": self._variance}
        for i, (weight, bias) in enumerate(zip(self.layers.weights, self.layers.biases, strict=True)):
            arrays |= {f"weight{i}": weight, f"bias{i}": bias}
        return {"kind": self.kind, "inputs": self.look}, arrays

    @classmethod
    def unpack(cls, options: Mapping[str, Any], arrays: Mapping[str, Array]) -> NetworkResidual:
        """What :meth:`pack` gave. Raises ModelError, KeyError."""
        w0, w1, w2 = (np.ascontiguousarray(arrays[f"weight{i}"]) for i in range(3))
        b0, b1, b2 = (np.ascontiguousarray(arrays[f"bias{i}"]) for i in range(3))
        return cls(options["inputs"], Layers((w0, w1, w2), (b0, b1, b2)), np.array(arrays["variance"]))


def fit(
    q: Array,
    qd: Array,
    tau: Array,
    held_out: tuple[Array, Array, Array],
    epochs: int = EPOCHS,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> NetworkResidual:
    """The network of least held-out error among inputs, weight decays and epochs.

    ``q`` rad, ``qd`` rad/s, residual torques ``tau`` N·m, (k, n) each, and the same of ``held_out`` trajectories.
    ``progress(tried)`` is called after each of ``len(INPUTS) * len(DECAYS)`` networks. Raises ParameterError.
    """
    if not all(np.isfinite(part).all() and len(part) for part in (q, qd, tau, *held_out)):
        raise ParameterError("states and torques to learn from must be finite, and there must be some")
    best: tuple[float, str, Layers] | None = None
    for i, (look, decay) in enumerate((look, decay) for look in INPUTS for decay in DECAYS):
        x, x_held_out = inputs(look, q, qd), inputs(look, *held_out[:2])
        error, layers = _train(x, tau, x_held_out, held_out[2], decay, epochs, seed)
        if best is None or error < best[0]:
            best = error, look, layers
        if progress is not None:
            progress(i + 1)
    if best is None:
        raise ParameterError("no network was trained")
    _, look, layers = best
    variance = np.mean((held_out[2] - layers(inputs(look, *held_out[:2]))) ** 2, axis=0)
    return NetworkResidual(look, layers, variance)


def _train(
    x: Array, tau: Array, x_held_out: Array, tau_held_out: Array, decay: float, epochs: int, seed: int
) -> tuple[float, Layers]:
    """Least held-out mean square, in units of each joint's variance, and the layers that had it."""
    from sklearn.neural_network import MLPRegressor  # for training only

    centre, scale = x.mean(axis=0), x.std(axis=0)
    offset, spread = tau.mean(axis=0), tau.std(axis=0)
    if not ((scale > 0.0).all() and (spread > 0.0).all()):
        raise ParameterError("velocity or torque does not vary: nothing can be learnt from a joint that never moves")
    network = MLPRegressor(hidden_layer_sizes=HIDDEN, activation="tanh", alpha=decay, random_state=seed)
    thin = slice(None, None, max(1, math.ceil(len(x) / MOST)))
    # Single precision halves the time of training, and is far finer than what is learnt.
    inside = ((x - centre) / scale)[thin].astype(np.float32)
    wanted = ((tau - offset) / spread)[thin].astype(np.float32)
    best: tuple[float, Layers] | None = None
    since = 0
    for _ in range(epochs):
        network.partial_fit(inside, wanted)
        weights = [weight.astype(np.float64) for weight in network.coefs_]
        biases = [bias.astype(np.float64) for bias in network.intercepts_]
        layers = Layers.standardised(weights, biases, centre, scale, offset, spread)
        error = float(np.mean(((tau_held_out - layers(x_held_out)) / spread) ** 2))
        since += 1
        if best is None or error < best[0]:
            best, since = (error, layers), 0
        if since >= PATIENCE:
            break
    assert best is not None
    return best

"""The prediction of :mod:`estimators.dynamics.posterior` with NumPy: what there is where numba is not installed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from estimators.dynamics.packed import Packed
from estimators.dynamics.posterior import Posterior

Array = npt.NDArray[np.float64]


class Reference:
    """Prediction with NumPy. ``shared``: numbers to be used where they lie, instead of the posterior's own."""

    def __init__(self, posterior: Posterior, shared: Packed | None = None) -> None:
        p, a = posterior, Packed.of(posterior) if shared is None else shared
        self._arrays = a
        # Views, all of them: what is written into the arrays is what predicts.
        self._layers = [
            (layer[: W.shape[1], : W.shape[0]].T, layer[-1, : W.shape[0], None])
            for layer, W in zip(a.net, p.weights, strict=True)
        ]
        self._skip, self._mixing, self._still = p.skip, p.mixing, p.standstill is not None
        self._points = a.points.transpose(0, 2, 1)
        self._inverse, self._half = a.inverse[:, :, None], a.half[:, :, None]
        self._alpha, self._s2 = a.alpha[:, None, :], a.spread[1][:, None]

    def at(self, x: Array, mean: Array, sigma: Array) -> None:
        """Torque at the inputs ``x`` (S, 3n): ``mean`` and ``sigma`` (S, n), with noise, N·m, both written to.

        NaN for a sample that is not finite.
        """
        a = self._arrays
        finite = np.asarray(np.isfinite(x).all(axis=1))
        if not finite.all():
            x = np.where(finite[:, None], x, 0.0)
        xs = ((x - a.inputs[0]) * a.inputs[1]).T
        f = xs
        for layer, (W, b) in enumerate(self._layers):
            f = W @ f
            f += b
            if layer + 1 < len(self._layers):
                f /= 1.0 + np.exp(np.minimum(-f, 700.0))
        if self._layers and self._skip:
            f = np.concatenate((f, xs))
        fs = self._inverse * f
        k = self._points @ fs
        k -= self._half
        k -= 0.5 * np.square(fs).sum(axis=1)[:, None, :]
        np.exp(k, out=k)
        found, variance = (self._alpha @ k)[:, 0, :], ((a.B @ k) * k).sum(axis=1)
        np.maximum(self._s2 - variance, 0.0, out=variance)
        if self._mixing is not None:
            found, variance = self._mixing.T @ found, np.square(self._mixing).T @ variance
        y_mean, y_std, noise, extra, slowness = a.outputs
        np.multiply(found.T, y_std, out=mean)
        mean += y_mean
        if self._still:
            n = len(noise)
            noise = noise + extra * np.exp(-np.square(x[:, n : 2 * n] * slowness))
        np.multiply(np.sqrt(variance.T + noise), y_std, out=sigma)
        if not finite.all():
            mean[~finite], sigma[~finite] = np.nan, np.nan

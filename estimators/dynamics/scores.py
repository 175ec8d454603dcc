"""How good a prediction with its variance is: error, likelihood, calibration."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators.errors import ParameterError

Array = npt.NDArray[np.float64]

_68, _95 = 0.994457883209753, 1.959963984540054


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores on one test set, for each joint (n,)."""

    rmse: Array
    """N·m."""
    nmse: Array
    """Mean squared error over the variance of the measured torque."""
    nll: Array
    """Mean negative log-likelihood, nats a sample, of torque in N·m."""
    msll: Array
    """NLL minus that of a Gaussian with mean and variance of the training torques (Rasmussen & Williams 2006, 2.5)."""
    constant_nll: Array
    """NLL that the same mean would have with one variance for all samples, the best one for this very test set."""
    coverage68: Array
    coverage95: Array
    """Shares of samples inside the central bands, to be compared with .68 and .95."""
    sigma: Array
    """Mean predicted standard deviation, N·m."""

    @property
    def mean_rmse(self) -> float:
        """Mean over joints of the per-joint RMSE, N·m: the "average RMSE" of the literature."""
        return float(self.rmse.mean())


def score(tau: Array, mean: Array, variance: Array, train_mean: Array, train_var: Array) -> Scores:
    """Scores of ``mean`` and ``variance`` against measured ``tau``, all (N, n), N·m and (N·m)².

    ``train_mean`` N·m and ``train_var`` (N·m)², (n,), are of the training torques. Raises ParameterError for a
    prediction that is not finite or a variance that is not positive.
    """
    if not (np.isfinite(mean).all() and np.isfinite(variance).all() and (variance > 0.0).all()):
        raise ParameterError("the prediction is not finite everywhere, or a variance is not positive: training failed")
    error = tau - mean
    sigma = np.sqrt(variance)
    mse = np.mean(error**2, axis=0)
    nll = np.mean(gaussian_nll(error, variance), axis=0)
    trivial = np.mean(gaussian_nll(tau - train_mean, np.broadcast_to(train_var, tau.shape)), axis=0)
    return Scores(
        np.sqrt(mse),
        mse / np.maximum(tau.var(axis=0), 1e-12),
        nll,
        nll - trivial,
        0.5 * np.log(2.0 * math.pi * np.maximum(mse, 1e-300)) + 0.5,
        np.mean(np.abs(error) <= _68 * sigma, axis=0),
        np.mean(np.abs(error) <= _95 * sigma, axis=0),
        sigma.mean(axis=0),
    )


def gaussian_nll(error: Array, variance: Array) -> Array:
    """Negative log-likelihood of each error under a Gaussian, same shape."""
    result: Array = 0.5 * np.log(2.0 * math.pi * variance) + 0.5 * error**2 / variance
    return result

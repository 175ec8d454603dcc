"""How well an observer does where the truth is known: error, consistency of its variance, and force at the tool."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from estimators.errors import ParameterError

Array = npt.NDArray[np.float64]

SKIP = 0.5
"""Beginning of a run that is not scored, s: observers start at zero torque."""
_BAND = 1.959963984540054


class Score(NamedTuple):
    """Of one run."""

    rmse: Array
    """Of each joint, (n,) N·m."""
    nis: float
    """Mean NIS by n; 1 for a consistent filter, NaN for observers without one."""
    nees: float
    """Mean squared error in units of the stated variance; 1 where that is right."""
    coverage: float
    """Share of errors within the stated 95 % band, over samples and joints."""
    nll: float
    """Mean negative log-likelihood of a joint's error under the stated variance, nats."""
    nll_constant: float
    """The same for a constant variance of each joint, that of the errors under virtual contacts."""
    sigma: float
    """Mean stated standard deviation, N·m."""

    @property
    def mean_rmse(self) -> float:
        """Mean over the joints, N·m."""
        return float(self.rmse.mean())


def score(x: Array, variance: Array, nis: Array, truth: Array, constant: Array, dt: float) -> Score:
    """Estimates ``x`` with stated ``variance`` against ``truth``, (m, n) each; ``nis`` (m,); ``constant`` (n,).

    ``constant``: variance (N·m)² of a model with the same mean and no idea when it is wrong. Raises ParameterError
    where estimates or variances are not finite: a score that leaves them out would be a lie.
    """
    first = round(SKIP / dt)
    error, stated = (x - truth)[first:], variance[first:]
    if not (len(error) and np.isfinite(error).all() and np.isfinite(stated).all() and (stated > 0.0).all()):
        raise ParameterError("estimates or variances are not finite, or there are none after the first half second")
    relative = error**2 / stated
    known = nis[first:][np.isfinite(nis[first:])]
    return Score(
        np.sqrt(np.mean(error**2, axis=0)),
        float(known.mean()) / x.shape[1] if known.size else float("nan"),
        float(relative.mean()),
        float(np.mean(relative <= _BAND**2)),
        float(np.mean(0.5 * (np.log(2.0 * np.pi * stated) + relative))),
        float(np.mean(0.5 * (np.log(2.0 * np.pi * constant) + error**2 / constant))),
        float(np.sqrt(stated).mean()),
    )


def wrenches(
    J: Array, x: Array, variance: Array, sigma_force: float = 100.0, sigma_moment: float = 20.0
) -> Array:
    """Wrenches (m, 6) N, N·m of a run, as :func:`estimators.wrench.contact_wrench` for each sample.

    ``J`` (m, 6, n), ``x`` N·m and ``variance`` (N·m)²: (m, n).
    """
    prior = np.array([sigma_force] * 3 + [sigma_moment] * 3) ** -2.0
    return _posterior(J, x, variance, prior)


def point_forces(J: Array, x: Array, variance: Array, sigma_force: float = 100.0) -> Array:
    """Forces (m, 3) N of a contact without moments, as :func:`estimators.wrench.point_contact_force`."""
    return _posterior(J[:, :3], x, variance, np.full(3, sigma_force**-2.0))


def _posterior(J: Array, x: Array, variance: Array, prior: Array) -> Array:
    weighted = J / variance[:, None, :]
    normal = weighted @ J.transpose(0, 2, 1) + np.diag(prior)
    found: Array = np.linalg.solve(normal, np.einsum("kij,kj->ki", weighted, x)[..., None])[..., 0]
    return found


def rms(error: Array, dt: float) -> Array:
    """Root mean square of each column of ``error`` (m, c), its first half second skipped."""
    value: Array = np.sqrt(np.mean(error[round(SKIP / dt) :] ** 2, axis=0))
    return value

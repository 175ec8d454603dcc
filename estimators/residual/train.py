"""Fits one kernelised movement primitive for each joint, every number chosen by held-out trajectories.

Split by trajectory, never by sample: neighbouring samples of one motion are all but copies of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from estimators.errors import ParameterError
from estimators.residual.kmp import Kmp, KmpParams, Reference, fit_alpha
from estimators.residual.mixture import Mixture, fit

Array = npt.NDArray[np.float64]

POINTS = 150
"""N: velocities of the reference."""
LENGTHS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
"""Kernel lengths that are tried, as parts of the joint's velocity range."""
LAMBDAS_MEAN = (0.01, 0.1, 1.0, 10.0)
LAMBDAS_VARIANCE = (0.1, 1.0, 10.0, 100.0, 1000.0)
NEAR_BEST = 1.01
"""Means whose held-out error is within this factor of the best are equally good; the likelihood chooses among them."""


@dataclass(frozen=True, slots=True, eq=False)
class JointFit:
    """One joint's model and how well it does on held-out data."""

    kmp: Kmp
    mixture: Mixture
    rmse: float
    """Of the mean, N·m."""
    nll: float
    """Mean negative log-likelihood, nats a sample."""


def reference_of(mixture: Mixture, s: Array, points: int = POINTS) -> Reference:
    """The mixture's regression at velocities spread evenly over 0.05 % to 99.95 % of those in ``s``."""
    low, high = np.quantile(s, (0.0005, 0.9995))
    at = np.linspace(low, high, points)
    mean, variance = mixture.regress(at)
    return Reference(at, mean, variance)


def fit_joint(
    s: Array, tau: Array, s_held_out: Array, tau_held_out: Array, components: int | Sequence[int] = 20, seed: int = 0
) -> JointFit:
    """The model of one joint from (s, τ) in rad/s and N·m; the held-out pairs choose lengths and λs, and scale α.

    Raises ParameterError for data that nothing can be learnt from.
    """
    mixture = fit(s, tau, components, seed)
    reference = reference_of(mixture, s)
    span = float(reference.s[-1] - reference.s[0])
    means = [KmpParams(part * span, lam) for part in LENGTHS for lam in LAMBDAS_MEAN]
    errors = [float(np.mean((tau_held_out - Kmp(reference, p).mean(s_held_out)) ** 2)) for p in means]
    good = [p for p, error in zip(means, errors, strict=True) if error <= NEAR_BEST * min(errors)]
    best: JointFit | None = None
    for params in good:
        for lam in LAMBDAS_VARIANCE:
            unit = Kmp(reference, replace(params, lambda_variance=lam))
            kmp = Kmp(reference, replace(unit.params, alpha=fit_alpha(unit, s_held_out, tau_held_out)))
            variance = kmp.variance(s_held_out)
            error = tau_held_out - kmp.mean(s_held_out)
            nll = float(np.mean(0.5 * np.log(2.0 * np.pi * variance) + 0.5 * error**2 / variance))
            if best is None or nll < best.nll:
                best = JointFit(kmp, mixture, float(np.sqrt(np.mean(error**2))), nll)
    if best is None:
        raise ParameterError("no kernel fits: the held-out data are not finite")
    return best


def fit_arm(
    s: Array,
    tau: Array,
    s_held_out: Array,
    tau_held_out: Array,
    components: int | Sequence[int] = 20,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> list[JointFit]:
    """:func:`fit_joint` for each column of ``s``, ``tau`` (m, n) and of the held-out pairs.

    ``progress(joint)`` is called after each joint.
    """
    fits = []
    for j in range(s.shape[1]):
        fits.append(fit_joint(s[:, j], tau[:, j], s_held_out[:, j], tau_held_out[:, j], components, seed))
        if progress is not None:
            progress(j)
    return fits

"""Contact wrench when it is not known whether, how hard and with what moments the environment acts.

One Gaussian prior (:func:`estimators.wrench.contact_wrench`) has to be wide enough for the hardest contact, and then
says next to nothing about a light one: an error of the joint torques that no force explains well still becomes a force
and a moment. Here the prior is a mixture of zero-mean Gaussians of different widths, one of them "nothing touches"::

    p(F) = Σ_c w_c N(F; 0, Λ_c⁻¹),   Λ_c = diag(1/σ_f,c² I, 1/σ_m,c² I)
    p(c | tau) ∝ w_c N(tau; 0, P + Jᵀ Λ_c⁻¹ J)

The estimate is the mean of the posterior mixture, its covariance that mixture's: the spread between the components is
in it. No direction is favoured, but a point is: hand over the Jacobian of the point where contact is expected
(:func:`estimators.wrench.jacobian_at`), where moments are small. About 0.1 ms a sample for ten components: for
evaluation and for a slower loop than the torque cycle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg.lapack import dposv

from estimators.errors import ParameterError

Array = npt.NDArray[np.float64]

_EYE = np.eye(6)


@dataclass(frozen=True, slots=True, eq=False)
class ContactPrior:
    """Components: standard deviations ``sigma_force`` N and ``sigma_moment`` N·m, and ``weight``, each (k,).

    Weights are normalised. Raises ParameterError for values that are not finite and above 0, or of different length.
    """

    sigma_force: Array
    sigma_moment: Array
    weight: Array
    precision: Array = field(init=False, repr=False)
    """Diagonals of Λ, (k, 6)."""
    log_prior: Array = field(init=False, repr=False)
    """log w + ½ log det Λ, (k,)."""

    def __post_init__(self) -> None:
        parts = {}
        for name in ("sigma_force", "sigma_moment", "weight"):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if value.ndim != 1 or value.size == 0 or not np.isfinite(value).all() or not (value > 0.0).all():
                raise ParameterError(f"{name} is {value}; expected one finite value above 0 for each component")
            parts[name] = value
        sizes = [value.size for value in parts.values()]
        if len(set(sizes)) != 1:
            raise ParameterError(f"sigma_force, sigma_moment, weight have {sizes} values; expected as many of each")
        parts["weight"] = parts["weight"] / parts["weight"].sum()
        precision = np.repeat(np.column_stack((parts["sigma_force"], parts["sigma_moment"])) ** -2.0, 3, axis=1)
        for name, value in parts.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "precision", precision)
        object.__setattr__(self, "log_prior", np.log(parts["weight"]) + 0.5 * np.log(precision).sum(axis=1))


def contact_prior(
    forces: Sequence[float], reaches: Sequence[float], free: float = 0.5, free_force: float = 0.1
) -> ContactPrior:
    """First "nothing touches" with probability ``free``, then each pair of a force (N) and a reach (m), equally likely.

    Moments of a component are its force times its reach: how far from the point contact may be. ``free_force`` N is
    what still counts as nothing (its reach: the least one). Raises ParameterError for values out of range.
    """
    if not 0.0 < free < 1.0:
        raise ParameterError(f"free is {free}; expected a probability between 0 and 1")
    if not forces or not reaches:
        raise ParameterError("a contact prior needs at least one force and one reach")
    pairs = [(force, reach) for force in forces for reach in reaches]
    sigma_force = np.array([free_force, *(force for force, _ in pairs)])
    sigma_moment = np.array([free_force * min(reaches), *(force * reach for force, reach in pairs)])
    weight = np.array([free, *((1.0 - free) / len(pairs) for _ in pairs)])
    return ContactPrior(sigma_force, sigma_moment, weight)


class MixtureEstimate(NamedTuple):
    """What :func:`mixture_wrench` says; NaN where it knows nothing."""

    wrench: Array
    """(6,) N, N·m of the environment on the robot, at the point and in the axes of J."""
    covariance: Array
    """Its covariance (6, 6), the spread between components included."""
    probability: Array
    """p(c | tau) of each component, (k,); with :func:`contact_prior` the first is that nothing touches."""


def mixture_wrench(J: Array, tau_ext: Array, P: Array, prior: ContactPrior) -> MixtureEstimate:
    """Posterior mean and covariance under ``prior``.

    ``J`` (6, n) at the expected point of contact, ``tau_ext`` (n,) N·m with error covariance ``P`` (n, n) > 0, model
    error included. NaN where the inputs are NaN or P is not positive definite.
    """
    k, n = prior.weight.size, tau_ext.size
    rhs = np.empty((n, 7), order="F")
    rhs[:, :6] = J.T
    rhs[:, 6] = tau_ext
    _, weighted, failed = dposv(P, rhs)
    unknown = MixtureEstimate(np.full(6, math.nan), np.full((6, 6), math.nan), np.full(k, math.nan))
    if failed:
        return unknown
    normal = J.dot(weighted)
    if not math.isfinite(float(normal.sum())):
        return unknown
    N, v = normal[:, :6], normal[:, 6]
    means, covariances, evidence = np.empty((k, 6)), np.empty((k, 6, 6)), prior.log_prior.copy()
    for c in range(k):
        A = N.copy()
        A.flat[::7] += prior.precision[c]
        factor, covariance, failed = dposv(A, _EYE)
        if failed:
            return unknown
        covariances[c] = covariance
        means[c] = covariance.dot(v)
        # log N(tau; 0, P + Jᵀ Λ⁻¹ J) without what all components share, by the determinant and inversion lemmas.
        evidence[c] += 0.5 * float(v.dot(means[c])) - float(np.log(factor.diagonal()).sum())
    p = np.exp(evidence - evidence.max())
    p /= p.sum()
    mean = p.dot(means)
    away = means - mean
    covariance = np.tensordot(p, covariances, 1) + (p[:, None] * away).T.dot(away)
    return MixtureEstimate(mean, 0.5 * (covariance + covariance.T), p)

"""Residual torque by Gaussian mixture regression alone: mean and variance of each joint over its velocity."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from estimators.residual.kmp import Tables
from estimators.residual.mixture import fit as fit_mixture
from estimators.residual.train import reference_of
from estimators.residual.velocity import VelocityResidual

Array = npt.NDArray[np.float64]

POINTS = 2001
"""Velocities of the tables."""


def fit(
    s: Array,
    tau: Array,
    components: int | Sequence[int] = 20,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> VelocityResidual:
    """Eqs (18)–(21) for velocities ``s`` rad/s and residual torques ``tau`` N·m, both (k, n).

    ``components``: how many Gaussians, or several numbers of which the least BIC chooses. Beyond the trained
    velocities mean and variance stay what they are at the ends. ``progress(joint)`` is called after each joint.
    Raises ParameterError for data that nothing can be learnt from.
    """
    references = []
    for j in range(s.shape[1]):
        references.append(reference_of(fit_mixture(s[:, j], tau[:, j], components, seed), s[:, j], POINTS))
        if progress is not None:
            progress(j)
    low = np.array([each.s[0] for each in references])
    step = np.array([each.s[-1] - each.s[0] for each in references]) / (POINTS - 1)
    mean = np.vstack([each.mean for each in references])
    return VelocityResidual(Tables(low, step, mean, np.vstack([each.variance for each in references])))

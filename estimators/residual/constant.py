"""No model of residual torque at all: its mean is zero, its variance what was seen. For observers without friction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.errors import ModelError

Array = npt.NDArray[np.float64]


class ConstantResidual:
    """:class:`estimators.residual.base.ResidualModel` of mean zero and constant ``variance`` (n,) (N·m)².

    Raises ModelError for a variance that is not finite or not above 0.
    """

    kind = "constant"
    inertial_parameters = None

    def __init__(self, variance: Array) -> None:
        variance = np.asarray(variance, dtype=np.float64)
        if variance.ndim != 1 or variance.size == 0 or not (np.isfinite(variance).all() and (variance > 0.0).all()):
            raise ModelError(f"variance is {variance}; expected one finite value above 0 for each joint")
        self._variance = variance

    @property
    def n(self) -> int:
        """Number of joints."""
        return self._variance.size

    def reset(self) -> None:
        """Nothing is remembered."""

    def step(self, q: Array, qd: Array, tau: Array, dt: float) -> tuple[Array, Array]:
        """Zeros and the variance, (n,); NaN where the inputs are not finite."""
        if not math.isfinite(float(q.sum() + qd.sum() + tau.sum())):
            return np.full(self.n, math.nan), np.full(self.n, math.nan)
        return np.zeros(self.n), self._variance.copy()

    def run(self, q: Array, qd: Array, tau: Array, dt: float) -> tuple[Array, Array]:
        """The same for each row of a run."""
        mean = np.where(np.isfinite(q + qd + tau).all(axis=1, keepdims=True), 0.0, math.nan) * np.ones(self.n)
        return mean, mean + self._variance

    def pack(self) -> tuple[Mapping[str, Any], Mapping[str, Array]]:
        """Kind and variance."""
        return {"kind": self.kind}, {"variance": self._variance}

    @classmethod
    def unpack(cls, options: Mapping[str, Any], arrays: Mapping[str, Array]) -> ConstantResidual:
        """What :meth:`pack` gave. Raises ModelError, KeyError."""
        return cls(arrays["variance"])


def fit(tau_held_out: Array) -> ConstantResidual:
    """The mean square of held-out residual torques (k, n) N·m. Raises ModelError where there are none."""
    return ConstantResidual(np.mean(np.square(tau_held_out), axis=0))

"""Residual torque as a function of each joint's velocity alone: tabulated kernelised movement primitives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.compiled import COMPILED
from estimators.errors import ModelError
from estimators.residual.kmp import Kmp, Tables, tabulate

Array = npt.NDArray[np.float64]


class VelocityResidual:
    """:class:`estimators.residual.base.ResidualModel` of tables over velocity; without memory.

    Raises ModelError for tables that do not fit each other or are not finite.
    """

    kind = "velocity"
    inertial_parameters = None

    def __init__(self, tables: Tables, use_compiled: bool = COMPILED) -> None:
        check_tables(tables)
        self.tables = tables
        self._compiled = use_compiled

    @classmethod
    def of(cls, models: Sequence[Kmp]) -> VelocityResidual:
        """The tables of one primitive for each joint."""
        return cls(tabulate(list(models)))

    @property
    def n(self) -> int:
        """Number of joints."""
        return self.tables.low.size

    def reset(self) -> None:
        """Nothing is remembered."""

    def step(self, q: Array, qd: Array, tau: Array, dt: float) -> tuple[Array, Array]:
        """Mean N·m and variance (N·m)², both (n,), at velocities ``qd`` (n,) rad/s; NaN where one is."""
        return self.tables.at(qd, self._compiled)

    def run(self, q: Array, qd: Array, tau: Array, dt: float) -> tuple[Array, Array]:
        """Mean and variance (m, n) along a run."""
        return self.tables.along(qd)

    def pack(self) -> tuple[Mapping[str, Any], Mapping[str, Array]]:
        """Kind and tables."""
        return {"kind": self.kind}, pack_tables(self.tables)

    @classmethod
    def unpack(cls, options: Mapping[str, Any], arrays: Mapping[str, Array]) -> VelocityResidual:
        """What :meth:`pack` gave. Raises ModelError, KeyError."""
        return cls(unpack_tables(arrays))


def pack_tables(tables: Tables) -> dict[str, Array]:
    """The arrays of ``tables`` by name."""
    return {"low": tables.low, "step": tables.step, "mean": tables.mean, "variance": tables.variance}


def unpack_tables(arrays: Mapping[str, Array]) -> Tables:
    """What :func:`pack_tables` gave. Raises KeyError for arrays that are missing."""
    return Tables(arrays["low"], arrays["step"], arrays["mean"], arrays["variance"])


def check_tables(tables: Tables) -> None:
    """Raises ModelError for tables that do not fit each other, are not finite, or have variances of 0 or less."""
    t = tables
    n, m = t.mean.shape if t.mean.ndim == 2 else (0, 0)
    right = t.low.shape == t.step.shape == (n,) and t.mean.shape == t.variance.shape == (n, m) and n >= 1 and m >= 2
    numbers = np.concatenate([np.ravel(part) for part in (t.low, t.step, t.mean, t.variance)])
    if not right or not np.isfinite(numbers).all() or (t.step <= 0.0).any() or (t.variance <= 0.0).any():
        raise ModelError("the tables do not fit each other or are not finite: train the model anew")

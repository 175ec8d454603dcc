"""Residual torque by friction features with memory, on corrected inertial parameters; variance by velocity.

The online form of :mod:`estimators.residual.semiparametric`: mean = Φ(q, qd, tau) w + what velocity alone still says of
the remainder, variance that of the remainder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators import virtual_measurement
from estimators.compiled import COMPILED
from estimators.errors import ModelError
from estimators.residual import semiparametric, train
from estimators.residual.kmp import Tables, tabulate
from estimators.residual.memory import MemoryFeatures, MemoryParams
from estimators.residual.semiparametric import PLAYS, Run
from estimators.residual.velocity import check_tables, pack_tables, unpack_tables
from estimators.rigid_body import RigidBodyModel

Array = npt.NDArray[np.float64]


class MemoryResidual:
    """:class:`estimators.residual.base.ResidualModel` with memory; for a rigid-body model with its parameters.

    ``weights`` (n, F) N·m per feature of ``memory``; ``parameters`` (11 n,) inertial parameters; ``remainder``: mean
    and variance of what the features leave, over velocity. Raises ModelError for parts that do not fit each other.
    """

    kind = "semiparametric"

    def __init__(
        self,
        memory: MemoryParams,
        weights: Array,
        parameters: Array,
        remainder: Tables,
        use_compiled: bool = COMPILED,
    ) -> None:
        check_tables(remainder)
        n = remainder.low.size
        if weights.shape != (n, memory.count) or parameters.shape != (11 * n,):
            raise ModelError(
                f"weights and inertial parameters have shapes {weights.shape} and {parameters.shape}; expected "
                f"{(n, memory.count)} and {(11 * n,)}: train the model anew"
            )
        if not (np.isfinite(weights).all() and np.isfinite(parameters).all()):
            raise ModelError("weights or inertial parameters are not finite: train the model anew")
        self.memory, self.weights, self.remainder = memory, np.ascontiguousarray(weights), remainder
        self._parameters = parameters
        self._compiled = use_compiled
        self._features = MemoryFeatures(n, memory)

    @property
    def n(self) -> int:
        """Number of joints."""
        return self.remainder.low.size

    @property
    def inertial_parameters(self) -> Array:
        """Corrected parameters (11 n,)."""
        return self._parameters.copy()

    def reset(self) -> None:
        """As at rest: no joint is known to have come from anywhere."""
        self._features.reset()

    def step(self, q: Array, qd: Array, tau: Array, dt: float) -> tuple[Array, Array]:
        """Mean N·m and variance (N·m)², both (n,), at one sample; NaN where the inputs are not finite."""
        mean, variance = self.remainder.at(qd, self._compiled)
        self._features.weighted(q, qd, tau, dt, self.weights, mean, self._compiled)
        return mean, variance

    def run(self, q: Array, qd: Array, tau: Array, dt: float) -> tuple[Array, Array]:
        """Mean and variance (m, n) along a run from rest."""
        rows = self._features.run(q, qd, tau, dt)
        mean, variance = self.remainder.along(qd)
        mean += np.einsum("kjf,jf->kj", rows, self.weights)
        return mean, variance

    def pack(self) -> tuple[Mapping[str, Any], Mapping[str, Array]]:
        """Kind and shapes of the features; weights, parameters and the remainder's tables."""
        arrays = {"weights": self.weights, "parameters": self._parameters, **pack_tables(self.remainder)}
        return {"kind": self.kind, "memory": asdict(self.memory)}, arrays

    @classmethod
    def unpack(cls, options: Mapping[str, Any], arrays: Mapping[str, Array]) -> MemoryResidual:
        """What :meth:`pack` gave. Raises ModelError, ParameterError, KeyError, TypeError."""
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in options["memory"].items()
        }
        return cls(MemoryParams(**given), arrays["weights"], arrays["parameters"], unpack_tables(arrays))


def fit(
    model: RigidBodyModel,
    runs: Sequence[Run],
    held_out: Sequence[Run],
    memory: MemoryParams | None = None,
    lag: int = 0,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    plays: Sequence[float] = PLAYS,
) -> MemoryResidual:
    """Features and parameters from ``runs``, the remainder's primitives judged by ``held_out``; contact-free all.

    ``model`` is the nominal one: it has other parameters afterwards, those of the result. ``lag``: of the measured
    torque, see :class:`estimators.virtual_measurement.VirtualMeasurement`. ``plays``, rad: of them, whatever ``memory``
    says, that between encoder and memory is chosen by both. ``progress(share)`` is told how far it is.
    Raises ParameterError.
    """
    tell = progress or (lambda share: None)
    fitted = semiparametric.fit_play(model, runs, held_out, memory, lag=lag, plays=plays)
    model.adjust(fitted.parameters)

    def left(parts: Sequence[Run]) -> tuple[Array, Array]:
        pairs = []
        for run in parts:
            mean = semiparametric.predict(fitted, run)[run.lead :]
            q, qd, tau = run.q[run.lead :], run.qd[run.lead :], run.tau[run.lead :]
            y, _ = virtual_measurement.replay(model, q, qd, tau, run.dt, lag)
            y[1:] += mean[:-1]
            pairs.append(virtual_measurement.labels(qd, y, run.dt))
        return np.concatenate([s for s, _ in pairs]), np.concatenate([tau for _, tau in pairs])

    tell(0.3)
    n = model.n
    fits = train.fit_arm(
        *left(runs), *left(held_out), seed=seed, progress=lambda j: tell(0.3 + 0.7 * (j + 1) / n)
    )
    tables = tabulate([each.kmp for each in fits])
    return MemoryResidual(fitted.memory, fitted.weights, fitted.parameters, tables)

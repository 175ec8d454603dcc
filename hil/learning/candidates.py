"""What can be learnt of a cell's residual torque, by name: velocity alone, or features with memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators import virtual_measurement
from estimators.kvark.calibration import Recording
from estimators.residual import remembering, train
from estimators.residual.base import ResidualModel
from estimators.residual.memory import MemoryParams
from estimators.residual.semiparametric import Run
from estimators.residual.velocity import VelocityResidual
from estimators.rigid_body import RigidBodyModel
from hil.learning.segments import Segment

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Recordings:
    """Contact-free pieces to train on and to judge by; ``lag``: of the measured torque, in ticks."""

    train: Sequence[Segment]
    judge: Sequence[Segment]
    lag: int
    ripple: tuple[float, ...] = ()
    """Periods of the gears' ripple in a revolution of a joint."""

    def measured(
        self, model: RigidBodyModel, residual: ResidualModel
    ) -> Iterator[Recording]:
        """Each piece that judges as the filter gets it."""
        for each in self.judge:
            y, J = virtual_measurement.replay(model, each.q, each.qd, each.tau, each.dt, self.lag)
            mean, variance = (_before(part[each.lead :]) for part in residual.run(*each.with_lead(), each.dt))
            yield Recording(each.q, each.qd, y + mean, mean, variance, J, each.dt)

    @property
    def speed(self) -> Array:
        """Highest speed of each joint in training, (n,) rad/s; infinite, so that nothing is beyond it, if it stood."""
        highest = np.max([np.abs(each.qd).max(axis=0) for each in self.train], axis=0)
        speed: Array = np.where(highest > 0.0, highest, np.inf)
        return speed


Fit = Callable[[RigidBodyModel, Recordings, int, Callable[[float], None]], ResidualModel]
"""(model, recordings, seed, progress) → residual model. ``model`` is the nominal one, and has the residual model's
inertial parameters afterwards. Raises ParameterError."""


def velocity(
    model: RigidBodyModel, recordings: Recordings, seed: int, progress: Callable[[float], None]
) -> VelocityResidual:
    """Kernelised movement primitives over velocity."""
    labels, held = (left_over(part, model, None, recordings.lag) for part in (recordings.train, recordings.judge))
    fits = train.fit_arm(*labels, *held, seed=seed, progress=lambda j: progress((j + 1) / model.n))
    return VelocityResidual.of([each.kmp for each in fits])


def semi(
    model: RigidBodyModel, recordings: Recordings, seed: int, progress: Callable[[float], None]
) -> remembering.MemoryResidual:
    """Features with memory and corrected inertial parameters; primitives over velocity of the remainder."""
    runs, held = ([_run(each) for each in part] for part in (recordings.train, recordings.judge))
    memory = MemoryParams(ripple=recordings.ripple)
    return remembering.fit(model, runs, held, memory, lag=recordings.lag, seed=seed, progress=progress)


METHODS: dict[str, Fit] = {"kvark": velocity, "semi": semi}
"""By the names of ``hil train residual --method``."""


def left_over(
    pieces: Sequence[Segment], model: RigidBodyModel, residual: ResidualModel | None, lag: int
) -> tuple[Array, Array]:
    """Velocities (k, n) rad/s and what ``residual`` leaves of the residual torque, (k, n) N·m, smoothed; None: all."""
    pairs = []
    for each in pieces:
        y, _ = virtual_measurement.replay(model, each.q, each.qd, each.tau, each.dt, lag)
        if residual is not None:
            y = y + _before(residual.run(*each.with_lead(), each.dt)[0][each.lead :])
        pairs.append(virtual_measurement.labels(each.qd, y, each.dt))
    return np.concatenate([s for s, _ in pairs]), np.concatenate([tau for _, tau in pairs])


def _run(each: Segment) -> Run:
    return Run(*each.with_lead(), each.dt, each.lead)


def _before(rows: Array) -> Array:
    """What was known at the beginning of each step."""
    return np.vstack((rows[:1], rows[:-1]))

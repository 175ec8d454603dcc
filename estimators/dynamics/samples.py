"""Samples of an arm's motion to learn inverse dynamics from, and the scaling of inputs and targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators.errors import ParameterError

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Motion and torque of ``n`` joints at N samples, in order of time within each trajectory.

    ``q`` rad, ``qd`` rad/s, ``qdd`` rad/s², ``tau`` N·m, each (N, n); ``trajectory`` (N,) says which trajectory a
    sample is of. All of one sample belongs to one instant: ``qdd`` is the acceleration that ``tau`` causes. Raises
    ParameterError for shapes that differ and for values that are not finite.
    """

    q: Array
    qd: Array
    qdd: Array
    tau: Array
    trajectory: Ints

    def __post_init__(self) -> None:
        shape = self.q.shape
        if len(shape) != 2 or not (self.qd.shape == self.qdd.shape == self.tau.shape == shape):
            shapes = f"q {shape}, qd {self.qd.shape}, qdd {self.qdd.shape}, tau {self.tau.shape}"
            raise ParameterError(f"samples have the shapes {shapes}; expected (samples, joints) for all four")
        if self.trajectory.shape != shape[:1]:
            raise ParameterError(f"trajectory has the shape {self.trajectory.shape}; expected ({shape[0]},)")
        for name in ("q", "qd", "qdd", "tau"):
            bad = ~np.isfinite(getattr(self, name)).all(axis=1)
            if bad.any():
                raise ParameterError(f"{name} is not finite at {int(bad.sum())} of {shape[0]} samples: leave them out")

    def __len__(self) -> int:
        return len(self.q)

    @property
    def n(self) -> int:
        """Number of joints."""
        return int(self.q.shape[1])

    @property
    def inputs(self) -> Array:
        """x = [q, qd, qdd], (N, 3n), fresh."""
        return np.hstack((self.q, self.qd, self.qdd))

    @property
    def trajectories(self) -> Ints:
        """The trajectories' numbers, each once, ascending."""
        return np.unique(self.trajectory)

    def at(self, rows: npt.NDArray[np.bool_] | Ints) -> Samples:
        """The samples of ``rows``: a mask (N,) or indices."""
        return Samples(self.q[rows], self.qd[rows], self.qdd[rows], self.tau[rows], self.trajectory[rows])

    def of(self, trajectories: Ints | list[int]) -> Samples:
        """The samples of whole trajectories."""
        return self.at(np.isin(self.trajectory, trajectories))


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """xs = (x − x_mean)/x_std, (3n,) each, and y = (r − y_mean)/y_std, (n,) each, N·m."""

    x_mean: Array
    x_std: Array
    y_mean: Array
    y_std: Array

    def inputs(self, x: Array) -> Array:
        return (x - self.x_mean) / self.x_std

    def targets(self, r: Array) -> Array:
        return (r - self.y_mean) / self.y_std

    def torque(self, mean: Array, variance: Array) -> tuple[Array, Array]:
        """Scaled mean and variance in N·m and (N·m)²."""
        return mean * self.y_std + self.y_mean, variance * self.y_std**2


def scaling_of(x: Array, r: Array) -> Scaling:
    """Mean and standard deviation of training inputs (N, 3n) and targets (N, n).

    A column that does not vary keeps its unit. Raises ParameterError below two samples.
    """
    if len(x) < 2:
        raise ParameterError(f"{len(x)} training samples; expected at least two")
    x_std, y_std = x.std(axis=0), r.std(axis=0)
    return Scaling(
        x.mean(axis=0), np.where(x_std > 1e-9, x_std, 1.0), r.mean(axis=0), np.where(y_std > 1e-9, y_std, 1.0)
    )

"""Friction that depends on how a joint came to be where it is, for the physics of a semi-parametric model.

While a joint stands, its friction is anything between the two Coulomb values, by the way in which it came to rest: no
function of position, velocity and acceleration. Dahl states tell it from the path alone; see
:mod:`estimators.residual.memory`. So they can be had along a reference as well as along a measured motion, but each of
the two needs states of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators.dynamics.samples import Ints, Samples
from estimators.errors import ParameterError
from estimators.residual.memory import drag

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Memory:
    """Shape of the states, the same for all joints."""

    travel: tuple[float, ...] = (0.3e-3, 1e-3, 3e-3, 10e-3)
    """δ of each state, rad: after a few of them in one direction it is ±1."""
    play: float = 0.0
    """Half-width of the play between the encoder and the states, rad: as much as positions flicker at standstill."""

    def __post_init__(self) -> None:
        if not self.travel or not all(math.isfinite(each) and each > 0.0 for each in self.travel):
            raise ParameterError(f"travel is {self.travel} rad; expected lengths above 0")
        if not (math.isfinite(self.play) and self.play >= 0.0):
            raise ParameterError(f"play is {self.play} rad; expected 0 or more")


class Track:
    """The states along one motion; at its beginning all are 0."""

    def __init__(self, memory: Memory, n: int) -> None:
        self.memory = memory
        self._travel = np.array(memory.travel)
        self._p = np.full(n, np.nan)
        self.z: Array = np.zeros((n, self._travel.size))
        """(n, d), from −1 to 1; changed by the next call."""

    def to(self, q: Array) -> Array:
        """The states after the joints moved to ``q`` (n,) rad. What is not finite is not moved to."""
        if not np.isfinite(q).all():
            return self.z
        if not np.isfinite(self._p[0]):
            self._p[:] = q
        drag(self.z, self._p, np.asarray(q, dtype=np.float64), self._travel, self.memory.play)
        return self.z


def along(memory: Memory, samples: Samples) -> Array:
    """States (N, n, d) at all samples, which must be in order of time within each trajectory."""
    found = np.empty((len(samples), samples.n, len(memory.travel)))
    track, last = Track(memory, samples.n), None
    for k, (q, trajectory) in enumerate(zip(samples.q, samples.trajectory, strict=True)):
        if trajectory != last:
            track, last = Track(memory, samples.n), trajectory
        found[k] = track.to(q)
    return found


def flicker(samples: Samples, still: float = 1e-3, least: int = 20) -> float:
    """Half of how far positions flicker while their joint stands, rad: a play for :class:`Memory`.

    A joint stands for as long as its speed is below ``still`` rad/s for ``least`` samples on end. The 95 % quantile
    over the stands of all joints; 0 where there is none.
    """
    spreads = []
    starts = _starts(samples.trajectory)
    for j in range(samples.n):
        standing = np.abs(samples.qd[:, j]) < still
        edges = np.flatnonzero(np.diff(standing) | np.isin(np.arange(1, len(standing)), starts)) + 1
        for part in np.split(np.arange(len(standing)), edges):
            if len(part) >= least and standing[part[0]]:
                # A creep within the stand is a motion; what is around it is flicker.
                q = samples.q[part, j]
                spreads.append(float(np.ptp(q - np.linspace(q[0], q[-1], len(q)))))
    return 0.5 * float(np.quantile(spreads, 0.95)) if spreads else 0.0


def _starts(trajectory: Ints) -> Ints:
    return np.flatnonzero(np.diff(trajectory)) + 1

"""One trajectory of a set as genes, and what it costs given the others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from estimators.excitation.cloud import Moments, moments
from estimators.excitation.fourier import Fourier, Sampled
from estimators.excitation.limits import Arena, Violation

Array = npt.NDArray[np.float64]

GRID = 20
"""Samples per period of the highest harmonic: a peak between them is higher by 1.3 % at most; that is allowed for."""
COARSE = 4
"""Torques and distances are looked at in every so many samples while searching; the proof is finer."""
FINER = 10
"""Factor by which the grid is finer on which the chosen trajectories are proven."""
LEAST = 0.15
"""Smallest amplitude that genes can ask for, as share of what the limits allow."""
SHRINK = 0.93
"""Factor on a trajectory that breaks a limit only between the samples of the search."""
_SHRINKS = 30
_WAY = np.linspace(0.2, 0.8, 4)[:, None]
"""Where on the way from the hub to the middle of a trajectory distances are looked at while searching."""
_INFEASIBLE = 1e3


class Run:
    """The search space of one trajectory: ``speed`` is its share of the speed and acceleration limits, ``hub`` (n,) rad
    the posture that it must be reachable from, ``others`` what the trajectories chosen before add up to, ``around`` how
    far from the hub its middle may lie, rad a joint."""

    def __init__(
        self,
        arena: Arena,
        hub: Array,
        period: float,
        harmonics: int,
        speed: float,
        others: Moments | None,
        around: float = 0.8,
    ) -> None:
        self.arena, self.hub, self.speed, self._others = arena, hub, speed, others
        self._period = period
        self._sampled = Sampled(harmonics, period, GRID * harmonics)
        self._step = period / (GRID * harmonics)
        b = arena.bounds
        self._around = np.minimum(around, 0.5 * np.minimum(hub - b.q_min, b.q_max - hub))
        n = arena.n
        self._parts = (n * self._sampled.coordinates, n, n)
        self.size = sum(self._parts)
        """Number of genes: coordinates of the coefficients, amplitudes, middle."""

    def decode(self, genes: Array) -> Fourier:
        """The trajectory of ``genes`` (size,) in [0, 1], scaled into the limits of range, speed and acceleration."""
        mid, z = self._scaled(genes)[:2]
        return Fourier(mid, *self._sampled.coefficients(z), self._period)

    def cost(self, genes: Array, bound: float = np.inf) -> float:
        """−log det of the whole set, or a large number that falls with what is broken.

        Whether anything is broken is not looked at where −log det alone reaches ``bound``.
        """
        mid, _, offset, qd, qdd = self._scaled(genes)
        q = mid + offset
        cost = -self.together(moments(self.arena.bounds, q, qd, qdd)).log_det()
        if cost >= bound:
            return cost
        violation = self._broken(q[::COARSE], qd[::COARSE], qdd[::COARSE], mid)
        return cost if violation is None else _INFEASIBLE * (1.0 + violation.share)

    def together(self, own: Moments) -> Moments:
        """With the trajectories chosen before."""
        return own if self._others is None else own + self._others

    def moments(self, fourier: Fourier) -> Moments:
        """Of one trajectory, on the grid of the search."""
        return moments(self.arena.bounds, *fourier.sample(self._sampled.t))

    def broken(self, genes: Array) -> Violation | None:
        """What keeps ``genes`` from being a motion."""
        mid, _, offset, qd, qdd = self._scaled(genes)
        return self._broken((mid + offset)[::COARSE], qd[::COARSE], qdd[::COARSE], mid)

    def prove(self, fourier: Fourier) -> Violation | None:
        """What ``fourier`` breaks on a grid ten times finer, and between its samples what comes too near."""
        return prove(self.arena, fourier, self.speed)

    def settle(self, fourier: Fourier, shrinks: int = _SHRINKS) -> tuple[Fourier, Violation | None]:
        """``fourier``, made smaller up to ``shrinks`` times until nothing is broken between the samples either; and
        what then still is.

        Where the way from the hub to its middle is not free, the middle is moved closer first.
        """
        arena, hub = self.arena, self.hub
        for _ in range(shrinks):
            if arena.move(hub, fourier.mid) is None:
                break
            fourier = Fourier(hub + SHRINK * (fourier.mid - hub), fourier.a, fourier.b, fourier.period)
        for _ in range(shrinks):
            if (violation := self.prove(fourier)) is None:
                return fourier, arena.move(hub, fourier.mid)
            fourier = fourier.scaled(SHRINK)
        return fourier, violation

    def _scaled(self, genes: Array) -> tuple[Array, Array, Array, Array, Array]:
        n, b, sampled = self.arena.n, self.arena.bounds, self._sampled
        shape, amplitude, middle = np.split(genes, np.cumsum(self._parts)[:2])
        z = (2.0 * shape - 1.0).reshape(n, -1)
        mid = self.hub + (2.0 * middle - 1.0) * self._around
        offset, qd, qdd = sampled.shape(z)
        over = sampled.overshoot
        # A one-sided peak between two samples is higher by (overshoot − 1) of the largest |offset| at most.
        more = (over - 1.0) * np.abs(offset).max(axis=0)
        factor = np.minimum.reduce(
            (
                (b.q_max - mid) / (offset.max(axis=0) + more),
                (mid - b.q_min) / (more - offset.min(axis=0)),
                self.speed * b.qd_max / (over * np.abs(qd).max(axis=0)),
                self.speed * b.qdd_max / (over * np.abs(qdd).max(axis=0)),
            )
        )
        factor *= LEAST + (1.0 - LEAST) * amplitude
        return mid, z * factor[:, None], offset * factor, qd * factor, qdd * factor

    def _broken(self, q: Array, qd: Array, qdd: Array, mid: Array) -> Violation | None:
        arena = self.arena
        way = self.hub + _WAY * (mid - self.hub)
        return arena.near(q) or arena.near(way) or arena.stands(q) or arena.dynamic(q, qd, qdd)


def grid(fourier: Fourier) -> Array:
    """Times at which a trajectory is judged, (m,) s: one period without its end."""
    count = GRID * fourier.harmonics
    t: Array = np.arange(count, dtype=np.float64) * (fourier.period / count)
    return t


def prove(arena: Arena, fourier: Fourier, speed: float = 1.0) -> Violation | None:
    """What ``fourier`` breaks at ``speed`` (share of speed and acceleration limits), ten times finer than searched."""
    count = FINER * GRID * fourier.harmonics
    t = np.linspace(0.0, fourier.period, count + 1)
    q, qd, qdd = fourier.sample(t)
    slow = np.nextafter(1.0, 2.0) / speed
    violation = arena.kinematic(q, qd * slow, qdd * slow) or arena.stands(q) or arena.dynamic(q, qd, qdd)
    if violation is not None:
        return violation
    # Between two samples a joint leaves the straight line by q̈ h²/8 at most; distances need every other sample.
    h = 2.0 * fourier.period / count
    peak = np.abs(qdd).max(axis=0) * Sampled(fourier.harmonics, fourier.period, count).overshoot
    return arena.way(q[::2], peak * h * h / 8.0)

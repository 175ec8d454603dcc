"""Moves from point to point with dwells: what periodic motions lack, standstill and creeping, where friction sticks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators.errors import ParameterError
from estimators.excitation.limits import Arena, Violation

Array = npt.NDArray[np.float64]

PEAK_SPEED, PEAK_ACCELERATION = 1.875, 5.773502691896258
"""Of a minimum-jerk move of unit length and duration: 15/8 and 10/√3."""
SMALL = (0.01, 0.15)
"""Length of the small moves, rad."""
LARGE = 1.0
"""Of the large ones, at most, rad."""
SMALL_SPEEDS, LARGE_SPEEDS = (0.05, 0.3), (0.3, 0.8)
"""Shares of the speed limits at which the fastest joint of a move moves: small moves creep."""
LEAST_TIME = 0.4
"""Shortest move, s."""
_TRIES = 200


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Minimum-jerk moves through ``q`` (m, n) rad, taking ``durations`` (m − 1,) s, with ``dwell`` s after each."""

    q: Array
    durations: Array
    dwell: float

    def __post_init__(self) -> None:
        right = self.q.ndim == 2 and len(self.q) >= 2 and self.durations.shape == (len(self.q) - 1,)
        if not right or not (np.isfinite(self.q).all() and np.isfinite(self.durations).all()):
            raise ParameterError(f"points {self.q.shape} with {self.durations.shape} durations; expected one fewer")
        if not (self.durations > 0.0).all() or not 0.0 <= self.dwell < np.inf:
            raise ParameterError("durations of moves must be above zero, and the dwell not below")

    @property
    def seconds(self) -> float:
        """The whole, dwells included."""
        return float(self.durations.sum()) + self.dwell * len(self.durations)


def draw(arena: Arena, hub: Array, seconds: float, dwell: float, rng: np.random.Generator) -> Points | None:
    """Moves from ``hub`` (n,) and back to it, at least ``seconds`` long, every second one small.

    Each is proven by :func:`prove_move` before it is taken; None where hardly any can be made.
    """
    b = arena.bounds
    points, durations = [hub], list[float]()
    tries = 0
    while sum(durations) + dwell * (len(durations) + 1) < seconds:
        tries += 1
        if tries > _TRIES + 20 * len(durations):
            return None
        small = len(durations) % 2 == 1
        reach = rng.uniform(*SMALL, arena.n) * rng.choice((-1.0, 1.0), arena.n) if small else None
        target = points[-1] + reach if reach is not None else hub + rng.uniform(-LARGE, LARGE, arena.n)
        target = np.clip(target, b.q_min, b.q_max)
        duration = _duration(arena, points[-1], target, rng.uniform(*(SMALL_SPEEDS if small else LARGE_SPEEDS)))
        if prove_move(arena, points[-1], target, duration) or arena.move(target, hub):
            continue
        points.append(target)
        durations.append(duration)
    durations.append(_duration(arena, points[-1], hub, 0.3))
    points.append(hub)
    if prove_move(arena, points[-2], hub, durations[-1]):
        return None
    return Points(np.array(points), np.array(durations), dwell)


def prove(arena: Arena, points: Points) -> Violation | None:
    """What the moves break."""
    for k, duration in enumerate(points.durations):
        if found := prove_move(arena, points.q[k], points.q[k + 1], float(duration)):
            return found
    return None


def prove_move(arena: Arena, start: Array, end: Array, duration: float) -> Violation | None:
    """What a minimum-jerk move in ``duration`` s breaks: all limits along it, distances between samples too."""
    u = np.linspace(0.0, 1.0, 41)[:, None]
    w = 1.0 - u
    way = end - start
    q = start + u**3 * (10.0 + u * (6.0 * u - 15.0)) * way
    qd = 30.0 * (u * w) ** 2 * way / duration
    qdd = 60.0 * u * w * (1.0 - 2.0 * u) * way / duration**2
    return arena.kinematic(q, qd, qdd) or arena.stands(q) or arena.dynamic(q, qd, qdd) or arena.way(q)


def _duration(arena: Arena, start: Array, end: Array, speed: float) -> float:
    """The fastest joint at ``speed`` of its limit, none beyond half of its acceleration limit."""
    way, b = np.abs(end - start), arena.bounds
    by_speed = PEAK_SPEED * way / (speed * b.qd_max)
    by_acceleration = np.sqrt(PEAK_ACCELERATION * way / (0.5 * b.qdd_max))
    return float(max(by_speed.max(), by_acceleration.max(), LEAST_TIME))

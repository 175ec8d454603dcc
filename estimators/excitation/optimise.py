"""From limits and surroundings to a set of exciting motions: a hub, Fourier runs one by one, moves with dwells.

The runs are chosen one by one, each so that the set grows most with what the ones before already tell: five small
searches find far more than one over all coefficients at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.errors import EstimatorError
from estimators.excitation import points as moves
from estimators.excitation.cloud import Moments, total
from estimators.excitation.fourier import ENOUGH_HARMONICS, Fourier
from estimators.excitation.genetic import minimise
from estimators.excitation.limits import Arena, Violation
from estimators.excitation.plan import Plan
from estimators.excitation.points import Points
from estimators.excitation.search import Run

Array = npt.NDArray[np.float64]

SPEEDS = (1.0, 0.6, 0.9, 0.35, 0.8)
"""Of the runs in turn, as share of the limits: friction at low speeds needs runs of its own."""
_HUBS = 400
_ENOUGH_ROOM = 1.2
"""Room of a joint, rad, beyond which more of it makes a hub no better."""
_SWING = 0.6
"""Joints are swung by as much, rad, at random, to see how much space there is around a hub."""

Progress = Callable[[str, float, float], None]
"""What is being done, share of the whole 0 … 1, log det so far (NaN before there is one)."""


class InfeasibleError(EstimatorError):
    """No motion keeps all limits; the message names the one in the way."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much is searched, and for what."""

    runs: int = 5
    period: float = 20.0
    """Of a run, s."""
    harmonics: int = ENOUGH_HARMONICS
    population: int = 40
    generations: int = 60
    points: int = 2
    """Point-to-point motions with dwells."""
    points_seconds: float = 25.0
    """Of each of them at least, s."""
    dwell: float = 0.8
    """s"""
    hub_reach: float = 1.2
    """How far from home the hub is looked for, rad a joint."""
    around: float = 0.8
    """How far from the hub the middle of a run may lie, rad a joint."""


def optimise(
    arena: Arena,
    home: Array,
    robot: str,
    budget: Budget | None = None,
    seed: int = 0,
    provenance: dict[str, Any] | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> Plan:
    """The best set found from ``home`` (n,) rad, where the arm stands; the same for the same ``seed``.

    ``robot``: hash of the URDF, for the file. ``stop`` is asked after each generation; once it says True what is left
    is filled with the best of a first generation, so that a whole plan comes back. Raises InfeasibleError.
    """
    budget = budget or Budget()
    tell = progress or (lambda what, share, score: None)
    rng = np.random.default_rng(seed)
    tell("a posture with room around it", 0.0, float("nan"))
    hub = find_hub(arena, home, rng, budget.hub_reach)
    chosen: list[Fourier] = []
    first: list[Moments] = []
    speeds = tuple(SPEEDS[k % len(SPEEDS)] for k in range(budget.runs))
    grown: list[Moments] = []
    for k, speed in enumerate(speeds):
        others = total(grown) if grown else None
        run = Run(arena, hub, budget.period, budget.harmonics, speed, others, budget.around)

        def each(generation: int, least: float, k: int = k) -> bool:
            share = (k + generation / max(budget.generations, 1)) / budget.runs
            tell(f"run {k + 1} of {budget.runs}", 0.95 * share, -least if least < 1e3 else float("nan"))
            return stop is None or not stop()

        found = minimise(
            run.cost, run.size, rng, population=budget.population, generations=budget.generations, each=each
        )
        if (violation := run.broken(found.genes)) is not None:
            raise infeasible(violation, f"run {k + 1} at {speed:.0%} of the speed limits")
        best, violation = run.settle(run.decode(found.genes))
        if violation is not None:
            raise infeasible(violation, f"run {k + 1} at {speed:.0%} of the speed limits")
        chosen.append(best)
        grown.append(run.moments(best))
        first.append(run.moments(run.decode(found.first)))
    points: list[Points] = []
    for k in range(budget.points):
        tell(f"moves with dwells {k + 1} of {budget.points}", 0.95 + 0.05 * k / budget.points, float("nan"))
        drawn = moves.draw(arena, hub, budget.points_seconds, budget.dwell, rng)
        if drawn is None:
            raise InfeasibleError(
                "hardly any point-to-point move is possible around the posture found: give the arm more room "
                "(limits, workspace and obstacles of the cell file)"
            )
        points.append(drawn)
    score, before = (total(grown).log_det(), total(first).log_det()) if grown else (float("nan"), float("nan"))
    tell("done", 1.0, score)
    return Plan(hub, tuple(chosen), speeds, tuple(points), robot, score, before, provenance or {})


def find_hub(arena: Arena, home: Array, rng: np.random.Generator, reach: float = 1.2) -> Array:
    """A posture within ``reach`` of ``home``, on a free straight line of the joints, that has most room around it.

    Raises InfeasibleError: where home itself breaks a limit, or where nothing around it keeps them.
    """
    if (violation := arena.move(home, home)) is not None:
        raise infeasible(violation, "home, where the arm stands")
    b = arena.bounds
    offsets: Sequence[Array] = [np.zeros(arena.n), *rng.uniform(-reach, reach, (_HUBS, arena.n))]
    swings = rng.uniform(-_SWING, _SWING, (24, arena.n))
    best, most = home, -np.inf
    for offset in offsets:
        q = np.clip(home + offset, b.q_min, b.q_max)
        if not arena.collision.free(q, arena.margin):
            continue
        room = np.minimum(np.minimum(q - b.q_min, b.q_max - q) / _ENOUGH_ROOM, 1.0)
        space = float(np.mean([arena.collision.free(q + swing, arena.margin) for swing in swings]))
        still = np.zeros((1, arena.n))
        total_torque, _ = arena.torques(q[None], still, still)
        value = float(room.min() + room.mean() + 2.0 * space - np.abs(total_torque[0] / b.tau_max).max())
        if value > most and arena.move(home, q) is None:
            best, most = q, value
    return best


def infeasible(violation: Violation, what: str) -> InfeasibleError:
    """The error that names what is in the way."""
    return InfeasibleError(
        f"no motion found that keeps all limits; in the way for {what} is the {violation.kind}: {violation.what}. "
        "Give it more room: limits, workspace, obstacles, tool and home of the cell file"
    )

"""Many different rhythmic motions drawn at random within the limits: data for models that interpolate.

A parametric model wants few motions that tell its parameters apart (:mod:`estimators.excitation.optimise`); a model
that knows only what it has seen wants many, at other postures and other speeds each time. Each is a Fourier trajectory
of a few low harmonics that begins and ends at rest in a posture of its own; what breaks a limit is made smaller, or
drawn anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from estimators.errors import ParameterError
from estimators.excitation.fourier import LEAST_HARMONICS, Fourier
from estimators.excitation.limits import Arena, Violation
from estimators.excitation.optimise import Progress, infeasible
from estimators.excitation.plan import Array, Plan, log_det
from estimators.excitation.search import Run

_TRIES = 200
"""Draws for one motion after which the limits are said to leave too little room."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """What is drawn. Raises ParameterError for values out of range."""

    motions: int = 60
    seconds: float = 8.0
    """Of a motion."""
    frequency: float = 0.5
    """Of its highest harmonic, Hz."""
    slowest: float = 0.2
    """Speed and acceleration keep a share of the limits between this and 1: friction at low speed is different."""
    around: float = 0.6
    """How far from home the middle of a motion may lie, rad a joint."""
    swing: float = 0.8
    """How far a joint moves away from the middle at most, rad."""

    def __post_init__(self) -> None:
        if self.motions < 1 or self.harmonics < LEAST_HARMONICS:
            raise ParameterError(
                f"{self.motions} motions of {self.seconds:g} s up to {self.frequency:g} Hz; expected at least one, and "
                f"{LEAST_HARMONICS} periods of the fastest harmonic in it"
            )
        if not (0.0 < self.slowest <= 1.0 and self.around >= 0.0 and self.swing > 0.0):
            raise ParameterError(
                f"slowest {self.slowest:g}, around {self.around:g} rad, swing {self.swing:g} rad: expected a share in "
                "(0, 1], and angles of 0 or more"
            )

    @property
    def harmonics(self) -> int:
        """Of the period, up to ``frequency``."""
        return int(self.frequency * self.seconds + 1e-9)


def draw(
    arena: Arena,
    home: Array,
    robot: str,
    rhythm: Rhythm | None = None,
    seed: int = 0,
    provenance: dict[str, Any] | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> Plan:
    """Motions around ``home`` (n,) rad, where the arm stands; the same for the same ``seed``.

    ``robot``: hash of the URDF, for the file. ``stop`` is asked after each motion: what was found until then comes
    back. Raises InfeasibleError.
    """
    rhythm = rhythm or Rhythm()
    tell = progress or (lambda what, share, score: None)
    if (violation := arena.move(home, home)) is not None:
        raise infeasible(violation, "home, where the arm stands")
    rng = np.random.default_rng(seed)
    runs: list[Fourier] = []
    speeds: list[float] = []
    for k in range(rhythm.motions):
        tell(f"motion {k + 1} of {rhythm.motions}", k / rhythm.motions, float("nan"))
        # Stratified, so that few motions have slow and fast ones among them too.
        speed = rhythm.slowest + (1.0 - rhythm.slowest) * float((_radical(k) + rng.uniform()) % 1.0)
        runs.append(_one(arena, home, rhythm, speed, rng))
        speeds.append(speed)
        if stop is not None and stop():
            break
    found = tuple(runs)
    score = log_det(arena, found)
    tell("done", 1.0, score)
    return Plan(home.copy(), found, tuple(speeds), (), robot, score, score, provenance or {})


def _one(arena: Arena, home: Array, rhythm: Rhythm, speed: float, rng: np.random.Generator) -> Fourier:
    run = Run(arena, home, rhythm.seconds, rhythm.harmonics, speed, None, rhythm.around)
    violation: Violation | None = None
    for _ in range(_TRIES):
        genes = rng.uniform(size=run.size)
        fourier = run.decode(genes)
        fourier = fourier.scaled(np.minimum(rhythm.swing / np.maximum(_swing(fourier), 1e-9), 1.0))
        # One that has to become much smaller would be a motion of the same place again and again.
        fourier, violation = run.settle(fourier, shrinks=6)
        if violation is None:
            return fourier
    assert violation is not None
    raise infeasible(violation, f"random motions at {speed:.0%} of the speed limits")


def _swing(fourier: Fourier) -> Array:
    q, _, _ = fourier.sample(np.linspace(0.0, fourier.period, 20 * fourier.harmonics))
    largest: Array = np.abs(q - fourier.mid).max(axis=0)
    return largest


def _radical(k: int) -> float:
    """The k-th term of van der Corput's sequence in base 2, in [0, 1)."""
    value, share = 0.0, 0.5
    while k:
        value, k, share = value + share * (k & 1), k >> 1, 0.5 * share
    return value


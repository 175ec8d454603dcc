"""A set of exciting motions as one file: plain arrays and a page of JSON about where they come from; no pickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators import files
from estimators.errors import ModelError, ParameterError
from estimators.excitation import points as moves
from estimators.excitation import search
from estimators.excitation.cloud import moments, total
from estimators.excitation.fourier import Fourier
from estimators.excitation.limits import Arena
from estimators.excitation.points import Points

Array = npt.NDArray[np.float64]

FORMAT = 1
"""Of the file; raised when its meaning changes."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Motions in the order in which they are made, all reachable from ``hub`` (n,) rad and by it from each other."""

    hub: Array
    runs: tuple[Fourier, ...]
    speeds: tuple[float, ...]
    """Share of the speed and acceleration limits that each run keeps."""
    points: tuple[Points, ...]
    robot: str
    """SHA-256 (hex) of the URDF."""
    score: float
    """log det of the set of runs."""
    before: float
    """The same of the best of the first, random generation."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Cell, limits, seed, budget: anything that JSON can say."""

    @property
    def n(self) -> int:
        """Number of joints."""
        return self.hub.size

    @property
    def seconds(self) -> float:
        """Of all motions, without the ways between them."""
        return sum(run.period for run in self.runs) + sum(each.seconds for each in self.points)


def log_det(arena: Arena, runs: tuple[Fourier, ...]) -> float:
    """log det of a set of runs, on the grid of the search."""
    return total([moments(arena.bounds, *run.sample(search.grid(run))) for run in runs]).log_det()


def save(plan: Plan, path: Path) -> None:
    """Write ``plan`` to ``path``, whole or not at all. Raises OSError."""
    about = {
        "format": FORMAT,
        "kind": "excitation",
        "robot": plan.robot,
        "score": plan.score,
        "before": plan.before,
        "runs": [{"period": run.period, "speed": v} for run, v in zip(plan.runs, plan.speeds, strict=True)],
        "dwells": [each.dwell for each in plan.points],
        "provenance": dict(plan.provenance),
    }
    arrays = {"hub": plan.hub}
    for k, run in enumerate(plan.runs):
        arrays |= {f"run{k}_mid": run.mid, f"run{k}_a": run.a, f"run{k}_b": run.b}
    for k, each in enumerate(plan.points):
        arrays |= {f"points{k}_q": each.q, f"points{k}_durations": each.durations}
    files.write(path, about, arrays)


def load(path: Path) -> Plan:
    """What :func:`save` wrote. Raises OSError; ModelError for a file that is none, or of another format."""
    again = "make it anew with `hil excite CELL --optimise-only`"
    try:
        about, found = files.read(path)
        arrays = {name: value.astype(np.float64) for name, value in found.items()}
        if about["format"] != FORMAT or about["kind"] != "excitation":
            raise ModelError(
                f"{path}: format {about['format']} of kind {about['kind']!r}; expected {FORMAT} of excitation: {again}"
            )
        runs = tuple(
            Fourier(arrays[f"run{k}_mid"], arrays[f"run{k}_a"], arrays[f"run{k}_b"], float(each["period"]))
            for k, each in enumerate(about["runs"])
        )
        points = tuple(
            Points(arrays[f"points{k}_q"], arrays[f"points{k}_durations"], float(dwell))
            for k, dwell in enumerate(about["dwells"])
        )
        speeds = tuple(float(each["speed"]) for each in about["runs"])
        plan = Plan(
            arrays["hub"],
            runs,
            speeds,
            points,
            str(about["robot"]),
            float(about["score"]),
            float(about["before"]),
            about["provenance"],
        )
        n = plan.hub.shape
        if len(n) != 1 or any(run.mid.shape != n for run in runs) or any(p.q.shape[1:] != n for p in points):
            raise ModelError(f"{path} holds motions of arms with different numbers of joints; {again}")
        if not np.isfinite(plan.hub).all() or not all(0.0 < v <= 1.0 for v in speeds):
            raise ModelError(f"{path} holds a posture that is not finite, or a speed beyond the limits; {again}")
    except (OSError, ModelError):
        raise
    except (*files.DAMAGED, ParameterError) as error:
        raise ModelError(f"{path} is no plan of exciting motions ({type(error).__name__}: {error}); {again}") from error
    return plan


def require_fit(plan: Plan, arena: Arena, robot: str, home: Array, what: str) -> None:
    """Prove every motion of ``plan`` again, by the limits and surroundings of ``arena`` and from ``home`` (n,) rad.

    ``robot``: hash of the URDF; ``what``: how the plan is called in messages. Raises ModelError with the first motion
    that breaks something: limits may have been tightened, or a box been added, since the plan was made.
    """
    again = "make the plan anew: `hil excite CELL`"
    if plan.n != arena.n:
        raise ModelError(f"{what} is for {plan.n} joints, the cell's robot has {arena.n}; {again}")
    if plan.robot != robot:
        raise ModelError(
            f"{what} was made with another URDF ({plan.robot[:12]}…, the cell has {robot[:12]}…); {again}"
        )
    checks = [("the way to it", arena.move(home, plan.hub))]
    for k, (run, speed) in enumerate(zip(plan.runs, plan.speeds, strict=True), 1):
        checks.append((f"run {k}", arena.move(plan.hub, run.mid) or search.prove(arena, run, speed)))
    for k, each in enumerate(plan.points, 1):
        checks.append((f"point-to-point motion {k}", arena.move(plan.hub, each.q[0]) or moves.prove(arena, each)))
    for motion, violation in checks:
        if violation is not None:
            raise ModelError(f"{what} does not fit this cell any more: {motion}: {violation.what}; {again}")

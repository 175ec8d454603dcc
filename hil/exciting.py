"""From a cell to exciting motions, and from a plan of them back to motions of that cell."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from drivers.contract import Array
from estimators.excitation import Arena, Bounds, Budget, Plan, Rhythm, draw, optimise
from estimators.excitation.optimise import Progress
from estimators.excitation.plan import load, require_fit
from estimators.excitation.search import GRID
from hil.build import build_model, check_motion
from hil.cell import Cell
from hil.cell.parts import array
from hil.motion.excitation import Excitation, FourierMotion, PointsMotion
from hil.surroundings import build_collision

SPEED = 0.85
"""Share of the speed limits that a run at 100 % uses: the arm overshoots its reference, and velocities are noisy."""
ACCELERATION = 6.0
"""rad/s² at 100 %; a choice of ours, data sheets state none. Torque limits bind first on the large joints."""
TORQUE = 0.7
"""Share of the torque limits that the model may ask for: friction, tracking and wrong masses need the rest."""
ROOM = 0.05
"""Distance from the limits at which the supervisor trips, rad."""
APPROACH_SPEED, APPROACH_ACCELERATION = 0.3, 2.0
"""Share of the speed limits, and rad/s², on the way to where a motion begins."""


@dataclass(frozen=True, slots=True)
class Described:
    """One motion of a plan, in figures."""

    name: str
    seconds: float
    """Without the way to it."""
    speed: float
    """Highest joint speed, share of the limits."""
    clearance: float
    """Least distance of anything to anything, m."""
    between: str


def robot_hash(cell: Cell) -> str:
    """SHA-256 (hex) of the URDF of ``cell``."""
    return hashlib.sha256(cell.urdf_xml.encode()).hexdigest()


def build_arena(cell: Cell) -> Arena:
    """Model, shapes and limits of ``cell``, margins taken off. Raises ModelError, ParameterError."""
    limits, safety, box = cell.robot.joint_limits, cell.safety, cell.workspace.tcp_box
    room = safety.position_margin + ROOM
    # Where joint torques and wrench sensor are compared, only postures in which they can be.
    agreement = safety.force_agreement if cell.sensors else 0.0
    sight = (array(cell.observer.model_sigma), agreement) if agreement and min(cell.observer.model_sigma) > 0 else ()
    bounds = Bounds(
        limits.q_min + room,
        limits.q_max - room,
        SPEED * safety.speed_fraction * limits.qd_max,
        np.full(limits.n, ACCELERATION),
        TORQUE * min(safety.torque_fraction, 1.0 - limits.total_margin) * limits.tau_max,
        TORQUE * limits.tau_cmd_max,
        "gravity" in cell.robot.terms,
        None if box is None else array(box.min),
        None if box is None else array(box.max),
        *sight,
    )
    return Arena(build_model(cell), build_collision(cell), bounds, cell.workspace.margin)


def make_plan(
    cell: Cell,
    arena: Arena,
    budget: Budget,
    seed: int = 0,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> Plan:
    """The plan of :func:`estimators.excitation.optimise` for ``cell``. Raises InfeasibleError."""
    provenance = _provenance(cell, arena, seed) | {"budget": asdict(budget)}
    home = array(cell.robot.home)
    return optimise(arena, home, robot_hash(cell), budget, seed, provenance, progress, stop)


def make_rhythmic(
    cell: Cell,
    arena: Arena,
    rhythm: Rhythm,
    seed: int = 0,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> Plan:
    """The plan of :func:`estimators.excitation.draw` for ``cell``. Raises InfeasibleError."""
    provenance = _provenance(cell, arena, seed) | {"rhythm": asdict(rhythm)}
    return draw(arena, array(cell.robot.home), robot_hash(cell), rhythm, seed, provenance, progress, stop)


def _provenance(cell: Cell, arena: Arena, seed: int) -> dict[str, Any]:
    bounds = arena.bounds
    return {
        "cell": cell.name,
        "digest": cell.digest(),
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "seed": seed,
        "limits": {
            name: getattr(bounds, name).tolist()
            for name in ("q_min", "q_max", "qd_max", "qdd_max", "tau_max", "tau_cmd_max")
        },
        "workspace": cell.workspace.model_dump(mode="json"),
        "tool_radius": cell.tool.radius,
    }


def load_plan(path: Path, cell: Cell, arena: Arena) -> Plan:
    """A plan from a file, proven anew by the limits of ``cell``. Raises OSError; ModelError where it does not fit."""
    plan = load(path)
    require_fit(plan, arena, robot_hash(cell), array(cell.robot.home), str(path))
    return plan


def motion_names(plan: Plan) -> list[str]:
    """How the motions of ``plan`` are called, in order."""
    runs = [f"fourier-{k}" for k in range(1, len(plan.runs) + 1)]
    return runs + [f"points-{k}" for k in range(1, len(plan.points) + 1)]


def plan_motions(plan: Plan, cell: Cell, arena: Arena) -> list[Excitation]:
    """The motions of ``plan``, each with its way from where the one before ends; the first one's begins at home.

    Raises MotionError where one would leave the limits of ``cell``.
    """
    limits = cell.robot.joint_limits
    speed = APPROACH_SPEED * limits.qd_max
    acceleration = np.full(limits.n, APPROACH_ACCELERATION)
    at = array(cell.robot.home)

    def blocked(start: Array, end: Array) -> str | None:
        violation = arena.move(start, end)
        return None if violation is None else violation.what

    cores: list[FourierMotion | PointsMotion] = [
        *(FourierMotion(run) for run in plan.runs),
        *(PointsMotion(each) for each in plan.points),
    ]
    motions: list[Excitation] = []
    for name, core in zip(motion_names(plan), cores, strict=True):
        begin = core.fourier.mid if isinstance(core, FourierMotion) else core.points.q[0]
        direct = bool(motions) and blocked(at, begin) is None
        way = np.vstack((at, begin) if direct else (at, plan.hub, begin))
        motion = Excitation(core, way, speed, acceleration, blocked, name)
        motion.start(at, np.zeros(3), np.eye(3))
        check_motion(motion, cell)
        motions.append(motion)
        at = core.fourier.mid if isinstance(core, FourierMotion) else core.points.q[-1]
    return motions


def describe(plan: Plan, cell: Cell, arena: Arena) -> list[Described]:
    """What the motions of ``plan`` will do, for a person who is to watch them."""
    limits = cell.robot.joint_limits
    found = []
    sampled = [
        *(run.sample(np.linspace(0.0, run.period, GRID * run.harmonics + 1))[:2] for run in plan.runs),
        *(_sampled(PointsMotion(each)) for each in plan.points),
    ]
    seconds = [*(run.period for run in plan.runs), *(each.seconds for each in plan.points)]
    for name, length, (q, qd) in zip(motion_names(plan), seconds, sampled, strict=True):
        nearest = min((arena.collision.clearance(row) for row in q), key=lambda each: each.distance)
        speed = float((np.abs(qd) / limits.qd_max).max())
        found.append(Described(name, length, speed, nearest.distance, f"{nearest.first} and {nearest.second}"))
    return found


def _sampled(motion: PointsMotion) -> tuple[Array, Array]:
    references = [motion.at(t) for t in np.arange(0.0, motion.duration, 0.1)]
    return np.array([each.q for each in references]), np.array([each.qd for each in references])

"""Rhythmic motion of the simulated iiwa, recorded in this process: no recorder, no telemetry, but the real wire.

A motion of 10 s takes about 6 s of one core that way. What is kept are the pieces that training and calibration read,
as :func:`hil.learning.segments.segments_of` finds them in a log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import hil
from estimators import files
from estimators.excitation import Rhythm, draw
from hil.cell import Cell
from hil.cell.parts import array
from hil.control.base import Controller
from hil.exciting import build_arena, plan_motions, robot_hash
from hil.learning.segments import SETTLE, Segment
from hil.motion import Motion
from hil.session import Session
from hil.trace import Trace

KEPT = ("q", "qd", "tau", "tau_cmd", "g", "acting")
"""Of a segment, in a file."""

Tell = Callable[[str], None]


def rhythmic(cell: Cell, rhythm: Rhythm, seed: int) -> Sequence[Motion]:
    """Motions of ``cell``, the same for the same ``seed``. Raises InfeasibleError."""
    arena = build_arena(cell)
    plan = draw(arena, array(cell.robot.home), robot_hash(cell), rhythm, seed)
    return plan_motions(plan, cell, arena)


def segment(trace: Trace, name: str, dt: float) -> Segment:
    """The piece that one motion's rows are."""
    rim = round(SETTLE / dt)
    rows = {key: np.array(trace[key][rim:], dtype=np.float64) for key in KEPT[:-1]}
    acting = 0.5 * (trace["tau_accepted_lo"][rim:] + trace["tau_accepted_hi"][rim:])
    return Segment(name, rows["q"], rows["qd"], rows["tau"], dt, None, rows["tau_cmd"], rows["g"], acting)


def record(
    cell: Cell, seed: int, motions: Sequence[Motion], tell: Tell, controller: Controller | None = None
) -> list[Segment]:
    """Make ``motions`` in a world of its own with ``seed``, with the cell's controller or another; one piece each.

    Raises FaultError where the arm was stopped.
    """
    pieces = []
    with hil.open(cell, seed=seed) as session:
        ready(session, controller)
        for k, motion in enumerate(motions):
            tell(f"{motion.name}, {k + 1} of {len(motions)}")
            pieces.append(segment(session.run(motion), motion.name, session.dt))
    return pieces


def ready(session: Session, controller: Controller | None = None) -> None:
    """Bring the cell up and under command, with ``controller`` in the place of its own."""
    session.bring_up()
    session.enable()
    if controller is not None:
        session.use(controller)


def save(pieces: Sequence[Segment], path: Path) -> None:
    """Write ``pieces`` to ``path``. Raises OSError."""
    arrays = {f"{k}/{name}": getattr(piece, name) for k, piece in enumerate(pieces) for name in KEPT}
    files.write(path, {"names": [piece.name for piece in pieces], "dt": pieces[0].dt}, arrays)


def load(path: Path) -> list[Segment]:
    """What :func:`save` wrote. Raises OSError, KeyError, ValueError."""
    about, arrays = files.read(path)
    dt, found = float(about["dt"]), []
    for k, name in enumerate(about["names"]):
        q, qd, tau, *others = (arrays[f"{k}/{key}"] for key in KEPT)
        found.append(Segment(name, q, qd, tau, dt, None, *others))
    return found

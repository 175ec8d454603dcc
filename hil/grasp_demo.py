"""A cell with a learnt feed-forward grasps a load that nobody has announced, and lets it go again.

The mock world attaches the load behind the cell's back, in the middle of a motion: gains go up, the load is estimated,
gains come down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hil.cell import Cell
from hil.job import CELL_NAME, LOG_NAME
from hil.report import VerdictRow
from hil.report.files import read_bounded, report_log, report_name
from hil.session import FaultError, Session
from hil.trace import Trace

MASS = 3.0
"""kg."""
AT = (0.0, 0.0, 0.12)
"""Its centre of mass from the flange, m."""
GRASP, RELEASE, END = 5.0, 11.0, 16.0
"""Seconds from the beginning of the motion; :data:`END`: what the motion must last at least."""
PHASES = (
    ("before", GRASP - 1.0, GRASP),
    ("first second with the load", GRASP, GRASP + 1.0),
    ("after 5 s with it", GRASP + 5.0, RELEASE),
    ("first second without", RELEASE, RELEASE + 1.0),
    ("after the release", END - 2.0, END - 1.0),
)
"""Name, begin, end (s) of what is told; the last second of the motion fades out and flatters."""
_CHUNK = 250
"""Cycles from one look at the progress to the next."""


class DemoError(ValueError):
    """A cell that cannot show it; the message says why."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Figures of one span of time."""

    name: str
    error: float
    """Tracking error, RMS over time and joints, rad."""
    share: float
    """Stiffness by its largest, mean over time and joints."""
    highest: float
    """The same of the joint where it was highest in the mean."""
    mass: float
    """Estimated load at its end, kg."""
    mass_sd: float
    """kg."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What was shown."""

    phases: tuple[Phase, ...]
    learning: tuple[str, ...]
    """What the cell said about its learning, in words."""
    fault: str
    """What stopped the arm; empty: nothing."""
    report: Path | None
    """None where nothing was recorded."""


def motion_of(cell: Cell) -> str:
    """The first motion of ``cell`` that lasts long enough. Raises DemoError where the cell cannot show a grasp."""
    learned = cell.controller.joint.learned
    if learned is None:
        raise DemoError(
            f"cell {cell.name} has no learnt feed-forward: give it a section controller.joint.learned, "
            "or take `hil demo --cell iiwa --learned`"
        )
    for name, described in cell.motions.items():
        if described.kind == "sinusoid" and described.build(name, cell).duration >= END:
            return name
    raise DemoError(f"cell {cell.name} has no motion of kind sinusoid that lasts {END:g} s, in which to grasp a load")


def show(
    cell: Cell,
    folder: Path,
    seed: int | None = None,
    progress: Callable[[float, str], None] | None = None,
    mass: float = MASS,
) -> Shown:
    """Run it in lockstep, as fast as the machine allows; log and report go to ``folder``, which must exist.

    ``progress``: takes the share that is done and what is being done; ``mass``: of the load, kg.
    Raises DemoError, SessionError where the cell does not come up, ModelError, ConnectError, OSError.
    """
    name, say = motion_of(cell), progress or (lambda done, what: None)
    (folder / CELL_NAME).write_text(cell.dump(), encoding="utf-8")
    log = folder / LOG_NAME
    parts: list[Trace] = []
    fault = ""
    with Session(cell, seed=seed) as session:
        say(0.0, "bring-up")
        session.record(log)
        try:
            session.bring_up()
            session.enable()
            session.start(name)
            ticks = {round(at / session.dt): what for at, what in ((GRASP, "grasp"), (RELEASE, "release"), (END, ""))}
            for until, what in ticks.items():
                _follow(session, parts, until, round(END / session.dt), say)
                if what == "grasp":
                    session.mock.attach(mass, AT)
                elif what == "release":
                    session.mock.call("release")
            session.stop()
        except FaultError as error:
            fault = error.faults[0].explain()
        learning = tuple(text for kind, text in session.events if kind == "learning")
    say(1.0, "report")
    phases = () if fault else phases_of(cell, parts)
    written = read_bounded(log)
    report = folder / report_name(log)
    report_log(written, report, [_row(phase) for phase in phases])
    return Shown(phases, learning, fault, report)


def _follow(session: Session, parts: list[Trace], until: int, total: int, say: Callable[[float, str], None]) -> None:
    """Cycles up to number ``until`` of the motion."""
    done = sum(part.cycles for part in parts)
    while done < until:
        parts.append(session.step(min(_CHUNK, until - done)))
        done += parts[-1].cycles
        mass = float(parts[-1]["load_mass"][-1])
        say(done / total, "no load" if mass == 0.0 else f"load {mass:.2f} kg")


def phases_of(cell: Cell, parts: list[Trace]) -> tuple[Phase, ...]:
    """Figures of :data:`PHASES` from the cycles of the motion."""
    learned = cell.controller.joint.learned
    assert learned is not None
    q, q_ref, kp, mass, mass_sd = (
        np.concatenate([part[name] for part in parts]) for name in ("q", "q_ref", "kp", "load_mass", "load_mass_sd")
    )
    share = kp / np.array(learned.kp_max)
    dt = END / len(q)
    found = []
    for name, begin, end in PHASES:
        at = slice(round(begin / dt), round(end / dt))
        error = float(np.sqrt(np.mean((q_ref[at] - q[at]) ** 2)))
        mean = share[at].mean(axis=0)
        last = at.stop - 1
        found.append(Phase(name, error, float(mean.mean()), float(mean.max()), float(mass[last]), float(mass_sd[last])))
    return tuple(found)


def _row(phase: Phase) -> VerdictRow:
    load = f", load {phase.mass:.2f} ± {phase.mass_sd:.2f} kg" if np.isfinite(phase.mass) else ""
    return VerdictRow(phase.name, f"error {phase.error * 1e3:.2f} mrad, stiffness {phase.share:.0%} of largest{load}")

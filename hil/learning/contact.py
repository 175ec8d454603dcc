"""A residual model's observer against the force/torque sensor, over the stretches in which it felt a contact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from drivers.contract import ArmState
from estimators.rigid_body import RigidBodyModel
from hil.build import build_momentum
from hil.cell import Cell
from hil.learning.chosen import Chosen, observer_of
from hil.learning.replayed import replay
from hil.learning.score import SKIPPED, Errors, Score, Tell, thin
from hil.learning.segments import runs, touched
from hil.telemetry.log import Log

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.bool_]

STANDSTILL = 0.5
"""Time before the arm is enabled over which torque sensors are averaged, as a run's tare does, s."""


@dataclass(frozen=True, slots=True, eq=False)
class ForceTrace:
    """One stretch in time for a picture: forces (m, 3) N at the TCP, base axes, environment on robot."""

    name: str
    t: Array
    """s since the beginning of the log."""
    sensor: Array
    estimate: Array
    sd: Array
    momentum: Array


@dataclass(frozen=True, slots=True, eq=False)
class ForceScore:
    """Against the F/T sensor, while it felt a contact; N, N·m."""

    seconds: float
    wrench: Score
    """Of the wrench, (6,)."""
    point: Score
    """Of the force of a contact without moment, (3,)."""
    momentum: Score
    """Of the momentum observer's wrench, (6,)."""
    traces: tuple[ForceTrace, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Samples under command without a gap, during some of which the sensor felt a contact."""

    name: str
    rows: npt.NDArray[Any]
    t: Array
    dt: float
    contact: Rows
    offset: Array | None
    """What the tare of the run took off the torque sensors, N·m: mean of g − tau at standstill."""


def contacts(log: Log) -> list[Stretch]:
    rows = log.cycle
    if len(rows) < 2 or "wrench_ft" not in (rows.dtype.names or ()):
        return []
    dt = float(np.median(np.diff(rows["t_ns"]))) * 1e-9
    good = (rows["arm_state"] == int(ArmState.COMMANDED)) & (rows["arm_fresh"] == 1) & (rows["arm_valid"] == 1)
    for name in ("q", "qd", "tau"):
        good &= np.isfinite(rows[name]).all(axis=1)
    good[1:] &= np.abs(np.diff(rows["t_ns"]) * 1e-9 - dt) < 0.1 * dt
    contact = touched(rows["wrench_ft"], dt) & np.isfinite(rows["wrench_ft"]).all(axis=1)
    found = []
    for first, last in runs(good):
        scored = contact[first:last].copy()
        scored[: round(SKIPPED / dt)] = False
        if scored.any():
            part, t = rows[first:last], log.seconds[first:last]
            name = f"{log.path.name}, {t[0]:.1f} to {t[-1]:.1f} s"
            found.append(Stretch(name, part, t, dt, scored, _offset(log, first, dt)))
    return found


def _offset(log: Log, enabled: int, dt: float) -> Array | None:
    """Mean of g − tau just before the arm was enabled; None on arms whose motors carry nothing then."""
    if log.meta("run", "torque_side") != "link":
        return None
    still = log.cycle[max(0, enabled - round(STANDSTILL / dt)) : enabled]
    difference: Array = still["g"] - still["tau"]
    known = difference[np.isfinite(difference).all(axis=1) & (still["arm_valid"] == 1)]
    return known.mean(axis=0) if len(known) else None


def score_force(
    cell: Cell, model: RigidBodyModel, chosen: Chosen, stretches: Sequence[Stretch], tell: Tell
) -> ForceScore:
    ours, point, theirs = Errors(), Errors(), Errors()
    traces = []
    for k, each in enumerate(stretches):
        tell("contact", k / len(stretches))
        q, qd, tau, sensor = (np.array(each.rows[name], dtype=np.float64) for name in ("q", "qd", "tau", "wrench_ft"))
        momentum = build_momentum(cell)
        if each.offset is not None:
            momentum.tare(each.offset)
        asked = np.asarray(np.isfinite(sensor).all(axis=1))
        kvark, classic = replay(model, [observer_of(cell, chosen.trained), momentum], q, qd, tau, each.dt, asked)
        ours.add((kvark.wrench - sensor)[each.contact], kvark.wrench_sd[each.contact])
        point.add((kvark.force - sensor[:, :3])[each.contact], kvark.force_sd[each.contact])
        theirs.add((classic.wrench - sensor)[each.contact], classic.wrench_sd[each.contact])
        pictures = (sensor[:, :3], kvark.force, kvark.force_sd, classic.force)
        traces.append(ForceTrace(each.name, *(thin(part) for part in (each.t, *pictures))))
    tell("contact", 1.0)
    seconds = sum(float(each.contact.sum()) * each.dt for each in stretches)
    return ForceScore(seconds, ours.score(), point.score(), theirs.score(), tuple(traces))

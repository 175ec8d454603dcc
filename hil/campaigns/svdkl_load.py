"""A load that nobody announced, in closed loop: attached to the flange in the middle of an unseen motion."""

from __future__ import annotations

from typing import Any

import numpy as np

import hil
from drivers.contract import Array
from estimators.excitation import Rhythm
from hil.campaigns.svdkl_record import ready, rhythmic
from hil.cell import Cell
from hil.control.base import Controller

BEFORE, AFTER = 6.0, 10.0
"""Time in motion without and with the load, s."""
WINDOWS = ((-2.0, 0.0), (0.0, 1.0), (1.0, 2.0), (2.0, 5.0), (5.0, 10.0))
"""For which figures are stated, s since the load came."""
MASS, COM = 3.0, (0.0, 0.0, 0.15)
"""kg; centre of mass from the flange, m."""


def grasp(
    cell: Cell,
    seed: int,
    rhythm: dict[str, float],
    drawn: int,
    kp_max: Array,
    controller: Controller | None = None,
) -> dict[str, Any]:
    """One motion of ``cell``, drawn with the seed ``drawn``, in a world with ``seed``.

    RMS error rad and mean stiffness (share of ``kp_max`` (n,) N·m/rad) in each window, and the mass that was estimated
    at its end, kg; None where stiffness or mass are not known of the controller. Raises FaultError.
    """
    motion = rhythmic(cell, Rhythm(motions=1, **(rhythm | {"seconds": BEFORE + AFTER})), drawn)[0]
    with hil.open(cell, seed=seed) as session:
        ready(session, controller)
        session.start(motion)
        first = session.step(round(BEFORE / session.dt))
        session.mock.attach(MASS, COM)
        then = session.step(round(AFTER / session.dt))
        dt = session.dt
    error = np.concatenate([trace["q_ref"] - trace["q"] for trace in (first, then)])
    gain = np.concatenate([trace["kp"] for trace in (first, then)]) / kp_max
    mass = np.concatenate([trace["load_mass"] for trace in (first, then)])
    found = []
    for begin, end in WINDOWS:
        rows = slice(round((BEFORE + begin) / dt), round((BEFORE + end) / dt))
        known, share = float(mass[rows][-1]), float(gain[rows].mean())
        found.append(
            {
                "from": begin,
                "to": end,
                "rmse": float(np.sqrt(np.mean(error[rows] ** 2))),
                "gain": share if np.isfinite(share) else None,
                "mass": known if np.isfinite(known) else None,
            }
        )
    return {"mass": MASS, "windows": found}

"""What a trial says about a fault: detected, without effect, or missed."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from hil.campaigns.trials import WATCH, Trial
from safety.faults import SPECS

Q_BOUND = 2e-3
"""rad"""
TAU_BOUND = 5.0
"""N·m"""
FORCE_BOUND = 3.0
"""N"""


class Outcome(enum.Enum):
    DETECTED = "detected"
    HARMLESS = "harmless"
    MISSED = "missed"
    WRONG_STOP = "WRONG STOP"
    """Detected, but the arm did not end at rest with its brakes closed, or the stop was milder than requested."""


@dataclass(frozen=True)
class Verdict:
    """One cell of the table."""

    outcome: Outcome
    codes: tuple[str, ...]
    """The faults of the first cycle that found any."""
    cycles: int | None
    category: int | None
    """The most severe stop that ran."""
    travel: float
    """Largest way of a joint from the beginning of the fault to rest (detected), rad."""
    dq: float
    """Largest difference of a joint from the fault-free run (harmless, missed), rad."""
    dtau: float
    """The same for our torque, N·m."""
    dforce: float
    """The same for the contact force, N."""
    seen: tuple[str, ...]
    """Counters of the drivers that the fault moved."""

    def text(self) -> str:
        """In the words of the table."""
        if self.outcome in (Outcome.DETECTED, Outcome.WRONG_STOP):
            mark = "" if self.outcome is Outcome.DETECTED else f"**{self.outcome.value}** "
            codes = ", ".join(f"`{code}`" for code in self.codes)
            return f"{mark}{codes} in {self.cycles}, cat. {self.category}, {self.travel * 1e3:.2g} mrad"
        figures = f"{self.dq * 1e3:.2g} mrad, {self.dtau:.2g} N·m, {self.dforce:.2g} N"
        return f"harmless: {figures}" if self.outcome is Outcome.HARMLESS else f"**missed**: {figures}"


def judge(trial: Trial, free: Trial) -> Verdict:
    """``trial`` with a fault against ``free``, the run of the same seed and phase without one."""
    n, watched = min(len(trial.q), len(free.q)), round(WATCH * 1e3)
    found = trial.cycles is not None and trial.cycles <= watched
    if not found:
        n = min(n, watched)  # the ordinary end of the trial is no part of it
    dq = float(np.abs(trial.q[:n] - free.q[:n]).max())
    dtau = float(np.abs(trial.tau[:n] - free.tau[:n]).max())
    dforce = float(np.linalg.norm(trial.force[:n] - free.force[:n], axis=1).max())
    moved = {name: count - free.counters.get(name, 0) for name, count in trial.counters.items()}
    seen = tuple(f"{name} {count}" for name, count in sorted(moved.items()) if count > 0)
    codes = tuple(code.value for code in trial.latched) if found else ()
    travel = float(np.abs(trial.q - trial.q[0]).max())
    if found:
        wanted = min(SPECS[code].category for code in trial.latched)
        right = trial.standing and trial.category is not None and trial.category <= int(wanted)
        outcome = Outcome.DETECTED if right else Outcome.WRONG_STOP
    elif dq <= Q_BOUND and dtau <= TAU_BOUND and dforce <= FORCE_BOUND and trial.standing:
        outcome = Outcome.HARMLESS
    else:
        outcome = Outcome.MISSED
    return Verdict(outcome, codes, trial.cycles if found else None, trial.category, travel, dq, dtau, dforce, seen)

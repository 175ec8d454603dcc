"""What a trial on the CAN cell says: does it hold what its case asks for?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hil.campaigns.can_catalogue import Case
from hil.campaigns.can_trials import WATCH, Trial
from hil.campaigns.verdicts import FORCE_BOUND, Q_BOUND, TAU_BOUND
from safety.faults import SPECS, FaultCode


@dataclass(frozen=True)
class Verdict:
    """One row of the table."""

    found: bool
    """A fault was latched; otherwise the arm moved as without it."""
    codes: tuple[str, ...]
    headline: str
    cycles: int | None
    """Cycles until it was found; of a dead supervisor: until no drive obeyed it any more."""
    gone: int | None
    braked: int | None
    category: int | None
    travel: float
    """rad"""
    reach: float
    """m"""
    dq: float
    """Largest difference of a joint from the run without a fault until it was found, rad."""
    dtau: float
    """The same for the torque, N·m."""
    reconnected: str
    broken: tuple[str, ...]
    """What does not hold; empty where all does."""


def judge(case: Case, trial: Trial, free: Trial) -> Verdict:
    """``trial`` of ``case`` against ``free``, the run of the same seed without a fault."""
    watched = round(WATCH * 1e3)
    found = bool(trial.codes) and trial.cycles is not None and trial.cycles * trial.ticks_per_cycle <= watched
    until = (trial.cycles or 0) * trial.ticks_per_cycle if found else watched
    n = min(until, len(trial.q), len(free.q)) if not case.killed else 1
    dq = float(np.abs(trial.q[:n] - free.q[:n]).max(initial=0.0))
    dtau = float(np.abs(trial.tau[:n] - free.tau[:n]).max(initial=0.0))
    dforce = float(np.abs(trial.force[:n] - free.force[:n]).max(initial=0.0))
    cycles = trial.gone if case.killed else trial.cycles if found else None
    broken = list(_always(case, trial))
    if case.killed or found:
        if cycles is None or cycles > case.within:
            broken.append(f"late: {cycles} cycles, allowed are {case.within}")
        broken += [f"the message does not say {word!r}" for word in case.says if word not in trial.headline]
        if not case.says:
            broken.append("found, and should not be")
        if not dq <= Q_BOUND and not case.unseen:
            broken.append(f"the arm was off by {dq * 1e3:.2g} mrad before it was found")
    elif not case.harmless:
        broken.append("missed")
    elif not case.unseen and not (dq <= Q_BOUND and dtau <= TAU_BOUND and dforce <= FORCE_BOUND):
        broken.append(f"missed, and not harmless: {dq * 1e3:.2g} mrad, {dtau:.2g} N·m, {dforce:.2g} N")
    if found and not case.killed:
        wanted = int(min(SPECS[FaultCode(code)].category for code in trial.codes))
        if trial.category is None or trial.category > wanted:
            broken.append(f"stop of category {trial.category}, wanted is {wanted}")
    return Verdict(
        found=found or case.killed,
        codes=trial.codes if found else (),
        headline=trial.headline if found or case.killed else "",
        cycles=cycles,
        gone=trial.gone,
        braked=trial.braked,
        category=trial.category,
        travel=trial.travel,
        reach=trial.reach,
        dq=dq,
        dtau=dtau,
        reconnected=trial.reconnected,
        broken=tuple(broken),
    )


def _always(case: Case, trial: Trial) -> list[str]:
    """What must hold whatever fails."""
    broken = []
    if trial.crash:
        broken.append(f"an exception left the cycle: {trial.crash}")
    if not trial.activations:
        broken.append("the fault was never active")
    if not trial.standing:
        broken.append("the arm does not stand with closed brakes at the end")
    if trial.returned:
        broken.append("something enabled itself")
    if case.reconnects and trial.reconnected != "ready":
        broken.append(f"connecting again: {trial.reconnected}")
    return broken

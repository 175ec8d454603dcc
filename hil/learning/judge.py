"""Whether a residual model is fit for use, in one sentence, and the figures as plain JSON types."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from hil.learning.evaluate import Evaluation
from hil.learning.score import Score

COVERAGE = (0.85, 0.99)
"""Where the share of errors within the 95 % band should lie: below, the band is not true; above, it says little."""


def against(evaluation: Evaluation) -> list[str]:
    """Why the model should not be used, in words with what to do; empty where it is fit for use."""
    found: list[str] = []
    free, force = evaluation.free, evaluation.force
    if free is not None and not float(free.after.mean()) < float(free.before.mean()):
        worse = ", ".join(f"A{j + 1}" for j in np.flatnonzero(free.after >= free.before))
        found.append(
            f"the learnt mean leaves {free.after.mean():.2f} N·m of {free.before.mean():.2f} (worse on {worse}): "
            "the friction is another one than in training, train anew with new runs"
        )
    if force is not None and not _norm(force.wrench) < _norm(force.momentum):
        found.append(
            f"against the force sensor it is off by {_norm(force.wrench):.1f} N, the momentum observer by "
            f"{_norm(force.momentum):.1f} N: it does not pay here, train with motions near those of the task"
        )
    return found


def doubts(evaluation: Evaluation) -> list[str]:
    """Why the uncertainty that the model states should not be relied on; empty where it is true."""
    free = evaluation.free
    if free is None:
        return []
    return [
        f"{where} the 95 % band holds only {score.coverage.mean():.0%} of the errors"
        for where, score in (("in free motion", free.estimate), ("under virtual contacts", free.contacts))
        if not float(score.coverage.mean()) >= COVERAGE[0]
    ]


def reservations(evaluation: Evaluation) -> list[str]:
    """What is not as good as it should be, without making the model useless."""
    found: list[str] = []
    free = evaluation.free
    if evaluation.seen:
        found.append("runs of its own training are among those scored")
    if free is not None:
        if not float(free.contacts.coverage.mean()) <= COVERAGE[1]:
            found.append(f"the band is wider than it need be ({free.contacts.coverage.mean():.1%} inside)")
        if not float(free.contacts.nll.sum()) < float(free.contacts.nll_constant.sum()):
            found.append("a constant uncertainty would be as likely as its own")
    return found


def verdict(evaluation: Evaluation) -> tuple[bool, str]:
    """Fit for use or not, and the sentence that says so."""
    reasons = against(evaluation)
    if reasons:
        return False, f"Not fit for use: {'; '.join(reasons)}."
    parts = []
    free, force = evaluation.free, evaluation.force
    if free is not None:
        saved = 1.0 - float(free.after.mean() / free.before.mean())
        parts.append(
            f"the learnt mean takes {saved:.0%} off the residual torque, and the 95 % band holds "
            f"{free.contacts.coverage.mean():.0%} of the errors under virtual contacts"
        )
    if force is not None:
        parts.append(
            f"in contact the force is off by {_norm(force.wrench):.1f} N rms, its axes together (momentum observer: "
            f"{_norm(force.momentum):.1f} N)"
        )
    parts += [f"but {each}" for each in reservations(evaluation)]
    if untrue := doubts(evaluation):
        return False, (
            f"Only the estimate is fit for use, its uncertainty is not: {'; '.join(untrue)}. Whatever judges by the "
            f"band would see contacts that are none; train anew, with motions like these. Else: {'; '.join(parts)}."
        )
    return True, f"Fit for use: {'; '.join(parts)}."


def to_json(evaluation: Evaluation) -> dict[str, Any]:
    """Every figure, without what is for pictures only; NaN becomes null."""
    fit, sentence = verdict(evaluation)
    plain = _plain(dataclasses.asdict(evaluation))
    for part, pictures in (("free", "points"), ("force", "traces")):
        if plain[part] is not None:
            del plain[part][pictures]
    return {"fit": fit, "verdict": sentence, **plain}


def _norm(score: Score) -> float:
    """RMS of the error of the whole force vector, N."""
    return float(np.linalg.norm(score.rms[:3]))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value

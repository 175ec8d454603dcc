"""Contact detection: pulses added to free runs, thresholds from the calibration run alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.kvark import injection, scoring
from estimators.kvark.methods import Tuned
from estimators.kvark.replay import Measured
from hil.reproduce.kvark.calibration import Calibrated, statistic

Array = npt.NDArray[np.float64]

PULSE = 30.0
"""Height of a pulse, N."""
LENGTH = 0.25
"""Of a pulse, s."""
EVERY = 1.0
"""Between the beginnings of two pulses, s."""
_MERGE = 0.5
"""Crossings closer than this are one alarm, s."""


def pulses(samples: int, dt: float, rng: np.random.Generator) -> tuple[Array, list[int]]:
    """Wrenches (samples, 6) of haversine pulses in random directions, and the rows at which they begin."""
    F, begins = np.zeros((samples, 6)), []
    length = round(LENGTH / dt)
    shape = 0.5 * (1.0 - np.cos(2.0 * math.pi * np.arange(length) / length))
    for at in range(round((scoring.SKIP + 0.5) / dt), samples - 2 * length, round(EVERY / dt)):
        direction = rng.standard_normal(3)
        F[at : at + length, :3] = PULSE * shape[:, None] * direction / np.linalg.norm(direction)
        begins.append(at)
    return F, begins


def detect(tuned: Tuned, recordings: Sequence[Measured], calibrated: Calibrated, seed: int = 2) -> dict[str, Any]:
    """Rate, median delay (s) and false alarms per minute over contact-free ``recordings``, without and with pulses."""
    rng, found, pulses_all, alarms, minutes = np.random.default_rng(seed), [], 0, 0, 0.0
    for each in recordings:
        dt = each.dt
        length, limit = round(LENGTH / dt), calibrated.threshold
        rows = np.flatnonzero(statistic(tuned, each, calibrated.scale) > limit)
        alarms += int(len(rows) > 0) + int(np.sum(np.diff(rows) > round(_MERGE / dt)))
        minutes += (len(each.y) * dt - scoring.SKIP) / 60.0
        F, begins = pulses(len(each.y), dt, rng)
        over = statistic(tuned, each, calibrated.scale, injection.torques(each.J, F)) > limit
        for at in begins:
            pulses_all += 1
            # An alarm that stands already when the pulse begins has not detected it.
            hits = np.flatnonzero(over[at : at + length])
            if len(hits) and not over[at]:
                found.append(float(hits[0]) * dt)
    return {
        "rate": len(found) / pulses_all if pulses_all else math.nan,
        "delay": float(np.median(found)) if found else None,
        "false_per_minute": alarms / minutes,
        "pulses": pulses_all,
    }

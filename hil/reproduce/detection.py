"""Contact detection: pulses added to free runs, thresholds from the calibration run alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.kvark import injection
from hil.reproduce.case import CALIBRATE, FREE
from hil.reproduce.filtering import SETTLE, Seer, Tuned, estimate, spread
from hil.reproduce.methods import Method

Array = npt.NDArray[np.float64]

PULSE = 30.0
"""Height of a pulse, N."""
LENGTH = 0.25
"""Of a pulse, s."""
EVERY = 1.0
"""Between the beginnings of two pulses, s."""
MARGIN = 1.2
"""Threshold over the largest value that the calibration run, free of contact, shows."""
_MERGE = 0.5
"""Crossings closer than this are one alarm, s."""


def statistic(method: Method, tuned: Tuned, seer: Seer, name: str, scale: float, constant: Array,
              extra: Array | None = None) -> Array:  # fmt: skip
    """Largest |estimate| over predicted standard deviation of any joint, (m,)."""
    seen, dt = seer(name), seer.case.dt
    x, P = estimate(method, tuned, seen, dt, extra)
    largest: Array = np.max(np.abs(x) / (scale * np.sqrt(spread(method, P, seen, constant))), axis=1)
    largest[: round(SETTLE / dt)] = 0.0
    return largest


def threshold(method: Method, tuned: Tuned, seer: Seer, scale: float, constant: Array) -> float:
    """From the calibration run: never from what is scored."""
    return MARGIN * float(statistic(method, tuned, seer, CALIBRATE, scale, constant).max())


def pulses(samples: int, dt: float, rng: np.random.Generator) -> tuple[Array, list[int]]:
    """Wrenches (samples, 6) of haversine pulses in random directions, and the rows at which they begin."""
    F, begins = np.zeros((samples, 6)), []
    length = round(LENGTH / dt)
    shape = 0.5 * (1.0 - np.cos(2.0 * math.pi * np.arange(length) / length))
    for at in range(round((SETTLE + 0.5) / dt), samples - 2 * length, round(EVERY / dt)):
        direction = rng.standard_normal(3)
        F[at : at + length, :3] = PULSE * shape[:, None] * direction / np.linalg.norm(direction)
        begins.append(at)
    return F, begins


def score(
    method: Method, tuned: Tuned, seer: Seer, scale: float, constant: Array, limit: float, seed: int = 2
) -> dict[str, Any]:
    """Rate, median delay (s) and false alarms per minute over the free tests."""
    dt, rng = seer.case.dt, np.random.default_rng(seed)
    found, all_pulses, alarms, minutes = [], 0, 0, 0.0
    length, merge = round(LENGTH / dt), round(_MERGE / dt)
    for name in FREE:
        seen = seer(name)
        quiet = statistic(method, tuned, seer, name, scale, constant) > limit
        rows = np.flatnonzero(quiet)
        alarms += int(len(rows) > 0) + int(np.sum(np.diff(rows) > merge))
        minutes += (len(seen.y) * dt - SETTLE) / 60.0
        F, begins = pulses(len(seen.y), dt, rng)
        over = statistic(method, tuned, seer, name, scale, constant, injection.torques(seen.J, F)) > limit
        for at in begins:
            all_pulses += 1
            # An alarm that stands already when the pulse begins has not detected it.
            hits = np.flatnonzero(over[at : at + length])
            if len(hits) and not over[at]:
                found.append(float(hits[0]) * dt)
    return {
        "rate": len(found) / all_pulses if all_pulses else math.nan,
        "delay": float(np.median(found)) if found else None,
        "false_per_minute": alarms / minutes,
        "pulses": all_pulses,
        "threshold": limit,
    }

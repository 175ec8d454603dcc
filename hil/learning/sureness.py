"""How sure a trained filter is: its reported band, and when it calls something a contact, from pieces held out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators.errors import ParameterError
from estimators.kvark.band import Banded, BandParams, replay
from estimators.kvark.calibration import BAND, SETTLE, Case, Recording, calibrate, cases
from estimators.kvark.detection import BLOCK, statistics, threshold
from estimators.kvark.recursion import RecursionParams

Array = npt.NDArray[np.float64]

PIECES = 2
"""Pieces held out below which no band is calibrated: what one half made is tried on the other."""
MOST = 240.0
"""Seconds held out of which more would only cost time: whole pieces beyond it are left out."""


@dataclass(frozen=True, slots=True, eq=False)
class Sureness:
    """Band and threshold, and what the other half of the held-out pieces says of each half's."""

    band: BandParams
    limit: float
    """Threshold of contact detection."""
    coverage: float
    """Share of errors within the 95 % band of the half that did not calibrate it."""
    alarms: float
    """False alarms per minute on the half that did not set the threshold."""
    minutes: float
    """Contact-free time in which they were counted."""


def sureness(recordings: Sequence[Recording], params: RecursionParams, speed: Array, seed: int = 0) -> Sureness:
    """Calibrate on ``recordings``, contact-free and not trained on; ``speed`` (n,) rad/s: the highest trained ones.

    Both are made from all of them; coverage and alarms come from making them on each half alone and trying them on the
    other, with virtual contacts and drift of another seed. Raises ParameterError where there is too little.
    """
    recordings = _most(recordings)
    if len(recordings) < PIECES:
        raise ParameterError(
            f"{len(recordings)} piece held out, a band needs {PIECES}: what one half made is tried on the other"
        )
    band, limit = _made(recordings, params, speed, seed)
    inside: list[npt.NDArray[np.bool_]] = []
    alarms, minutes = 0, 0.0
    for mine, others in ((recordings[::2], recordings[1::2]), (recordings[1::2], recordings[::2])):
        half, its_limit = _made(mine, params, speed, seed)
        for case in cases(others, seed + 1):
            found = through(case, params, half)
            skip = round(SETTLE / case.recording.dt)
            error = np.abs(found.x - case.tau_ext)[skip:]
            inside.append(error < BAND * np.sqrt(found.variance(half)[skip:]))
            if not case.tau_ext.any():
                alarms += _alarms(statistics(case.recording, case.y, found, half)[skip:], its_limit, case.recording.dt)
                minutes += len(error) * case.recording.dt / 60.0
    return Sureness(band, limit, float(np.concatenate(inside).mean()), alarms / minutes, minutes)


def through(case: Case, params: RecursionParams, band: BandParams) -> Banded:
    """``case`` through filter and band."""
    r = case.recording
    return replay(r.q, r.qd, case.y, r.mean, r.variance, r.dt, params, band)


def _made(
    recordings: Sequence[Recording], params: RecursionParams, speed: Array, seed: int
) -> tuple[BandParams, float]:
    band = calibrate(recordings, params, speed, seed).band
    quiet = []
    for case in cases(recordings, seed):
        if not case.tau_ext.any():
            found = statistics(case.recording, case.y, through(case, params, band), band)
            quiet.append(found[round(SETTLE / case.recording.dt) :])
    return band, threshold(quiet, recordings[0].dt)


def _most(recordings: Sequence[Recording]) -> Sequence[Recording]:
    """Whole recordings up to :data:`MOST`, the first in any case, spread over all."""
    total = sum(len(each.y) * each.dt for each in recordings)
    every = max(1, math.ceil(total / MOST))
    return recordings[::every]


def _alarms(level: Array, limit: float, dt: float) -> int:
    """Times that ``level`` passes ``limit``; one within :data:`BLOCK` of the last belongs to it."""
    above = np.flatnonzero(level >= limit)
    return int(len(above) > 0) + int(np.count_nonzero(np.diff(above) > round(BLOCK / dt)))

"""What the calibration run, and it alone, says: the scale of the reported band, and the threshold of detection."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from estimators.kvark import injection, scoring
from estimators.kvark.methods import Tuned
from estimators.kvark.replay import Measured

Array = npt.NDArray[np.float64]

BAND = 1.959963984540054
MARGIN = 1.2
"""Threshold over the largest value that the calibration run shows without contact."""


class Calibrated(NamedTuple):
    """See the module."""

    scale: float
    """Factor on the standard deviation: with it 95 % of the errors under virtual contacts lie in the band."""
    constant: Array
    """Variance (n,) (N·m)² of those errors: what a method without any idea of its error would state."""
    threshold: float
    """Of :func:`statistic`."""


def calibrate(tuned: Tuned, recording: Measured, seed: int = 1) -> Calibrated:
    """From one contact-free recording with virtual contacts added."""
    dt, first = recording.dt, round(scoring.SKIP / recording.dt)
    extra = injection.torques(recording.J, injection.contacts(len(recording.y), dt, np.random.default_rng(seed)))
    (x, _, _), variance = tuned.replay(_with(recording, extra))
    error = (x - extra)[first:]
    scale = float(np.quantile(np.abs(error) / np.sqrt(variance[first:]), 0.95)) / BAND
    quiet = float(statistic(tuned, recording, scale).max())
    return Calibrated(scale, np.mean(error**2, axis=0), MARGIN * quiet)


def _with(recording: Measured, extra: Array) -> Measured:
    """The recording under additional external torque (m, n) N·m."""
    return Measured(recording.y + extra, recording.variance, recording.J, recording.dt)


def statistic(tuned: Tuned, recording: Measured, scale: float, extra: Array | None = None) -> Array:
    """Largest |estimate| over stated standard deviation of any joint, (m,); 0 while the observer settles."""
    (x, _, _), variance = tuned.replay(recording if extra is None else _with(recording, extra))
    largest: Array = np.max(np.abs(x) / (scale * np.sqrt(variance)), axis=1)
    largest[: round(scoring.SKIP / recording.dt)] = 0.0
    return largest

"""From recorded runs of a cell to a trained K-VARK model: residual torque over velocity, filter, calibration.

Everything is chosen by pieces that were not trained on, and the filter by virtual contacts added to them, so that no
contact needs to be recorded and nothing is set by hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from estimators import virtual_measurement
from estimators.errors import ParameterError
from estimators.kvark import tuning
from estimators.kvark.artefact import TrainedKvark
from estimators.kvark.replay import Measured
from estimators.residual import kmp, train
from estimators.residual.velocity import VelocityResidual
from hil.build import build_model
from hil.cell import Cell
from hil.learning.segments import Segment, segments_of, split
from hil.telemetry.log import read_log

Array = npt.NDArray[np.float64]

LEAST = 20.0
"""Seconds of free motion below which nothing is trained."""
_COVERED = 1.959963984540054


class TrainingError(ValueError):
    """Recordings that nothing can be learnt from; the message says what to record."""


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """The model, and what is to be told about it."""

    model: TrainedKvark
    seconds: float
    """Free motion trained on, s."""
    held_out: tuple[str, ...]
    """Pieces that judged."""
    before: Array
    """RMS of the residual on the held-out pieces, (n,) N·m: what the rigid-body model alone is off by."""
    after: Array
    """The same with the learnt mean."""
    injected: Array
    """RMS error of the estimate under virtual contacts on the held-out pieces, (n,) N·m."""
    coverage: float
    """Share of those errors within the 95 % band, after calibration."""


def train_residual(
    cell: Cell, logs: Sequence[Path], progress: Callable[[str, float], None] | None = None, seed: int = 0
) -> Trained:
    """Learn from ``logs`` of ``cell``; ``progress(what, share)`` is told how far it is.

    Raises TrainingError; LogError for files that are none; ModelError for a URDF that is none.
    """
    tell = progress or (lambda what, share: None)
    lag = cell.observer.delay_ticks
    if lag > 1:
        raise TrainingError(f"observer.delay_ticks is {lag}; K-VARK takes torques that lag by 0 or 1 ticks")
    model = build_model(cell)
    segments: list[Segment] = []
    for k, path in enumerate(logs):
        tell("reading", k / len(logs))
        segments += segments_of(read_log(path))
    if any(each.q.shape[1] != model.n for each in segments):
        raise TrainingError(f"the logs are of another arm: the cell's robot has {model.n} joints")
    train_on, judge = split(segments)
    seconds = sum(each.seconds for each in train_on)
    if seconds < LEAST or not judge:
        raise TrainingError(
            f"{seconds:.0f} s of free motion to train on in {len(segments)} pieces, {len(judge)} to judge by; expected "
            f"at least {LEAST:.0f} s and two pieces: record several motions that use all joints, without contact"
        )
    measured: dict[str, tuple[Array, Array]] = {}
    for k, each in enumerate((*train_on, *judge)):
        tell("momentum", k / len(segments))
        measured[each.name] = virtual_measurement.replay(model, each.q, each.qd, each.tau, each.dt, lag)
    labels, held = _labels(train_on, measured), _labels(judge, measured)
    try:
        fits = train.fit_arm(*labels, *held, seed=seed, progress=lambda j: tell("residual models", (j + 1) / model.n))
    except ParameterError as error:
        raise TrainingError(f"{error}; record motions that use every joint in both directions") from error
    tables = kmp.tabulate([each.kmp for each in fits])
    tests = tuning.cases([_measured(each, *measured[each.name], tables) for each in judge], seed)
    try:
        tuned = tuning.tune(tests, progress=lambda share: tell("filter", share))
    except ParameterError as error:
        raise TrainingError(str(error)) from error
    errors, sigma = tuned.errors, tuned.sigma
    scale = float(np.quantile(np.abs(errors) / sigma, 0.95)) / _COVERED
    coverage = float(np.mean(np.abs(errors) < _COVERED * scale * sigma))
    robot = hashlib.sha256(cell.urdf_xml.encode()).hexdigest()
    provenance = {
        "cell": cell.name,
        "digest": cell.digest(),
        "logs": [path.name for path in logs],
        "pieces": [each.name for each in train_on],
        "held_out": [each.name for each in judge],
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "seed": seed,
    }
    return Trained(
        TrainedKvark(
            VelocityResidual(tables), tuned.params, robot, scale=scale, lag=lag, provenance=provenance
        ),
        seconds,
        tuple(each.name for each in judge),
        np.sqrt(np.mean(held[1] ** 2, axis=0)),
        np.array([each.rmse for each in fits]),
        np.sqrt(np.mean(errors**2, axis=0)),
        coverage,
    )


def _labels(segments: Sequence[Segment], measured: dict[str, tuple[Array, Array]]) -> tuple[Array, Array]:
    pairs = [virtual_measurement.labels(each.qd, measured[each.name][0], each.dt) for each in segments]
    return np.concatenate([s for s, _ in pairs]), np.concatenate([tau for _, tau in pairs])


def _measured(segment: Segment, y: Array, J: Array, tables: kmp.Tables) -> Measured:
    """A held-out piece as the filter gets it: with mean and variance of the sample before."""
    mean, variance = tables.along(np.vstack((segment.qd[:1], segment.qd[:-1])))
    return Measured(y + mean, variance, J, segment.dt)

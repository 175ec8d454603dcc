"""From recorded runs of a cell to a trained observer: residual torque, filter, calibration.

Everything is chosen by pieces that were not trained on, and the filter by virtual contacts added to them, so that no
contact needs to be recorded and nothing is set by hand. So is the method, where none is asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.errors import ParameterError
from estimators.kvark import tuning
from estimators.kvark.artefact import CONTACT, TrainedKvark
from estimators.kvark.calibration import Case
from estimators.kvark.replay import Measured
from hil.build import build_model
from hil.cell import Cell
from hil.cell.devices import CobotRobot
from hil.learning.candidates import METHODS, Recordings, left_over
from hil.learning.segments import segments_of, split
from hil.learning.sureness import Sureness, sureness, through
from hil.store.page import fingerprints, package_versions
from hil.telemetry.log import read_log

Array = npt.NDArray[np.float64]
Tell = Callable[[str, float], None]

LEAST = 20.0
"""Seconds of free motion below which nothing is trained."""
_LEVEL = 0.1
"""Part by which friction may have drifted since: between the 8 and 12 % at which simulated drift was covered."""
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
    """Share of errors under virtual contacts within the 95 % band: with a band on pieces that did not calibrate it,
    with the plain scale on those that did."""
    tried: Mapping[str, float]
    """Mean over the joints of ``injected`` of each method that was tried, by the filter alone."""
    sure: Sureness | None = None
    """None where the band is the plain scale."""
    why_plain: str = ""
    """Why it is; empty where it is not."""


def train_residual(
    cell: Cell,
    logs: Sequence[Path],
    progress: Tell | None = None,
    seed: int = 0,
    methods: Sequence[str] = tuple(METHODS),
) -> Trained:
    """Learn from ``logs`` of ``cell``; ``progress(what, share)`` is told how far it is.

    ``methods``: of :data:`hil.learning.candidates.METHODS`; of several, that of least error under virtual contacts on
    the held-out pieces. Raises TrainingError; LogError for files that are none, OSError for those that go meanwhile;
    ModelError for a URDF that is none.
    """
    tell = progress or (lambda what, share: None)
    recordings = _recordings(cell, logs, tell)
    judge = recordings.judge
    before = left_over(judge, build_model(cell), None, recordings.lag)[1]
    provenance = {
        "cell": cell.name,
        "digest": cell.digest(),
        "data": [each.model_dump(mode="json") for each in fingerprints(logs)],
        "versions": package_versions(("scikit-learn", "numba")),
        "pieces": [each.name for each in recordings.train],
        "held_out": [each.name for each in judge],
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "seed": seed,
    }
    found = [_candidate(cell, recordings, method, tell, seed, provenance) for method in methods]
    best = min(found, key=lambda each: float(each.injected.mean()))
    tell("band", 0.0)
    best, sure, why_plain = _sure(best, recordings, seed)
    return Trained(
        best.model,
        sum(each.seconds for each in recordings.train),
        tuple(each.name for each in judge),
        _rms(before),
        best.after,
        best.injected,
        best.coverage if sure is None else sure.coverage,
        {each.model.method: float(each.injected.mean()) for each in found},
        sure,
        why_plain,
    )


def _recordings(cell: Cell, logs: Sequence[Path], tell: Tell) -> Recordings:
    lag = cell.observer.delay_ticks
    if lag > 1:
        raise TrainingError(f"observer.delay_ticks is {lag}; K-VARK takes torques that lag by 0 or 1 ticks")
    segments = []
    for k, path in enumerate(logs):
        tell("reading", k / len(logs))
        segments += segments_of(read_log(path))
    n = cell.robot.joint_limits.n
    if any(each.q.shape[1] != n for each in segments):
        raise TrainingError(f"the logs are of another arm: the cell's robot has {n} joints")
    train, judge = split(segments)
    seconds = sum(each.seconds for each in train)
    if seconds < LEAST or not judge:
        raise TrainingError(
            f"{seconds:.0f} s of free motion to train on in {len(segments)} pieces, {len(judge)} to judge by; expected "
            f"at least {LEAST:.0f} s and two pieces: record several motions that use all joints, without contact"
        )
    # A strain wave gear's ripple has two periods in a revolution of its motor.
    robot = cell.robot
    gears = {drive.gear for drive in robot.can.drives} if isinstance(robot, CobotRobot) else set()
    return Recordings(train, judge, lag, tuple(sorted(2.0 * gear for gear in gears)))


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    model: TrainedKvark
    after: Array
    """RMS of what the learnt mean leaves."""
    injected: Array
    """RMS error under virtual contacts."""
    coverage: float
    """Of the plain scale."""
    cases: Sequence[Case]
    """Held-out pieces under virtual contacts."""


def _candidate(
    cell: Cell, recordings: Recordings, method: str, tell: Tell, seed: int, provenance: Mapping[str, Any]
) -> _Candidate:
    model = build_model(cell)
    try:
        residual = METHODS[method](model, recordings, seed, lambda share: tell(f"{method}: residual", share))
    except ParameterError as error:
        raise TrainingError(f"{error}; record motions that use every joint in both directions") from error
    after = _rms(left_over(recordings.judge, model, residual, recordings.lag)[1])
    pieces = list(recordings.measured(model, residual))
    tests = tuning.cases([Measured(each.y, each.variance, each.J, each.dt) for each in pieces], seed)
    try:
        tuned = tuning.tune(tests, progress=lambda share: tell(f"{method}: filter", share))
    except ParameterError as error:
        raise TrainingError(str(error)) from error
    errors, sigma = tuned.errors, tuned.sigma
    scale = float(np.quantile(np.abs(errors) / sigma, 0.95)) / _COVERED
    coverage = float(np.mean(np.abs(errors) < _COVERED * scale * sigma))
    robot = hashlib.sha256(cell.urdf_xml.encode()).hexdigest()
    trained = TrainedKvark(
        residual, tuned.params, robot, method, scale=scale, level=_LEVEL, lag=recordings.lag, provenance=provenance
    )
    cases = [Case(piece, test.y, test.tau_ext) for piece, test in zip(pieces, tests, strict=True)]
    return _Candidate(trained, after, _rms(errors), coverage, cases)


def _sure(best: _Candidate, recordings: Recordings, seed: int) -> tuple[_Candidate, Sureness | None, str]:
    """``best`` with band and threshold where the data are enough for them, and why not where they are not."""
    try:
        found = sureness([each.recording for each in best.cases], best.model.params, recordings.speed, seed)
    except ParameterError as error:
        return best, None, str(error)
    errors = []
    for case in best.cases:
        x = through(case, best.model.params, found.band).x
        errors.append((x - case.tau_ext)[round(tuning.SETTLE / case.recording.dt) :])
    model = replace(best.model, band=found.band, thresholds={CONTACT: found.limit})
    return replace(best, model=model, injected=_rms(np.concatenate(errors))), found, ""


def _rms(values: Array) -> Array:
    rms: Array = np.sqrt(np.mean(values**2, axis=0))
    return rms

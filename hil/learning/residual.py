"""From recorded runs of a cell to a trained K-VARK model: residual torque over velocity, filter, calibration.

Everything is chosen by pieces that were not trained on, and the filter by virtual contacts added to them, so that no
contact needs to be recorded and nothing is set by hand.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from estimators import virtual_measurement
from estimators.errors import ParameterError
from estimators.kvark import injection
from estimators.kvark.artefact import TrainedKvark
from estimators.kvark.recursion import RecursionParams
from estimators.kvark.replay import replay
from estimators.residual import kmp, train
from estimators.residual.velocity import VelocityResidual
from hil.build import build_model
from hil.cell import Cell
from hil.learning.segments import Segment, segments_of, split
from hil.telemetry.log import read_log

Array = npt.NDArray[np.float64]

LEAST = 20.0
"""Seconds of free motion below which nothing is trained."""
_KAPPA = 10.0 ** np.arange(-4.0, 3.1, 0.5)
_COLOUR = (1.0, 10.0, 100.0, 1000.0)
_WINDOW = (0.1, 0.3, 1.0)
_SETTLE = 0.5
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
    params, errors, sigma = _tune(judge, measured, tables, tell, seed)
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
            VelocityResidual(tables), params, robot, scale=scale, lag=lag, provenance=provenance
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


def _tune(
    judge: Sequence[Segment],
    measured: dict[str, tuple[Array, Array]],
    tables: kmp.Tables,
    tell: Callable[[str, float], None],
    seed: int,
) -> tuple[RecursionParams, Array, Array]:
    """The filter of least error under virtual contacts; its errors and reported standard deviations, (k, n)."""
    rng = np.random.default_rng(seed)
    cases = []
    for each in judge:
        y, J = measured[each.name]
        at = [tables.at(row) for row in np.vstack((each.qd[:1], each.qd[:-1]))]
        mean, variance = np.array([m for m, _ in at]), np.array([v for _, v in at])
        tau_ext = injection.torques(J, injection.contacts(len(y), each.dt, rng))
        cases.append((y + mean + tau_ext, variance, tau_ext, each.dt))
    changes = [np.diff(y[1:], axis=0) for y, _, _, _ in cases]
    r = 0.5 * np.concatenate(changes).var(axis=0)
    if not (np.isfinite(r).all() and (r > 0.0).all()):
        raise TrainingError("the virtual measurement does not vary on a joint: its encoder or torque is stuck")
    best: tuple[float, RecursionParams] | None = None
    grid = [(kappa, colour, window) for kappa in _KAPPA for colour in _COLOUR for window in _WINDOW]
    dt = cases[0][3]
    for k, (kappa, colour, window) in enumerate(grid):
        if k % 20 == 0:
            tell("filter", k / len(grid))
        params = RecursionParams(
            kappa * r * (1e-3 / dt), r, colour=colour, dt_colour=dt, adapt_r="off", window_q=window
        )
        error = math.sqrt(float(np.mean([np.mean(_errors(case, params)[0] ** 2) for case in cases])))
        if best is None or error < best[0]:
            best = (error, params)
    assert best is not None
    found = [_errors(case, best[1]) for case in cases]
    return best[1], np.concatenate([e for e, _ in found]), np.concatenate([s for _, s in found])


def _errors(case: tuple[Array, Array, Array, float], params: RecursionParams) -> tuple[Array, Array]:
    y, variance, tau_ext, dt = case
    x, P, _ = replay(y, variance, dt, params)
    skip = round(_SETTLE / dt)
    return (x - tau_ext)[skip:], np.sqrt(P + variance)[skip:]

"""A residual model on motion without contact: what is left of the residual torque, and the estimate with known truth.

The truth is zero there, and under *virtual* contacts, which are added to the recorded torque, it is what was added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators import virtual_measurement
from estimators.kvark import injection
from estimators.kvark.artefact import TrainedKvark
from estimators.observer import Observer
from estimators.residual.velocity import VelocityResidual
from estimators.rigid_body import RigidBodyModel
from hil.build import build_momentum
from hil.cell import Cell
from hil.learning.chosen import Chosen, along, observer_of, own_model
from hil.learning.replayed import replay
from hil.learning.score import SKIPPED, Errors, Score, Tell, rms, thin
from hil.learning.segments import Segment

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Residual torque over velocity, all (k, n): what was measured, and what the model says of it."""

    qd: Array
    """rad/s."""
    measured: Array
    """N·m, low-passed."""
    mean: Array
    """N·m."""
    sd: Array
    """N·m, of the residual model, times the plain calibrated factor."""


@dataclass(frozen=True, slots=True, eq=False)
class FreeScore:
    """On pieces without contact; arrays (n,), torques in N·m."""

    pieces: tuple[str, ...]
    seconds: float
    before: Array
    """RMS of the residual torque: what the rigid-body model alone is off by."""
    after: Array
    """RMS of what is left with the learnt mean."""
    bias: Array
    """Mean of what is left, measured minus learnt."""
    estimate: Score
    """Of the estimated external torque, which is zero there."""
    nis: float
    """Mean normalised innovation squared there; n is expected."""
    contacts: Score
    """Of the same under virtual contacts (:mod:`estimators.kvark.injection`), with known truth."""
    momentum: Array
    """RMS error of the cell's momentum observer under the same contacts."""
    points: Points


def score_free(
    cell: Cell, model: RigidBodyModel, chosen: Chosen, pieces: Sequence[Segment], tell: Tell, seed: int
) -> FreeScore:
    """Score ``chosen`` on ``pieces``, at least one, of ``cell``, whose rigid-body model is ``model``; ``seed``: of the
    virtual contacts."""
    trained, rng = chosen.trained, np.random.default_rng(seed)
    alone, contact = Errors(), Errors()
    residuals: list[Points] = []
    before: list[Array] = []
    own = own_model(cell, trained)
    nis: list[Array] = []
    momentum: list[Array] = []
    for k, each in enumerate(pieces):
        tell("free motion", k / len(pieces))
        y, J = virtual_measurement.replay(model, each.q, each.qd, each.tau, each.dt, trained.lag)
        before.append(virtual_measurement.labels(each.qd, y, each.dt)[1])
        residuals.append(_residual(trained, own, each))
        # A model with memory is told how the joints came to be where the piece begins.
        lead = 0 if isinstance(trained.residual, VelocityResidual) else each.lead
        q, qd, tau = each.with_lead() if lead else (each.q, each.qd, each.tau)
        skip = lead + round(SKIPPED / each.dt)
        (found,) = replay(model, [observer_of(cell, trained)], q, qd, tau, each.dt)
        alone.add(found.tau_ext[skip:], found.sd[skip:])
        nis.append(found.nis[skip:])
        added = injection.torques(J, injection.contacts(len(y), each.dt, rng))
        truth = np.vstack((np.zeros((lead, model.n)), added))
        # Row k of the truth, and of the estimate, is about the torque that acted in the step until sample k.
        acted = truth if trained.lag else np.vstack((truth[1:], truth[-1:]))
        observers: list[Observer] = [observer_of(cell, trained), build_momentum(cell)]
        both = replay(model, observers, q, qd, tau - acted, each.dt)
        contact.add((both[0].tau_ext - truth)[skip:], both[0].sd[skip:])
        momentum.append((both[1].tau_ext - truth)[skip:])
    tell("free motion", 1.0)
    speeds, measured, mean, sd = (
        np.concatenate([getattr(each, name) for each in residuals]) for name in ("qd", "measured", "mean", "sd")
    )
    left, error = measured - mean, np.concatenate(momentum)
    return FreeScore(
        tuple(each.name for each in pieces),
        sum(each.seconds for each in pieces),
        rms(np.concatenate(before)),
        rms(left),
        left.mean(axis=0),
        alone.score(),
        float(np.nanmean(np.concatenate(nis))),
        contact.score(),
        rms(error[np.isfinite(error).all(axis=1)]),
        Points(thin(speeds), thin(measured), thin(mean), thin(sd)),
    )


def _residual(trained: TrainedKvark, own: RigidBodyModel, piece: Segment) -> Points:
    """Labels as in training (low-passed, 100 a second), and what the model says at the same samples; ``own``: the
    rigid-body model that goes with it."""
    y, _ = virtual_measurement.replay(own, piece.q, piece.qd, piece.tau, piece.dt, trained.lag)
    learnt, variance = (part[piece.lead :] for part in along(trained, *piece.with_lead(), piece.dt))
    qd, measured = virtual_measurement.labels(piece.qd, y, piece.dt)
    every = max(1, round(1.0 / (virtual_measurement.LABEL_RATE * piece.dt)))
    # y of a step belongs to the velocity at its beginning.
    mean = virtual_measurement.smooth(learnt[:-1], piece.dt)[::every]
    return Points(qd, measured, mean, trained.scale * np.sqrt(variance[:-1][::every]))

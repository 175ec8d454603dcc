"""From samples to a trained model of inverse dynamics, judged on trajectories that nothing has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Literal

import numpy as np

from estimators.dynamics.base import DynamicsModel, History, Progress
from estimators.dynamics.fitting.export import export
from estimators.dynamics.fitting.grid import GridModel
from estimators.dynamics.fitting.lstm import LstmModel
from estimators.dynamics.fitting.options import CONFIGURATIONS, TrainOptions, plain
from estimators.dynamics.fitting.regression import SparseRegressionModel
from estimators.dynamics.fitting.variational import VariationalModel
from estimators.dynamics.prior import STRIBECK, Prior, regress
from estimators.dynamics.samples import Samples
from estimators.dynamics.scores import Scores, score
from estimators.dynamics.slip import RADII, STRIBECK_SPEEDS
from estimators.rigid_body import RigidBodyModel
from hil.learning.dynamics_data import DataError
from hil.learning.dynamics_split import Split

Family = Literal["svdkl", "svgp", "sgpr", "dkl", "lstm"]
Physics = Literal["none", "nominal", "regressed", "maxwell-slip"]
Size = Literal["small", "large"]
TRAVEL = 0.03
"""rad."""
WAIT = 300
"""Samples."""
PACKAGES = ("numpy", "torch", "gpytorch")


@dataclass(frozen=True, slots=True)
class Request:
    """What to train."""

    family: Family = "svdkl"
    size: Size = "small"
    physics: Physics = "none"
    seed: int = 0
    epochs: int | None = None
    """None: as the configuration has it."""
    device: str = "auto"


@dataclass(frozen=True, slots=True, eq=False)
class TrainedDynamics:
    """The model, and what is to be told about it."""

    model: DynamicsModel
    history: History
    scores: Scores
    """On the test trajectories."""
    physics: Scores | None
    """The same of the prior alone, with its own best constant variance; None: black box."""
    provenance: dict[str, object]
    held_out: Samples
    """The test trajectories: some of their samples go with the real-time predictor."""

    def save(self, path: Path) -> None:
        """The real-time predictor where the family has one, else the model itself. Raises OSError."""
        if isinstance(self.model, VariationalModel):
            export(self.model, self.provenance, self.held_out).save(path)
        else:
            self.model.save(path, self.provenance)


def make_model(request: Request, prior: Prior | None = None) -> DynamicsModel:
    """The untrained model of ``request``. Raises ParameterError."""
    kernel, train = CONFIGURATIONS[request.size]
    train = replace(train, seed=request.seed, device=request.device)

    def run(options: TrainOptions) -> TrainOptions:
        return options if request.epochs is None else replace(options, epochs=request.epochs)

    if request.family == "svdkl":
        return VariationalModel(kernel, run(train), prior)
    if request.family == "svgp":
        return VariationalModel(plain(kernel), run(train), prior)
    if request.family == "sgpr":
        return SparseRegressionModel(kernel, run(replace(train, epochs=150, patience=40)), prior)
    if request.family == "dkl":
        return GridModel(None, run(replace(train, epochs=60, rate_network=1e-2)), prior)
    return LstmModel(None, run(replace(train, epochs=40)), prior)


def train_dynamics(
    split: Split,
    request: Request,
    rigid_body: RigidBodyModel | None = None,
    provenance: Mapping[str, object] | None = None,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> TrainedDynamics:
    """Train on ``split.train``, stop and calibrate by ``split.validate``, judge on ``split.test``.

    Raises DataError where physics are asked for without ``rigid_body``, or memory would cross a random split;
    ParameterError and ModelError as :meth:`DynamicsModel.fit`.
    """
    if split.leaking and request.family == "lstm":
        raise DataError("the recurrent network needs whole trajectories, not a random split of their samples")
    if request.physics == "maxwell-slip":
        if split.leaking:
            raise DataError("friction that remembers needs whole trajectories, not a random split of their samples")
        split = Split(settled(split.train), settled(split.validate), settled(split.test))
    prior = _prior(request.physics, rigid_body, split.train)
    first = _first(prior, request)
    model = make_model(request, first)
    history = model.fit(split.train, split.validate, progress, checkpoint)
    if prior is not None and first is not prior:
        assert isinstance(model, VariationalModel)
        history.notes.append(model.recentre(prior, split.train, split.validate))
    mean, variance = model.predict(split.test)
    trained = split.train.tau.mean(axis=0), split.train.tau.var(axis=0)
    physics = None
    if prior is not None:
        alone = prior.of(split.test)
        spread = ((split.validate.tau - prior.of(split.validate)) ** 2).mean(axis=0)
        physics = score(split.test.tau, alone, spread + 0.0 * alone, *trained)
    about: dict[str, object] = {
        "family": request.family,
        "size": request.size,
        "physics": request.physics,
        "seed": request.seed,
        "epochs": len(history.steps),
        "best_epoch": history.best_epoch,
        "notes": history.notes,
        "split": split.about(),
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "train_mean": trained[0].tolist(),
        "train_var": trained[1].tolist(),
        **(provenance or {}),
    }
    scores = score(split.test.tau, mean, variance, *trained)
    return TrainedDynamics(model, history, scores, physics, about, split.test)


def settled(samples: Samples) -> Samples:
    """Without the beginning of each trajectory, where friction that remembers has not been told enough of the path:
    until every joint has moved :data:`TRAVEL`, for :data:`WAIT` at most."""
    kept = np.zeros(len(samples), dtype=bool)
    for number in samples.trajectories:
        rows = np.flatnonzero(samples.trajectory == number)
        way = np.abs(np.diff(samples.q[rows], axis=0)).cumsum(axis=0).min(axis=1)
        kept[rows[min(1 + int(np.searchsorted(way, TRAVEL)), WAIT, len(rows)) :]] = True
    return samples.at(kept)


def _first(prior: Prior | None, request: Request) -> Prior | None:
    """What features and kernel are learnt on: regressed friction with memory, but the nominal rigid body.

    Then the kernel knows by how much a rigid body may be wrong, which is what strange motion has to be met with; on
    what the regressed one leaves there is next to nothing to be learnt, and its σ would be the same everywhere.
    """
    if request.physics != "maxwell-slip" or prior is None or request.family not in ("svdkl", "svgp", "sgpr"):
        return prior
    return Prior(prior.model, None, prior.friction, radii=prior.radii, speeds=prior.speeds)


def _prior(physics: Physics, rigid_body: RigidBodyModel | None, train: Samples) -> Prior | None:
    if physics == "none":
        return None
    if rigid_body is None:
        raise DataError(f"physics {physics} needs a rigid-body model: name the cell with --cell, or --physics none")
    if rigid_body.n != train.n:
        raise DataError(f"the data have {train.n} joints, the cell has {rigid_body.n}: name the cell of this arm")
    if physics == "nominal":
        return Prior(rigid_body)
    if physics == "maxwell-slip":
        return regress(rigid_body, train, radii=RADII, speeds=STRIBECK_SPEEDS)
    return regress(rigid_body, train, widths=STRIBECK, loaded=True)

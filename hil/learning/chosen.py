"""Which trained residual model a cell's observer runs: the file that the cell names, or the stored version in use."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from estimators.errors import ModelError
from estimators.kvark.artefact import TrainedKvark, load, require_fit
from estimators.kvark.observer import KvarkObserver
from estimators.rigid_body import RigidBodyModel
from hil.build import build_model
from hil.cell import Cell
from hil.store import StoreError, store_of
from hil.store.disk import sha256

Array = npt.NDArray[np.float64]

KIND = "residual"
"""Of the artefacts in the store."""
FILE = "kvark.npz"
"""The file of each version."""


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """A model that fits the cell."""

    trained: TrainedKvark
    path: Path
    words: str
    """Which one it is, for log and report."""


def chosen(cell: Cell, model: str | None = None) -> Chosen:
    """The model that ``observer.model`` names, a path from the cell file's folder; without it the stored one in use.

    ``model``: a file (from the working folder) or the number of a stored version instead. Raises ModelError.
    """
    try:
        if model is None and cell.observer.model is not None:
            path = cell.path.parent / cell.observer.model
            words = path.name
        elif model is not None and not model.isdecimal():
            path = Path(model)
            words = path.name
        else:
            store = store_of(cell)
            stored = store.load(KIND) if model is None else store.check(KIND, int(model))
            path, words = stored.folder / FILE, str(stored)
    except StoreError as error:
        raise ModelError(f"observer.model: {error}" if model is None else str(error)) from error
    try:
        trained = fitting(cell, path)
    except ModelError as error:
        raise ModelError(f"observer.model: {error}" if model is None else str(error)) from error
    return Chosen(trained, path, f"{words}, sha256 of {path.name} {sha256(path)}")


def fitting(cell: Cell, path: Path) -> TrainedKvark:
    """The model in ``path``. Raises ModelError where there is none, or where it is not one of this cell's robot."""
    try:
        trained = load(path)
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror}); `hil train residual LOG --cell CELL` makes one"
        ) from error
    robot = hashlib.sha256(cell.urdf_xml.encode()).hexdigest()
    require_fit(trained, cell.robot.joint_limits.n, robot, path)
    if trained.lag != cell.observer.delay_ticks:
        raise ModelError(
            f"{path} was trained with torques that lag by {trained.lag} ticks, observer.delay_ticks says "
            f"{cell.observer.delay_ticks}: train it anew"
        )
    return trained


def observer_of(cell: Cell, trained: TrainedKvark) -> KvarkObserver:
    """The observer that runs ``trained``. Raises ModelError."""
    return KvarkObserver(
        trained.residual,
        trained.params,
        scale=trained.scale,
        level=trained.level,
        lag=trained.lag,
        friction_scale=trained.friction_scale,
        method=trained.method,
        band=trained.band,
        detect=trained.detect,
        model=None if trained.residual.inertial_parameters is None else build_model(cell),
    )


def own_model(cell: Cell, trained: TrainedKvark) -> RigidBodyModel:
    """The rigid-body model that belongs to ``trained``, with its inertial parameters. Raises ModelError."""
    model = build_model(cell)
    if trained.residual.inertial_parameters is not None:
        model.adjust(trained.residual.inertial_parameters)
    return model


def along(trained: TrainedKvark, q: Array, qd: Array, tau: Array, dt: float) -> tuple[Array, Array]:
    """Mean N·m and variance (N·m)² of the residual torque, both (m, n), along a run: q rad, qd rad/s, tau N·m."""
    mean, variance = trained.residual.run(q, qd, tau, dt)
    factor = np.ones(trained.n) if trained.friction_scale is None else trained.friction_scale
    return mean * factor, variance

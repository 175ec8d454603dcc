"""The learnt feed-forward of a cell: which model, whether it fits, and the controller that runs it."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drivers.contract import Array
from estimators.dynamics.predictor import DynamicsPredictor, Kernel, load
from estimators.errors import ModelError, ParameterError
from estimators.gains.calibration import GainFigures
from estimators.gains.smoothed import SmoothedMotion
from estimators.rigid_body import BodyInertia, RigidBodyModel
from hil.build import build_model
from hil.cell import Cell
from hil.cell.parts import array
from hil.control.variable_gain import VariableGain, VariableGainParams
from hil.learning.adaptation import Adaptation
from hil.learning.load import LoadWatch
from hil.store import StoreError, store_of
from hil.store.disk import sha256

KIND = "dynamics"
"""Of the artefacts in the store."""
FILE = "dynamics.npz"
"""The file of each version."""
KEY = "controller.joint.learned.model"
GAINS = "gains"
"""In a model's provenance: the calibration of the gains that go with it."""
COMMANDED = "commanded"
"""In a model's provenance: what was learnt is the torque that has to be commanded, not what sensors measured."""


@dataclass(frozen=True, slots=True, eq=False)
class ChosenDynamics:
    """A model that fits the cell."""

    predictor: DynamicsPredictor
    path: Path
    words: str
    """Which one it is, for the log."""


class Command:
    """What *we* must command by a model of the whole torque: its prediction less what the robot adds by itself.

    ``model`` is the one by which gravity was added to the recorded commands; it must not carry a payload.
    """

    def __init__(self, whole: DynamicsPredictor, model: RigidBodyModel, adds: AbstractSet[str]) -> None:
        self.n = whole.n
        self._whole, self._model, self._gravity = whole, model, "gravity" in adds

    def step(self, q: Array, qd: Array, qdd: Array, stream: int = 0) -> tuple[Array, Array]:
        """See :class:`hil.control.variable_gain.TorquePredictor`."""
        mean, sigma = self._whole.step(q, qd, qdd, stream)
        if self._gravity:
            mean -= self._model.gravity(q)
        return mean, sigma

    def use(self, whole: DynamicsPredictor) -> None:
        """From now on predict by ``whole``."""
        self._whole = whole

    def whole(self, q: Array, tau: Array) -> Array:
        """The whole torque (n,) N·m of which our command is ``tau`` (n,) N·m at ``q`` (n,) rad."""
        return tau + self._model.gravity(q) if self._gravity else tau


def chosen(cell: Cell, kernel: Kernel | None = None) -> ChosenDynamics:
    """The model that ``controller.joint.learned`` names, else the stored one in use; ``kernel`` as in
    :func:`estimators.dynamics.predictor.load`. Raises ModelError."""
    learned = cell.controller.joint.learned
    assert learned is not None
    try:
        if learned.model is not None:
            path = cell.path.parent / learned.model
            words = path.name
        else:
            stored = store_of(cell).load(KIND)
            path, words = stored.folder / FILE, str(stored)
    except StoreError as error:
        raise ModelError(f"{KEY}: {error}") from error
    try:
        predictor = load(path, build_model(cell), kernel=kernel)
    except OSError as error:
        raise ModelError(
            f"{KEY}: {path} cannot be read ({error.strerror}); `hil train dynamics LOG… --cell CELL` makes one"
        ) from error
    made_for = predictor.provenance.get("torque")
    if made_for != COMMANDED:
        raise ModelError(
            f"{KEY}: {path} has learnt {made_for or 'unknown'} torques, and a controller needs what has to be "
            "commanded: train it with --cell from the cell's own logs"
        )
    return ChosenDynamics(predictor, path, f"{words}, sha256 of {path.name} {sha256(path)}")


def figures_of(predictor: DynamicsPredictor) -> GainFigures | None:
    """What ``hil train gains`` wrote into the model's file; None: nothing yet. Raises ModelError."""
    found = predictor.provenance.get(GAINS)
    return None if found is None else GainFigures.from_mapping(found, predictor.n)


def controller(cell: Cell, adds: AbstractSet[str], kernel: Kernel | None = None) -> VariableGain:
    """The joint controller with model and gains of ``cell``; ``kernel`` as in :func:`chosen`. Raises ModelError."""
    learned = cell.controller.joint.learned
    assert learned is not None
    found = chosen(cell, kernel)
    predictor = found.predictor
    calibrated = figures_of(predictor)
    try:
        law = learned.law(calibrated, predictor.sigma_noise, predictor.sigma_signal)
    except ParameterError as error:
        raise ModelError(f"controller.joint.learned: {error}") from error
    if (law.sigma_f <= law.sigma_n).any():
        joints = ", ".join(f"A{j + 1}" for j in np.flatnonzero(law.sigma_f <= law.sigma_n))
        raise ModelError(
            f"{KEY}: by {found.path} the gains of {joints} would always be the largest: σ_n is not below σ_f there; "
            "calibrate them with `hil train gains`, name sigma_known and sigma_unknown, or train with more different "
            "motions"
        )
    command = Command(predictor, build_model(cell), adds)
    params = learned.params(calibrated)
    adapting = _adaptation(cell, found, command, params)
    made = VariableGain(command, law, adds, params, adapting)
    made.artefact = found.words
    # The first call compiles the prediction; that must not happen in the cycle.
    zero = np.zeros(law.n)
    predictor.step(zero, zero, zero)
    predictor.forget()
    return made


def _adaptation(
    cell: Cell, found: ChosenDynamics, command: Command, params: VariableGainParams
) -> Adaptation | None:
    """What goes on being learnt, not started yet; None where the cell file has nothing of it. Raises ModelError."""
    learned = cell.controller.joint.learned
    if learned is None or learned.online is None:
        return None
    online, watch = learned.online, None
    load = online.load_params()
    if load is not None:
        held = None if cell.gripper is None else cell.gripper.payload
        declared = None if held is None else BodyInertia(held.mass, array(held.com), held.inertia_matrix)
        blind = SmoothedMotion(found.predictor.n, learned.smoothing).memory
        noise, n = found.predictor.sigma_noise, found.predictor.n
        baseline = np.broadcast_to(np.asarray(params.baseline, dtype=np.float64), n).copy()
        watch = LoadWatch(build_model(cell), noise, blind, declared, load, baseline)
    tau_max = cell.robot.joint_limits.tau_max
    try:
        return Adaptation(found.predictor, found.path, tau_max, command, watch, online.online_params())
    except ModelError as error:
        raise ModelError(f"{KEY}: {error}") from error

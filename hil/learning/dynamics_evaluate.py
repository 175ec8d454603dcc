"""Scores of a model file on samples; PyTorch is imported only for files that are not real-time predictors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.dynamics import predictor, store
from estimators.dynamics.predictor import DynamicsPredictor
from estimators.dynamics.samples import Samples
from estimators.dynamics.scores import Scores, score
from estimators.errors import ModelError
from estimators.rigid_body import RigidBodyModel

Array = npt.NDArray[np.float64]
Predict = Callable[[Samples], tuple[Array, Array]]
KINDS = (predictor.KIND, "variational", "lstm", "dkl-kiss")


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A model file, whatever its family."""

    predict: Predict
    """As :meth:`estimators.dynamics.base.DynamicsModel.predict`."""
    joints: int
    provenance: Mapping[str, Any]

    @property
    def held_out(self) -> list[int]:
        """Trajectories that were kept for the test when it was trained; empty where that is not known."""
        split = self.provenance.get("split", {})
        return [] if split.get("leaking") else [int(k) for k in split.get("test", [])]


def load_model(path: Path, rigid_body: RigidBodyModel | None = None) -> Loaded:
    """Raises OSError; ModelError for another file or arm; ImportError where PyTorch is needed and missing."""
    about, _ = store.read(path, KINDS)
    kind, joints, provenance = about["kind"], int(about["joints"]), dict(about["provenance"])
    if not about["prior"] and rigid_body is not None and rigid_body.n != joints:
        raise ModelError(f"{path} is for {joints} joints, the cell's robot has {rigid_body.n}")
    body = rigid_body if about["prior"] else None
    if kind == predictor.KIND:
        found = predictor.load(path, body)
        return Loaded(lambda samples: along(found, samples), joints, provenance)
    from estimators.dynamics.fitting.grid import GridModel
    from estimators.dynamics.fitting.lstm import LstmModel
    from estimators.dynamics.fitting.variational import VariationalModel

    families: dict[str, Any] = {"variational": VariationalModel, "lstm": LstmModel, "dkl-kiss": GridModel}
    try:
        model = families[kind].load(path, body)
    except (KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"{path} is not whole, or of another version ({error}); train it anew") from error
    return Loaded(model.predict, joints, provenance)


def along(model: DynamicsPredictor, samples: Samples) -> tuple[Array, Array]:
    """Mean N·m and variance (N·m)², (N, n) each, sample by sample as in the cycle, each trajectory a new motion."""
    mean, sigma = np.empty_like(samples.tau), np.empty_like(samples.tau)
    for k, row in enumerate(zip(samples.q, samples.qd, samples.qdd, strict=True)):
        if k == 0 or samples.trajectory[k] != samples.trajectory[k - 1]:
            model.forget()
        mean[k], sigma[k] = model.step(*row)
    return mean, sigma**2


def evaluate(loaded: Loaded, samples: Samples) -> Scores:
    """Scores on ``samples``. Raises ModelError for another number of joints."""
    if samples.n != loaded.joints:
        raise ModelError(f"the model is for {loaded.joints} joints, the data have {samples.n}")
    mean, variance = loaded.predict(samples)
    known = loaded.provenance
    train_mean = np.array(known.get("train_mean", samples.tau.mean(axis=0)))
    train_var = np.array(known.get("train_var", samples.tau.var(axis=0)))
    return score(samples.tau, mean, variance, train_mean, train_var)

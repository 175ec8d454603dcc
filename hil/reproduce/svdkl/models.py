"""The models that are compared, by name, and how each is made for a trial."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from estimators.dynamics.base import DynamicsModel, History
from estimators.dynamics.fitting.economy import economical
from estimators.dynamics.fitting.export import export
from estimators.dynamics.fitting.grid import GridModel, GridOptions
from estimators.dynamics.fitting.lstm import LstmModel
from estimators.dynamics.fitting.options import TrainOptions
from estimators.dynamics.fitting.variational import VariationalModel
from estimators.dynamics.predictor import DynamicsPredictor
from estimators.dynamics.prior import Prior
from estimators.dynamics.samples import Samples
from hil.learning.dynamics import Family, Request, Size, make_model

Array = npt.NDArray[np.float64]
GRID = 32
"""Points of the KISS-GP's grid along each of its two features."""


@dataclass(frozen=True, slots=True)
class Method:
    """One row of the tables."""

    title: str
    family: Family
    size: Size = "small"
    physics: bool = False
    """On nominal physics: the model learns what they leave over."""
    quick_epochs: int = 5


METHODS = {
    "dkl": Method("DKL (KISS-GP, subset)", "dkl", quick_epochs=8),
    "sgpr": Method("deep kernel by SGPR, stand-in for DKL", "sgpr", quick_epochs=12),
    "svgp": Method("SVGP", "svgp"),
    "svdkl": Method("SVDKL", "svdkl"),
    "lstm": Method("B-LSTM", "lstm", quick_epochs=8),
    "svgp_large": Method("SVGP, large", "svgp", "large"),
    "svdkl_large": Method("SVDKL, large", "svdkl", "large"),
    "svdkl_semi": Method("SVDKL on nominal physics", "svdkl", physics=True),
}
"""In the order of the tables."""


def make(name: str, seed: int, prior: Prior | None, quick: bool, subset: int | None = None) -> DynamicsModel:
    """The untrained model; ``subset``: samples that KISS-GP gets."""
    method = METHODS[name]
    epochs = method.quick_epochs if quick else None
    if method.family == "dkl":
        assert subset is not None
        options = TrainOptions(epochs=epochs or 60, rate_network=1e-2, seed=seed)
        return GridModel(GridOptions(subset=subset, grid=GRID), options)
    model = make_model(Request(method.family, method.size, seed=seed, epochs=epochs), prior if method.physics else None)
    if quick and isinstance(model, LstmModel):
        # A short training needs a faster one.
        model.train_options = replace(model.train_options, batch=256, rate_network=1e-2)
    return model


def fit(model: DynamicsModel, train: Samples, validate: Samples) -> tuple[History, float]:
    """Trained on one core; processor time of all of it, s."""
    with economical():
        begin = time.process_time()
        history = model.fit(train, validate)
        return history, time.process_time() - begin


def sigmas(model: DynamicsModel) -> tuple[Array, Array]:
    """σ_n and σ_f (n,) N·m of the gain law, as a model of itself says: its noise, and the spread of what it learnt."""
    if isinstance(model, VariationalModel):
        predictor = DynamicsPredictor(export(model).posterior, kernel="numpy")
        return predictor.sigma_noise, predictor.sigma_signal
    assert isinstance(model, GridModel | LstmModel)
    assert model.scaling is not None
    spread = model.scaling.y_std
    if isinstance(model, LstmModel):
        assert model.net is not None
        noise = model.net.log_noise.detach().exp().sqrt().double().numpy()
        return spread * noise, spread.copy()
    noise = np.array([float(gp.likelihood.noise.detach()) for gp in model.gps])
    signal = np.array([float(gp.covar_module.outputscale.detach()) for gp in model.gps])
    return spread * np.sqrt(noise), spread * np.sqrt(signal)

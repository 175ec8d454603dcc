"""Residual models of one robot, each learnt once, and its runs as a filter with that model gets them."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

from estimators.kvark import methods
from estimators.kvark.calibration import Recording
from estimators.kvark.replay import Measured
from estimators.residual.base import ResidualModel
from hil.campaigns.kvark_frozen import MEMORY
from hil.reproduce.kvark.case import TRAIN, VALIDATE, Case

Array = npt.NDArray[np.float64]

KINDS: tuple[methods.ResidualKind, ...] = ("gmr", "gmr_gp", "kmp", "sparse_gp", "network", "semiparametric")
"""Residual models that are compared."""


def fitted(case: Case, kind: methods.ResidualKind) -> ResidualModel:
    """From the training runs, chosen by the validation run; kept with the case. Raises ParameterError."""
    if kind not in case.kept:
        case.kept[kind] = methods.fit_residual(
            kind, case.make_model(), [case.free(name) for name in TRAIN], [case.free(VALIDATE)], memory=MEMORY
        )
    return cast(ResidualModel, case.kept[kind])


class Seer:
    """A case through one residual model; virtual measurements are computed once where models share them."""

    def __init__(self, case: Case, residual: ResidualModel) -> None:
        self.case, self.residual = case, residual
        self._seen: dict[str, Measured] = {}
        self._mean: dict[str, Array] = {}

    def __call__(self, name: str) -> Measured:
        """The run ``name`` as the filter gets it."""
        if name not in self._seen:
            case, run = self.case, self.case.runs[name]
            corrected = self.residual.inertial_parameters
            if corrected is None:
                y, J = case.measured(name)
                y = y.copy()
            else:
                model = case.make_model()
                model.adjust(corrected)
                y, J = case.measure(model, name)
            mean, variance = self.residual.run(run["q"], run["qd"], run["tau"], case.dt)
            # The model is asked at the beginning of the step that y is about.
            y[1:] += mean[:-1]
            self._mean[name] = np.vstack((mean[:1], mean[:-1]))
            self._seen[name] = Measured(y, np.vstack((variance[:1], variance[:-1])), J, case.dt)
        return self._seen[name]

    def recording(self, name: str) -> Recording:
        """The same with all that the reported band is calibrated by."""
        seen, run = self(name), self.case.runs[name]
        return Recording(run["q"], run["qd"], seen.y, self._mean[name], seen.variance, seen.J, seen.dt)


def seen_by(case: Case, kind: methods.ResidualKind) -> Seer:
    """The case through its model of ``kind``; kept with the case."""
    key = f"seen by {kind}"
    if key not in case.kept:
        case.kept[key] = Seer(case, fitted(case, kind))
    return cast(Seer, case.kept[key])

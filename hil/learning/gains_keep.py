"""The model that a cell runs, with the calibration of its gains, as a new version in the store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from estimators.errors import ParameterError
from hil.cell import Cell
from hil.learning.feed_forward import FILE, GAINS, KIND, ChosenDynamics, chosen
from hil.learning.gains import Calibrated
from hil.store import About, Store, Stored, store_of
from hil.store.page import fingerprints


def calibrated_model(cell: Cell) -> ChosenDynamics:
    """The model that ``cell`` runs. Raises ModelError; ParameterError for a cell without one."""
    if cell.controller.joint.learned is None:
        raise ParameterError(
            f"{cell.name} has no controller.joint.learned: name kp_min and kp_max there (docs/dynamics.md), then "
            "calibrate"
        )
    return chosen(cell)


def about(chose: ChosenDynamics, found: Calibrated, cell: Cell, logs: Sequence[Path]) -> About:
    """Its page. Raises OSError."""
    figures = found.figures
    return store_of(cell).cell.about(
        headline=f"gains from {found.seconds:.0f} s of motion, on which kp is at {found.known.mean():.0%} of kp_max",
        figures={
            "model": chose.words,
            "σ_n, N·m": tuple(map(float, figures.sigma_known)),
            "σ_f, N·m": tuple(map(float, figures.sigma_unknown)),
            "C": figures.sensitivity,
            "ν_0": tuple(map(float, figures.baseline)),
            "known motion, share of kp_max": tuple(map(float, found.known)),
            **{f"{name}, share of kp_max": tuple(map(float, share)) for name, share in found.unknown.items()},
        },
        data=fingerprints(logs),
    )


def keep(store: Store, chose: ChosenDynamics, found: Calibrated, page: About) -> Stored:
    """A new version; the one in use stays in use. Raises StoreError."""
    chose.predictor.provenance[GAINS] = found.figures.to_mapping()
    return store.add(KIND, page, lambda folder: chose.predictor.save(folder / FILE))

"""How far friction has drifted since a model was trained: factors on its mean, from a short free run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from estimators import virtual_measurement
from estimators.errors import ParameterError
from estimators.kvark.artefact import TrainedKvark, save
from estimators.kvark.warmup import WarmUp, friction_scale
from hil.cell import Cell
from hil.learning.chosen import FILE, KIND, Chosen, own_model
from hil.learning.segments import segments_of
from hil.store import About, Store, Stored, store_of
from hil.store.page import Data, fingerprints, package_versions
from hil.telemetry.log import read_log


class WarmUpError(ValueError):
    """A run that says nothing of friction's level; the message says what to record."""


@dataclass(frozen=True, slots=True, eq=False)
class Warmed:
    """A model with new factors."""

    model: TrainedKvark
    found: WarmUp
    seconds: float
    """Free motion looked at, s."""


def warm_up(cell: Cell, log: Path, chosen: Chosen) -> Warmed:
    """``chosen`` with the factors that the free motion in ``log`` shows; they replace those of an earlier warm-up.

    A joint whose factor is refused keeps the one it has. Raises WarmUpError where all are, or where there is too little
    free motion; LogError, OSError; ModelError.
    """
    trained = chosen.trained
    pieces = segments_of(read_log(log))
    if any(each.q.shape[1] != trained.n for each in pieces):
        raise WarmUpError(f"{log} is of another arm: the cell's robot has {trained.n} joints")
    if not pieces:
        raise WarmUpError(f"{log} holds no free motion under command: record 20 s in which every joint goes to and fro")
    own = own_model(cell, trained)
    parts = []
    for each in pieces:
        y, _ = virtual_measurement.replay(own, each.q, each.qd, each.tau, each.dt, trained.lag)
        # The residual model alone: factors are of its mean, whatever was found on another day.
        mean, variance = (part[each.lead :] for part in trained.residual.run(*each.with_lead(), each.dt))
        # y of a step belongs to what was known at its beginning.
        parts.append((y[1:], mean[:-1], variance[:-1]))
    y, mean, variance = (np.concatenate([part[k] for part in parts]) for k in range(3))
    try:
        found = friction_scale(y, mean, variance, pieces[0].dt)
    except ParameterError as error:
        raise WarmUpError(f"{log}: {error}") from error
    if all(found.refused):
        why = "; ".join(f"A{j + 1}: {each}" for j, each in enumerate(found.refused))
        raise WarmUpError(f"{log} does not fit the model on any joint. {why}")
    before = np.ones(trained.n) if trained.friction_scale is None else trained.friction_scale
    factors = np.where([bool(each) for each in found.refused], before, found.scale)
    data = [each.model_dump(mode="json") for each in fingerprints([log])]
    said = {
        "of": chosen.words,
        "data": data,
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "factors": factors.tolist(),
        "sigma": [None if np.isnan(each) else float(each) for each in found.sigma],
        "refused": list(found.refused),
    }
    # The run is part of what the model was made from: scored on it, its figures would flatter.
    known = [*trained.provenance.get("data", ()), *data]
    provenance = {**trained.provenance, "data": known, "warmup": said}
    model = replace(trained, friction_scale=factors, provenance=provenance)
    return Warmed(model, found, sum(each.seconds for each in pieces))


def about(warmed: Warmed, cell: Cell, chosen: Chosen) -> About:
    """The page of its version."""
    model, found = warmed.model, warmed.found
    factors = () if model.friction_scale is None else tuple(map(float, model.friction_scale))
    of = model.provenance
    return store_of(cell).cell.about(
        headline=f"{model.method}, warmed up: friction × {min(factors):.2f} to {max(factors):.2f}",
        figures={
            "method": model.method,
            "made from": chosen.words,
            "factors on the friction": factors,
            "left before, N·m RMS": tuple(map(float, found.rmse_before)),
            "left after, N·m RMS": tuple(map(float, found.rmse_after)),
            "free motion looked at, s": warmed.seconds,
        },
        data=tuple(Data.model_validate(each) for each in of["data"]),
        needs={"observer.delay_ticks": model.lag},
        seed=of.get("seed"),
        versions=package_versions(("numba",)),
    )


def keep(store: Store, warmed: Warmed, page: About) -> Stored:
    """A new version; the one in use stays in use. Raises StoreError."""
    return store.add(KIND, page, lambda folder: save(warmed.model, folder / FILE))


def rows(found: WarmUp) -> Sequence[tuple[str, ...]]:
    """Joint, factor with its standard error or why it was refused, what is left before and after, N·m."""
    told = []
    for j, why in enumerate(found.refused):
        factor = f"kept: {why}" if why else f"{found.scale[j]:.3f} ± {found.sigma[j]:.3f}"
        told.append((f"A{j + 1}", factor, f"{found.rmse_before[j]:.2f}", f"{found.rmse_after[j]:.2f}"))
    return told

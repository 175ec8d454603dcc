"""A trained model of inverse dynamics as a new version in the store of its cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hil.cell import Cell
from hil.learning.dynamics import PACKAGES, TrainedDynamics
from hil.learning.feed_forward import FILE, KIND
from hil.store import About, Store, Stored, store_of
from hil.store.page import fingerprints, package_versions


def about(trained: TrainedDynamics, cell: Cell, data: Sequence[Path]) -> About:
    """Its page: scores on the trajectories that were held out, recordings, versions. Raises OSError."""
    scores, of = trained.scores, trained.provenance
    seed = of["seed"]
    return store_of(cell).cell.about(
        headline=f"{of['family']} on physics {of['physics']}, held out: {scores.mean_rmse:.3f} N·m RMS",
        figures={
            "family": str(of["family"]),
            "physics": str(of["physics"]),
            "torque learnt": str(of["torque"]),
            "held out, N·m RMS": tuple(map(float, scores.rmse)),
            "in the 95 % band": tuple(map(float, scores.coverage95)),
            **({} if trained.physics is None else {"physics alone, N·m RMS": tuple(map(float, trained.physics.rmse))}),
        },
        data=fingerprints(data),
        seed=seed if isinstance(seed, int) else None,
        versions=package_versions(PACKAGES),
    )


def keep(store: Store, trained: TrainedDynamics, page: About) -> Stored:
    """A new version; the one in use stays in use. Raises StoreError."""
    return store.add(KIND, page, lambda folder: trained.save(folder / FILE))

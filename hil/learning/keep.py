"""A trained residual model as a new version in the store of its cell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from estimators.kvark.artefact import save
from hil.cell import Cell
from hil.learning.chosen import FILE, KIND
from hil.learning.residual import Trained
from hil.store import About, Store, Stored, store_of
from hil.store.page import Data, Figure, stamp


def about(trained: Trained, cell: Cell, valid_days: float | None = None) -> About:
    """Its page: figures on the pieces that were held out, recordings, versions. ``valid_days``: when it expires."""
    model, of = trained.model, trained.model.provenance
    before, after, injected = (tuple(map(float, x)) for x in (trained.before, trained.after, trained.injected))
    sure = trained.sure
    alarms: dict[str, Figure] = {"band": f"plain: {trained.why_plain}"}
    if sure is not None:
        alarms = {
            "band": "calibrated",
            "false alarms of contact detection, per minute": sure.alarms,
            "contact-free time in which they were counted, min": sure.minutes,
        }
    mean = [sum(x) / len(x) for x in (before, after)]
    expires = None if valid_days is None else stamp(datetime.now(UTC) + timedelta(days=valid_days))
    return store_of(cell).cell.about(
        headline=f"{model.method}, held out: {mean[0]:.2f} → {mean[1]:.2f} N·m RMS",
        figures={
            "method": model.method,
            "rigid-body model alone, held out, N·m RMS": before,
            "with the learnt mean, held out, N·m RMS": after,
            "estimate under virtual contacts, held out, N·m RMS": injected,
            "95 % coverage under virtual contacts": trained.coverage,
            "factor on the standard deviation": model.scale if model.band is None else model.band.scale,
            **alarms,
            "free motion trained on, s": trained.seconds,
        },
        data=tuple(Data.model_validate(each) for each in of["data"]),
        needs={"observer.delay_ticks": model.lag},
        seed=of["seed"],
        versions=of["versions"],
        expires=expires,
    )


def keep(store: Store, trained: Trained, page: About) -> Stored:
    """A new version; the one in use stays in use. Raises StoreError."""
    return store.add(KIND, page, lambda folder: save(trained.model, folder / FILE))

"""Recordings of real arms, as parts of a campaign: results and arrays of :mod:`hil.campaigns.kvark_ur10e` and
:mod:`hil.campaigns.kvark_panda`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hil.campaigns import kvark_panda, kvark_real, kvark_ur10e
from hil.campaigns.kvark_ur10e_data import LOAD
from hil.reproduce.charts import png

Array = npt.NDArray[np.float64]
Found = tuple[dict[str, Any], dict[str, Array]]

EVERY = 10
"""Rows of a run for each one that is drawn."""


def ur10e(data: Path) -> Found:
    """Mass and vertical force by residual model and drive gains. Raises OSError, KeyError, ValueError."""
    found = kvark_ur10e.evaluate(data)
    chosen = {score.gains: score.model for score in (found.chosen("given"), found.chosen("refitted"))}
    rows = [
        {
            "model": s.model, "gains": s.gains, "chosen": chosen[s.gains] == s.model, "mass": s.mass,
            "mass_error": s.mass / LOAD - 1.0, "vertical": s.vertical, "vertical_mean": s.vertical_mean,
            "before": s.before.tolist(), "after": s.after.tolist(), "coverage": s.coverage,
            "coverage_contacts": s.coverage_contacts, "sigma": s.sigma.tolist(), "virtual": list(s.virtual),
        }
        for s in found.scores
    ]  # fmt: skip
    shown = found.chosen("refitted")
    arrays = {"loaded": shown.loaded[::EVERY], "fit": shown.loaded_fit[::EVERY], "free": shown.free[::EVERY],
              "push": shown.push[::EVERY], "push_sd": shown.push_sigma[::EVERY]}  # fmt: skip
    result = {"load": LOAD, "scores": rows, "gain_ratio": found.gain_ratio.tolist(),
              "step": found.dt * EVERY, "shown": shown.model}  # fmt: skip
    return result | {"pictures": _pictures(kvark_real.ur10e_section(found))}, arrays


def panda(data: Path) -> Found:
    """Force-vector RMSE by method and run, each run left out once. Raises OSError, KeyError, ValueError."""
    found = kvark_panda.evaluate(data)
    methods = {
        name: {
            "rmse": [s.rmse for s in scores], "aligned": [s.aligned for s in scores],
            "coverage": [s.coverage for s in scores], "nll": [s.nll for s in scores],
            "mean": found.mean(name), "worst": found.worst(name),
        }
        for name, scores in found.scores.items()
    }  # fmt: skip
    result = {
        "runs": [run.name for run in found.runs],
        "pseudo_inverse": list(found.pseudo_inverse),
        "methods": methods,
    }
    best = min(found.scores, key=found.mean)
    last = found.scores[best][-1]
    arrays = {"t": found.runs[-1].t[::2], "sensor": found.runs[-1].wrench[::2, :3], "force": last.force[::2],
              "sd": last.sigma[::2]}  # fmt: skip
    return result | {"shown": best, "pictures": _pictures(kvark_real.panda_section(found))}, arrays


def _pictures(parts: Sequence[kvark_real.Part]) -> list[dict[str, str]]:
    """Title, what it shows, and PNG in base64: a page is made from files alone."""
    return [{"title": title, "text": text, "png": png(figure)} for title, text, figure in parts]


RECORDINGS: dict[str, Callable[[Path], Found]] = {"ur10e": ur10e, "panda": panda}

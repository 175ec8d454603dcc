"""One run of the closed loop: what was recorded and learnt for it is kept in the seed's folder, and made once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hil.campaigns.svdkl_loop import LOADED, Effort, loaded, trial

QUICK = Effort(recorded=8, followed=1, epochs=8)
"""Of a first look."""


def driven(name: str, seed: int, folder: Path, quick: bool) -> dict[str, Any]:
    """``name`` of :data:`~hil.campaigns.svdkl_loop.RUNS` or :data:`~hil.campaigns.svdkl_loop.LOADED` in the world
    ``seed``, as plain JSON types: what was recorded and learnt, and ``followed`` or ``loaded``: name → figures.

    Raises FaultError where the arm was stopped, EstimatorError, OSError.
    """
    effort = QUICK if quick else Effort()
    if name not in LOADED:
        return trial(seed, folder, effort, _silent, (name,))
    return trial(seed, folder, effort, _silent, ()) | {"loaded": loaded(seed, folder, _silent, (name,))}


def _silent(what: str) -> None:
    """The campaign tells of finished parts itself."""

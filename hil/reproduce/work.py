"""What a worker does with one group: each part computed and kept before the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hil.reproduce.plan import Group
from hil.reproduce.store import Store

Array = npt.NDArray[np.float64]
Part = tuple[str, dict[str, Any], dict[str, Array]]


def carry_out(group: Group, folder: str | None) -> list[Part]:
    """All parts of ``group``, kept in ``folder`` at once where this worker has it.

    A part that fails has ``error`` in its result, in words; the others of its group go on.
    """
    store = Store(Path(folder)) if folder is not None and Path(folder).is_dir() else None
    done: list[Part] = []
    try:
        compute = _computer(group)
    except Exception as error:
        compute = _failing(error)
    for name in group.names:
        part = group.part(name)
        try:
            result, arrays = compute(name)
        except Exception as error:  # one method's failure is a result of its own, not the end of the campaign
            result, arrays = {"error": f"{type(error).__name__}: {error}"}, {}
        if store is not None:
            store.write(part, result, arrays)
        done.append((part, result, arrays))
    return done


def _computer(group: Group) -> Any:
    """Function from the name of a part to (result, arrays). Heavy imports are the worker's alone."""
    if group.kind in ("simulated", "frozen"):
        from hil.reproduce.trial import run_trial

        case = group.case()

        def trial(name: str) -> tuple[dict[str, Any], dict[str, Array]]:
            result, traces = run_trial(case, name)
            return result | {"seed": group.seed}, traces if group.traces else {}

        return trial
    if group.kind == "figures":
        from hil.reproduce.illustrations import ILLUSTRATIONS

        case = group.case()
        return lambda name: ILLUSTRATIONS[name](case)
    if group.kind == "mocked":
        from hil.reproduce.mocked import polish_on_bus

        return lambda name: polish_on_bus()
    if group.kind == "real":
        from hil.reproduce.recordings import RECORDINGS

        folder = Path(str(group.folder))
        return lambda name: RECORDINGS[name](folder)
    raise ValueError(f"no work of the kind {group.kind!r}")


def _failing(error: Exception) -> Any:
    def fail(name: str) -> Any:
        raise error

    return fail

"""What a worker does with one group: each part computed and kept before the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hil.reproduce.group import Array, Compute, Found, Group, Part
from hil.reproduce.store import Store


def carry_out(group: Group, folder: str | None) -> list[Part]:
    """All parts of ``group``, kept in ``folder`` at once where this worker has it.

    A part that fails has ``error`` in its result, in words; the others of its group go on.
    """
    store = Store(Path(folder)) if folder is not None and Path(folder).is_dir() else None
    done: list[Part] = []
    try:
        compute = group.computer(store.folder if store is not None else None)
    except Exception as error:
        compute = _failing(error)
    for name in group.names:
        part = group.part(name)
        result: dict[str, Any]
        arrays: dict[str, Array]
        try:
            result, arrays = compute(name)
        except Exception as error:  # one method's failure is a result of its own, not the end of the campaign
            result, arrays = {"error": f"{type(error).__name__}: {error}"}, {}
        if store is not None:
            store.write(part, result, arrays)
        done.append((part, result, arrays))
    return done


def _failing(error: Exception) -> Compute:
    def fail(name: str) -> Found:
        raise error

    return fail

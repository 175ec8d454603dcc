"""What the program that started a cell wrote beside the flight recorder's files: why the arm was stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def newest(run: str) -> dict[str, Any] | None:
    """The newest explanation in the folder of a run, as :meth:`hil.explain.Explanation.to_mapping` makes it; None
    where there is none."""
    if not run:
        return None
    for path in sorted(Path(run).glob("stops/*.json"), reverse=True):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(found, dict) and isinstance(found.get("lines"), list) and isinstance(found.get("tripped"), list):
            return found
    return None


def words(told: dict[str, Any]) -> list[str]:
    """What to say of the faults in the status ``told``: what the log says of the stop, once that is written; until
    then what is known of each fault beforehand."""
    faults = told["faults"]
    if not faults:
        return []
    found = newest(str(told.get("folder", "")))
    codes = [] if found is None else [each.get("code") for each in found["tripped"]]
    if found is not None and codes and codes[0] == faults[0]["code"]:
        known = set(codes)
        return ["\n".join(found["lines"])] + [each["headline"] for each in faults if each["code"] not in known]
    return [str(each["explanation"]) for each in faults]

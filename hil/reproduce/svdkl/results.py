"""What an SVDKL campaign found, read from its parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hil.reproduce.store import Store
from hil.reproduce.svdkl.models import METHODS
from hil.reproduce.svdkl.plan import Settings

Array = npt.NDArray[np.float64]
Row = dict[str, Any]


@dataclass(eq=False)
class Results:
    """``fits``: trainings; ``leaking``: those on a random split; ``real``: by recording; ``failed``: part → reason."""

    settings: Settings
    fits: list[Row] = field(default_factory=list)
    leaking: list[Row] = field(default_factory=list)
    real: dict[str, list[Row]] = field(default_factory=dict)
    pick: list[Row] = field(default_factory=list)
    """Trials of pick and place."""
    loop: dict[int, Row] = field(default_factory=dict)
    """Closed loop by seed, with ``followed`` and ``loaded``: name of the run → its figures."""
    failed: dict[str, str] = field(default_factory=dict)
    findings: dict[str, str] = field(default_factory=dict)
    """Section → its sentence, as the page has it."""
    store: Store | None = None

    @classmethod
    def read(cls, store: Store, settings: Settings, parts: Iterable[str]) -> Results:
        """Everything that ``store`` has of ``parts``."""
        found = cls(settings, store=store)
        for name in parts:
            result = store.read(name)
            kind, _, rest = name.partition("/")
            if result is None or "error" in result:
                found.failed[name] = "not computed" if result is None else str(result["error"])
            elif kind in ("fit", "leaking"):
                (found.fits if kind == "fit" else found.leaking).append(result | {"part": name})
            elif kind == "real":
                found.real.setdefault(rest.split("/")[0], []).append(result)
            elif kind == "loop":
                row = found.loop.setdefault(int(result["seed"]), {"followed": {}, "loaded": {}})
                for runs in ("followed", "loaded"):
                    row[runs] |= result.pop(runs, {})
                row |= result
            elif kind == "pick":
                found.pick.append(result)
        return found

    def arrays(self, part: str) -> dict[str, Array]:
        """Arrays of a part; empty where there are none."""
        return {} if self.store is None else self.store.arrays(part)

    def methods(self) -> list[str]:
        """Models that something was computed of, in the order of the tables."""
        there = {row["method"] for row in self.fits}
        return [name for name in METHODS if name in there]

    def rows(self, method: str, motions: int | None = None, subset: int | None = None) -> list[Row]:
        """Trainings of a model over trials; those on ``motions`` motions and of a subset, if they are given."""
        return [
            row for row in self.fits
            if row["method"] == method and motions in (None, row["motions"]) and subset in (None, row["subset"])
        ]  # fmt: skip

    def main(self, method: str) -> list[Row]:
        """Over trials, the trainings of a model on everything; of subsets the largest."""
        rows = self.rows(method, self.settings.counts[0])
        largest = max((row["samples"] for row in rows), default=0)
        return [row for row in rows if row["samples"] == largest]

    def sizes(self, method: str) -> dict[int, list[Row]]:
        """Trainings over trials, by the number of samples that were learnt from, ascending."""
        found: dict[int, list[Row]] = {}
        for row in sorted(self.rows(method), key=lambda each: int(each["samples"])):
            found.setdefault(row["samples"], []).append(row)
        return found

    def to_mapping(self) -> dict[str, Any]:
        """Everything as plain JSON types: the content of report.json."""
        return {
            "settings": self.settings.to_mapping(), "findings": self.findings, "fits": self.fits,
            "leaking": self.leaking, "real": self.real, "loop": self.loop, "pick": self.pick, "failed": self.failed,
        }  # fmt: skip


def median(rows: Iterable[Row], *keys: str) -> float:
    """Over trials, of a number that ``keys`` lead to (its mean where there is one for each joint); NaN without any."""
    found = [number(row, *keys) for row in rows]
    return float(np.median(found)) if found else float("nan")


def numbers(rows: Iterable[Row], *keys: str) -> list[float]:
    """One for each row, see :func:`number`."""
    return [number(row, *keys) for row in rows]


def number(row: Row, *keys: str) -> float:
    """What ``keys`` lead to; the mean over joints where there is one for each. Raises KeyError."""
    value: Any = row
    for key in keys:
        value = value[key]
    return float(np.mean(value))

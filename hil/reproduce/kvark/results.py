"""What a campaign found, read from its parts: trials over robots, figures, cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.kvark import methods
from hil.reproduce.kvark.plan import Settings
from hil.reproduce.store import Store

Array = npt.NDArray[np.float64]
Number = Callable[[dict[str, Any]], float | None]

LEARNT = {
    "sparse_gp": "sparse GP", "gmr_gp": "GMR-GP", "kmp": "KMP", "network": "network",
    "gmr": "GMR", "semiparametric": "semi-parametric",
}  # fmt: skip
"""Titles of residual models."""


@dataclass(eq=False)
class Results:
    """``trials``: source (``simulated`` or ``frozen``) → results; ``failed``: part → reason."""

    settings: Settings
    trials: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    mocked: dict[str, Any] | None = None
    real: dict[str, dict[str, Any]] = field(default_factory=dict)
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
            elif kind in ("simulated", "frozen"):
                found.trials.setdefault(kind, []).append(result | {"part": name})
            elif kind == "figures":
                found.figures[rest] = result
            elif kind == "mocked":
                found.mocked = result
            else:
                found.real[rest] = result
        return found

    def arrays(self, part: str) -> dict[str, Array]:
        """Arrays of a part; empty where there are none."""
        return {} if self.store is None else self.store.arrays(part)

    @property
    def best_source(self) -> str:
        """``simulated`` where there are trials of it, else ``frozen``."""
        return "simulated" if self.trials.get("simulated") else "frozen"

    def rows(self, source: str, family: str | None = None, method: str | None = None) -> list[dict[str, Any]]:
        """Trials of a source, of one family and method if those are given."""
        return [
            trial
            for trial in self.trials.get(source, [])
            if family in (None, trial["family"]) and method in (None, trial["method"])
        ]

    def families(self, source: str) -> list[str]:
        """Families of a source, in the order of the settings."""
        there = {trial["family"] for trial in self.trials.get(source, [])}
        return [family for family in self.settings.families if family in there]

    def methods(self, source: str, *, compared: bool | None = None) -> list[str]:
        """Methods of a source, in the order of the tables; ``compared``: see "
        ":class:`estimators.kvark.methods.Method`."""
        there = {trial["method"] for trial in self.trials.get(source, [])}
        return [
            name for name, method in methods.METHODS.items() if name in there and compared in (None, method.compared)
        ]

    def values(self, source: str, family: str | None, method: str, number: Number) -> Array:
        """``number`` of each trial of a family and method, those that have it."""
        found = (number(trial) for trial in self.rows(source, family, method))
        return np.array([value for value in found if value is not None], dtype=np.float64)

    def mean(self, source: str, family: str | None, method: str, number: Number) -> float:
        """Over robots; NaN without any."""
        found = self.values(source, family, method, number)
        return float(found.mean()) if len(found) else float("nan")

    def to_mapping(self) -> dict[str, Any]:
        """Everything as plain JSON types: the content of report.json."""
        return {
            "settings": self.settings.to_mapping(), "findings": self.findings, "trials": self.trials,
            "figures": self.figures, "mocked": self.mocked, "failed": self.failed,
            "real": {name: {k: v for k, v in found.items() if k != "pictures"} for name, found in self.real.items()},
        }  # fmt: skip


def title(method: str) -> str:
    """For tables."""
    return methods.METHODS[method].title


def score(trial: dict[str, Any]) -> float:
    """Mean RMSE over loaded and contact runs, N·m."""
    return float(trial["score"])


def of_test(test: str, key: str) -> Number:
    """A number of one test; the mean where there is one for each joint or axis."""

    def number(trial: dict[str, Any]) -> float | None:
        value = trial["tests"][test].get(key)
        return None if value is None else float(np.mean(value))

    return number

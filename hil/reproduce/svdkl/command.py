"""The SVDKL paper's campaign, from options of the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hil.reproduce.command import folder_of, known
from hil.reproduce.group import Group
from hil.reproduce.store import Store, code_digest
from hil.reproduce.svdkl import plan, sets
from hil.reproduce.svdkl.models import METHODS
from hil.reproduce.svdkl.page import write_page
from hil.reproduce.svdkl.plan import Settings
from hil.reproduce.svdkl.results import Results

_CODE = ("estimators", "estimators.dynamics", "estimators.dynamics.fitting", "estimators.gains", "hil",
         "hil.control", "hil.learning", "hil.motion", "hil.reproduce", "hil.reproduce.svdkl", "hil.campaigns",
         "sim_mocks")  # fmt: skip


def settings_of(
    quick: bool, trials: int, methods: Sequence[str] | None, parts: Sequence[str] | None, data: Path | None
) -> Settings:
    """From options of the command line. Raises Wrong."""
    known("method", methods, tuple(METHODS))
    known("part", parts, plan.PARTS)
    folder = folder_of(data)
    return Settings(
        source=plan.source_of(folder),
        trials=(0,) if quick else tuple(range(trials)),
        methods=tuple(methods) if methods else plan.QUICK if quick else tuple(METHODS),
        parts=tuple(parts) if parts else plan.QUICK_PARTS if quick else plan.PARTS,
        counts=sets.QUICK if quick else sets.MOTIONS,
        data=folder,
        quick=quick,
        code=code_digest(_CODE),
    )


@dataclass(frozen=True, slots=True)
class Svdkl:
    """See :class:`hil.reproduce.command.Reproduction`."""

    chosen: Settings

    def settings(self) -> dict[str, Any]:
        """As plain JSON types."""
        return self.chosen.to_mapping()

    def groups(self) -> Sequence[Group]:
        """Raises DataError."""
        return plan.groups(self.chosen)

    def write(self, store: Store, parts: Sequence[str], page: Path, about: Mapping[str, str]) -> dict[str, Any]:
        """Raises OSError."""
        results = Results.read(store, self.chosen, parts)
        write_page(results, page, about)
        return results.to_mapping()

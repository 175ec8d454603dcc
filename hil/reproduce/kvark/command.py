"""The K-VARK paper's campaign, from options of the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from estimators.kvark.methods import METHODS
from hil.campaigns.kvark_friction import FAMILIES
from hil.reproduce.command import folder_of, known
from hil.reproduce.group import Group
from hil.reproduce.kvark import plan
from hil.reproduce.kvark.illustrations import ILLUSTRATIONS
from hil.reproduce.kvark.page import write_page
from hil.reproduce.kvark.plan import Settings
from hil.reproduce.kvark.results import Results
from hil.reproduce.store import Store, code_digest

_CODE = ("estimators", "estimators.kvark", "estimators.residual", "hil.reproduce", "hil.reproduce.kvark",
         "hil.campaigns", "sim_mocks")  # fmt: skip


def settings_of(
    quick: bool,
    seeds: int,
    families: Sequence[str] | None,
    methods: Sequence[str] | None,
    data: Path | None,
    mocked: bool,
) -> Settings:
    """From options of the command line. Raises Wrong."""
    known("family", families, FAMILIES)
    known("method", methods, tuple(METHODS))
    chosen = {
        "data": folder_of(data),
        "code": code_digest(_CODE),
        **({"families": tuple(families)} if families else {}),
        **({"methods": tuple(methods)} if methods else {}),
    }
    if quick:
        return plan.quick(mocked=mocked, **chosen)
    return Settings(seeds=tuple(range(seeds)), mocked=mocked, **chosen)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Kvark:
    """See :class:`hil.reproduce.command.Reproduction`."""

    chosen: Settings

    def settings(self) -> dict[str, Any]:
        """As plain JSON types."""
        return self.chosen.to_mapping()

    def groups(self) -> Sequence[Group]:
        """Raises DataError."""
        return plan.groups(self.chosen, figures_of(self.chosen), plan.real_parts(self.chosen))

    def write(self, store: Store, parts: Sequence[str], page: Path, about: Mapping[str, str]) -> dict[str, Any]:
        """Raises OSError."""
        results = Results.read(store, self.chosen, parts)
        write_page(results, page, about)
        return results.to_mapping()


def figures_of(settings: Settings) -> tuple[str, ...]:
    """Which illustrations are computed: those that a first look can do without are left out of it."""
    slow = ("predictions", "relevance", "wide_mixture", "timing") if settings.quick else ()
    return tuple(name for name in ILLUSTRATIONS if name not in slow)

"""What ``hil reproduce`` does, whatever the paper: folder, campaign, page; an interrupted one goes on."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from hil.launch import run_folder
from hil.reproduce import campaign
from hil.reproduce.group import Group
from hil.reproduce.store import FINISHED, SETTINGS, Store, to_json, unfinished


class Wrong(ValueError):
    """Options that name something unknown; the message says what is known."""


class Reproduction(Protocol):
    """One paper's campaign with its options."""

    def settings(self) -> dict[str, Any]:
        """As plain JSON types; two with the same settings are the same campaign."""
        ...

    def groups(self) -> Sequence[Group]:
        """What is computed. Raises DataError where the data are not what they should be."""
        ...

    def write(self, store: Store, parts: Sequence[str], page: Path, about: Mapping[str, str]) -> dict[str, Any]:
        """Write the page of all that ``store`` has of ``parts``; what report.json is to hold. Raises OSError."""
        ...


def reproduce(
    of: Reproduction,
    base: Path,
    jobs: int = 1,
    backend: Path | None = None,
    tell: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> tuple[Path, bool, list[str]]:
    """The page, whether an interrupted campaign was continued, and names of parts that failed.

    Raises DataError, BackendError, OSError.
    """
    chosen = campaign.read_backend(backend, jobs)
    groups, settings = of.groups(), of.settings()
    before = unfinished(base, settings)
    folder = before or run_folder(base)
    store = Store(folder)
    if before is None:
        (folder / SETTINGS).write_text(to_json(settings), encoding="utf-8")
    parts = [name for group in groups for name in group.parts()]
    campaign.run(groups, store, chosen, lambda done, what: tell(done, len(parts), what))
    tell(len(parts), len(parts), "page")
    page = folder / "report.html"
    report = of.write(store, parts, page, _about())
    failed = [name for name in parts if not store.has(name)]
    # Written last: it says that the campaign is finished.
    (folder / FINISHED).write_text(to_json(report | {"about": _about()}), encoding="utf-8")
    return page, before is not None, failed


def folder_of(data: Path | None) -> str | None:
    """Full name of the folder that was given with ``--data``. Raises Wrong for what is none."""
    if data is not None and not data.is_dir():
        raise Wrong(f"{data} is no folder; name the one with the recordings with --data")
    return str(data.resolve()) if data is not None else None


def known(what: str, given: Sequence[str] | None, there: Sequence[str]) -> None:
    """Raises Wrong for a word of ``given`` that is none of those that are there."""
    unknown = [each for each in given or () if each not in there]
    if unknown:
        raise Wrong(f"{what} {', '.join(unknown)} is not known; there are: {', '.join(there)}")


def _about() -> dict[str, str]:
    return {
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
    }

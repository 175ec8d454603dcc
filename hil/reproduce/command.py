"""What ``hil reproduce kvark`` does: settings, folder, campaign, page."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from estimators.kvark.methods import METHODS
from hil.campaigns.kvark_friction import FAMILIES
from hil.launch import run_folder
from hil.reproduce import campaign, plan
from hil.reproduce.illustrations import ILLUSTRATIONS
from hil.reproduce.page import write_page
from hil.reproduce.plan import Settings
from hil.reproduce.results import Results
from hil.reproduce.store import FINISHED, SETTINGS, Store, code_digest, to_json, unfinished


class Wrong(ValueError):
    """Options that name something unknown; the message says what is known."""


def settings_of(
    quick: bool,
    seeds: int,
    families: Sequence[str] | None,
    methods: Sequence[str] | None,
    data: Path | None,
    mocked: bool,
) -> Settings:
    """From options of the command line. Raises Wrong."""
    for what, given, known in (("family", families, FAMILIES), ("method", methods, tuple(METHODS))):
        unknown = [each for each in given or () if each not in known]
        if unknown:
            raise Wrong(f"{what} {', '.join(unknown)} is not known; there are: {', '.join(known)}")
    if data is not None and not data.is_dir():
        raise Wrong(f"{data} is no folder; name the one with the recordings with --data")
    chosen = {
        "data": str(data.resolve()) if data is not None else None,
        "code": code_digest(),
        **({"families": tuple(families)} if families else {}),
        **({"methods": tuple(methods)} if methods else {}),
    }
    if quick:
        return plan.quick(mocked=mocked, **chosen)
    return Settings(seeds=tuple(range(seeds)), mocked=mocked, **chosen)  # type: ignore[arg-type]


def reproduce(
    settings: Settings,
    base: Path,
    jobs: int = 1,
    backend: Path | None = None,
    tell: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> tuple[Path, bool, list[str]]:
    """The page, whether an interrupted campaign was continued, and names of parts that failed.

    Raises DataError, BackendError, OSError.
    """
    chosen = campaign.read_backend(backend, jobs)
    groups = plan.groups(settings, figures_of(settings), plan.real_parts(settings))
    before = unfinished(base, settings.to_mapping())
    folder = before or run_folder(base)
    store = Store(folder)
    if before is None:
        (folder / SETTINGS).write_text(to_json(settings.to_mapping()), encoding="utf-8")
    parts = [name for group in groups for name in group.parts()]
    campaign.run(groups, store, chosen, lambda done, what: tell(done, len(parts), what))
    results = Results.read(store, settings, parts)
    tell(len(parts), len(parts), "page")
    page = write_page(results, folder / "report.html", _about())
    failed = [name for name in parts if not store.has(name)]
    # Written last: it says that the campaign is finished.
    (folder / FINISHED).write_text(to_json(results.to_mapping() | {"about": _about()}), encoding="utf-8")
    return page, before is not None, failed


def figures_of(settings: Settings) -> tuple[str, ...]:
    """Which illustrations are computed: those that a first look can do without are left out of it."""
    slow = ("predictions", "relevance", "wide_mixture", "timing") if settings.quick else ()
    return tuple(name for name in ILLUSTRATIONS if name not in slow)


def _about() -> dict[str, str]:
    return {
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
    }

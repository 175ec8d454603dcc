"""What is known of a version: where it comes from, how good it is, for which cell, and what its files must hash to."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from hil.store.disk import sha256

FORMAT = 1
"""Of the page and of the list of acceptances; raised when their meaning changes."""
PACKAGES = ("hil-lab", "numpy", "scipy", "pin")
"""Whose versions every page names."""


class StoreError(Exception):
    """An artefact is missing, damaged or not for this cell; the message says why, and which command mends it."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        """Why a version is refused, alone; empty where that is not what happened."""


def stamp(moment: datetime) -> str:
    """``2026-01-31T14:05:09Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_stamp(text: str) -> str:
    datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    return text


def _is_finite(value: Any) -> Any:
    numbers = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(x, str) or math.isfinite(x) for x in numbers):
        raise ValueError("expected finite numbers or words")
    return value


Stamp = Annotated[str, AfterValidator(_is_stamp)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
KIND = r"^[a-z][a-z0-9-]{0,31}$"
Figure = Annotated[float | str | tuple[float, ...], AfterValidator(_is_finite)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Data(_Part):
    """A recording that an artefact was made from."""

    name: str
    sha256: Hash
    size: int = Field(ge=0)
    """Bytes."""


class About(_Part):
    """What the maker of an artefact says of it."""

    cell: str
    """Name of the cell."""
    cell_digest: Hash
    """``Cell.digest()`` of the cell file at the time; for information, since it changes with every key."""
    urdf: Hash
    """SHA-256 of the URDF's text: another robot model makes the artefact foreign."""
    joints: int = Field(ge=1)
    headline: str = ""
    """How good it is, in a few words."""
    figures: dict[str, Figure] = {}
    """Figures of merit; the unit stands in the name."""
    data: tuple[Data, ...] = ()
    devices: dict[str, str] = {}
    """Serial numbers of devices by name, where known."""
    needs: dict[str, bool | int | float | str] = {}
    """Keys of the cell file (``observer.delay_ticks``) and the value without which the artefact means nothing."""
    seed: int | None = None
    versions: dict[str, str] = {}
    """Of the toolkit and of the packages that had a part in it."""
    expires: Stamp | None = None
    note: str = ""


class Page(About):
    """The page of one version, as it stands beside its files."""

    format: int
    kind: str = Field(pattern=KIND)
    version: int = Field(ge=1)
    made: Stamp
    made_by: str
    files: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_][^/]*$")], Hash]
    """Names of the version's files and their SHA-256."""

    def to_bytes(self) -> bytes:
        """As JSON that people read, too."""
        return json.dumps(self.model_dump(mode="json"), ensure_ascii=False, indent=1, allow_nan=False).encode() + b"\n"


def parse_page(content: bytes) -> Page:
    """The inverse of :meth:`Page.to_bytes`. Raises ValueError in words."""
    try:
        page = Page.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"its page is damaged ({where}: {first['msg']})" if where else "its page is damaged") from None
    if page.format != FORMAT:
        raise ValueError(f"its page has format {page.format}, this toolkit reads {FORMAT}")
    return page


def digest(content: bytes) -> str:
    """SHA-256 (hex)."""
    return hashlib.sha256(content).hexdigest()


def short_name(path: Path) -> str:
    """``2026-01-31_14-05-09/run.mcap``: logs of runs are told apart by their folders."""
    return "/".join(path.absolute().parts[-2:])


def fingerprints(paths: Iterable[Path]) -> tuple[Data, ...]:
    """Names, SHA-256 and sizes of recordings. Raises OSError."""
    return tuple(Data(name=short_name(path), sha256=sha256(path), size=path.stat().st_size) for path in paths)


def package_versions(more: Iterable[str] = ()) -> dict[str, str]:
    """Versions of :data:`PACKAGES` and of the distributions ``more``, as far as they are installed."""
    found = {}
    for name in (*PACKAGES, *more):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found

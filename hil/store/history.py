"""Which version is in use, and which ones were before: one small file a kind, replaced in one step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hil.store import disk
from hil.store.page import FORMAT, Hash, Stamp

ACTIVE = "active.json"


class Acceptance(BaseModel):
    """Somebody put a version in use."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: int = Field(ge=1)
    action: Literal["use", "rollback"]
    by: str
    at: Stamp
    page: Hash
    """SHA-256 of the version's page as it was accepted."""


class _History(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: int
    history: tuple[Acceptance, ...]


def read(folder: Path) -> tuple[Acceptance, ...]:
    """Every acceptance, the one in force last; empty where nothing was accepted yet.

    Raises OSError; ValueError in words for a file that is damaged or of another format.
    """
    path = folder / ACTIVE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ()
    try:
        found = _History.model_validate_json(content)
    except ValidationError as error:
        raise ValueError(f"{path} is damaged ({error.errors()[0]['msg']})") from None
    if found.format != FORMAT:
        raise ValueError(f"{path} has format {found.format}, this toolkit reads {FORMAT}")
    return found.history


def write(folder: Path, history: Sequence[Acceptance]) -> None:
    """Replace it in one step. The caller has the lock. Raises OSError."""
    content = _History(format=FORMAT, history=tuple(history)).model_dump(mode="json")
    disk.replace_file(folder / ACTIVE, json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n")


def before(history: Sequence[Acceptance]) -> int | None:
    """The version that a roll-back returns to; None where there is none.

    Using a version puts it on a stack, rolling back takes the top one off: two roll-backs in a row go two steps back.
    """
    stack: list[int] = []
    for each in history:
        if each.action == "use":
            stack.append(each.version)
        elif stack:
            stack.pop()
    return stack[-2] if len(stack) > 1 else None

"""Finished parts of a campaign as files: each whole or not at all, so that what was interrupted goes on."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import tempfile
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SETTINGS = "campaign.json"
FINISHED = "report.json"
_SUFFIXES = (".py", ".yaml")


class Store:
    """The folder ``parts`` of a run: ``NAME.json`` with a result, ``NAME.npz`` with arrays where there are any."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Where the result of the part ``name`` (words joined by ``/``) is."""
        return self.folder / "parts" / f"{name}.json"

    def has(self, name: str) -> bool:
        """Whether the part is finished; one that failed is not."""
        found = self.read(name)
        return found is not None and "error" not in found

    def read(self, name: str) -> dict[str, Any] | None:
        """The result; None where there is none or it cannot be read."""
        try:
            found = json.loads(self.path(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def arrays(self, name: str) -> dict[str, Array]:
        """Its arrays; empty where there are none."""
        try:
            with np.load(self.path(name).with_suffix(".npz"), allow_pickle=False) as file:
                return {key: np.array(file[key]) for key in file.files}
        except (OSError, ValueError, EOFError):
            return {}

    def write(self, name: str, result: Mapping[str, Any], arrays: Mapping[str, Array] | None = None) -> None:
        """Keep both; the result last, since it says that the part is finished. Raises OSError."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if arrays:
            buffer = io.BytesIO()
            content: dict[str, Any] = {key: np.asarray(value, np.float32) for key, value in arrays.items()}
            np.savez_compressed(buffer, **content)
            _replace(path.with_suffix(".npz"), buffer.getvalue())
        _replace(path, to_json(result).encode())

    def names(self) -> list[str]:
        """All parts that are there, failed ones too."""
        root = self.folder / "parts"
        return sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.json"))


def to_json(result: Mapping[str, Any]) -> str:
    """As JSON that any reader takes: what is not finite is null."""
    return json.dumps(_plain(result), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def code_digest(packages: Iterable[str]) -> str:
    """SHA-256 of the code that results depend on: of another code they are another campaign's."""
    digest = hashlib.sha256()
    for package in packages:
        for entry in sorted(files(package).iterdir(), key=lambda each: each.name):
            if entry.is_file() and entry.name.endswith(_SUFFIXES):
                digest.update(entry.name.encode() + b"\0" + entry.read_bytes())
    return digest.hexdigest()


def unfinished(base: Path, settings: Mapping[str, Any]) -> Path | None:
    """The newest folder under ``base`` of an interrupted campaign with the same ``settings``; None without one."""
    wanted = json.loads(to_json(settings))
    for path in sorted(base.glob(f"*/{SETTINGS}"), reverse=True):
        if (path.parent / FINISHED).exists():
            continue
        try:
            if json.loads(path.read_text(encoding="utf-8")) == wanted:
                return path.parent
        except (OSError, ValueError):
            continue
    return None

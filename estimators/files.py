"""Plain arrays and a page of JSON in one ``.npz``, written whole or not at all; nothing in it can run."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ABOUT = "about"
"""Name of the page among the arrays."""
DAMAGED = (
    ValueError, KeyError, TypeError, AttributeError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What NumPy, zipfile and JSON raise for files that are cut, damaged, or something else."""


def write(
    path: Path, about: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], *, compressed: bool = False
) -> None:
    """Write ``arrays`` and the page ``about`` to ``path``, making its folder; ``compressed`` or not. Raises OSError.

    Raises TypeError for what is no plain array: NumPy would pickle it.
    """
    page = json.dumps(about, ensure_ascii=False).encode()
    content: dict[str, Any] = {name: np.asarray(value) for name, value in arrays.items()}
    objects = [name for name, value in content.items() if value.dtype.hasobject]
    if objects:
        raise TypeError(f"{', '.join(objects)}: no plain arrays; only numbers go into a file")
    content[ABOUT] = np.frombuffer(page, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            (np.savez_compressed if compressed else np.savez)(file, **content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read(path: Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """The page and the arrays. Raises OSError, and one of :data:`DAMAGED` for a file that is none."""
    with np.load(path, allow_pickle=False) as file:
        about = json.loads(bytes(file[ABOUT]).decode())
        return about, {name: np.array(file[name]) for name in file.files if name != ABOUT}

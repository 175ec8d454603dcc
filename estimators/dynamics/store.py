"""Files of learned models: plain arrays and a page of JSON in one ``.npz``; nothing in it can run."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.errors import ModelError

FORMAT = 1
"""Of the files; raised when their meaning changes."""


def write(path: Path, about: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write whole or not at all. Raises OSError."""
    page = json.dumps({"format": FORMAT, **about}, ensure_ascii=False).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, about=np.frombuffer(page, dtype=np.uint8), **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read(path: Path, kinds: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Page and arrays of a file of one of ``kinds``. Raises OSError; ModelError for any other file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(bytes(file["about"]).decode())
            arrays = {name: np.array(file[name]) for name in file.files if name != "about"}
        found, kind = about["format"], about["kind"]
    except OSError:
        raise
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} is no learned model ({type(error).__name__}: {error}); train it anew") from error
    if found != FORMAT or kind not in kinds:
        raise ModelError(f"{path}: format {found} of kind {kind!r}; expected format {FORMAT} of {', '.join(kinds)}")
    return about, arrays

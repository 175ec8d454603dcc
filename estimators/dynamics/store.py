"""Files of learned models: plain arrays and a page of JSON in one ``.npz``; nothing in it can run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from estimators import files
from estimators.errors import ModelError

FORMAT = 1
"""Of the files; raised when their meaning changes."""


def write(path: Path, about: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write whole or not at all. Raises OSError."""
    files.write(path, {"format": FORMAT, **about}, arrays)


def read(path: Path, kinds: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Page and arrays of a file of one of ``kinds``. Raises OSError; ModelError for any other file."""
    try:
        about, arrays = files.read(path)
        found, kind = about["format"], about["kind"]
    except OSError:
        raise
    except files.DAMAGED as error:
        raise ModelError(f"{path} is no learned model ({type(error).__name__}: {error}); train it anew") from error
    if found != FORMAT or kind not in kinds:
        raise ModelError(f"{path}: format {found} of kind {kind!r}; expected format {FORMAT} of {', '.join(kinds)}")
    return about, arrays

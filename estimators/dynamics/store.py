"""Files of learned models: plain arrays and a page of JSON in one ``.npz``; nothing in it can run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators import files
from estimators.errors import ModelError

FORMAT = 1
"""Of the files; raised when their meaning changes."""


_WHOLE, _LOWER = "B", "B_lower"
"""Symmetric matrices (P, M, M), two thirds of a file; what is stored of them, row after row, (P, M (M + 1)/2)."""


def write(path: Path, about: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write whole or not at all, of symmetric matrices ``B`` one triangle. Raises OSError."""
    stored = dict(arrays)
    if _WHOLE in stored:
        B = stored.pop(_WHOLE)
        rows, columns = np.tril_indices(B.shape[1])
        stored[_LOWER] = B[:, rows, columns]
    files.write(path, {"format": FORMAT, **about}, stored, compressed=_LOWER in stored)


def read(path: Path, kinds: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Page and arrays of a file of one of ``kinds``. Raises OSError; ModelError for any other file."""
    try:
        about, arrays = files.read(path)
        found, kind = about["format"], about["kind"]
        if _LOWER in arrays:
            arrays[_WHOLE] = _whole(arrays.pop(_LOWER))
    except OSError:
        raise
    except files.DAMAGED as error:
        raise ModelError(f"{path} is no learned model ({type(error).__name__}: {error}); train it anew") from error
    if found != FORMAT or kind not in kinds:
        raise ModelError(f"{path}: format {found} of kind {kind!r}; expected format {FORMAT} of {', '.join(kinds)}")
    return about, arrays


def _whole(lower: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(P, M, M) of what was stored of it. Raises ValueError where that is no triangle."""
    P, size = lower.shape
    M = (int(np.sqrt(8 * size + 1)) - 1) // 2
    rows, columns = np.tril_indices(M)
    B = np.empty((P, M, M), dtype=lower.dtype)  # a file in single precision must be seen to be one
    B[:, rows, columns] = lower
    B[:, columns, rows] = lower
    return B

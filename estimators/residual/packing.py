"""Residual models from what their ``pack`` gave: which kind is which class."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.errors import ModelError, ParameterError
from estimators.residual.base import ResidualModel

Array = npt.NDArray[np.float64]

KINDS: dict[str, str] = {
    "velocity": "estimators.residual.velocity:VelocityResidual",
    "semiparametric": "estimators.residual.remembering:MemoryResidual",
    "constant": "estimators.residual.constant:ConstantResidual",
    "sparse_gp": "estimators.residual.sparse_gp:SparseGpResidual",
    "network": "estimators.residual.network:NetworkResidual",
}
"""Kind → module:class. By name, so that a cell imports the one that it uses; each has a classmethod
``unpack(options, arrays)`` that undoes its ``pack`` and needs nothing that only training does."""


def unpack(options: Mapping[str, Any], arrays: Mapping[str, Array]) -> ResidualModel:
    """The model whose :meth:`~estimators.residual.base.ResidualModel.pack` gave ``options`` and ``arrays``.

    Raises ModelError for a kind that is none and for parts that are missing or do not fit each other.
    """
    kind = options.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ModelError(f"residual model of kind {kind!r}; known are {', '.join(sorted(KINDS))}: train it anew")
    module, _, name = KINDS[kind].partition(":")
    try:
        model: ResidualModel = getattr(importlib.import_module(module), name).unpack(options, arrays)
    except ModelError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ParameterError) as error:
        raise ModelError(
            f"a residual model of kind {kind!r} with parts that do not fit ({type(error).__name__}: {error}): "
            "train it anew"
        ) from error
    return model

"""Files of trained models of every family, and of interrupted trainings: options, prior, scaling, states of modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from estimators.dynamics import prior as priors
from estimators.dynamics import store
from estimators.dynamics.fitting.options import TrainOptions
from estimators.dynamics.prior import Prior
from estimators.dynamics.samples import Scaling
from estimators.errors import ModelError
from estimators.rigid_body import RigidBodyModel

Array = npt.NDArray[np.float64]
CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What a file of a trained model holds, besides the states of its modules."""

    options: dict[str, Any]
    """Of the family."""
    train: TrainOptions
    joints: int
    prior: Prior | None
    scaling: Scaling
    arrays: dict[str, npt.NDArray[Any]]


def write(
    path: Path,
    kind: str,
    options: Any,
    train: TrainOptions,
    prior: Prior | None,
    scaling: Scaling,
    provenance: Mapping[str, object] | None,
    arrays: Mapping[str, npt.NDArray[Any]],
) -> None:
    """Write whole or not at all; ``options`` are the family's dataclass. Raises OSError."""
    physics, own = ({}, {}) if prior is None else prior.pack()
    about = {
        "kind": kind,
        "options": asdict(options),
        "train": asdict(train),
        "joints": scaling.y_mean.size,
        "prior": physics,
        "provenance": dict(provenance or {}),
    }
    store.write(path, about, {**own, **arrays, **{f"scaling/{k}": v for k, v in asdict(scaling).items()}})


def read(path: Path, kind: str, rigid_body: RigidBodyModel | None) -> Kept:
    """What :func:`write` wrote. Raises OSError; ModelError for another file, or another ``rigid_body``."""
    about, arrays = store.read(path, (kind,))
    try:
        prior = priors.unpack(about["prior"], arrays, rigid_body) if about["prior"] else None
        scaling = Scaling(**{each.name: arrays[f"scaling/{each.name}"] for each in fields(Scaling)})
        return Kept(about["options"], TrainOptions(**about["train"]), int(about["joints"]), prior, scaling, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is not whole ({type(error).__name__}: {error}); train it anew") from error


def state(module: nn.Module, head: str) -> dict[str, npt.NDArray[Any]]:
    """Parameters and buffers by name, each after ``head``."""
    return {f"{head}{name}": value.detach().cpu().numpy() for name, value in module.state_dict().items()}


def under(arrays: Mapping[str, npt.NDArray[Any]], head: str) -> dict[str, Tensor]:
    """What :func:`state` put after ``head``, for ``load_state_dict``."""
    return {name[len(head) :]: torch.as_tensor(v) for name, v in arrays.items() if name.startswith(head)}


def restore(module: nn.Module, arrays: Mapping[str, npt.NDArray[Any]], head: str, path: Path) -> None:
    """Put them into ``module``. Raises ModelError where they are those of another one."""
    try:
        module.load_state_dict(under(arrays, head))
    except RuntimeError as error:
        raise ModelError(f"{path} is not whole, or of another model: parameters do not fit; train it anew") from error


def moments_of(optimizer: torch.optim.Optimizer) -> dict[str, npt.NDArray[Any]]:
    """What an Adam optimizer knows of its parameters."""
    found: dict[str, npt.NDArray[Any]] = {}
    for k, known in optimizer.state_dict()["state"].items():
        found |= {f"adam/{k}/{name}": value.cpu().numpy() for name, value in known.items()}
    return found


def restore_moments(optimizer: torch.optim.Optimizer, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """What :func:`moments_of` told."""
    whole = optimizer.state_dict()
    keys = sorted({int(name.split("/")[1]) for name in arrays if name.startswith("adam/")})
    whole["state"] = {k: under(arrays, f"adam/{k}/") for k in keys}
    optimizer.load_state_dict(whole)


def read_checkpoint(path: Path, identity: str) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Page and arrays of an interrupted training. Raises OSError; ModelError where it is another one's."""
    about, arrays = store.read(path, (CHECKPOINT,))
    if about.get("identity") != identity:
        raise ModelError(f"{path} is of another training (options or data differ): delete it or name another")
    return about, arrays

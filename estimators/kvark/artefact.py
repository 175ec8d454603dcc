"""A trained K-VARK model as one file: plain float64 arrays and a page of JSON about where they come from; no pickle."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.errors import ModelError, ParameterError
from estimators.kvark.recursion import RecursionParams
from estimators.residual.kmp import Tables

Array = npt.NDArray[np.float64]

FORMAT = 1
"""Of the file; raised when its meaning changes."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainedKvark:
    """Residual model, filter parameters and calibration of one arm."""

    tables: Tables
    params: RecursionParams
    robot: str
    """SHA-256 (hex) of the URDF that the rigid-body model was made from."""
    scale: float = 1.0
    """Factor on the reported standard deviation, see :class:`estimators.kvark.observer.KvarkObserver`."""
    level: float = 0.0
    lag: int = 0
    """Ticks by which the measured torque lagged in training, 0 or 1."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """What it was trained on, when, with which versions: anything that JSON can say."""

    @property
    def n(self) -> int:
        """Number of joints."""
        return self.params.q_rate.size


def save(trained: TrainedKvark, path: Path) -> None:
    """Write ``trained`` to ``path``, whole or not at all. Raises OSError."""
    p = trained.params
    options = {key: value for key, value in asdict(p).items() if key not in ("q_rate", "r_empirical")}
    about = {
        "format": FORMAT,
        "kind": "kvark",
        "robot": trained.robot,
        "scale": trained.scale,
        "level": trained.level,
        "lag": trained.lag,
        "filter": options,
        "provenance": dict(trained.provenance),
    }
    t = trained.tables
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(
                file,
                about=np.frombuffer(json.dumps(about, ensure_ascii=False).encode(), dtype=np.uint8),
                low=t.low,
                step=t.step,
                mean=t.mean,
                variance=t.variance,
                q_rate=p.q_rate,
                r_empirical=p.r_empirical,
            )
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load(path: Path) -> TrainedKvark:
    """What :func:`save` wrote. Raises OSError; ModelError for a file that is none, or of another format."""
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(bytes(file["about"]).decode())
            arrays = {name: np.array(file[name], dtype=np.float64) for name in file.files if name != "about"}
        if about["format"] != FORMAT or about["kind"] != "kvark":
            raise ModelError(
                f"{path}: format {about['format']} of kind {about['kind']!r}; expected {FORMAT} of kvark: train it anew"
            )
        tables = Tables(arrays["low"], arrays["step"], arrays["mean"], arrays["variance"])
        options: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in about["filter"].items()
        }
        params = RecursionParams(arrays["q_rate"], arrays["r_empirical"], **options)
        trained = TrainedKvark(
            tables,
            params,
            about["robot"],
            float(about["scale"]),
            float(about["level"]),
            int(about["lag"]),
            about["provenance"],
        )
    except OSError:
        raise
    except ModelError:
        raise
    except (ValueError, KeyError, TypeError, EOFError, ParameterError, zipfile.BadZipFile) as error:
        what = f"{type(error).__name__}: {error}"
        raise ModelError(f"{path} is no trained K-VARK model ({what}); train it anew") from error
    _check(trained, path)
    return trained


def require_fit(trained: TrainedKvark, n: int, robot: str, path: Path) -> None:
    """Raises ModelError unless ``trained`` belongs to a robot of ``n`` joints whose URDF has the hash ``robot``."""
    if trained.n != n:
        raise ModelError(f"{path} is for {trained.n} joints, the cell's robot has {n}: name the model of this robot")
    if trained.robot != robot:
        raise ModelError(
            f"{path} was trained with another rigid-body model (URDF {trained.robot[:12]}…, "
            f"the cell has {robot[:12]}…): train it anew with this cell"
        )


def _check(trained: TrainedKvark, path: Path) -> None:
    t, n = trained.tables, trained.n
    m = t.mean.shape[1] if t.mean.ndim == 2 else 0
    right = t.low.shape == t.step.shape == (n,) and t.mean.shape == t.variance.shape == (n, m) and m >= 2
    numbers = np.concatenate([part.ravel() for part in (t.low, t.step, t.mean, t.variance)])
    if not right or not np.isfinite(numbers).all() or (t.step <= 0.0).any() or (t.variance <= 0.0).any():
        raise ModelError(f"{path} holds tables that do not fit each other or are not finite: train it anew")

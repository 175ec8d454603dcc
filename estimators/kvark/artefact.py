"""A trained observer as one file: plain float64 arrays and a page of JSON about where they come from; no pickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators import files
from estimators.errors import ModelError, ParameterError
from estimators.kvark.band import BandParams
from estimators.kvark.recursion import RecursionParams
from estimators.residual.base import ResidualModel
from estimators.residual.packing import unpack

Array = npt.NDArray[np.float64]

FORMAT = 3
"""Of the file; raised when its meaning changes."""
READ = (2, FORMAT)
"""Formats that are understood; 2: without a band."""
CONTACT = "contact"
"""Name of the detector's threshold."""
_RESIDUAL = "residual."
"""Before the names of the residual model's arrays."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainedKvark:
    """Residual model, filter parameters and calibration of one arm. Raises ModelError for parts that do not fit."""

    residual: ResidualModel
    params: RecursionParams
    robot: str
    """SHA-256 (hex) of the URDF that the rigid-body model was made from."""
    method: str = "kvark"
    """What it is called in tables and on the screen."""
    scale: float = 1.0
    """Factor on the reported standard deviation, see :class:`estimators.kvark.observer.KvarkObserver`."""
    level: float = 0.0
    lag: int = 0
    """Ticks by which the measured torque lagged in training, 0 or 1."""
    friction_scale: Array | None = None
    """Factor on each joint's residual mean, (n,), from a warm-up in free motion; None: ones."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Of contact detection, by the detector's own names (:data:`CONTACT`); empty: none are known."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """What it was trained on, when, with which versions: anything that JSON can say."""
    band: BandParams | None = None
    """What is reported instead of the plain scale and level; None: those."""

    def __post_init__(self) -> None:
        n = self.params.q_rate.size
        if self.residual.n != n:
            raise ModelError(f"residual model of {self.residual.n} joints, filter of {n}: train it anew")
        scale = np.ones(n) if self.friction_scale is None else np.asarray(self.friction_scale, dtype=np.float64)
        if scale.shape != (n,) or not np.isfinite(scale).all() or (scale <= 0.0).any():
            raise ModelError(f"friction scale is {scale}; expected {n} finite values above 0")
        object.__setattr__(self, "friction_scale", scale)
        if not np.isfinite([self.scale, self.level, *self.thresholds.values()]).all() or not (
            self.scale > 0.0 and self.level >= 0.0 and self.lag in (0, 1)
        ):
            raise ModelError(
                f"scale {self.scale}, level {self.level}, lag {self.lag}, thresholds {dict(self.thresholds)}: expected "
                "finite values, scale above 0, level 0 or more, lag 0 or 1"
            )

        if self.band is not None and self.band.friction.size != n:
            raise ModelError(f"band of {self.band.friction.size} joints, filter of {n}: train it anew")
        if not all(limit > 0.0 for limit in self.thresholds.values()):
            raise ModelError(f"thresholds {dict(self.thresholds)}: expected values above 0")

    @property
    def detect(self) -> float | None:
        """The detector's threshold; None where there is none, or no band to judge by."""
        return None if self.band is None else self.thresholds.get(CONTACT)

    @property
    def n(self) -> int:
        """Number of joints."""
        return self.params.q_rate.size


def save(trained: TrainedKvark, path: Path) -> None:
    """Write ``trained`` to ``path``, whole or not at all. Raises OSError."""
    p = trained.params
    options, arrays = trained.residual.pack()
    about = {
        "format": FORMAT,
        "kind": "kvark",
        "method": trained.method,
        "residual": options,
        "robot": trained.robot,
        "scale": trained.scale,
        "level": trained.level,
        "lag": trained.lag,
        "thresholds": dict(trained.thresholds),
        "filter": {key: value for key, value in asdict(p).items() if key not in ("q_rate", "r_empirical")},
        "provenance": dict(trained.provenance),
    }
    band = trained.band
    if band is not None:
        about["band"] = {"weights": band.weights, "scale": band.scale, "load": band.load, "drift": band.drift}
    content: dict[str, Any] = {_RESIDUAL + key: np.asarray(value, np.float64) for key, value in arrays.items()}
    content |= {"q_rate": p.q_rate, "r_empirical": p.r_empirical, "friction_scale": trained.friction_scale}
    if band is not None:
        content |= {"band.friction": band.friction, "band.speed": band.speed}
    files.write(path, about, content)


def load(path: Path) -> TrainedKvark:
    """What :func:`save` wrote. Raises OSError; ModelError for a file that is none, or of another format."""
    try:
        about, found = files.read(path)
        arrays = {name: value.astype(np.float64) for name, value in found.items()}
        if about["format"] not in READ or about["kind"] != "kvark":
            raise ModelError(
                f"format {about['format']} of kind {about['kind']!r}; expected {FORMAT} of kvark: train it anew"
            )
        options: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in about["filter"].items()
        }
        parts = {name.removeprefix(_RESIDUAL): value for name, value in arrays.items() if name.startswith(_RESIDUAL)}
        return TrainedKvark(
            unpack(about["residual"], parts),
            RecursionParams(arrays["q_rate"], arrays["r_empirical"], **options),
            str(about["robot"]),
            str(about["method"]),
            float(about["scale"]),
            float(about["level"]),
            int(about["lag"]),
            arrays["friction_scale"],
            {str(key): float(value) for key, value in about["thresholds"].items()},
            about["provenance"],
            _band(about.get("band"), arrays),
        )
    except OSError:
        raise
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    except (*files.DAMAGED, ParameterError) as error:
        what = f"{type(error).__name__}: {error}"
        raise ModelError(f"{path} is no trained K-VARK model ({what}); train it anew") from error


def _band(numbers: Mapping[str, Any] | None, arrays: Mapping[str, Array]) -> BandParams | None:
    if numbers is None:
        return None
    p, model, innovation, doubt, level, beyond = (float(value) for value in numbers["weights"])
    return BandParams(
        arrays["band.friction"],
        arrays["band.speed"],
        (p, model, innovation, doubt, level, beyond),
        *(float(numbers[name]) for name in ("scale", "load", "drift")),
    )


def require_fit(trained: TrainedKvark, n: int, robot: str, path: Path) -> None:
    """Raises ModelError unless ``trained`` belongs to a robot of ``n`` joints whose URDF has the hash ``robot``."""
    if trained.n != n:
        raise ModelError(f"{path} is for {trained.n} joints, the cell's robot has {n}: name the model of this robot")
    if trained.robot != robot:
        raise ModelError(
            f"{path} was trained with another rigid-body model (URDF {trained.robot[:12]}…, "
            f"the cell has {robot[:12]}…): train it anew with this cell"
        )

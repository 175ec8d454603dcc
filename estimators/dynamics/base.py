"""What every model of inverse dynamics offers, whatever is inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from estimators.dynamics.samples import Samples

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Step:
    """One finished epoch (or iteration, where there are none)."""

    epoch: int
    """Counted from 1."""
    epochs: int
    """How many there will be at most."""
    loss: float
    """What is minimised, nats a sample and joint."""
    validation: float
    """NLL on the validation samples, nats a sample and joint, of scaled torque; NaN where it is not computed."""


Progress = Callable[[Step], None]


@dataclass(slots=True)
class History:
    """How a training went."""

    steps: list[Step] = field(default_factory=list)
    best_epoch: int = 0
    cpu_seconds: float = 0.0
    """Processor time of all epochs, s."""
    notes: list[str] = field(default_factory=list)
    """What a reader should know: subset, refit kept or not, noise factors."""


class DynamicsModel(Protocol):
    """Joint torque from x = [q, qd, qdd], with variance, for an arm of ``n`` joints."""

    @property
    def kind(self) -> str:
        """Name of the family, as in the file."""
        ...

    def fit(
        self, train: Samples, validate: Samples, progress: Progress | None = None, checkpoint: Path | None = None
    ) -> History:
        """Learn from ``train``; stop early and calibrate by ``validate``, whose trajectories must be others.

        With ``checkpoint`` the state is written there after each epoch, and training goes on from it if it is there.
        Raises ParameterError for samples that nothing can be learnt from, ModelError for a checkpoint of another
        training.
        """
        ...

    def predict(self, samples: Samples) -> tuple[Array, Array]:
        """Mean N·m and variance (N·m)² of the *measured* torque, both (N, n); ``samples.tau`` is not looked at."""
        ...

    def save(self, path: Path, provenance: dict[str, object] | None = None) -> None:
        """Write the model, whole or not at all: plain arrays and JSON, no pickle. Raises OSError."""
        ...

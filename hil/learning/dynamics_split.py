"""What is trained on, what stops and calibrates training, and what only judges: whole trajectories.

Neighbouring samples of a trajectory are all but copies of each other. A random split puts one copy into training and
the other into the test: it flatters severalfold, and the bands that it calibrates are too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from estimators.dynamics.samples import Samples
from hil.learning.dynamics_data import DataError

SHARE = 0.1
"""Of the trajectories, for validation and for the test each."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Three disjoint sets of samples."""

    train: Samples
    validate: Samples
    test: Samples
    leaking: bool = False
    """Samples of one trajectory are in several sets: scores say little about motion that is new."""

    def about(self) -> dict[str, object]:
        """For the provenance of a model."""
        sets = {"train": self.train, "validate": self.validate, "test": self.test}
        found: dict[str, object] = {name: [int(k) for k in part.trajectories] for name, part in sets.items()}
        return found | {"leaking": self.leaking}


def by_trajectory(
    samples: Samples, validate: Sequence[int] | None = None, test: Sequence[int] | None = None, seed: int = 0
) -> Split:
    """Whole trajectories: those named, or about a tenth each, drawn with ``seed``. Raises DataError."""
    known = [int(k) for k in samples.trajectories]
    for name, asked in (("validate", validate), ("test", test)):
        if unknown := sorted(set(asked or ()) - set(known)):
            raise DataError(f"{name}: there is no trajectory {unknown[0]}; there are {_few(known)}")
    if both := sorted(set(validate or ()) & set(test or ())):
        raise DataError(f"trajectory {both[0]} cannot both stop training and judge it: take it out of one of the two")
    free = [k for k in known if k not in {*(validate or ()), *(test or ())}]
    order = [int(k) for k in np.random.default_rng(seed).permutation(free)]
    count = max(1, round(SHARE * len(known)))
    need = 1 + (count if test is None else 0) + (count if validate is None else 0)
    if len(order) < need or len(known) < 3:
        raise DataError(
            f"{len(known)} trajectories; expected at least three, to train, to stop and to judge by: record more "
            "motions, or ask for a random split, whose scores flatter"
        )
    if test is None:
        test, order = order[:count], order[count:]
    if validate is None:
        validate, order = order[:count], order[count:]
    return Split(samples.of(order), samples.of(list(validate)), samples.of(list(test)))


def leaking(samples: Samples, seed: int = 0) -> Split:
    """Samples at random, 80/10/10: what much of the literature does, and marked. Raises DataError below 10 samples."""
    if len(samples) < 10:
        raise DataError(f"{len(samples)} samples; expected at least 10")
    order = np.random.default_rng(seed).permutation(len(samples))
    cuts = [round(0.8 * len(order)), round(0.9 * len(order))]
    train, validate, test = (samples.at(np.sort(part)) for part in np.split(order, cuts))
    return Split(train, validate, test, leaking=True)


def _few(numbers: Sequence[int]) -> str:
    shown = ", ".join(str(k) for k in numbers[:20])
    return shown if len(numbers) <= 20 else f"{shown} … ({len(numbers)})"

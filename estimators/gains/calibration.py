"""What eqs (6)–(8) and the innovation take for known and for unknown, from recorded motion.

The paper takes σ_n from the fitted noise and σ_f from the spread of the targets. On motion that nothing like was
trained on, the predicted σ then rises from σ_n by some hundredths of the way to σ_f, and the gains stay low. Here both
are measured: σ_n is what the model predicts on motion like that it was trained on, and σ_f follows from how high the
stiffness has to be on motion that is *made* unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.errors import ModelError, ParameterError
from estimators.gains.law import GainLaw

Array = npt.NDArray[np.float64]

KNOWN_QUANTILE = 0.9
"""Share of known motion on which σ is at most σ_n, and the stiffness kp_min."""
WANTED = 0.5
"""Mean stiffness on each kind of unknown motion, share of kp_max, for every joint."""
SHIFT = 1.0
"""By how much positions are shifted to become unknown, rad."""
FASTER = 2.5
"""Factor on velocities that makes them unknown; accelerations get its square."""
_STEPS = 60


@dataclass(frozen=True, slots=True, eq=False)
class GainFigures:
    """Everything that data say about law and innovation; arrays (n,)."""

    sigma_known: Array
    """σ_n, N·m."""
    sigma_unknown: Array
    """σ_f, N·m."""
    sensitivity: float
    """C."""
    baseline: Array
    """ν_0 of the innovation."""
    qd_sigma: Array
    """Noise of the measured velocity as the innovation sees it, rad/s RMS."""
    qdd_sigma: Array
    """Of the measured acceleration, rad/s² RMS."""
    friction: Array
    """Slope of the torque over the velocity, N·m·s/rad RMS."""

    def to_mapping(self) -> dict[str, Any]:
        """As JSON can say it."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: float(value) if np.ndim(value) == 0 else value.tolist() for name, value in values.items()}

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any], n: int) -> GainFigures:
        """What :meth:`to_mapping` made, of ``n`` joints. Raises ModelError for anything else."""
        try:
            values = {field.name: np.asarray(data[field.name], dtype=np.float64) for field in fields(cls)}
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the gains' calibration is not whole ({error}); anew: `hil train gains`") from error
        sensitivity = values.pop("sensitivity")
        fit = sensitivity.shape == () and all(value.shape == (n,) for value in values.values())
        if not fit or not all(np.isfinite(value).all() for value in (sensitivity, *values.values())):
            raise ModelError(f"the gains' calibration is not one of {n} joints: `hil train gains` makes it anew")
        return cls(sensitivity=float(sensitivity), **values)


def made_unknown(q: Array, qd: Array, qdd: Array, rng: np.random.Generator) -> dict[str, tuple[Array, Array, Array]]:
    """Motions as they were not seen in training, from known ones, (m, n) each: ``shifted`` and ``faster``."""
    moved = q + SHIFT * rng.choice((-1.0, 1.0), q.shape)
    return {"shifted": (moved, qd, qdd), "faster": (q, FASTER * qd, FASTER * FASTER * qdd)}


def spans(
    kp_min: Array,
    kp_max: Array,
    known: Array,
    unknown: Sequence[Array],
    sensitivity: float = 3.0,
    wanted: float = WANTED,
    quantile: float = KNOWN_QUANTILE,
) -> GainLaw:
    """The law that is soft on ``known`` motion and stiff on each set of ``unknown`` motion.

    ``known`` (m, n), and each of ``unknown`` (k, n): predicted σ, N·m. σ_n is the ``quantile`` of the known; σ_f of a
    joint is the largest with which its mean stiffness is at least ``wanted`` times its kp_max on every set, so that
    nothing is stiffer than it has to be. ``sensitivity`` is C: only C/(σ_f − σ_n) matters until r reaches 1, so that C
    says how near to kp_max the stiffness comes, and σ_f how soon.

    Raises ParameterError for a joint whose σ tells the two apart too little for that, and for data that are not finite.
    """
    sets = [np.atleast_2d(part) for part in unknown]
    if not all(np.isfinite(part).all() for part in (known, *sets)) or not sets:
        raise ParameterError("the standard deviations to calibrate with are not finite")
    sigma_n = np.quantile(known, quantile, axis=0)
    least = np.maximum(1e-6 * sigma_n, 1e-12)

    def mean_share(sigma_f: Array) -> Array:
        law = GainLaw(kp_min, kp_max, sigma_n, sigma_f, sensitivity)
        found: Array = np.min([np.mean(law.stiffness(part), axis=0) for part in sets], axis=0) / kp_max
        return found

    short = mean_share(sigma_n + least) < wanted
    if short.any():
        names = ", ".join(f"A{j + 1}" for j in np.flatnonzero(short))
        raise ParameterError(
            f"on {names} the predicted standard deviation is hardly larger on unknown motion than on known: it cannot "
            "steer the gains of that joint; train with more different motions, or name sigma_known and sigma_unknown"
        )
    # The share falls as σ_f rises: halve the interval.
    low, high = sigma_n + least, 2.0 * np.max([part.max(axis=0) for part in sets], axis=0) + 10.0 * sigma_n
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        enough = mean_share(middle) >= wanted
        low, high = np.where(enough, middle, low), np.where(enough, high, middle)
    return GainLaw(kp_min.copy(), kp_max.copy(), sigma_n, low, sensitivity)

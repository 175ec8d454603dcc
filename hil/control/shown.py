"""What a controller with a learnt feed-forward shows of a cycle, for telemetry."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from drivers.contract import Array


@dataclass(slots=True, eq=False)
class Learnt:
    """What was learnt while the controller runs."""

    load_mass: float = math.nan
    """Of what the arm carries beside tool, kg; NaN where that is not estimated."""
    load_mass_sd: float = math.nan
    """kg."""
    version: int = -1
    """Of the model that is learnt from; 0: the one from the file; -1: nothing is learnt from."""
    rmse: float = math.nan
    """Of the last batch before it was learnt, mean over the joints, N·m."""
    nis: float = math.nan
    """Its squared error by the predicted variance, mean over the joints; 1 where the model knows its error."""
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """News, in words and data, for the log; who writes them clears the list."""


@dataclass(slots=True, eq=False)
class Shown:
    """What the last cycle did, for telemetry; (n,) each."""

    tau_ff: Array
    """Feed-forward torque, N·m."""
    tau_ff_sd: Array
    """Its standard deviation as predicted, N·m."""
    surprise: Array
    """Factor of the innovation on it."""
    kp: Array
    """Stiffness, N·m/rad."""
    kp_share: Array
    """The same as part of ``kp_max``."""
    tank: float
    """Energy left, J."""
    clamped: bool
    """The passivity bound held the stiffness back."""
    starved: bool
    """The tank did."""
    fallback: bool
    """The prediction was not finite: rigid-body torque and full gains."""
    learnt: Learnt | None = None
    """None where nothing is learnt while it runs."""

"""What a controller with a learnt feed-forward shows of a cycle, for telemetry."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.contract import Array


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

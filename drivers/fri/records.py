"""What an FRI datagram says, as plain data with the units and signs of the wire."""

from __future__ import annotations

from dataclasses import dataclass, field

from drivers.contract import Array
from drivers.fri.ios import IoValue

_NAN = float("nan")

Redundant = tuple[int, float]
"""Redundancy strategy (:class:`~drivers.fri.wire.Redundancy`) and its value."""


@dataclass(slots=True, eq=False)
class Monitoring:
    """What the controller sends. Optional enums and numbers are -1 (``tracking`` NaN, arrays None) where the wire
    has none; an optional enum with a value unknown to us reads as -1 too."""

    seq: int
    reflected_seq: int
    session_state: int
    quality: int
    send_period_ms: int = -1
    receive_multiplier: int = -1
    n_joints: int = -1
    safety_state: int = -1
    operation_mode: int = -1
    control_mode: int = -1
    drive_state: list[int] = field(default_factory=list)
    q: Array | None = None
    tau_measured: Array | None = None
    q_commanded: Array | None = None
    tau_commanded: Array | None = None
    tau_external: Array | None = None
    q_ipo: Array | None = None
    client_command_mode: int = -1
    overlay_type: int = -1
    tracking: float = _NAN
    t_device_ns: int = -1
    """Controller clock (Unix time), ns."""
    ios: list[IoValue] = field(default_factory=list)
    pose: Array | None = None
    """Measured pose of the TCP in the base frame, ``[x y z (mm) qw qx qy qz]``; FRI 2 only, like the next three."""
    redundancy: Redundant | None = None
    pose_ipo: Array | None = None
    """The interpolator's pose, with a Cartesian overlay only."""
    redundancy_ipo: Redundant | None = None
    external_force: Array | None = None
    """The controller's own estimate of the external wrench (6,), N and N·m; FRI 2.7 only."""


@dataclass(slots=True, eq=False)
class CommandMsg:
    """What the client answers; a field is None where the wire has none. ``wrench`` is (6,), N and N·m in the
    order of the wire; ``pose`` is ``[x y z (mm) qw qx qy qz]``."""

    seq: int
    reflected_seq: int
    q: Array | None = None
    tau: Array | None = None
    wrench: Array | None = None
    ios: list[IoValue] = field(default_factory=list)
    pose: Array | None = None
    redundancy: Redundant | None = None

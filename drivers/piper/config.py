"""How a PiPER-type arm is connected, and what its firmware makes of torques and currents."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from drivers.can.bus import BusConfig
from drivers.contract import Array
from drivers.errors import ConnectError
from drivers.piper.codec import T_MAX, TORQUE_STEP, N

PERIOD = 0.005
"""Period of the arm's feedback, s; it is fixed."""
SDK_TORQUE_PER_AMPERE = (1.18125, 1.18125, 1.18125, 0.95844, 0.95844, 0.95844)
"""N·m/A by which the published SDK turns currents into torques."""


@dataclass(frozen=True)
class FirmwareScale:
    """What one firmware makes of the numbers on the wire; no document states it for all of them, so a person measures
    it. Raises ValueError."""

    torque: tuple[float, ...] = (1.0,) * N
    """Joint torque over the torque in an MIT frame, each joint."""
    torque_per_ampere: tuple[float, ...] = SDK_TORQUE_PER_AMPERE
    """Joint torque over measured current, N·m/A."""
    signs: tuple[int, ...] = (1,) * N
    """−1 where an MIT frame's torque, position and speed push or count the other way than the feedback."""

    def __post_init__(self) -> None:
        for name, values in (("torque", self.torque), ("torque_per_ampere", self.torque_per_ampere)):
            if len(values) != N or not all(math.isfinite(x) and x > 0.0 for x in values):
                raise ValueError(f"{name} {values}: expected six numbers above 0")
        if len(self.signs) != N or any(sign not in (1, -1) for sign in self.signs):
            raise ValueError(f"signs {self.signs}: expected six of 1 and -1")

    @property
    def torque_max(self) -> Array:
        """Largest joint torque that can be sent, (6,) N·m."""
        return T_MAX * np.array(self.torque)

    @property
    def torque_step(self) -> Array:
        """Resolution of the joint torque, (6,) N·m."""
        return TORQUE_STEP * np.array(self.torque)


@dataclass(frozen=True)
class PiperConfig:
    """One arm. Raises ValueError for what cannot be."""

    bus: BusConfig
    firmware: dict[str, FirmwareScale]
    """By version, as the arm states it (``1.8-5``); an arm with another version is refused."""
    hold_speed_percent: int = 20
    """Share of full speed at which the arm's own position control may correct while it holds."""
    silent_ms: float = 20.0
    """Without a complete set of feedback for so long the arm counts as lost."""

    def __post_init__(self) -> None:
        if not self.firmware:
            raise ValueError("firmware: expected at least one version with its torque scale")
        if not 1 <= self.hold_speed_percent <= 100:
            raise ValueError(f"hold_speed_percent {self.hold_speed_percent}: 1 … 100")
        if not 10.0 <= self.silent_ms <= 100.0:
            raise ValueError(f"silent_ms {self.silent_ms}: 10 … 100 ms, two to twenty periods of the feedback")

    def scale_of(self, version: str) -> FirmwareScale:
        """Of the firmware that the arm states. Raises ConnectError for one that nobody has measured."""
        if version not in self.firmware:
            raise ConnectError(
                f"the arm's firmware is {version}; the cell knows the torque scale of "
                f"{', '.join(sorted(self.firmware))}: measure it (docs/piper.md) and add it to robot.firmware"
            )
        return self.firmware[version]

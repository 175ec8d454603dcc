"""A PiPER-type arm, as a cell file describes it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from drivers.can.bus import BusConfig
from drivers.piper.codec import N
from drivers.piper.config import SDK_TORQUE_PER_AMPERE, FirmwareScale, PiperConfig
from hil.cell.cobot import CanChannel, Sign
from hil.cell.parts import Positive, Section

FirmwareVersion = Annotated[str, Field(pattern=r"^\d+\.\d+-\d+$")]
Six = Annotated[tuple[Positive, ...], Field(min_length=N, max_length=N)]
SixSigns = Annotated[tuple[Sign, ...], Field(min_length=N, max_length=N)]


class Firmware(Section):
    """What one firmware makes of the numbers on the wire; docs/piper.md says how to measure it."""

    torque: Six = Field(default=(1.0,) * N, description="joint torque over the torque in an MIT frame")
    torque_per_ampere: Six = Field(
        default=SDK_TORQUE_PER_AMPERE, description="joint torque over measured motor current, N·m/A"
    )
    signs: SixSigns = Field(
        default=(1, 1, 1, 1, 1, 1), description="-1 where a positive torque pushes the joint backwards"
    )

    @property
    def scale(self) -> FirmwareScale:
        """For :class:`drivers.piper.arm.PiperArm`."""
        return FirmwareScale(self.torque, self.torque_per_ampere, tuple(self.signs))


class PiperLink(Section):
    """How the arm is reached."""

    channel: CanChannel = Field(description="CAN channel; the arm speaks 1 Mbit/s")
    hold_speed_percent: int = Field(
        default=20, ge=1, le=100, description="share of full speed at which the arm's own position control holds, %"
    )
    silent_ms: float = Field(
        default=20.0, ge=10.0, le=100.0, description="without a whole set of feedback for so long the arm is lost, ms"
    )

    def config(self, firmware: dict[str, Firmware]) -> PiperConfig:
        """For :class:`drivers.piper.arm.PiperArm`."""
        channel = self.channel
        return PiperConfig(
            BusConfig(channel.interface, channel.channel, channel.bitrate, channel.options),
            {version: described.scale for version, described in firmware.items()},
            self.hold_speed_percent,
            self.silent_ms,
        )

"""An arm of CiA 402 drives on CAN, as a cell file describes it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from drivers.can.bus import BusConfig
from drivers.cobot.cia402 import Mode
from drivers.cobot.config import CobotConfig
from drivers.cobot.model import CobotJoint
from drivers.cobot.plan import HEARTBEAT_CONSUMER_MS, BusLoad
from hil.cell.parts import Positive, Section, Share

MOCK_CHANNEL = "mock"
Sign = Literal[1, -1]


class CanChannel(Section):
    """One CAN channel."""

    interface: str = Field(
        min_length=1, description="slcan, or any interface of python-can: socketcan, pcan, kvaser, udp_multicast …"
    )
    channel: str = Field(
        min_length=1, description=f"as in can0 or /dev/ttyACM0; {MOCK_CHANNEL} in a cell with mocks: true"
    )
    bitrate: int = Field(default=1_000_000, ge=10_000, le=1_000_000, description="bit/s")
    options: dict[str, str | int | float | bool] = Field(
        default={}, description="further keywords of python-can's interface, by name"
    )


class Drive(Section):
    """One joint's drive, motor and gear; figures are compared with what the drive says of itself."""

    node: int = Field(ge=1, le=126, description="CANopen node id")
    channel: int = Field(default=0, ge=0, description="on which of the channels, counted from 0")
    gear: Positive = Field(description="motor turns for one turn of the joint")
    rated_torque_mNm: int = Field(gt=0, description="0x6076 of the drive, mN·m at the motor")
    counts_per_rev: int = Field(default=131072, gt=0, description="0x608F: increments for one turn of the motor")
    efficiency: Share = Field(default=1.0, description="of the gear, a constant factor of the torque")
    torque_sign: Sign = Field(default=1, description="-1 where a positive target pushes the joint backwards")
    position_sign: Sign = Field(default=1, description="-1 where the encoder counts backwards")
    position_offset: float = Field(default=0.0, description="joint angle where the drive counts zero, rad")


class CanLink(Section):
    """The drives of an arm and how they are reached."""

    channels: tuple[CanChannel, ...] = Field(min_length=1, max_length=4, description="CAN channels")
    drives: tuple[Drive, ...] = Field(min_length=1, description="one for each joint, from the base to the flange")
    cycle_ms: int = Field(default=2, ge=1, le=20, description="time between two SYNCs, ms: the tick of the arm")
    eds: str | None = Field(default=None, description="electronic data sheet of the drives; nothing: the mock's")
    mode: Literal[10, 4] | None = Field(
        default=None, description="10 cyclic synchronous torque, 4 profile torque; nothing: the best that all have"
    )
    brakes: bool = Field(default=True, description="every joint has a holding brake")
    heartbeat_ms: int = Field(
        default=HEARTBEAT_CONSUMER_MS,
        ge=20,
        le=HEARTBEAT_CONSUMER_MS,
        description="silence after which drives stop, ms",
    )

    @field_validator("drives")
    @classmethod
    def _once(cls, drives: tuple[Drive, ...]) -> tuple[Drive, ...]:
        nodes = [drive.node for drive in drives]
        if len(set(nodes)) != len(nodes):
            raise ValueError(f"allowed: each node id once, over all channels; here are {nodes}")
        return drives

    @model_validator(mode="after")
    def _fits(self) -> CanLink:
        used = {drive.channel for drive in self.drives}
        if used != set(range(len(self.channels))):
            raise ValueError(
                f"allowed: drives on each of the {len(self.channels)} channels; they are on {sorted(used)}"
            )
        for load in self.loads():
            if load.refused:
                raise ValueError(f"allowed: a plan that fits the bus; {load.refused}")
        return self

    def loads(self) -> list[BusLoad]:
        """Planned load of each channel."""
        ones = (1.0,) * len(self.drives)
        return self.config(ones, ones).loads()

    @property
    def period(self) -> float:
        """Time between two SYNCs, s."""
        return 1e-3 * self.cycle_ms

    def config(self, tau_max: tuple[float, ...], qd_max: tuple[float, ...]) -> CobotConfig:
        """For :class:`drivers.cobot.arm.CobotArm`; ``tau_max`` (N·m) and ``qd_max`` (rad/s) of each joint."""
        joints = tuple(
            CobotJoint(
                drive.node,
                drive.gear,
                drive.rated_torque_mNm,
                drive.counts_per_rev,
                drive.efficiency,
                drive.torque_sign,
                drive.position_sign,
                drive.position_offset,
                tau,
                qd,
                drive.channel,
            )
            for drive, tau, qd in zip(self.drives, tau_max, qd_max, strict=True)
        )
        buses = tuple(BusConfig(c.interface, c.channel, c.bitrate, c.options) for c in self.channels)
        return CobotConfig(
            joints,
            buses,
            self.period,
            mode=None if self.mode is None else Mode(self.mode),
            heartbeat_consumer_ms=self.heartbeat_ms,
            our_heartbeat_ms=self.heartbeat_ms // 3,
        )

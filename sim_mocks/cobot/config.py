"""How a mock cobot is made up; plain frozen values, part of :class:`sim_mocks.config.MockConfig`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from drivers.cobot.model import CobotJoint
from sim_mocks.errors import MockError

GROUP = "239.74.163.2"
"""Default multicast group; the range 239/8 never leaves an organisation."""
TRANSPORTS = ("udp_multicast", "slcan", "virtual")


def default_joints(split: int = 6) -> tuple[CobotJoint, ...]:
    """Six joints with the drives of the ``cobot`` profile, node ids 1 … 6; those from number ``split`` on hang on
    channel 1."""
    rated = (1500, 1500, 1000, 350, 350, 250)
    return tuple(
        CobotJoint(node=i + 1, gear=101.0, rated_torque_mNm=torque, channel=int(i >= split))
        for i, torque in enumerate(rated)
    )


@dataclass(frozen=True, slots=True)
class CobotMockConfig:
    """The drives and their wires. Raises MockError for what cannot be."""

    joints: tuple[CobotJoint, ...] = default_joints()
    """Nameplate of each joint's drive, motor and gear: what the supervisor is told as well."""
    transport: str = "udp_multicast"
    channel: str = ""
    """Multicast group, or name of the ``virtual`` channel; empty: a default. The second bus appends ``-1`` to a name
    and counts the group's last byte up by one."""
    port: int = 0
    """UDP port; 0: a free one, which ``hello`` tells. A second bus takes the next."""
    bitrate: int = 1_000_000
    period_ms: int = 2
    """SYNC period for which the cell is meant: virtual time that passes in each wait of a client."""
    limited: bool = True
    """Frames take their time on the bus."""
    brakes: bool = True
    ramps: bool = True
    """The drives can brake by themselves (quick stop and the like); otherwise they coast."""
    release_delay: float = 0.05
    """From enabled operation to open brakes, s."""
    boot_time: float = 0.02
    """From power-on or reset to the boot-up message, s."""

    def __post_init__(self) -> None:
        if self.transport not in TRANSPORTS:
            raise MockError(f"cobot.transport: read {self.transport!r}, allowed are {', '.join(TRANSPORTS)}")
        if not self.joints or len({(joint.channel, joint.node) for joint in self.joints}) != len(self.joints):
            raise MockError("cobot.joints: expected at least one, and no node id twice on a channel")
        channels = {joint.channel for joint in self.joints}
        if channels != set(range(len(channels))):
            raise MockError(f"cobot.joints: read channels {sorted(channels)}; they count from 0 without a gap")
        if not 1 <= self.period_ms <= 100:
            raise MockError(f"cobot.period_ms: read {self.period_ms}, allowed are 1 … 100 ms")
        if not 10_000 <= self.bitrate <= 1_000_000:
            raise MockError(f"cobot.bitrate: read {self.bitrate} bit/s, classic CAN has 10000 … 1000000")
        if not 0 <= self.port <= 65000:
            raise MockError(f"cobot.port: read {self.port}, allowed are 0 … 65000")
        for name in ("release_delay", "boot_time"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0.0 <= value <= 10.0):
                raise MockError(f"cobot.{name}: read {value} s, allowed are 0 … 10 s")

    @property
    def channels(self) -> int:
        """Number of buses."""
        return 1 + max(joint.channel for joint in self.joints)

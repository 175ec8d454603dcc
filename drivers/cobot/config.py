"""How an arm of CiA 402 drives is connected and set up."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from drivers.can.bus import BusConfig
from drivers.cobot.cia402 import Mode
from drivers.cobot.model import CobotJoint
from drivers.cobot.plan import HEARTBEAT_CONSUMER_MS, HEARTBEAT_PRODUCER_MS, NODE_HEARTBEAT_MS, BusLoad, plan_load


@dataclass(frozen=True)
class CobotConfig:
    """One arm. Raises ValueError where the joints do not fit together."""

    joints: tuple[CobotJoint, ...]
    """From the base to the flange."""
    buses: tuple[BusConfig, ...]
    """One channel or several; every node id is unique over all of them."""
    period: float = 0.002
    """Time between two SYNCs, s: the tick of the arm."""
    eds: Path | None = None
    """Electronic data sheet of the drives; None: :func:`mock_eds`."""
    mode: Mode | None = None
    """None: cyclic synchronous torque, or profile torque where a drive lacks it."""
    quick_stop_option: int = 2
    """0x605A: 2 slows down on the quick-stop ramp, then takes the power away."""
    abort_option: int = 3
    """0x6007, when the link is lost: 1 fault, 2 disable voltage, 3 quick stop. 0 would go on, and is refused."""
    node_heartbeat_ms: int = NODE_HEARTBEAT_MS
    our_heartbeat_ms: int = HEARTBEAT_PRODUCER_MS
    heartbeat_consumer_ms: int = HEARTBEAT_CONSUMER_MS
    prove_heartbeat: bool = True
    """Withhold our heartbeat once in bring-up and see every drive report it, before anything can be enabled."""
    collect: float = 0.8
    """Part of the period after which a SYNC that not all drives have answered counts as incomplete."""

    def __post_init__(self) -> None:
        nodes = [joint.node for joint in self.joints]
        if not nodes or len(set(nodes)) != len(nodes):
            raise ValueError(f"node ids {nodes}: at least one, and each once over all channels")
        if not self.buses or {joint.channel for joint in self.joints} != set(range(len(self.buses))):
            raise ValueError(f"{len(self.buses)} channels, and joints on {sorted({j.channel for j in self.joints})}")
        if not 0.0005 <= self.period <= 0.1:
            raise ValueError(f"period {self.period} s: SYNC every 0.5 ms to 100 ms")
        if self.abort_option not in (1, 2, 3):
            raise ValueError(f"abort option {self.abort_option}: a drive must stop by itself (1, 2 or 3)")
        if not 0 < self.heartbeat_consumer_ms <= HEARTBEAT_CONSUMER_MS:
            raise ValueError(f"heartbeat consumer {self.heartbeat_consumer_ms} ms: at most {HEARTBEAT_CONSUMER_MS}")
        if not 0 < 2 * self.our_heartbeat_ms <= self.heartbeat_consumer_ms:
            raise ValueError("our heartbeat must come at least twice in the consumer's time")
        if not 0.1 <= self.collect <= 1.0:
            raise ValueError(f"collect {self.collect}: a part of the period from 0.1 to 1")

    @property
    def nodes(self) -> list[int]:
        """Node ids in the order of the joints."""
        return [joint.node for joint in self.joints]

    @property
    def channel_of(self) -> dict[int, int]:
        """Channel of each node id."""
        return {joint.node: joint.channel for joint in self.joints}

    def loads(self) -> list[BusLoad]:
        """Planned load of each channel."""
        return [
            plan_load(
                f"{bus.interface} {bus.channel}",
                sum(joint.channel == channel for joint in self.joints),
                1.0 / self.period,
                bus.bitrate,
                node_heartbeat_ms=self.node_heartbeat_ms,
                our_heartbeat_ms=self.our_heartbeat_ms,
            )
            for channel, bus in enumerate(self.buses)
        ]


def mock_eds() -> Path:
    """The data sheet of the mock's drive, which ships with this package."""
    return Path(str(files("drivers.cobot").joinpath("eds/hil_drive.eds")))

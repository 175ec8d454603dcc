"""How full a CAN bus will be, computed before anything is enabled.

A classic frame with an 11-bit identifier and n data bytes has 47 + 8n bits with the pause after it, and at most
(34 + 8n − 1)//4 stuff bits more. Realistic payloads need about 6 % on top of the nominal bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drivers.cobot.pdo import LAYOUTS, PdoLayout

TYPICAL_STUFFING = 1.06
TYPICAL_MAX = 0.80
WORST_MAX = 0.95
DEADLINE_CYCLES = 5
"""SYNCs without a command after which a drive must stop by itself."""
HEARTBEAT_CONSUMER_MS = 50
"""Silence of ours after which a drive must stop by itself."""
HEARTBEAT_PRODUCER_MS = 16
"""Our own heartbeat: three fit into the consumer's time."""
NODE_HEARTBEAT_MS = 100
"""Heartbeat of each drive; a lost drive is noticed by its missing TPDO much earlier."""
EMCY_INHIBIT_MS = 100
"""0x1015: least time between two EMCY of a drive."""


def nominal_bits(length: int) -> int:
    """Bits of a data frame with ``length`` bytes, without stuff bits, the pause of three bits included."""
    return 47 + 8 * length


def worst_bits(length: int) -> int:
    """The same with the most stuff bits that can be."""
    return nominal_bits(length) + (34 + 8 * length - 1) // 4


@dataclass(frozen=True)
class Traffic:
    """Frames of one kind."""

    name: str
    length: int
    """Data bytes."""
    per_second: float


@dataclass(frozen=True)
class BusLoad:
    """Planned load of one channel, as parts of its bit rate."""

    channel: str
    bitrate: int
    rate: float
    """SYNCs per second."""
    traffic: tuple[Traffic, ...]

    @property
    def nominal(self) -> float:
        return sum(nominal_bits(kind.length) * kind.per_second for kind in self.traffic) / self.bitrate

    @property
    def typical(self) -> float:
        return TYPICAL_STUFFING * self.nominal

    @property
    def worst(self) -> float:
        return sum(worst_bits(kind.length) * kind.per_second for kind in self.traffic) / self.bitrate

    @property
    def frames_per_second(self) -> float:
        return sum(kind.per_second for kind in self.traffic)

    @property
    def refused(self) -> str:
        """Why this plan must not run, with the figures and what helps; empty if it may."""
        if self.typical <= TYPICAL_MAX and self.worst <= WORST_MAX:
            return ""
        # What the nodes send by time costs next to nothing, so the rate scales nearly all of it.
        possible = self.rate * min(TYPICAL_MAX / self.typical, WORST_MAX / self.worst)
        return (
            f"{self.channel}: {self.describe()}; allowed are {100 * TYPICAL_MAX:.0f} % typical and "
            f"{100 * WORST_MAX:.0f} % worst. Lower the rate (about {possible:.0f} Hz fit), or put half of the joints "
            "on a second channel"
        )

    def describe(self) -> str:
        """One line of figures."""
        return (
            f"load {100 * self.nominal:.1f} % nominal, {100 * self.typical:.1f} % typical, {100 * self.worst:.1f} % "
            f"worst at {self.rate:g} Hz and {self.bitrate / 1e3:g} kbit/s"
        )


def plan_load(
    channel: str,
    nodes: int,
    rate: float,
    bitrate: int = 1_000_000,
    *,
    layouts: Sequence[PdoLayout] = LAYOUTS,
    node_heartbeat_ms: float = NODE_HEARTBEAT_MS,
    our_heartbeat_ms: float = HEARTBEAT_PRODUCER_MS,
    emcy_inhibit_ms: float = EMCY_INHIBIT_MS,
) -> BusLoad:
    """The load of ``nodes`` drives on one channel at ``rate`` SYNCs per second: SYNC, every PDO, all heartbeats, and
    EMCY as often as the inhibit time lets them come. Raises ValueError for a rate or bit rate that is not positive."""
    if not (rate > 0.0 and bitrate > 0 and nodes > 0):
        raise ValueError(f"{nodes} nodes at {rate} Hz and {bitrate} bit/s: all must be positive")
    traffic = [Traffic("SYNC", 0, rate)]
    traffic += [Traffic(layout.name, layout.length, nodes * rate / layout.every) for layout in layouts]
    traffic += [
        Traffic("heartbeat of the drives", 1, nodes * 1e3 / node_heartbeat_ms),
        Traffic("heartbeat of ours", 1, 1e3 / our_heartbeat_ms),
        Traffic("EMCY", 8, nodes * 1e3 / emcy_inhibit_ms),
    ]
    return BusLoad(channel, bitrate, rate, tuple(traffic))


def deadline_ms(period: float) -> int:
    """Event timer of the RPDO, ms: silence of ours after which a drive stops by itself; ``period`` in s."""
    return max(1, int(DEADLINE_CYCLES * period * 1e3))


def render(load: BusLoad) -> str:
    """The plan as a table of text."""
    lines = [f"{load.channel}: {load.describe()}"]
    for kind in load.traffic:
        share = nominal_bits(kind.length) * kind.per_second / load.bitrate
        lines.append(
            f"  {kind.name:<24}{kind.length} bytes {kind.per_second:8.1f} /s {100 * share:6.2f} % nominal "
            f"{100 * TYPICAL_STUFFING * share:6.2f} % typical"
        )
    lines.append(
        f"  allowed: {100 * TYPICAL_MAX:.0f} % typical, {100 * WORST_MAX:.0f} % worst: "
        + ("refused" if load.refused else "accepted")
    )
    return "\n".join(lines)

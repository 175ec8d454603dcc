"""How a mock PiPER-type arm is made up; part of :class:`sim_mocks.config.MockConfig`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sim_mocks.cobot.config import TRANSPORTS
from sim_mocks.errors import MockError


@dataclass(frozen=True, slots=True)
class PiperMockConfig:
    """Controller and wire. Raises MockError for what cannot be."""

    transport: str = "udp_multicast"
    channel: str = ""
    """Multicast group, or name of the ``virtual`` channel; empty: a default."""
    port: int = 0
    """UDP port; 0: a free one, which ``hello`` tells."""
    bitrate: int = 1_000_000
    period_ms: int = 5
    """Virtual time that passes in each wait of a client: the period of the feedback."""
    firmware: str = "1.8-5"
    held: bool = False
    """All joints are enabled from the start, and the arm holds itself: it has no brakes that would."""

    def __post_init__(self) -> None:
        if self.transport not in TRANSPORTS:
            raise MockError(f"piper.transport: read {self.transport!r}, allowed are {', '.join(TRANSPORTS)}")
        if not 1 <= self.period_ms <= 100:
            raise MockError(f"piper.period_ms: read {self.period_ms}, allowed are 1 … 100 ms")
        if not re.fullmatch(r"\d+\.\d+-\d+", self.firmware):
            raise MockError(f"piper.firmware: read {self.firmware!r}, expected a form like '1.8-5'")
        if not 10_000 <= self.bitrate <= 1_000_000 or not 0 <= self.port <= 65000:
            raise MockError(f"piper: read bitrate {self.bitrate} and port {self.port}; the cobot's has their ranges")

"""Opens a CAN channel by its description."""

from __future__ import annotations

from drivers.can.bus import Bus, BusConfig, PythonCanBus
from drivers.can.slcan import SlcanBus


def open_bus(config: BusConfig) -> Bus:
    """Open one channel. Raises ConnectError that says what to look at."""
    if config.interface == "slcan":
        return SlcanBus(config.channel, config.bitrate, **config.options)
    return PythonCanBus(config)

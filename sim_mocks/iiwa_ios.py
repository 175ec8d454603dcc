"""Inputs and outputs of the mock controller."""

from __future__ import annotations

import math
from collections.abc import Sequence

from drivers.fri.ios import IoValue
from drivers.fri.wire import IoDirection, IoType
from sim_mocks.config import IoConfig


class IoBank:
    """What the robot application has registered, with its present values."""

    def __init__(self, ios: Sequence[IoConfig]) -> None:
        self._ios = {io.name: io for io in ios}
        self.values = {io.name: float(io.value) for io in ios}
        """Name → value; booleans are 0 and 1."""

    def set(self, name: str, value: float) -> None:
        """What the world does to an input, or the robot application to an output. Raises ValueError."""
        if name not in self._ios:
            raise ValueError(f"IO {name!r} is not registered; there are {', '.join(self._ios) or 'none'}")
        number = float(value)
        if not math.isfinite(number) or not self._fits(name, number):
            raise ValueError(f"IO {name!r} of type {self._ios[name].type} does not take {value!r}")
        self.values[name] = number

    def write(self, io: IoValue) -> bool:
        """A client's write; False if it is refused: no output of that name and type, or an impossible value."""
        known = self._ios.get(io.name)
        if known is None or known.direction != "output" or io.direction != IoDirection.OUTPUT:
            return False
        if io.type != IoType[known.type.upper()]:
            return False
        given, other = (io.analog, io.digital) if io.type == IoType.ANALOG else (io.digital, io.analog)
        if given is None or other is not None or not math.isfinite(given) or not self._fits(io.name, float(given)):
            return False
        self.values[io.name] = float(given)
        return True

    def report(self) -> list[IoValue]:
        """All of them, as they ride in every monitoring message."""
        found = []
        for name, io in self._ios.items():
            kind, direction = IoType[io.type.upper()], IoDirection[io.direction.upper()]
            value = self.values[name]
            if kind is IoType.ANALOG:
                found.append(IoValue(name, kind, direction, analog=value))
            else:
                found.append(IoValue(name, kind, direction, digital=int(value)))
        return found

    def _fits(self, name: str, value: float) -> bool:
        kind = self._ios[name].type
        if kind == "boolean":
            return value in (0.0, 1.0)
        return kind == "analog" or (value >= 0.0 and value == int(value))

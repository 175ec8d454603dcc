"""Inputs and outputs as typed values, and the writing of outputs that the cell declares.

An output is written in every answer until the controller reports it with that value, so that a lost answer loses
nothing. A write never outlives the session, nor ``off()``: nothing is switched after a pause by an order from before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from drivers.errors import RefusedError
from drivers.fri.ios import IoValue
from drivers.fri.wire import IoDirection, IoType

Value = bool | int | float
_KINDS = {IoType.BOOLEAN: "true or false", IoType.DIGITAL: "an integer from 0 on", IoType.ANALOG: "a finite number"}
_DIGITAL_MAX = (1 << 64) - 1


def typed(io: IoValue) -> Value | None:
    """The value of ``io`` in its own type; None if it carries none, or one of another type."""
    if io.type == IoType.ANALOG:
        return io.analog if io.digital is None else None
    if io.digital is None or io.analog is not None:
        return None
    return bool(io.digital) if io.type == IoType.BOOLEAN else io.digital


def values(ios: Iterable[IoValue]) -> dict[str, Value]:
    """Name → typed value of all that carry one."""
    return {io.name: value for io in ios if (value := typed(io)) is not None}


class Outputs:
    """Writes that wait for the controller to take them; only names in ``declared`` can be written."""

    def __init__(self, declared: Mapping[str, IoType]) -> None:
        self._declared = dict(declared)
        self._waiting: dict[str, IoValue] = {}

    def write(self, name: str, value: Value, reported: Iterable[IoValue]) -> None:
        """Queue ``value``; ``reported`` are the IOs of the newest frame. Raises RefusedError."""
        kind = self._declared.get(name)
        if kind is None:
            allowed = ", ".join(self._declared) or "none"
            raise RefusedError(
                f"output {name!r} is not declared; the cell file (robot.fri.outputs) declares: {allowed}"
            )
        io = next((io for io in reported if io.name == name), None)
        if io is None:
            raise RefusedError(
                f"the controller does not offer {name!r}: add it to the IO group in the robot application"
            )
        if io.direction != IoDirection.OUTPUT:
            raise RefusedError(f"{name!r} is an input of the controller and cannot be written")
        if io.type != kind:
            raise RefusedError(
                f"{name!r} is {IoType(io.type).name} on the controller and {kind.name} in the cell file: mend that"
            )
        self._waiting[name] = _io(name, kind, value)

    def pending(self, reported: Iterable[IoValue]) -> list[IoValue]:
        """What the next answer has to write, less what the controller reports already."""
        if not self._waiting:
            return []
        for io in reported:
            wanted = self._waiting.get(io.name)
            if wanted is not None and typed(io) == typed(wanted):
                del self._waiting[io.name]
        return list(self._waiting.values())

    def clear(self) -> None:
        """Forget what was not taken."""
        self._waiting.clear()


def _io(name: str, kind: IoType, value: Value) -> IoValue:
    number = isinstance(value, int) and not isinstance(value, bool)
    if kind is IoType.BOOLEAN and isinstance(value, bool):
        return IoValue(name, kind, IoDirection.OUTPUT, digital=int(value))
    if kind is IoType.DIGITAL and number and 0 <= value <= _DIGITAL_MAX:
        return IoValue(name, kind, IoDirection.OUTPUT, digital=int(value))
    if kind is IoType.ANALOG and (number or isinstance(value, float)) and math.isfinite(value):
        return IoValue(name, kind, IoDirection.OUTPUT, analog=float(value))
    raise RefusedError(f"{name!r} takes {_KINDS[kind]}, read {value!r}")

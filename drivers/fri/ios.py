"""Inputs and outputs of the controller that ride along in FRI messages. The functions raise ProtocolError (``io``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from drivers.errors import ProtocolError
from drivers.fri import wire


@dataclass(slots=True, eq=False)
class IoValue:
    """One input or output of the controller: ``digital`` for BOOLEAN and DIGITAL, ``analog`` for ANALOG."""

    name: str
    type: int
    direction: int
    digital: int | None = None
    analog: float | None = None


def read_ios(fields: Any) -> list[IoValue]:
    """IO values of a repeated ``FriIOValue`` field; refuses counts, names, types and directions FRI lacks."""
    if len(fields) > wire.MAX_IOS:
        raise ProtocolError("io", f"{len(fields)} IOs came, FRI allows {wire.MAX_IOS}")
    ios = []
    for f in fields:
        if len(f.name) > wire.MAX_IO_NAME:
            raise ProtocolError("io", f"an IO's name has {len(f.name)} bytes, FRI allows {wire.MAX_IO_NAME}")
        if f.type > wire.IoType.ANALOG or f.direction > wire.IoDirection.OUTPUT:
            raise ProtocolError("io", f"IO {f.name!r} has type {f.type} and direction {f.direction}, which FRI lacks")
        try:
            name = f.name.decode()
        except UnicodeDecodeError as error:
            raise ProtocolError("io", f"an IO's name {f.name!r} is not UTF-8") from error
        digital = f.digitalValue if f.HasField("digitalValue") else None
        analog = f.analogValue if f.HasField("analogValue") else None
        ios.append(IoValue(name, f.type, f.direction, digital, analog))
    return ios


def write_ios(fields: Any, ios: Sequence[IoValue]) -> None:
    """Append ``ios`` to a repeated ``FriIOValue`` field."""
    if len(ios) > wire.MAX_IOS:
        raise ProtocolError("io", f"{len(ios)} IOs given, FRI allows {wire.MAX_IOS}")
    for io in ios:
        name = io.name.encode()
        if len(name) > wire.MAX_IO_NAME:
            raise ProtocolError("io", f"the IO name {io.name!r} is longer than {wire.MAX_IO_NAME} bytes")
        f = fields.add(name=name, type=io.type, direction=io.direction)
        if io.digital is not None:
            f.digitalValue = io.digital
        if io.analog is not None:
            f.analogValue = io.analog

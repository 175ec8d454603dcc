"""Object dictionaries over SDO: reading, writing with read-back, and errors that a person can act upon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import canopen
from canopen.objectdictionary import ODVariable

from drivers.cobot.codes import abort_text
from drivers.errors import ConnectError

_AT_ONCE = 0.001
"""The answer has been received, or not, when canopen begins to wait for it: see :mod:`drivers.cobot.line`."""


def load_eds(path: Path, node: int) -> canopen.ObjectDictionary:
    """The object dictionary of an EDS or DCF file for one node. Raises ConnectError."""
    try:
        return canopen.import_od(str(path), node_id=node)
    except FileNotFoundError as error:
        raise ConnectError(f"EDS {path}: no such file; name the drive's data sheet in the cell file") from error
    except Exception as error:  # canopen and configparser raise a dozen kinds
        raise ConnectError(
            f"EDS {path}: cannot be read ({type(error).__name__}: {' '.join(str(error).split())}); expected an EDS or "
            "DCF of CiA 306, get a fresh copy from the drive's maker"
        ) from error


class Dictionary:
    """The object dictionary of one node, as its EDS describes it. Blocks: for bring-up and shut-down."""

    def __init__(self, network: canopen.Network, node: int, od: canopen.ObjectDictionary) -> None:
        self.node = node
        self._remote = canopen.RemoteNode(node, od)
        self._remote.sdo.RESPONSE_TIMEOUT = _AT_ONCE
        network[node] = self._remote

    def has(self, index: int, sub: int = 0) -> bool:
        """The EDS knows the object."""
        return self._variable(index, sub) is not None

    def read(self, index: int, sub: int = 0) -> int:
        """Value of an integer object. Raises ConnectError."""
        value = self._read(index, sub)
        if not isinstance(value, int):
            raise ConnectError(f"{self._name(index, sub)} reads {value!r}, expected an integer; check the EDS")
        return value

    def raw(self, index: int, sub: int = 0) -> int | None:
        """Number in an object that needs no entry in the EDS; None where the node has none, or is silent."""
        try:
            return int.from_bytes(self._remote.sdo.upload(index, sub), "little")
        except (canopen.SdoAbortedError, canopen.SdoCommunicationError):
            return None

    def text(self, index: int, sub: int = 0) -> str:
        """Value of any object as text. Raises ConnectError."""
        return str(self._read(index, sub))

    def write(self, index: int, sub: int, value: int) -> None:
        """Write an integer object. Raises ConnectError."""
        data = self._described(index, sub).encode_raw(value)
        self._call("writing", index, sub, lambda: self._remote.sdo.download(index, sub, data), value)

    def put(self, index: int, sub: int, value: int) -> None:
        """Write and read back. Raises ConnectError where the drive keeps another value."""
        self.write(index, sub, value)
        kept = self.read(index, sub)
        if kept != value:
            raise ConnectError(
                f"{self._name(index, sub)}: wrote {value} (0x{value & 0xFFFFFFFF:X}), the drive kept {kept} "
                f"(0x{kept & 0xFFFFFFFF:X}); see the drive's manual for what it allows"
            )

    def _read(self, index: int, sub: int) -> Any:
        variable = self._described(index, sub)
        data = self._call("reading", index, sub, lambda: self._remote.sdo.upload(index, sub))
        try:
            return variable.decode_raw(data)
        except Exception as error:
            raise ConnectError(
                f"{self._name(index, sub)} reads {bytes(data).hex(' ')}, which is no value of the type in the EDS; "
                "the EDS belongs to another drive"
            ) from error

    def _call(self, what: str, index: int, sub: int, call: Any, value: int | None = None) -> Any:
        name = self._name(index, sub) + ("" if value is None else f" = {value}")
        try:
            return call()
        except canopen.SdoAbortedError as error:
            raise ConnectError(
                f"{what} {name}: the drive aborts with {abort_text(error.code)}; is the EDS that of this drive?"
            ) from error
        except canopen.SdoCommunicationError as error:
            raise ConnectError(
                f"{what} {name}: {str(error) or 'no answer'}; expected an answer within 0.5 s: check supply, cable, "
                "termination, bit rate and node id (hil can scan)"
            ) from error

    def _variable(self, index: int, sub: int) -> ODVariable | None:
        found: ODVariable | None = self._remote.object_dictionary.get_variable(index, sub)
        return found

    def _described(self, index: int, sub: int) -> ODVariable:
        variable = self._variable(index, sub)
        if variable is None:
            raise ConnectError(f"{self._name(index, sub)} is not in the EDS; is it that of this drive?")
        return variable

    def _name(self, index: int, sub: int) -> str:
        variable = self._variable(index, sub)
        return f"node {self.node}, 0x{index:04X}:{sub:02X}" + (f" {variable.name}" if variable is not None else "")

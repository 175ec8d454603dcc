"""The object dictionary of one node, read from an EDS, with what CiA 301 says about access to it."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files

import canopen
from canopen.objectdictionary import ODVariable

from sim_mocks.errors import MockError

EDS = "eds/hil_drive.eds"
READ_OF_WRITE_ONLY = 0x06010001
WRITE_OF_READ_ONLY = 0x06010002
NO_OBJECT = 0x06020000
NO_SUB_INDEX = 0x06090011
LENGTH = 0x06070010
LENGTH_TOO_HIGH = 0x06070012
LENGTH_TOO_LOW = 0x06070013
RANGE = 0x06090030
TOO_HIGH = 0x06090031
TOO_LOW = 0x06090032

_FORMATS = {2: "b", 3: "h", 4: "i", 5: "B", 6: "H", 7: "I"}
"""struct format by CANopen data type: INTEGER8 … UNSIGNED32."""


class SdoAbort(MockError):
    """An access that the dictionary refuses; ``code`` is the SDO abort code of CiA 301."""

    def __init__(self, code: int) -> None:
        super().__init__(f"SDO abort 0x{code:08X}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Entry:
    """One object or sub-object."""

    key: int
    """Index shifted left by 8, or-ed with the sub-index."""
    format: str
    """Format of ``struct``; empty for a string."""
    size: int
    """Bytes; 0 for a string."""
    readable: bool
    writable: bool
    mappable: bool
    low: int | None
    high: int | None
    default: int | bytes
    relative: bool
    """The node id is added to the default."""


@functools.cache
def _entries() -> dict[int, Entry]:
    with as_file(files("drivers.cobot").joinpath(EDS)) as path:
        dictionary = canopen.import_od(str(path), 0)
    found = {}
    for index in sorted(dictionary):
        thing = dictionary[index]
        for variable in [thing] if isinstance(thing, ODVariable) else thing.subindices.values():
            entry = _entry(variable)
            found[entry.key] = entry
    return found


def _entry(variable: ODVariable) -> Entry:
    form = _FORMATS.get(variable.data_type or 0, "")
    default: int | bytes = int(variable.default or 0) if form else str(variable.default or "").encode("ascii")
    return Entry(
        key=variable.index << 8 | variable.subindex,
        format=form,
        size=struct.calcsize("<" + form) if form else 0,
        readable=variable.access_type != "wo",
        writable=variable.access_type in ("rw", "wo", "rww", "rwr"),
        mappable=bool(variable.pdo_mappable),
        low=variable.min,
        high=variable.max,
        default=default,
        relative=bool(variable.relative),
    )


class Dictionary:
    """Values of one node, keyed by ``index << 8 | sub``: :attr:`values` holds numbers, :attr:`texts` strings.

    ``hooks`` by index are called before a download takes effect, with sub-index and value, and may raise
    :class:`SdoAbort`; ``after`` by index are called when it has.
    """

    def __init__(self, node: int, factory: dict[int, int] | None = None) -> None:
        """``factory``: values of this one device that differ from the EDS, by key."""
        self.node = node
        self.entries = _entries()
        self._factory = factory or {}
        self._indices = {key >> 8 for key in self.entries}
        self.values: dict[int, int] = {}
        self.texts: dict[int, bytes] = {}
        self.hooks: dict[int, Callable[[int, int], None]] = {}
        self.after: dict[int, Callable[[int, int], None]] = {}
        self.restore()

    def restore(self, below: int = 0x10000) -> None:
        """Back to the values of power-on for all indices under ``below``."""
        for key, entry in self.entries.items():
            if key >> 8 < below:
                value = self._factory.get(key, entry.default)
                if isinstance(value, bytes):
                    self.texts[key] = value
                else:
                    self.values[key] = value + self.node if entry.relative else value

    def number(self, index: int, sub: int = 0) -> int:
        """An integer's value. Raises KeyError for an object that does not exist or is a string."""
        return self.values[index << 8 | sub]

    def upload(self, index: int, sub: int) -> bytes:
        """The value as the wire has it. Raises :class:`SdoAbort`."""
        entry = self._find(index, sub)
        if not entry.readable:
            raise SdoAbort(READ_OF_WRITE_ONLY)
        if not entry.format:
            return self.texts[entry.key]
        return struct.pack("<" + entry.format, self.values[entry.key])

    def download(self, index: int, sub: int, data: bytes) -> None:
        """Write a value as the wire has it. Raises :class:`SdoAbort`; then nothing has changed."""
        entry = self.check_writable(index, sub)
        if not entry.format:
            self.texts[entry.key] = data
            return
        if len(data) != entry.size:
            raise SdoAbort(LENGTH_TOO_HIGH if len(data) > entry.size else LENGTH_TOO_LOW)
        value = int(struct.unpack("<" + entry.format, data)[0])
        if entry.high is not None and value > entry.high:
            raise SdoAbort(TOO_HIGH)
        if entry.low is not None and value < entry.low:
            raise SdoAbort(TOO_LOW)
        if index in self.hooks:
            self.hooks[index](sub, value)
        self.values[entry.key] = value
        if index in self.after:
            self.after[index](sub, value)

    def check_writable(self, index: int, sub: int) -> Entry:
        """The entry. Raises :class:`SdoAbort` unless it exists and may be written."""
        entry = self._find(index, sub)
        if not entry.writable:
            raise SdoAbort(WRITE_OF_READ_ONLY)
        return entry

    def size(self, index: int, sub: int) -> int:
        """Bytes of an integer object. Raises :class:`SdoAbort`."""
        return self._find(index, sub).size

    def keys_of(self, index: int) -> Iterator[int]:
        """Sub-indices of an object."""
        return (key & 0xFF for key in self.entries if key >> 8 == index)

    def _find(self, index: int, sub: int) -> Entry:
        entry = self.entries.get(index << 8 | sub)
        if entry is None:
            raise SdoAbort(NO_SUB_INDEX if index in self._indices else NO_OBJECT)
        return entry

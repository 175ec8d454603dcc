"""Protobuf messages of fixed layout, read and written as structured numpy arrays.

A message whose fields are all singular or packed ``double``, ``fixed64`` or ``sfixed64``, always present and
always in one order has its values at fixed byte offsets: tags and lengths are constants. So a batch of messages
*is* a structured array with gaps, and decoding 60,000 of them is one ``frombuffer`` and a copy per field.
Wire format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.descriptor import Descriptor, FieldDescriptor

_I64, _LEN = 1, 2  # protobuf wire types

KINDS: dict[int, str] = {
    FieldDescriptor.TYPE_DOUBLE: "f8",
    FieldDescriptor.TYPE_SFIXED64: "i8",
    FieldDescriptor.TYPE_FIXED64: "u8",
}
"""Protobuf types of eight bytes and the numpy kinds they become."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One field of a message: a scalar (``size`` None) or a packed run of ``size`` values."""

    name: str
    number: int
    kind: str
    size: int | None

    @property
    def format(self) -> tuple[str, tuple[int, ...]]:
        """The numpy format, little endian."""
        return f"<{self.kind}", () if self.size is None else (self.size,)


@dataclass(frozen=True, slots=True, eq=False)
class MessageLayout:
    """Where each slot's values lie in the encoded message."""

    slots: tuple[Slot, ...]
    offsets: tuple[int, ...]
    template: bytes
    """The encoded message with every value zero."""

    @classmethod
    def of_slots(cls, slots: Sequence[Slot]) -> MessageLayout:
        """The layout in which ``slots`` are encoded one after the other."""
        template = bytearray()
        offsets = []
        for slot in slots:
            count = 1 if slot.size is None else slot.size
            if slot.size is None:
                template += _varint(slot.number << 3 | _I64)
            else:
                template += _varint(slot.number << 3 | _LEN) + _varint(8 * count)
            offsets.append(len(template))
            template += bytes(8 * count)
        return cls(tuple(slots), tuple(offsets), bytes(template))

    @classmethod
    def of_message(cls, descriptor: Descriptor, data: bytes) -> MessageLayout | None:
        """The fixed layout that ``data`` follows, or None if it has none (other types, fields missing or twice)."""
        slots: list[Slot] = []
        try:
            for number, wire_type, length in _walk(data):
                field = descriptor.fields_by_number.get(number)
                kind = None if field is None else KINDS.get(field.type)
                if field is None or kind is None or wire_type not in (_I64, _LEN) or length % 8:
                    return None
                slots.append(Slot(field.name, number, kind, length // 8 if wire_type == _LEN else None))
        except (IndexError, ValueError):
            return None
        if sorted(s.number for s in slots) != sorted(descriptor.fields_by_number):
            return None
        layout = cls.of_slots(slots)
        return layout if len(layout.template) == len(data) else None

    @property
    def wire_dtype(self) -> np.dtype[Any]:
        """Structured dtype over the encoded bytes, with gaps where tags and lengths are."""
        return np.dtype(
            {
                "names": [s.name for s in self.slots],
                "formats": [s.format for s in self.slots],
                "offsets": list(self.offsets),
                "itemsize": len(self.template),
            }
        )

    @property
    def packed_dtype(self) -> np.dtype[Any]:
        """The same fields without gaps."""
        return np.dtype([(s.name, *s.format) for s in self.slots])

    def constant_bytes(self) -> npt.NDArray[np.intp]:
        """Offsets of the tag and length bytes, shape (k,)."""
        free = np.zeros(len(self.template), dtype=bool)
        for slot, offset in zip(self.slots, self.offsets, strict=True):
            free[offset : offset + 8 * (1 if slot.size is None else slot.size)] = True
        return np.flatnonzero(~free)

    def decode(self, messages: Sequence[bytes | memoryview]) -> npt.NDArray[Any] | None:
        """Messages as an array of ``packed_dtype``, or None if one of them does not follow this layout."""
        size = len(self.template)
        if any(len(m) != size for m in messages):
            return None
        joined = b"".join(messages)
        constant = self.constant_bytes()
        raw = np.frombuffer(joined, dtype=np.uint8).reshape(-1, size)
        expected = np.frombuffer(self.template, dtype=np.uint8)[constant]
        if not (raw[:, constant] == expected).all():
            return None
        wire = np.frombuffer(joined, dtype=self.wire_dtype)
        rows = np.empty(len(wire), dtype=self.packed_dtype)
        for slot in self.slots:
            rows[slot.name] = wire[slot.name]
        return rows


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a varint of more than ten bytes")


def _walk(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(number, wire type, length in bytes) of each field; ValueError or IndexError where the bytes are no message."""
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        wire_type = tag & 7
        if wire_type == _I64:
            length = 8
        elif wire_type == _LEN:
            length, at = _read_varint(data, at)
        else:
            raise ValueError(f"wire type {wire_type}")
        at += length
        if at > len(data):
            raise ValueError("a field runs past the end")
        yield tag >> 3, wire_type, length

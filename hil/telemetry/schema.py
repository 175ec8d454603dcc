"""Protobuf schemas of the three channels, built from the table at run time, and the decoder of any such channel.

The schema goes into the file as a serialised ``FileDescriptorSet``, which is what MCAP's ``protobuf`` schema
encoding asks for (https://mcap.dev/spec/registry), so Foxglove and PlotJuggler read the files as they are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from hil.telemetry.layout import KINDS, MessageLayout
from hil.telemetry.row import CHANNEL_FIELDS, CYCLE, EVENTS, TIMING

PACKAGE = "hil"
SCHEMA_NAMES = {CYCLE: "hil.Cycle", TIMING: "hil.Timing", EVENTS: "hil.Event"}

_Proto = descriptor_pb2.FieldDescriptorProto
_TYPES = {"f8": _Proto.TYPE_DOUBLE, "i8": _Proto.TYPE_SFIXED64}
_EVENT_FIELDS = (
    ("tick", _Proto.TYPE_SFIXED64),
    ("t_ns", _Proto.TYPE_SFIXED64),
    ("kind", _Proto.TYPE_STRING),
    ("text", _Proto.TYPE_STRING),
    ("data", _Proto.TYPE_STRING),
)


def schema_bytes(channel: str) -> bytes:
    """Serialised ``FileDescriptorSet`` of ``channel``'s message."""
    file = descriptor_pb2.FileDescriptorProto(name=f"hil{channel}.proto", package=PACKAGE, syntax="proto3")
    message = file.message_type.add(name=SCHEMA_NAMES[channel].split(".")[1])
    if channel == EVENTS:
        for number, (name, kind) in enumerate(_EVENT_FIELDS, start=1):
            message.field.add(name=name, number=number, type=kind, label=_Proto.LABEL_OPTIONAL)
    else:
        for number, entry in enumerate(CHANNEL_FIELDS[channel], start=1):
            label = _Proto.LABEL_OPTIONAL if entry.shape is None else _Proto.LABEL_REPEATED
            message.field.add(name=entry.name, number=number, type=_TYPES[entry.kind], label=label)
    encoded: bytes = descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString(deterministic=True)
    return encoded


def channel_metadata(channel: str) -> dict[str, str]:
    """Units and meanings of ``channel``'s fields, as MCAP channel metadata (a JSON text under ``fields``)."""
    fields = {f.name: {"unit": f.unit, "doc": f.doc} for f in CHANNEL_FIELDS.get(channel, ())}
    return {"fields": json.dumps(fields, ensure_ascii=False)} if fields else {}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened once."""

    tick: int
    """Tick of the newest row when it happened, -1 before the first."""
    t_ns: int
    kind: str
    """Short stable key, e.g. ``phase``, ``state``, ``fault``, ``gap``."""
    text: str
    """One sentence for people."""
    data: dict[str, Any] = field(default_factory=dict)


def _message_class(descriptor_set: bytes, name: str) -> Any:
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set)
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


_EventMessage = _message_class(schema_bytes(EVENTS), SCHEMA_NAMES[EVENTS])


def encode_event(event: Event) -> bytes:
    """An event as its protobuf message. Numbers that JSON has no word for (NaN, ∞) become null."""
    data = json.dumps(_plain(event.data), ensure_ascii=False, allow_nan=False)
    message = _EventMessage(tick=event.tick, t_ns=event.t_ns, kind=event.kind, text=event.text, data=data)
    encoded: bytes = message.SerializeToString(deterministic=True)
    return encoded


def event_time(data: bytes) -> int:
    """``t_ns`` of an encoded event."""
    return int(_EventMessage.FromString(data).t_ns)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


class ChannelDecoder:
    """Turns the messages of one channel into arrays or events, by the schema that the file itself carries.

    Raises ValueError if the schema is none or a message does not parse.
    """

    def __init__(self, descriptor_set: bytes, name: str) -> None:
        try:
            self._class = _message_class(descriptor_set, name)
        except (DecodeError, KeyError, TypeError) as error:
            raise ValueError(f"the schema '{name}' in the file is not a protobuf FileDescriptorSet: {error}") from None
        self._descriptor: Descriptor = self._class.DESCRIPTOR
        self._layout: MessageLayout | None = None

    def rows(self, messages: Sequence[bytes | memoryview]) -> npt.NDArray[Any]:
        """Messages of a numeric channel as a structured array, shape (len(messages),).

        Only one call's messages share a dtype for sure: files of other producers may vary the lengths.
        """
        if self._layout is None:
            self._layout = MessageLayout.of_message(self._descriptor, bytes(messages[0]))
        rows = None if self._layout is None else self._layout.decode(messages)
        return self._by_parsing(messages) if rows is None else rows

    def _by_parsing(self, messages: Sequence[bytes | memoryview]) -> npt.NDArray[Any]:
        parsed = [self._parse(m) for m in messages]
        names: list[tuple[Any, ...]] = []
        for entry in self._descriptor.fields:
            kind = KINDS.get(entry.type)
            if kind is None:
                continue  # text and nested messages have no place in an array
            if _is_repeated(entry):
                size = max(len(getattr(m, entry.name)) for m in parsed)
                names.append((entry.name, f"<{kind}", (size,)))
            else:
                names.append((entry.name, f"<{kind}"))
        rows = np.zeros(len(parsed), dtype=names)
        for name, *rest in names:
            column = rows[name]
            if len(rest) == 1:
                column[:] = [getattr(m, name) for m in parsed]
                continue
            if column.dtype.kind == "f":
                column[:] = np.nan
            for target, message in zip(column, parsed, strict=True):
                values = getattr(message, name)[:]
                target[: len(values)] = values
        return rows

    def event(self, data: bytes | memoryview) -> Event:
        """One message of the event channel."""
        message = self._parse(data)
        try:
            values = json.loads(message.data) if message.data else {}
        except ValueError:
            values = {"unreadable": message.data}
        if not isinstance(values, dict):
            values = {"value": values}
        return Event(message.tick, message.t_ns, message.kind, message.text, values)

    def _parse(self, data: bytes | memoryview) -> Any:
        try:
            return self._class.FromString(bytes(data))
        except DecodeError as error:
            raise ValueError(f"a message does not follow the schema {self._descriptor.full_name}: {error}") from None


def _is_repeated(entry: FieldDescriptor) -> bool:
    return bool(entry.is_repeated)

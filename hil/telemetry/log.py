"""Reading logs: whole, cut or damaged.

The file is walked record by record rather than through its index, so that one way of reading serves complete files
and files that a crash cut at any byte: everything up to the last complete chunk. A damaged chunk is left out and
counted; reading goes on at the next one. Messages are decoded by the schema that stands in the file, so older files
with other fields stay readable. Errors::

    LogError
    ├── NotALogError       missing, empty, no MCAP, or cut before anything was in it
    ├── ForeignLogError    an MCAP of another producer
    └── DamagedLogError    ours, but its content does not follow its own schema
"""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Attachment, Channel, Header, Metadata, Schema

from hil.telemetry.mcapfile import PROFILE
from hil.telemetry.row import CYCLE, EVENTS, TIMING, row_layout
from hil.telemetry.salvage import chunk_data, declarations, next_chunk
from hil.telemetry.schema import ChannelDecoder, Event

Table = npt.NDArray[Any]

_MAGIC = b"\x89MCAP0\r\n"
_RECORD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<HIQQ")
_OPCODES = frozenset(int(opcode) for opcode in Opcode)


class LogError(Exception):
    """A log cannot be read; the message says what was found, what was expected and what can be done."""


class NotALogError(LogError):
    """The file is missing, empty or no MCAP file."""


class ForeignLogError(LogError):
    """The file is an MCAP file of another producer."""


class DamagedLogError(LogError):
    """The file is one of ours, but its content does not follow its own schema."""


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """The content of one log."""

    path: Path
    channels: Mapping[str, Table]
    """Structured arrays by topic, one record per row."""
    units: Mapping[str, Mapping[str, str]]
    """Unit by topic and field; see ``hil.telemetry.row.Field.unit``."""
    events: list[Event] = field(default_factory=list)
    metadata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    attachments: Mapping[str, bytes] = field(default_factory=dict)
    truncated: bool = False
    """The file was cut; what is here is what stands before the cut."""
    note: str = ""
    """For a cut or damaged file: what was found."""
    damaged: int = 0
    """Damaged spots, each of which may have cost the rows of a chunk or more; what stands around them is here."""
    every: int = 1
    """k: each k-th row was kept."""

    @property
    def cycle(self) -> Table:
        """Rows of ``/cycle``, shape (N,)."""
        return self.channels[CYCLE]

    @property
    def timing(self) -> Table:
        """Rows of ``/timing``, shape (N,)."""
        return self.channels[TIMING]

    @property
    def seconds(self) -> npt.NDArray[np.float64]:
        """Time of each row of ``/cycle`` since the first, s."""
        if not len(self.cycle):
            return np.empty(0)
        t_ns = self.cycle["t_ns"]
        elapsed: npt.NDArray[np.float64] = (t_ns - t_ns[0]) * 1e-9
        return elapsed

    @property
    def phases(self) -> dict[int, str]:
        """Names of the phases by index."""
        return {
            e.data["index"]: str(e.data["name"])
            for e in self.events
            if e.kind == "phase" and isinstance(e.data.get("index"), int) and "name" in e.data
        }

    def meta(self, table: str, key: str) -> Any:
        """A metadata value, parsed as JSON where it is JSON; None if there is none."""
        text = self.metadata.get(table, {}).get(key)
        if text is None:
            return None
        try:
            return json.loads(text)
        except ValueError:
            return text


def read_log(path: Path | str, *, every: int = 1) -> Log:
    """Read a log; with ``every`` = k keep each k-th row only. Raises LogError."""
    scan = open_scan(path, every=every)
    for _ in scan.walk():
        pass
    return scan.result()


def open_scan(path: Path | str, *, every: int = 1, only: str = "") -> Scan:
    """A walk through a log that has not begun; see :class:`Scan`. Raises LogError."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if not size:
                raise NotALogError(f"{path} is empty: nothing was recorded, or it is not a log")
            # Unmapped when the last view of it goes; closing it here would trip over views that an error still holds.
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return Scan(path, content, every, only)
    except OSError as error:
        raise NotALogError(f"{path} cannot be read: {error.strerror or error}") from None


class Scan:
    """One walk through a file; :meth:`rows` between two steps of it keeps what is held in memory small."""

    def __init__(self, path: Path, content: mmap.mmap, every: int, only: str) -> None:
        """``only``: the one channel whose rows are wanted; empty for all. Events are always read."""
        self._path = path
        self._only = only
        self.size = len(content)
        """Bytes of the file."""
        self._content = content
        self._view = memoryview(content)
        self._every = max(1, every)
        self._schemas: dict[int, Schema] = {}
        self._topics: dict[int, Channel] = {}
        self._decoders: dict[int, ChannelDecoder] = {}
        self._tables: dict[int, list[Table]] = {}
        self._counts: dict[int, int] = {}
        self._events: list[Event] = []
        self._metadata: dict[str, dict[str, str]] = {}
        self._attachments: dict[str, bytes] = {}
        self._note = ""
        self._damaged = 0
        self._header = False

    def walk(self) -> Iterator[int]:
        """Read on from record to record, giving the byte reached. Raises LogError."""
        view, at = self._view, len(_MAGIC)
        if bytes(view[:8]) != _MAGIC:
            raise NotALogError(f"{self._path} is no MCAP file: it starts with {bytes(view[:8])!r}")
        if bytes(view[-8:]) == _MAGIC and len(view) > 16:
            self._schemas, self._topics = declarations(view)
        else:
            self._note = "the file has no end mark: the recorder was killed or is still writing"
        while 0 <= at < len(view):
            try:
                at = self._record(at)
            except (struct.error, ValueError, McapError) as error:
                raise DamagedLogError(f"{self._path}: the record at byte {at} is damaged: {error}") from None
            yield at if at >= 0 else len(view)
        if not self._header:
            raise NotALogError(f"{self._path} was cut within its first bytes: there is nothing in it to read")

    def rows(self, topic: str) -> list[Table]:
        """The rows of ``topic`` read since the last call; they are no longer part of :meth:`result`."""
        found: list[Table] = []
        for channel_id, channel in self._topics.items():
            if channel.topic == topic:
                found += self._tables.pop(channel_id, [])
        return found

    def _record(self, at: int) -> int:
        """Take in the top-level record at byte ``at``; returns where the next one stands, -1 after the last."""
        view = self._view
        if at + _RECORD.size > len(view):
            return -1
        opcode: int
        length: int
        opcode, length = _RECORD.unpack_from(view, at)
        start, end = at + _RECORD.size, at + _RECORD.size + length
        if end > len(view) or opcode not in _OPCODES:
            following = next_chunk(self._content, start)
            if following >= 0 or opcode not in _OPCODES:
                self._damaged += 1
                return following
            self._note = f"the last record was cut at {len(view) - start} of {length} bytes"
            return -1
        body = view[start:end]
        if opcode == Opcode.HEADER and not self._header:
            self._check_producer(Header.read(_stream(body)))
            self._header = True
        elif opcode == Opcode.CHUNK and not self._chunk(body):
            # Its length may be what is damaged, so the next one is looked for.
            self._damaged += 1
            following = next_chunk(self._content, start)
            return end if following < 0 else following
        elif opcode in (Opcode.METADATA, Opcode.ATTACHMENT):
            self._aside(opcode, body)
        elif opcode == Opcode.DATA_END:
            following = next_chunk(self._content, start)
            self._damaged += following >= 0  # chunks behind the end: that was no end
            return following
        return end

    def _aside(self, opcode: int, body: memoryview) -> None:
        """What travels along; the run's rows can be read without it."""
        try:
            if opcode == Opcode.METADATA:
                metadata = Metadata.read(_stream(body))
                self._metadata[metadata.name] = metadata.metadata
            else:
                attachment = Attachment.read(_stream(body))
                self._attachments[attachment.name] = attachment.data
        except (struct.error, ValueError, McapError):
            self._damaged += 1

    def _check_producer(self, header: Header) -> None:
        if header.profile != PROFILE:
            raise ForeignLogError(
                f"{self._path} was written by '{header.library}' (profile '{header.profile}'), not by a hil recorder "
                f"(profile '{PROFILE}'): open it with a general MCAP viewer"
            )

    def _chunk(self, body: memoryview) -> bool:
        """Decode one chunk; False where its content is damaged."""
        data = chunk_data(body)
        if data is None:
            return False
        self._messages(data)
        return True

    def _messages(self, data: bytes) -> None:
        view, at, end = memoryview(data), 0, len(data)
        found: dict[int, list[memoryview]] = {}
        head, message, step = _RECORD.unpack_from, _MESSAGE.unpack_from, _RECORD.size
        skip = step + _MESSAGE.size
        while at < end:
            opcode, length = head(view, at)
            stop = at + step + length
            if opcode == Opcode.MESSAGE:
                found.setdefault(message(view, at + step)[0], []).append(view[at + skip : stop])
            elif opcode == Opcode.SCHEMA:
                schema = Schema.read(_stream(view[at + step : stop]))
                self._schemas[schema.id] = schema
            elif opcode == Opcode.CHANNEL:
                channel = Channel.read(_stream(view[at + step : stop]))
                self._topics[channel.id] = channel
            at = stop
        for channel_id, messages in found.items():
            self._decode(channel_id, messages)

    def _decode(self, channel_id: int, messages: list[memoryview]) -> None:
        channel = self._topics.get(channel_id)
        if channel is None:
            raise ValueError(f"messages on the undeclared channel {channel_id}")
        decoder = self._decoders.get(channel_id)
        if decoder is None:
            schema = self._schemas.get(channel.schema_id)
            if schema is None or schema.encoding != "protobuf":
                raise ValueError(f"channel {channel.topic} has no protobuf schema")
            decoder = self._decoders[channel_id] = ChannelDecoder(schema.data, schema.name)
        if channel.topic == EVENTS:
            self._events.extend(decoder.event(m) for m in messages)
            return
        if self._only and channel.topic != self._only:
            return
        done = self._counts.get(channel_id, 0)
        self._counts[channel_id] = done + len(messages)
        kept = messages[-done % self._every :: self._every]
        if kept:
            self._tables.setdefault(channel_id, []).append(decoder.rows(kept))

    def _damage(self) -> str:
        if not self._damaged:
            return ""
        return f"{self._damaged} damaged spot(s) were skipped; rows may be missing there"

    def _empty_tables(self) -> dict[str, Table]:
        """Tables for a file without rows: with today's fields where the number of joints is known, else without any."""
        n = _joints(self._metadata.get("recording", {}))
        if not 1 <= n <= 15:
            return {CYCLE: np.empty(0, dtype=[]), TIMING: np.empty(0, dtype=[])}
        layout = row_layout(n)
        return {
            CYCLE: np.empty(0, dtype=layout.cycle.packed_dtype),
            TIMING: np.empty(0, dtype=layout.timing.packed_dtype),
        }

    def result(self) -> Log:
        """What has been read so far, without the rows that :meth:`rows` has given away."""
        tables = self._empty_tables()
        units: dict[str, dict[str, str]] = {}
        for channel_id, channel in self._topics.items():
            if channel.topic == EVENTS:
                continue
            parts = self._tables.get(channel_id)
            if parts:
                tables[channel.topic] = np.concatenate(parts)
            units[channel.topic] = _units(channel)
        return Log(
            path=self._path,
            channels=tables,
            units=units,
            events=self._events,
            metadata=self._metadata,
            attachments=self._attachments,
            truncated=bool(self._note),
            note=self._note or self._damage(),
            damaged=self._damaged,
            every=self._every,
        )


def _joints(recording: Mapping[str, str]) -> int:
    try:
        return int(recording["n"])
    except (KeyError, ValueError):
        return 0


def _units(channel: Channel) -> dict[str, str]:
    try:
        fields = json.loads(channel.metadata.get("fields", "{}"))
        return {name: str(entry["unit"]) for name, entry in fields.items()}
    except (ValueError, AttributeError, KeyError, TypeError):
        return {}  # units are a help, not a condition


def _stream(body: memoryview) -> ReadDataStream:
    return ReadDataStream(BytesIO(body))

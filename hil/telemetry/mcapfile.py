"""The log file as it is written: MCAP with small chunks that are closed by size and by age.

A file cut by a crash is readable up to its last complete chunk, so a chunk may span no more than 50 ms. The file
is unbuffered and synced to the disk once a second from a thread of its own, because a sync can take long and the
rows must not wait for it. Format: https://mcap.dev/spec
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcap.writer import CompressionType, Writer

from hil.telemetry.row import CYCLE, EVENTS, TIMING
from hil.telemetry.schema import SCHEMA_NAMES, Event, channel_metadata, encode_event, schema_bytes

PROFILE = "hil"
CHUNK_BYTES = 64 * 1024
CHUNK_NS = 50_000_000
SYNC_PERIOD_NS = 1_000_000_000
_RECORD_OVERHEAD = 31  # bytes of an MCAP message record before its data


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file that travels inside the log."""

    name: str
    media_type: str
    data: bytes


class LogWriter:
    """Writes one log. Every method may raise OSError (disk full, file gone); the file stays readable."""

    def __init__(
        self,
        path: Path,
        metadata: Mapping[str, Mapping[str, str]],
        attachments: Sequence[AttachedFile],
    ) -> None:
        self._file = path.open("wb", buffering=0)
        # The chunk size that the library itself would close at is out of reach: this class closes them.
        self._mcap = Writer(self._file, chunk_size=1 << 40, compression=CompressionType.LZ4)
        self._mcap.start(profile=PROFILE, library="hil log writer")
        for name, entries in metadata.items():
            self._mcap.add_metadata(name, dict(entries))
        for file in attachments:
            self._mcap.add_attachment(0, 0, file.name, file.media_type, file.data)
        self._ids = {}
        for channel, schema_name in SCHEMA_NAMES.items():
            schema = self._mcap.register_schema(schema_name, "protobuf", schema_bytes(channel))
            self._ids[channel] = self._mcap.register_channel(channel, "protobuf", schema, channel_metadata(channel))
        self._cycle_id, self._timing_id, self._event_id = (self._ids[c] for c in (CYCLE, TIMING, EVENTS))
        self._chunk_bytes = 0
        self._chunk_t_ns = 0
        self._chunk_opened_ns = 0
        self._rows = 0
        self._events = 0
        self._mcap.flush()
        self._syncer = _Syncer(self._file.fileno())

    def row(self, cycle: bytes, timing: bytes, t_ns: int) -> None:
        """One row: its two messages and the row's time, which is also their log time."""
        sequence = self._rows & 0xFFFFFFFF
        self._rows += 1
        self._mcap.add_message(self._cycle_id, t_ns, cycle, t_ns, sequence)
        self._mcap.add_message(self._timing_id, t_ns, timing, t_ns, sequence)
        self._added(len(cycle) + len(timing) + 2 * _RECORD_OVERHEAD, t_ns)

    def event(self, event: Event) -> None:
        """One event."""
        self.encoded_event(encode_event(event), event.t_ns)

    def encoded_event(self, data: bytes, t_ns: int) -> None:
        """One event that is encoded already."""
        log_time = max(0, t_ns)
        self._mcap.add_message(self._event_id, log_time, data, log_time, self._events & 0xFFFFFFFF)
        self._events += 1
        self._added(len(data) + _RECORD_OVERHEAD, t_ns)

    def _added(self, size: int, t_ns: int) -> None:
        if not self._chunk_bytes:
            self._chunk_t_ns = t_ns
            self._chunk_opened_ns = time.monotonic_ns()
        self._chunk_bytes += size
        if self._chunk_bytes >= CHUNK_BYTES or t_ns - self._chunk_t_ns >= CHUNK_NS:
            self.flush()

    def flush(self) -> None:
        """Close the chunk and hand it to the operating system."""
        self._mcap.flush()
        self._chunk_bytes = 0

    def tend(self) -> None:
        """Close the chunk if it is old by the wall clock, and sync if that is due; call at least every 25 ms."""
        if self._chunk_bytes and time.monotonic_ns() - self._chunk_opened_ns >= CHUNK_NS:
            self.flush()
        self._syncer.tend()

    def finish(self) -> None:
        """Write the index and close the file."""
        self._mcap.finish()
        self._mcap.flush()
        self._syncer.stop()
        os.fsync(self._file.fileno())
        self._file.close()


class _Syncer:
    """Calls fdatasync once a second in a thread of its own."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._due = threading.Event()
        self._stopping = False
        self._last_ns = time.monotonic_ns()
        self._thread = threading.Thread(target=self._run, name="fsync", daemon=True)
        self._thread.start()

    def tend(self) -> None:
        now = time.monotonic_ns()
        if now - self._last_ns >= SYNC_PERIOD_NS:
            self._last_ns = now
            self._due.set()

    def stop(self) -> None:
        self._stopping = True
        self._due.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            if self._stopping:
                return
            # A file system without sync (a pipe, some FUSE) is no reason to stop recording.
            with contextlib.suppress(OSError):
                os.fdatasync(self._fd)

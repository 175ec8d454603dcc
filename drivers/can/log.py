"""An always-on log of every frame: a ring of bounded .blf files, written by a process of its own.

Compressing and writing costs milliseconds now and then, so the cycle only packs records (well below a microsecond a
frame) and hands them to a pipe, a few times a second; when the pipe is full they are dropped and counted. The writer
ends when the pipe closes, so it outlives a supervisor that was killed and closes its file properly.

``python -m drivers.can.log FOLDER`` is that writer; it reads records from its standard input. Files are called
``can-000001.blf`` and so on, and the oldest goes when there are too many. Times in them are wall-clock times.
"""

from __future__ import annotations

import argparse
import os
import re
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import can

from drivers.can.bus import ERROR, EXTENDED, REMOTE, Frame, Outgoing

_RECORD = struct.Struct("<dIBBBB8s")
"""Wall-clock time (s), identifier, kind, channel, length, sent by us, payload."""
FLUSH_NS = 100_000_000
"""How often the cycle hands over what it has, ns: that much at most is missing after a kill."""
_PIPE = 1 << 20
FILE_BYTES = 8_000_000
FILES = 8
_NAME = re.compile(r"can-(\d{6})\.blf")


class FrameLog:
    """The cycle's end: packs frames, and never waits."""

    def __init__(self, folder: Path, now_ns: int, *, file_bytes: int = FILE_BYTES, files: int = FILES) -> None:
        """Start the writer into ``folder`` (made if missing). ``now_ns``: the clock of the times given later. Raises
        OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.dropped = 0
        """Records that the writer could not take in time."""
        command = [sys.executable, "-m", "drivers.can.log", str(folder)]
        command += ["--file-bytes", str(file_bytes), "--files", str(files)]
        # A session of its own: Ctrl-C in the terminal ends the arm first, and the log with it.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        assert self._process.stdin is not None
        self._fd = self._process.stdin.fileno()
        os.set_blocking(self._fd, False)
        _widen(self._fd)
        self._offset = time.time() - now_ns * 1e-9
        self._parts: list[bytes] = []
        self._next_ns = now_ns + FLUSH_NS

    def sent(self, now_ns: int, channel: int, frames: Sequence[Outgoing]) -> None:
        """Log frames that we send."""
        t, pack, parts = now_ns * 1e-9 + self._offset, _RECORD.pack, self._parts
        for can_id, data in frames:
            parts.append(pack(t, can_id, 0, channel, len(data), 1, data))

    def received(self, now_ns: int, channel: int, frames: Sequence[Frame], begin: int = 0) -> None:
        """Log the received frames from index ``begin`` on."""
        t, pack, parts = now_ns * 1e-9 + self._offset, _RECORD.pack, self._parts
        for k in range(begin, len(frames)):
            can_id, data, kind = frames[k]
            parts.append(pack(t, can_id, kind, channel, len(data), 0, data))

    def flush(self, now_ns: int, force: bool = False) -> None:
        """Hand over what was packed if it is time; call once in each cycle."""
        if now_ns < self._next_ns and not force:
            return
        self._next_ns = now_ns + FLUSH_NS
        parts, self._parts = self._parts, []
        if not parts or self._fd < 0:
            return
        data = b"".join(parts)
        try:
            written = os.write(self._fd, data)
        except OSError:
            written = 0
        # A record cut in the middle is finished at once, or the reader would be out of step for ever.
        missing = len(data) - written
        self.dropped += missing // _RECORD.size
        cut = missing % _RECORD.size
        if cut:
            begin = written
            self._finish(data[begin : begin + cut])

    def _finish(self, rest: bytes) -> None:
        os.set_blocking(self._fd, True)
        try:
            os.write(self._fd, rest)
        except OSError:
            self._fd = -1  # the writer is gone
        else:
            os.set_blocking(self._fd, False)

    def close(self, now_ns: int) -> None:
        """Hand over the rest and let the writer finish (5 s at most); legal more than once."""
        if self._process.stdin is None or self._process.stdin.closed:
            return
        self.flush(now_ns, force=True)
        self._fd = -1
        self._process.stdin.close()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _widen(fd: int) -> None:
    import fcntl

    try:
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE)
    except OSError:  # more than an unprivileged user may have: the usual 64 KiB do for a second
        return


class Ring:
    """The files: one is written, the oldest goes when there are more than ``files``."""

    def __init__(self, folder: Path, file_bytes: int, files: int) -> None:
        self._folder = folder
        self._file_bytes = file_bytes
        self._files = files
        self._number = max(_numbers(folder), default=0)
        self._writer: can.BLFWriter | None = None

    def write(self, message: can.Message) -> None:
        writer = self._writer
        if writer is None or writer.file_size() >= self._file_bytes:
            self.close()
            writer = self._open()
        writer.on_message_received(message)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.stop()
            self._writer = None

    def _open(self) -> can.BLFWriter:
        self._number += 1
        for number in sorted(_numbers(self._folder))[: -self._files + 1 or None]:
            (self._folder / _name(number)).unlink(missing_ok=True)
        # Small containers: what is not compressed yet is what a power cut costs.
        self._writer = can.BLFWriter(str(self._folder / _name(self._number)), max_container_size=32 * 1024)
        return self._writer


def _name(number: int) -> str:
    return f"can-{number:06d}.blf"


def _numbers(folder: Path) -> list[int]:
    return [int(match[1]) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]


def message_of(record: bytes) -> can.Message:
    """A packed record as a message of python-can; channels count from 1 in files."""
    t, can_id, kind, channel, length, sent, data = _RECORD.unpack(record)
    return can.Message(
        timestamp=t,
        arbitration_id=can_id,
        is_extended_id=kind == EXTENDED,
        is_remote_frame=kind == REMOTE,
        is_error_frame=kind == ERROR,
        channel=channel + 1,
        dlc=length,
        data=None if kind in (REMOTE, ERROR) else data[:length],
        is_rx=not sent,
    )


def main(arguments: list[str] | None = None) -> int:
    """The writer: records from standard input until it closes."""
    parser = argparse.ArgumentParser(prog="python -m drivers.can.log", description="Write CAN frames to a .blf ring.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--file-bytes", type=int, default=FILE_BYTES)
    parser.add_argument("--files", type=int, default=FILES)
    given = parser.parse_args(arguments)
    os.nice(10)  # never in the way of the cycle
    ring = Ring(given.folder, given.file_bytes, given.files)
    pending = b""
    while chunk := os.read(0, 1 << 16):
        pending += chunk
        whole = len(pending) - len(pending) % _RECORD.size
        for k in range(0, whole, _RECORD.size):
            ring.write(message_of(pending[k : k + _RECORD.size]))
        pending = pending[whole:]
    ring.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

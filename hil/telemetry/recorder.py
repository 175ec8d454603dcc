"""The recorder: a process of its own that writes what the publisher sends into one MCAP file.

``python -m hil.telemetry.recorder --endpoint ipc://… --out FILE.mcap --meta META.json [--parent PID]``

It writes under the final name from the start, so that a file cut by a crash is found where it is expected.
It ends, with a complete file, on the publisher's end message, on SIGTERM or SIGINT, and when the parent dies.
Exit codes: 0 complete file, 1 the file could not be written to its end, 2 bad arguments.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import zmq

from hil.telemetry.channel import ACK, ACK_MARK, DONE, END, EVENT, FILE, HEADER, RECORDER, ROW, SUBSCRIBE, Waiter
from hil.telemetry.mcapfile import AttachedFile, LogWriter
from hil.telemetry.row import RowLayout, row_layout
from hil.telemetry.schema import Event, event_time

DRAIN_MS = 20
"""Pause between two drains in wall-clock mode: sleeping through it costs less than waking for each row."""
PAUSE = 3e-3
"""Pause after waking in lockstep, s: the rows that arrive in it are written together. Far shorter than what the
publisher's window lasts, so that it never waits for us."""
_BATCH = 2000  # rows written before housekeeping is looked after again


@dataclass(frozen=True, slots=True)
class Meta:
    """What the recorder is told about the run, read from a JSON file (see :func:`hil.telemetry.launch.write_meta`)."""

    n: int
    lockstep: bool
    metadata: dict[str, dict[str, str]]
    attachments: list[AttachedFile]

    @classmethod
    def load(cls, path: Path) -> Meta:
        """Raises OSError if the file cannot be read, ValueError or KeyError if it is not what is expected."""
        raw = json.loads(path.read_text(encoding="utf-8"))
        files = [AttachedFile(a["name"], a["media_type"], a["text"].encode()) for a in raw.get("attachments", [])]
        n, lockstep = int(raw["n"]), bool(raw["lockstep"])
        recording = {"n": str(n), "lockstep": json.dumps(lockstep)}
        return cls(n, lockstep, {"recording": recording, **raw.get("metadata", {})}, files)


class Recorder:
    """Receives, counts what was missed, writes, acknowledges; completes a log and begins another when it is told."""

    def __init__(self, endpoint: str, meta: Meta, writer: LogWriter | None, parent: int) -> None:
        """``writer``: the first log, None for none yet; ``parent``: pidfd of the publishing process, -1 for none."""
        self.lockstep = meta.lockstep
        self._meta = meta
        self._writer = writer
        self._layout: RowLayout = row_layout(meta.n)
        self._stamp = struct.Struct("<qxq")  # tick, the one-byte tag of t_ns, t_ns
        self._stamp_at = HEADER.size + self._layout.cycle.offsets[0]
        self._next = -1
        self._tick = -1
        self._t_ns = 0
        self.rows = 0
        self.missed = 0
        self.ended = False
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XSUB)
        self._socket.linger = 200  # ms, so that the last words get out
        self._socket.rcvhwm = 20_000
        self._socket.connect(endpoint)
        for topic in (ROW, EVENT, END, FILE, RECORDER + str(os.getpid()).encode()):
            self._socket.send(SUBSCRIBE + topic)
        self._waiter = Waiter(self._socket, parent)
        self._sleeper = select.poll()
        if parent >= 0:
            self._sleeper.register(parent, select.POLLIN)

    def wait(self) -> bool:
        """Sleep until there may be something to do; False once the publishing process is gone."""
        if self.lockstep:
            alive = self._waiter.wait(DRAIN_MS)
            time.sleep(PAUSE)
            return alive
        return not self._sleeper.poll(DRAIN_MS)

    def drain(self) -> int:
        """Write everything that has arrived; returns the number of messages."""
        count = 0
        receive = self._socket.recv
        while count < _BATCH and not self.ended:
            try:
                message = receive(zmq.DONTWAIT)
            except zmq.Again:
                break
            count += 1
            self._take(message)
        if count and self.lockstep:
            self._socket.send(ACK.pack(ACK_MARK, self._next - 1), zmq.DONTWAIT)
        return count

    def _take(self, message: bytes) -> None:
        kind, sequence = HEADER.unpack_from(message)
        missed = sequence - self._next if self._next >= 0 else 0
        self._next = sequence + 1
        if kind == ROW:
            if len(message) != HEADER.size + len(self._layout.blank):
                raise ValueError(
                    f"a row of {len(message) - HEADER.size} bytes arrived, expected {len(self._layout.blank)} for "
                    f"n = {self._layout.n} joints: publisher and recorder must be given the same n and version"
                )
            self._tick, self._t_ns = self._stamp.unpack_from(message, self._stamp_at)
            if missed:
                self._note_gap(missed)
            split = HEADER.size + self._layout.split
            if self._writer is not None:
                self._writer.row(message[HEADER.size : split], message[split:], self._t_ns)
                self.rows += 1
            return
        if missed:
            self._note_gap(missed)
        if kind == EVENT:
            body = message[HEADER.size :]
            if self._writer is not None:
                self._writer.encoded_event(body, event_time(body))
        elif kind == FILE:
            self._write_to(message[HEADER.size :].decode())
        elif kind == END:
            self.ended = True

    def _note_gap(self, missed: int) -> None:
        self.missed += missed
        text = f"{missed} message(s) were dropped on the way to the recorder before tick {self._tick}"
        if self._writer is not None:
            self._writer.event(Event(self._tick, self._t_ns, "gap", text, {"missed": missed}))

    def _write_to(self, path: str) -> None:
        self.finish("recording was switched off" if not path else f"the recording goes on in {Path(path).name}")
        if path:
            self._writer = LogWriter(Path(path), self._meta.metadata, self._meta.attachments)

    def tend(self) -> None:
        """Housekeeping of the log that is open."""
        if self._writer is not None:
            self._writer.tend()

    def finish(self, why: str) -> None:
        """Say in the log how it ended, and complete it; no effect when none is open."""
        if self._writer is None:
            return
        self._note_end(self._writer, why)
        self._writer.finish()
        self._writer = None
        self.rows = self.missed = 0

    def _note_end(self, writer: LogWriter, why: str) -> None:
        data = {"rows": self.rows, "missed": self.missed, "reason": why}
        text = f"recording ended: {why}; {self.rows} rows, {self.missed} missed"
        writer.event(Event(self._tick, self._t_ns, "recorded", text, data))

    def say_done(self) -> None:
        """Tell the publisher that the file is complete."""
        self._socket.send(DONE, zmq.DONTWAIT)

    def close(self) -> None:
        self._socket.close()
        self._context.term()


class _Signals:
    """Remembers SIGTERM and SIGINT."""

    def __init__(self) -> None:
        self.name = ""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._arrived)

    def _arrived(self, number: int, _frame: object) -> None:
        self.name = signal.Signals(number).name


def record(recorder: Recorder, signals: _Signals) -> str:
    """Record until there is a reason to stop; returns the reason."""
    while True:
        alive = recorder.wait()
        while recorder.drain():
            recorder.tend()
            if not recorder.lockstep:
                break
        recorder.tend()
        if recorder.ended:
            return "end of the run"
        reason = signals.name and f"{signals.name} received"
        if not alive:
            reason = "the publishing process died"
        if reason:
            _drain_rest(recorder)
            return reason


def _drain_rest(recorder: Recorder) -> None:
    # Bounded, because a publisher that lives on under SIGTERM keeps sending.
    deadline = time.monotonic() + 0.5
    while recorder.drain() and time.monotonic() < deadline:
        pass


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m hil.telemetry.recorder", description="Record a run into MCAP.")
    parser.add_argument("--endpoint", required=True, help="ZeroMQ endpoint of the publisher, e.g. ipc:///tmp/x")
    parser.add_argument("--out", required=True, type=Path, help="MCAP file to write")
    parser.add_argument("--idle", action="store_true", help="write nothing until the publisher names a file")
    parser.add_argument("--meta", required=True, type=Path, help="JSON file describing the run")
    parser.add_argument("--parent", type=int, default=-1, help="process whose death ends the recording")
    options = parser.parse_args(argv)
    try:
        parent = os.pidfd_open(options.parent) if options.parent > 0 else -1
    except ProcessLookupError:
        print(f"recorder: no process {options.parent} (--parent): nothing to record", file=sys.stderr)
        return 2
    try:
        meta = Meta.load(options.meta)
        writer = None if options.idle else LogWriter(options.out, meta.metadata, meta.attachments)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"recorder: cannot start {options.out} from {options.meta}: {error!r}", file=sys.stderr)
        return 2
    signals = _Signals()
    recorder = Recorder(options.endpoint, meta, writer, parent)
    try:
        recorder.finish(record(recorder, signals))
    except (OSError, ValueError) as error:
        print(f"recorder: {options.out} ends early: {error}", file=sys.stderr)
        return 1
    recorder.say_done()
    recorder.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

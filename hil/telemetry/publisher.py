"""Publishes one row per cycle from the control process, without ever holding it up in wall-clock time."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import zmq

from hil.telemetry.channel import (
    ACK,
    ACK_MARK,
    DONE,
    END,
    EVENT,
    FILE,
    HEADER,
    RECORDER,
    ROW,
    SUBSCRIBE,
    Waiter,
    has_ended,
)
from hil.telemetry.row import row_layout
from hil.telemetry.schema import Event, encode_event

HUNG = 10.0
"""Seconds of wall-clock time after which a recorder that acknowledges nothing holds a lockstep run up no longer."""


@dataclass(frozen=True, slots=True)
class PublisherStatus:
    """Counters of a publisher."""

    sent: int
    """Messages given to the socket."""
    refused: int
    """Messages the socket would not take; what it drops towards one slow reader that reader counts."""
    recorder_pid: int
    """-1 while no recorder has announced itself."""
    recorder_alive: bool
    unacknowledged: int
    """Lockstep only: messages the recorder had not acknowledged when it died, 0 while it lives."""


class Publisher:
    """The sending end of the telemetry.

    ``fields[name]`` are numpy views into the one row buffer: ``fields["q"][:] = q``, ``fields["tick"][()] = tick``.
    ``slots[name]`` are memoryviews of the same bytes with the same syntax at about a third of the price; they take
    ``float64`` (``int64`` for ``limited``) arrays and plain numbers and nothing else.

    In lockstep :meth:`publish` waits when the recorder is more than ``window`` messages behind, so that the log is
    complete, and goes on at once when the recorder dies. What a killed recorder can lose is then the window and
    the chunk it had open: ``window · dt + 50 ms`` of row time.
    """

    def __init__(self, endpoint: str, n: int, *, lockstep: bool, window: int = 25) -> None:
        """``endpoint``: e.g. ``ipc:///run/user/1000/cell.sock``; ``n``: joints. Raises zmq.ZMQError if it is taken."""
        layout = row_layout(n)
        self.endpoint = endpoint
        self.n = n
        self._blank = layout.blank
        self._buffer = bytearray(HEADER.size) + bytearray(layout.blank)
        HEADER.pack_into(self._buffer, 0, ROW, 0)
        self._body = memoryview(self._buffer)[HEADER.size :]
        rows = np.frombuffer(self._buffer, dtype=layout.dtype, offset=HEADER.size)
        self.row: np.void = rows[0]
        self.fields: dict[str, npt.NDArray[Any]] = {name: rows[name][0, ...] for name in layout.dtype.names or ()}
        self.slots: dict[str, Any] = row_slots(self._body, layout.dtype)
        # tick and t_ns with their tags: one run of bytes, the same at the start of both messages.
        stamp = layout.cycle.offsets[1] + 8
        self._stamp_from = self._body[:stamp]
        self._stamp_to = self._body[layout.split : layout.split + stamp]
        self._tick, self._t_ns, self._pub_ns = (self.slots[k] for k in ("tick", "t_ns", "wall_pub_ns"))

        self._lockstep = lockstep
        self._window = window
        self._sequence = -1
        self._acked = -1
        self._refused = 0
        self._published = False
        self._recorder_pid = -1
        self._pidfd = -1
        self._waiter: Waiter | None = None
        self._unacknowledged = 0
        self._done = False
        self._phases: dict[str, int] = {}
        self._announced: set[str] = set()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.linger = 0
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        # About 2 s at 1 kHz before ZeroMQ drops towards a reader that does not read.
        self._socket.sndhwm = 2000
        self._socket.bind(endpoint)

    @property
    def body(self) -> memoryview:
        """The row as it stands, in the layout of :func:`hil.telemetry.row.row_layout`."""
        return self._body

    def clear(self) -> None:
        """Blank the row: floats NaN, integers 0 (-1 where that means "nothing yet"). Keeps ``wall_pub_ns``."""
        kept = self._pub_ns[()]
        self._body[:] = self._blank
        self._pub_ns[()] = kept

    def publish(self) -> None:
        """Send the row as it stands. In lockstep may wait for the recorder (see the class)."""
        start = time.perf_counter_ns()
        self._stamp_to[:] = self._stamp_from
        self._sequence += 1
        HEADER.pack_into(self._buffer, 0, ROW, self._sequence)
        try:
            self._socket.send(self._buffer, zmq.DONTWAIT)
        except zmq.Again:
            self._refused += 1
        self._published = True
        if self._pidfd >= 0 and self._lockstep and self._sequence - self._acked > self._window:
            self._wait_for_ack()
        self._pub_ns[()] = time.perf_counter_ns() - start

    def event(self, kind: str, text: str, **data: Any) -> None:
        """Send an event, stamped with tick and time of the row as it stands. Not for every cycle (about 20 µs)."""
        tick = self._tick[()] if self._published or self._t_ns[()] else -1
        self._send(EVENT, encode_event(Event(tick, self._t_ns[()], kind, text, data)))

    def record_to(self, path: str) -> None:
        """Have the recorder complete its log and begin another at ``path``; empty: write none until told again.

        Waits for nothing. Phases are announced anew, so that each log knows their names.
        """
        self._send(FILE, path.encode())
        self._announced.clear()

    def phase(self, name: str) -> int:
        """Index of a phase of the motion for the row's ``phase``; announces the name in an event, once in each log."""
        index = self._phases.setdefault(name, len(self._phases))
        if name not in self._announced:
            self._announced.add(name)
            self.event("phase", f"phase {index} is '{name}'", index=index, name=name)
        return index

    def wait_for_recorder(self, timeout_s: float) -> bool:
        """Wait until a recorder listens; False if none came in time. From then on nothing sent is lost to it
        (in wall-clock time: while it keeps up)."""
        deadline = time.monotonic() + timeout_s
        while self._pidfd < 0:
            left = deadline - time.monotonic()
            if left <= 0 or not self._socket.poll(math.ceil(left * 1e3)):
                return False
            self._drain_upstream()
        return not has_ended(self._pidfd)

    @property
    def recorder_alive(self) -> bool:
        """Whether the recorder that announced itself is still running; a system call, about 2 µs."""
        return self._pidfd >= 0 and not has_ended(self._pidfd)

    def status(self) -> PublisherStatus:
        return PublisherStatus(
            sent=self._sequence + 1 - self._refused,
            refused=self._refused,
            recorder_pid=self._recorder_pid,
            recorder_alive=self.recorder_alive,
            unacknowledged=self._unacknowledged,
        )

    def close(self, timeout_s: float = 5.0) -> bool:
        """Tell the recorder that the run is over and wait until it says that its file is complete.

        False if it died or did not say so in time. Without a recorder True at once. May be called more than once.
        """
        if self._socket.closed:
            return self._done
        self._done = self._done or self._recorder_pid < 0
        deadline = time.monotonic() + timeout_s
        while not self._done and self._waiter is not None:
            # Again and again, because a socket whose queue is full drops the word without telling.
            self._send(END, b"")
            left_ms = math.ceil((deadline - time.monotonic()) * 1e3)
            alive = self._waiter.wait(max(0, min(left_ms, 100)))
            self._drain_upstream()
            if not alive or left_ms <= 0:
                break
        self._forget_recorder()
        self._socket.close(0)
        self._context.term()
        return self._done

    def _forget_recorder(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
        self._pidfd = -1
        self._waiter = None

    def _send(self, kind: bytes, body: bytes) -> None:
        self._sequence += 1
        try:
            self._socket.send(HEADER.pack(kind, self._sequence) + body, zmq.DONTWAIT)
        except zmq.Again:
            self._refused += 1

    def _wait_for_ack(self) -> None:
        self._drain_upstream()
        deadline = time.monotonic() + HUNG
        while self._waiter is not None and self._sequence - self._acked > self._window:
            alive = self._waiter.wait(1000) and time.monotonic() < deadline
            self._drain_upstream()
            if not alive or self._done:
                # Dead, hung, or its file is closed: nothing to wait for. The run goes on without it.
                self._unacknowledged = 0 if self._done else self._sequence - self._acked
                self._forget_recorder()

    def _drain_upstream(self) -> None:
        while True:
            try:
                message = self._socket.recv(zmq.DONTWAIT)
            except zmq.Again:
                return
            if len(message) == ACK.size and message[:1] == ACK_MARK:
                self._acked = max(self._acked, ACK.unpack(message)[1])
            elif message == DONE:
                self._done = True
            elif message.startswith(SUBSCRIBE + RECORDER):
                self._meet(message[len(SUBSCRIBE + RECORDER) :])

    def _meet(self, pid_text: bytes) -> None:
        if self._pidfd >= 0 or not pid_text.isdigit():
            return
        try:
            self._pidfd = os.pidfd_open(int(pid_text))
        except (OSError, OverflowError):
            return  # gone between its announcement and now
        self._recorder_pid = int(pid_text)
        self._waiter = Waiter(self._socket, self._pidfd)
        self._acked = self._sequence
        self._done = False


def row_slots(body: memoryview, dtype: np.dtype[Any]) -> dict[str, Any]:
    """The fields of a row that lies in ``body``, to be written as ``slots["q"][:] = q``, ``slots["tick"][()] = 3``."""
    return {name: _slot(body, dtype, name) for name in dtype.names or ()}


def _slot(body: memoryview, dtype: np.dtype[Any], name: str) -> Any:
    assert dtype.fields is not None
    kind, offset = dtype.fields[name][:2]
    raw = body[offset : offset + kind.itemsize]
    # "l", not "q": numpy exports int64 under that code, and memoryview compares codes, not sizes.
    shape = kind.shape
    slot: Any = raw.cast("d", shape) if kind.base.kind == "f" else raw.cast("l", shape)
    return slot

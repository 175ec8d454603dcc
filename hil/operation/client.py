"""The asking side of the control socket."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any

import zmq

from hil.operation.messages import Reply
from hil.operation.place import RunningCell, find

TIMEOUT = 5.0
"""How long an answer may take, s; a running cell gives it within milliseconds."""


class NoAnswerError(Exception):
    """The cell does not answer; the message says what to do."""


class OperationClient:
    """Says verbs to a running cell; one at a time, from one thread."""

    def __init__(self, cell: RunningCell | str | None = None, timeout: float = TIMEOUT) -> None:
        """``cell``: a running one, its name, or None for the only one. Raises hil.operation.place.PlaceError."""
        self.cell = cell if isinstance(cell, RunningCell) else find(cell)
        self._timeout = timeout
        self._context = zmq.Context()
        self._socket = self._new_socket()

    def _new_socket(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.REQ)
        socket.linger = 0
        socket.connect(self.cell.control)
        return socket

    def call(self, verb: str, **arguments: Any) -> Reply:
        """The cell's answer. Raises NoAnswerError when there is none in time."""
        return self.send(json.dumps({"verb": verb, **arguments}).encode())

    def send(self, request: bytes) -> Reply:
        """:meth:`call` with the bytes of a request."""
        self._socket.send(request)
        if not self._socket.poll(round(1e3 * self._timeout)):
            # A REQ socket takes nothing new before its answer: this one is of no use any more.
            self._socket.close()
            self._socket = self._new_socket()
            raise NoAnswerError(
                f"cell {self.cell.name!r} (process {self.cell.pid}) did not answer within {self._timeout:g} s; if it "
                "hangs, use the emergency stop, then end the process"
            )
        return Reply.from_json(self._socket.recv())

    def status(self, events_after: int = -1) -> dict[str, Any]:
        """Where the cell is, as ``hil status --json`` shows it; only events numbered above ``events_after``."""
        return self.call("status", events_after=events_after).data

    def close(self) -> None:
        self._socket.close()
        self._context.term()

    def __enter__(self) -> OperationClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

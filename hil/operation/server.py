"""The control socket of a running cell, looked at between two cycles and never waited for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import zmq

from hil.operation.messages import REQUEST_MAX, Reply, Request, RequestError, read_request

_BACKLOG = 100
"""Requests of one client that wait for their turn; with more it waits itself."""


class OperationServer:
    """Answers one request at a time, in the thread of the cycle."""

    def __init__(self, endpoint: str, handle: Callable[[Request], Reply]) -> None:
        """``endpoint``: ``ipc://…``; ``handle`` answers a request and raises nothing. Raises zmq.ZMQError."""
        self._handle = handle
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = 500  # ms, so that the answer to the last request gets out
        self._socket.rcvhwm = self._socket.sndhwm = _BACKLOG
        # ZeroMQ hangs up on who sends more, before the message is in memory.
        self._socket.setsockopt(zmq.MAXMSGSIZE, 2 * REQUEST_MAX)
        mask = os.umask(0o177)
        try:
            self._socket.bind(endpoint)
        finally:
            os.umask(mask)
        Path(endpoint.removeprefix("ipc://")).chmod(0o600)

    def poll(self, wait_ms: int = 0) -> bool:
        """Answer one request if there is one (after waiting ``wait_ms`` for it at most); whether there was."""
        if wait_ms and not self._socket.poll(wait_ms):
            return False
        try:
            frames = self._socket.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return False
        # A client of kind REQ puts an empty frame between its address and the request, and expects it back.
        *envelope, body = frames
        if len(envelope) not in (1, 2) or (len(envelope) == 2 and envelope[1]):
            return True
        try:
            reply = self._handle(read_request(body))
        except RequestError as error:
            reply = Reply(False, f"not understood: {error}")
        try:
            self._socket.send_multipart([*envelope, reply.to_json()], zmq.DONTWAIT)
        except zmq.ZMQError:
            return True  # a client that does not read its answers, or is gone
        return True

    def close(self) -> None:
        """Legal more than once."""
        if not self._socket.closed:
            self._socket.close()
            self._context.term()

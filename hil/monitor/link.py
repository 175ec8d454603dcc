"""Requests to a running cell that nobody waits for: sent at once, answered some time, or given up."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

import zmq

from hil.operation.messages import Reply


class Link:
    """One connection to a cell's control socket; the cell answers its requests in the order in which they were sent.

    No method waits. Nothing is kept for a cell that is not there: a verb that was meant for one process must not
    reach the next one under the same name.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        timeout: float,
        clock: Callable[[], float],
    ) -> None:
        """``timeout``, s: how long an answer may take."""
        self._context, self._endpoint = context, endpoint
        self._timeout, self._clock = timeout, clock
        self._waiting: deque[tuple[str, float]] = deque()
        self._unsent: deque[tuple[str, bytes, float]] = deque()
        self._socket = self._new_socket()

    def _new_socket(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.DEALER)
        socket.linger = 0
        socket.immediate = True  # without a connection nothing is taken, and nothing is kept for another cell
        socket.connect(self._endpoint)
        return socket

    @property
    def pending(self) -> list[str]:
        """Verbs without an answer yet, oldest first."""
        return [verb for verb, _ in self._waiting] + [verb for verb, *_ in self._unsent]

    def ask(self, verb: str, **arguments: Any) -> None:
        """Send a request; one that finds no connection yet is tried again by :meth:`receive` until its time is over."""
        self._unsent.append((verb, json.dumps({"verb": verb, **arguments}).encode(), self._clock() + self._timeout))
        self._send()

    def _send(self) -> None:
        while self._unsent:
            verb, body, until = self._unsent[0]
            try:
                self._socket.send_multipart([b"", body], zmq.DONTWAIT)
            except zmq.Again:
                return
            self._unsent.popleft()
            self._waiting.append((verb, until))

    def receive(self) -> list[tuple[str, Reply | None]]:
        """Verbs that are settled, in their order, with the answer; None for one that got none in time."""
        settled: list[tuple[str, Reply | None]] = []
        self._send()
        while self._waiting:
            try:
                body = self._socket.recv_multipart(zmq.DONTWAIT)[-1]
            except zmq.Again:
                break
            try:
                reply = Reply.from_json(body)
            except (ValueError, KeyError, AttributeError, TypeError):
                reply = Reply(False, "the cell's answer cannot be read; monitor and cell are of different versions")
            settled.append((self._waiting.popleft()[0], reply))
        now = self._clock()
        if self._waiting and now > self._waiting[0][1]:
            # A late answer could not be told from that to a later request, so the connection is of no use any more.
            settled += [(verb, None) for verb, _ in self._waiting]
            self._waiting.clear()
            self._socket.close()
            self._socket = self._new_socket()
        while self._unsent and now > self._unsent[0][2]:
            settled.append((self._unsent.popleft()[0], None))
        return settled

    def close(self) -> None:
        self._socket.close()

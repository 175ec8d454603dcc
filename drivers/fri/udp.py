"""A UDP socket that knows which peer it talks to. Never blocks; waiting is the business of ``Ticks``."""

from __future__ import annotations

import socket

from drivers.errors import ConnectError
from drivers.fri.wire import MAX_DATAGRAM

Address = tuple[str, int]


class PeerSocket:
    """An unconnected socket (a connected one raises when the peer is not listening yet) with a filter on the sender.

    ``peer`` None: any sender will do until :meth:`lock` names one. A peer with port 0: any port of that host.
    """

    def __init__(self, host: str, port: int, peer: Address | None) -> None:
        self._bind = (host, port)
        self._configured = peer
        self._only_host: str | None = None
        self._peer: Address | None = None
        self._socket: socket.socket | None = None

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    @property
    def address(self) -> Address:
        """(host, port) bound; the configured one while closed."""
        if self._socket is None:
            return self._bind
        host, port = self._socket.getsockname()[:2]
        return str(host), int(port)

    def open(self) -> int:
        """Bind; returns the file descriptor. Raises ConnectError."""
        host, port = self._bind
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            if self._configured is not None:
                self._only_host = socket.gethostbyname(self._configured[0])
            sock.bind(self._bind)
        except OSError as error:
            sock.close()
            raise ConnectError(
                f"FRI needs UDP port {port} on {host or 'all interfaces'} (peer {self._configured}), and got: {error}. "
                "Is another client running, or is the address not one of this computer's?"
            ) from error
        self._socket = sock
        self.unlock()
        return sock.fileno()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def receive(self) -> tuple[bytes, Address] | None:
        """The next datagram (one byte more than FRI allows at most, so that too long shows), or None."""
        if self._socket is None:
            return None
        try:
            return self._socket.recvfrom(MAX_DATAGRAM + 1)
        except OSError:
            # Nothing is there, or the network reports a past send's failure: both end this drain.
            return None

    def send(self, data: bytes) -> bool:
        """Send to the peer; False if there is none yet or the network refuses."""
        if self._socket is None or self._peer is None:
            return False
        try:
            return self._socket.sendto(data, self._peer) == len(data)
        except OSError:
            return False

    def is_foreign(self, sender: Address) -> bool:
        """``sender`` is not the peer (and not a candidate for it)."""
        if self._peer is not None:
            return sender != self._peer
        return self._only_host is not None and sender[0] != self._only_host

    def lock(self, sender: Address) -> None:
        """Talk to ``sender`` only from now on."""
        self._peer = sender

    def unlock(self) -> None:
        """Go back to the configured peer; where none (or no port) was configured, the next good sender will do."""
        configured = self._configured
        self._peer = None
        if configured is not None and configured[1] != 0 and self._only_host is not None:
            self._peer = (self._only_host, configured[1])

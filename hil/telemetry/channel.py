"""What publisher and recorder say to each other.

One ZeroMQ endpoint, bound by the publisher (XPUB) and joined by the recorder (XSUB); a monitor may join as a plain
SUB. Downstream every message is a header, then a body::

    kind (4 bytes) | 4 spare bytes | sequence (u64, little endian) | body

``row\\0`` carries one row, ``evnt`` one encoded event, ``end\\0`` nothing: the run is over, ``file`` the path of
the log to write from here on (empty: none) once the present one is complete. The sequence counts all four,
so that a receiver sees what it missed: ZeroMQ drops without a word.

Upstream an XSUB may send messages of its own: ``0x02`` + u64 acknowledges everything up to that sequence,
``0x03`` says that the file is complete. A recorder announces itself by subscribing to ``recorder:<pid>`` after
everything else: when the publisher sees that subscription, the earlier ones already hold.
"""

from __future__ import annotations

import select
import struct

import zmq

HEADER = struct.Struct("<4s4xQ")
ROW = b"row\0"
EVENT = b"evnt"
END = b"end\0"
FILE = b"file"

ACK = struct.Struct("<cQ")
ACK_MARK = b"\x02"
DONE = b"\x03"

SUBSCRIBE = b"\x01"
RECORDER = b"recorder:"


class Waiter:
    """Waits for a socket to become readable or a process to end."""

    def __init__(self, socket: zmq.Socket[bytes], pidfd: int) -> None:
        self._socket, self._pidfd = socket, pidfd
        self._poller = zmq.Poller()
        self._poller.register(socket, zmq.POLLIN)
        if pidfd >= 0:
            self._poller.register(pidfd, zmq.POLLIN)

    def wait(self, timeout_ms: int | None) -> bool:
        """Wait at most ``timeout_ms`` (None: for ever); False if the process has ended."""
        return self._pidfd not in dict(self._poller.poll(timeout_ms))


def has_ended(pidfd: int) -> bool:
    """Whether the process behind ``pidfd`` is gone; a pidfd becomes readable when its process ends."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))

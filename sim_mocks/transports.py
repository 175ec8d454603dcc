"""Thin, never blocking ends of the wires: bytes only, no protocol, no clock."""

from __future__ import annotations

import contextlib
import os
import pty
import socket
import tempfile
import tty

Address = tuple[str, int]


class UdpPort:
    """A device's UDP socket with one peer.

    It stays unconnected: a connected one raises ECONNREFUSED for as long as no client listens. Datagrams from
    anyone but the peer are dropped and counted in :attr:`foreign`.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Bind. Raises ``OSError`` when the port is taken."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.address: Address = self._socket.getsockname()
        self.peer: Address | None = None
        self.foreign = 0
        self.refused = 0
        """Datagrams that the kernel did not take."""
        self._unread: list[bytes] = []

    def send(self, data: bytes) -> None:
        """Send to the peer; lost and counted when there is none or the kernel has no room."""
        if self.peer is None:
            self.refused += 1
            return
        try:
            self._socket.sendto(data, self.peer)
        except OSError:
            self.refused += 1

    def receive(self) -> list[bytes]:
        """All datagrams of the peer that have arrived, oldest first."""
        out, self._unread = self._unread, []
        while True:
            try:
                data, sender = self._socket.recvfrom(65535)
            except BlockingIOError:
                return out
            except OSError:  # an ICMP error of an earlier send: what is still queued is read in the next tick
                return out
            if sender == self.peer:
                out.append(data)
            else:
                self.foreign += 1

    def unread(self, datagrams: list[bytes]) -> None:
        """Put back what :meth:`receive` returned: the next call begins with it."""
        self._unread = [*datagrams, *self._unread]

    def close(self) -> None:
        self._socket.close()


class PtyPort:
    """A serial line: the master end is the device's, :attr:`path` is the port that a client opens.

    The slave end stays open here and is raw: otherwise the line discipline would echo before the client has set
    it up, and bytes would be lost between two clients. When nobody reads, the line fills up after about 20 kB;
    what does not fit is dropped and counted in :attr:`dropped`, as a UART overruns.

    :attr:`path` is a link that stays the same over :meth:`unplug` and :meth:`plug`, as ``/dev/serial/by-id`` does.
    """

    def __init__(self, folder: str = "", name: str = "serial") -> None:
        """``folder``: where the link ``name`` goes; empty: a temporary one of its own, gone with :meth:`close`."""
        self._own_folder = "" if folder else tempfile.mkdtemp(prefix="hil-pty-")
        self.path = os.path.join(folder or self._own_folder, name)
        self.dropped = 0
        """Bytes that found no room."""
        self._master = self._slave = -1
        self.plug()

    @property
    def plugged(self) -> bool:
        return self._master >= 0

    def plug(self) -> None:
        """The cable is put in; no effect when it is."""
        if self.plugged:
            return
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        with contextlib.suppress(FileNotFoundError):  # of a cell that was killed, in the same folder
            os.unlink(self.path)
        os.symlink(os.ttyname(self._slave), self.path)

    def unplug(self) -> None:
        """The cable is pulled: the port is gone, and whoever has it open reads an error. No effect twice."""
        for fd in (self._master, self._slave):
            with contextlib.suppress(OSError):
                os.close(fd)
        self._master = self._slave = -1
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def write(self, data: bytes) -> None:
        """Put bytes on the line; what does not fit is lost."""
        if not self.plugged:
            self.dropped += len(data)
            return
        try:
            written = os.write(self._master, data)
        except BlockingIOError:
            written = 0
        self.dropped += len(data) - written

    def read(self) -> bytes:
        """All bytes that the client has written so far.

        It reads until there is nothing more: a short read may leave bytes that the kernel is still passing on.
        """
        out = b""
        while self.plugged:
            try:
                out += os.read(self._master, 4096)
            except BlockingIOError:
                break
        return out

    def close(self) -> None:
        self.unplug()
        if self._own_folder:
            with contextlib.suppress(OSError):
                os.rmdir(self._own_folder)

"""The mock's end of each kind of CAN wire: frames in, frames out, nothing waits.

``udp_multicast`` speaks python-can's own encoding, but sends from a socket of its own, so that it can tell its own
frames (which multicast returns) from the supervisor's. Frames stay on this machine: hop limit 0 on the way out, and
what comes from another machine's address is dropped.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Protocol

import can
from can.interfaces.udp_multicast.utils import pack_message, unpack_message

from sim_mocks.cobot.config import GROUP, CobotMockConfig
from sim_mocks.cobot.frames import ERROR_FLAG, Frame
from sim_mocks.cobot.slcan import SlcanAdapter
from sim_mocks.errors import MockError
from sim_mocks.transports import PtyPort

_ERROR_MASK = 0x1FFF_FFFF


class CanPort(Protocol):
    """One bus's wire to the supervisor."""

    where: dict[str, str | int]
    """What a client needs to open it: python-can's ``interface`` and ``channel``, and ``port`` for multicast."""

    @property
    def foreign(self) -> int:
        """Frames and datagrams that are none of ours to take: other machines, no CAN, no 11-bit data frame."""
        ...

    def receive(self) -> list[Frame]:
        """All that has arrived, oldest first."""
        ...

    def send(self, frames: list[Frame]) -> None: ...

    def status(self, error_count: int, bus_off: bool) -> None:
        """What the supervisor's adapter knows of its errors (transmit error count)."""
        ...

    def unplug(self) -> None:
        """The adapter is pulled out; nothing passes any more. No effect twice."""
        ...

    def plug(self) -> None:
        """It is back. No effect when it is there."""
        ...

    def close(self) -> None: ...


def _message(frame: Frame) -> can.Message:
    can_id, data = frame
    error = bool(can_id & ERROR_FLAG)
    return can.Message(
        arbitration_id=can_id & _ERROR_MASK, data=data, is_extended_id=error, is_error_frame=error, is_rx=True
    )


def _frame(message: can.Message) -> Frame | None:
    if message.is_extended_id or message.is_remote_frame or message.is_error_frame or message.is_fd:
        return None
    return message.arbitration_id, bytes(message.data)


class VirtualPort:
    """python-can's ``virtual``: within this process, for tests; one object for all drives."""

    def __init__(self, channel: str) -> None:
        self.where: dict[str, str | int] = {"interface": "virtual", "channel": channel}
        self.foreign = 0
        self._bus: can.BusABC | None = None
        self._channel = channel
        self.plug()

    def receive(self) -> list[Frame]:
        """See :class:`CanPort`."""
        out: list[Frame] = []
        while self._bus is not None and (message := self._bus.recv(0)) is not None:
            frame = _frame(message)
            if frame is None:
                self.foreign += 1
            else:
                out.append(frame)
        return out

    def send(self, frames: list[Frame]) -> None:
        """See :class:`CanPort`."""
        if self._bus is not None:
            for frame in frames:
                self._bus.send(_message(frame))

    def status(self, error_count: int, bus_off: bool) -> None:
        """See :class:`CanPort`: error frames alone tell it on this wire."""

    def unplug(self) -> None:
        """See :class:`CanPort`."""
        if self._bus is not None:
            self._bus.shutdown()
            self._bus = None

    def plug(self) -> None:
        """See :class:`CanPort`."""
        if self._bus is None:
            self._bus = can.Bus(interface="virtual", channel=self._channel, receive_own_messages=False)

    def close(self) -> None:
        self.unplug()


class MulticastPort:
    """python-can's ``udp_multicast`` on IPv4."""

    def __init__(self, group: str, port: int) -> None:
        """``port`` 0: a free one. Raises MockError where this machine cannot do multicast."""
        self.foreign = 0
        self._plugged = True
        self._send = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._send.setblocking(False)
        self._send.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
        self._send.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        self._receive = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._receive.setblocking(False)
        self._receive.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            # Bound to the group's address, it hears nothing that was sent to this machine's other addresses.
            self._receive.bind((group, port))
            membership = struct.pack("4sl", socket.inet_aton(group), socket.INADDR_ANY)
            self._receive.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
            port = self._receive.getsockname()[1]
            self._send.connect((group, port))
        except OSError as error:
            self.close()
            raise MockError(
                f"udp_multicast {group} port {port}: {error}; "
                "where only `lo` exists, run: ip route add 239.0.0.0/8 dev lo"
            ) from None
        self._here: str = self._send.getsockname()[0]
        self._own: int = self._send.getsockname()[1]
        self.where: dict[str, str | int] = {"interface": "udp_multicast", "channel": group, "port": port}

    def receive(self) -> list[Frame]:
        """See :class:`CanPort`."""
        out: list[Frame] = []
        while True:
            try:
                data, (host, port) = self._receive.recvfrom(2048)
            except OSError:
                return out
            if port == self._own or not self._plugged:
                continue
            frame = self._unpack(data) if host in (self._here, "127.0.0.1") else None
            if frame is None:
                self.foreign += 1
            else:
                out.append(frame)

    def send(self, frames: list[Frame]) -> None:
        """See :class:`CanPort`; what the kernel does not take is lost."""
        if self._plugged:
            for frame in frames:
                with contextlib.suppress(OSError):
                    self._send.send(pack_message(_message(frame)))

    def status(self, error_count: int, bus_off: bool) -> None:
        """See :class:`CanPort`: error frames alone tell it on this wire."""

    def unplug(self) -> None:
        """See :class:`CanPort`."""
        self._plugged = False

    def plug(self) -> None:
        """See :class:`CanPort`."""
        self._plugged = True

    def close(self) -> None:
        self._send.close()
        self._receive.close()

    @staticmethod
    def _unpack(data: bytes) -> Frame | None:
        try:
            return _frame(unpack_message(data, check=True))
        except Exception:  # the library's decoder raises whatever its parts raise
            return None


class SlcanPort:
    """A serial adapter of the Lawicel kind on a pseudo-terminal."""

    def __init__(self, folder: str, name: str, bitrate: int) -> None:
        self._pty = PtyPort(folder, name)
        self._adapter = SlcanAdapter(bitrate)
        self._unread: list[Frame] = []
        self.where: dict[str, str | int] = {"interface": "slcan", "channel": self._pty.path}

    @property
    def foreign(self) -> int:
        """See :class:`CanPort`."""
        return self._adapter.refused

    @property
    def path(self) -> str:
        """The serial port that a client opens."""
        return self._pty.path

    def receive(self) -> list[Frame]:
        """See :class:`CanPort`."""
        reply, frames = self._adapter.feed(self._pty.read())
        if reply:
            self._pty.write(reply)
        if self._unread:
            frames, self._unread = [*self._unread, *frames], []
        return frames

    def unread(self, frames: list[Frame]) -> None:
        """Put back what :meth:`receive` returned: the next call begins with it."""
        self._unread = [*frames, *self._unread]

    def send(self, frames: list[Frame]) -> None:
        """See :class:`CanPort`."""
        out = self._adapter.encode(frames)
        if out:
            self._pty.write(out)

    def status(self, error_count: int, bus_off: bool) -> None:
        """See :class:`CanPort`."""
        self._adapter.status(error_count, bus_off)

    def unplug(self) -> None:
        """See :class:`CanPort`: the serial port disappears."""
        self._pty.unplug()

    def plug(self) -> None:
        """See :class:`CanPort`: powered by the cable, it is closed and without a bit rate."""
        if not self._pty.plugged:
            self._pty.plug()
            self._adapter.reset()

    def close(self) -> None:
        self._pty.close()


def open_port(transport: str, channel: str, port: int, number: int, bitrate: int, folder: str) -> CanPort:
    """The wire of bus ``number``; ``channel`` empty: the default one. ``folder``: where serial ports are linked; empty:
    a temporary one. Raises MockError."""
    if transport == "virtual":
        return VirtualPort((channel or "cobot") + (f"-{number}" if number else ""))
    if transport == "slcan":
        return SlcanPort(folder, f"can{number}", bitrate)
    head, last = (channel or GROUP).rsplit(".", 1)
    return MulticastPort(f"{head}.{int(last) + number}", port + number if port else 0)


def open_ports(config: CobotMockConfig, folder: str) -> list[CanPort]:
    """The wires of all buses of a cobot; see :func:`open_port`."""
    return [
        open_port(config.transport, config.channel, config.port, k, config.bitrate, folder)
        for k in range(config.channels)
    ]

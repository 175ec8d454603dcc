"""The seam between the driver and whatever carries CAN frames: a few words, so that a fast path fits behind it.

A frame is a plain tuple (identifier, payload, kind): a class of its own would cost more than reading it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import can

from drivers.errors import ConnectError

Frame = tuple[int, bytes | bytearray, int]
"""Identifier, payload, kind."""
Outgoing = tuple[int, bytes | bytearray]
"""Identifier (11 bits), payload."""
DATA, REMOTE, ERROR, EXTENDED = 0, 1, 2, 3
"""Kinds of frames; EXTENDED are data frames with 29-bit identifiers, which no CANopen drive sends."""

POLL_NS = 200_000
"""How often a bus is looked at that has nothing to wait on, ns."""
_MAX_DRAIN = 1024
"""Frames read in one go: a babbling node must not keep the cycle from ending."""


class Bus(Protocol):
    """One CAN channel. Nothing here blocks, and nothing raises once it is open: a lost device sets ``lost``."""

    name: str
    refused: int
    """Frames that the adapter did not take."""
    garbled: int
    """Pieces of input that were no frame."""
    echoes: bool
    """Frames that this side sends come back."""
    poll_ns: int
    """Longest wait on :meth:`fileno` that is of use, ns."""

    @property
    def lost(self) -> str:
        """Why the adapter is gone; empty while it is there."""
        ...

    def fileno(self) -> int:
        """What becomes readable when frames arrive; a descriptor that never does where the interface has none."""
        ...

    def send(self, frames: Sequence[Outgoing]) -> bool:
        """Hand ``frames`` over in this order; False, counted in ``refused``, if not all were taken."""
        ...

    def drain(self, frames: list[Frame]) -> None:
        """Append everything that has arrived to ``frames``."""
        ...

    def ask_state(self) -> None:
        """Make :meth:`state` new, where the adapter must be asked for it; the answer comes with later frames."""
        ...

    def state(self) -> str:
        """``active``, ``warning``, ``passive``, ``bus-off`` as the adapter states it; ``unknown`` where it cannot."""
        ...

    def close(self) -> None:
        """Let go of the adapter; legal more than once."""
        ...


@dataclass(frozen=True)
class BusConfig:
    """How to reach one CAN channel; the words of python-can, and ``options`` goes to its interface as it is."""

    interface: str
    """``slcan`` (own fast path), or any interface of python-can: socketcan, pcan, kvaser, udp_multicast, virtual …"""
    channel: str
    bitrate: int = 1_000_000
    options: Mapping[str, Any] = field(default_factory=dict)


class PythonCanBus:
    """:class:`Bus` on any interface of python-can. One message object per identifier is used again and again: every
    interface has serialised or copied it when ``send`` returns."""

    def __init__(self, config: BusConfig) -> None:
        """Raises ConnectError."""
        self.name = f"{config.interface} {config.channel}"
        self._lost = ""
        self.refused = 0
        self.garbled = 0
        self.echoes = config.interface == "udp_multicast"
        options = dict(config.options)
        if config.interface == "udp_multicast":
            options = {"hop_limit": 0, "fd": False, **options}
        elif config.interface != "virtual":
            options = {"bitrate": config.bitrate, **options}
        try:
            self._bus = can.Bus(interface=config.interface, channel=config.channel, **options)
        except (can.CanError, OSError, ValueError, TypeError, ImportError, NotImplementedError) as error:
            raise ConnectError(f"CAN {self.name}: {error}; {_advice(config)}") from error
        self._messages: dict[int, can.Message] = {}
        self._own_fd = -1
        try:
            self._fd = int(self._bus.fileno())
        except (NotImplementedError, AttributeError, can.CanError):
            self._fd = -1
        self.poll_ns = 1 << 62
        if self._fd < 0:
            self._fd = self._own_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self.poll_ns = POLL_NS

    @property
    def lost(self) -> str:
        return self._lost

    def fileno(self) -> int:
        return self._fd

    def send(self, frames: Sequence[Outgoing]) -> bool:
        messages, send = self._messages, self._bus.send
        taken = True
        for can_id, data in frames:
            message = messages.get(can_id)
            if message is None:
                message = messages[can_id] = can.Message(arbitration_id=can_id, is_extended_id=False, data=data)
            else:
                message.data[:] = data
                message.dlc = len(data)
            try:
                send(message, 0.0)
            except (can.CanError, OSError) as error:
                taken = False
                self.refused += 1
                self._judge(error)
        return taken

    def drain(self, frames: list[Frame]) -> None:
        if self._lost:
            return
        receive = self._bus.recv
        for _ in range(_MAX_DRAIN):
            try:
                message = receive(0.0)
            except (can.CanError, OSError) as error:
                self.garbled += 1
                if self._judge(error):
                    return
                continue
            if message is None:
                return
            kind = DATA
            if message.is_error_frame:
                kind = ERROR
            elif message.is_remote_frame:
                kind = REMOTE
            elif message.is_extended_id:
                kind = EXTENDED
            frames.append((message.arbitration_id, message.data, kind))

    def ask_state(self) -> None:
        pass  # :meth:`state` asks the interface itself

    def state(self) -> str:
        # Most interfaces return ACTIVE whatever happens (python-can's own default), so that word proves nothing.
        try:
            state = self._bus.state
        except (NotImplementedError, can.CanError, OSError):
            return "unknown"
        return {can.BusState.PASSIVE: "passive", can.BusState.ERROR: "bus-off"}.get(state, "unknown")

    def close(self) -> None:
        with contextlib.suppress(can.CanError, OSError):
            self._bus.shutdown()
        if self._own_fd >= 0:
            os.close(self._own_fd)
            self._own_fd = -1
        self._lost = self._lost or "closed"

    def _judge(self, error: BaseException) -> bool:
        """Whether the device is gone: it stays so, while a full queue or a foreign datagram passes."""
        code = getattr(error, "error_code", None) or getattr(error, "errno", None)
        if code in _GONE:
            self._lost = f"{error} (unplugged, or the interface went down)"
        return bool(self._lost)


_GONE = frozenset({5, 6, 9, 19, 100})
"""EIO, ENXIO, EBADF, ENODEV, ENETDOWN."""


def _advice(config: BusConfig) -> str:
    if config.interface == "socketcan":
        return f"bring it up with: sudo ip link set {config.channel} up type can bitrate {config.bitrate}"
    if config.interface == "udp_multicast":
        return "in a network namespace with a loopback alone: ip route add 239.0.0.0/8 dev lo"
    return "expected a channel of that name: plug the adapter in, look at python-can's page of this interface"

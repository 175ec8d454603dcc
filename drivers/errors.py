"""The error tree of everything that touches a wire.

::

    DriverError
    ├── ConnectError       a device could not be opened or did not answer the handshake
    ├── ProtocolError      bytes arrived that are not what the protocol allows (codecs raise it, drivers count it)
    ├── RefusedError       a call the device's present state does not allow (command before enable, …)
    └── DeviceLostError    a device that was there is gone (unplugged, session closed)

Every message says what was read, what was expected and what the person can do next. ``ProtocolError`` never
leaves a driver's ``read()`` or ``poll()``: there it becomes a counter and, where it matters, an invalid sample.
"""

from __future__ import annotations


class DriverError(Exception):
    """Base of all errors raised by drivers."""


class ConnectError(DriverError):
    """A device could not be opened, or its handshake failed."""


class ProtocolError(DriverError):
    """Bytes that the protocol does not allow.

    ``reason`` is a short stable key (``"truncated"``, ``"crc"``, ``"identifier"`` …) under which drivers count.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RefusedError(DriverError):
    """The call does not fit the device's present state; nothing was sent."""


class DeviceLostError(DriverError):
    """The device was there and is gone."""

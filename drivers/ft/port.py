"""A serial port as a raw non-blocking file descriptor, held exclusively; works on pseudo-terminals too."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import termios
from pathlib import Path

from drivers.errors import ConnectError, DeviceLostError

_CHUNK = 4096
_MAX_CHUNKS = 16
"""Bound of one read: more than a kernel buffer holds, so that a device gone mad cannot hold up a control cycle."""

# Linux serial_struct, as far as it is used here: 32 ints, flags at index 4 (linux/serial.h).
_TIOCGSERIAL, _TIOCSSERIAL, _ASYNC_LOW_LATENCY = 0x541E, 0x541F, 0x2000
_SERIAL_STRUCT = struct.Struct("32i")


class RawPort:
    """One open serial line, 8N1, no flow control, no echo, no translation.

    Raw ``os.read`` until EAGAIN costs a few µs a cycle where a serial library costs tens.
    """

    def __init__(self, path: str, baud: int) -> None:
        """Open ``path`` at ``baud`` and drop what it had received. Raises ConnectError."""
        self.path = path
        self.lost = ""
        """Why the device is gone; empty while it is there."""
        speed = getattr(termios, f"B{baud}", None)
        if speed is None:
            raise ConnectError(f"{path}: this system has no {baud} baud: choose a standard rate")
        try:
            self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            raise ConnectError(f"{path}: {error.strerror}; {_open_advice(error)}") from error
        try:
            self._configure(speed, baud)
        except BaseException:
            os.close(self.fd)
            self.fd = -1
            raise

    def _configure(self, speed: int, baud: int) -> None:
        if not os.isatty(self.fd):
            raise ConnectError(f"{self.path}: is not a serial port, expected one like /dev/serial/by-id/...")
        try:
            # TIOCEXCL keeps every other program out but root, flock keeps out a second one of ours, root or not.
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A pseudo-terminal whose far end stays open keeps TIOCEXCL after its holder was killed, for ever.
            if not os.ttyname(self.fd).startswith("/dev/pts/"):
                fcntl.ioctl(self.fd, termios.TIOCEXCL)
        except OSError as error:
            raise ConnectError(
                f"{self.path}: held by another program; end it (fuser -v {self.path}) and connect again"
            ) from error
        try:
            # VMIN 1: with VMIN 0 an idle line would read as end of file, that is, as unplugged.
            control: list[bytes | int] = [b"\0"] * 32
            control[termios.VMIN] = b"\1"
            line = termios.CS8 | termios.CREAD | termios.CLOCAL
            settings: list[int | list[bytes | int]] = [0, 0, line, 0, speed, speed, control]
            termios.tcsetattr(self.fd, termios.TCSANOW, settings)
            accepted = termios.tcgetattr(self.fd)[5]
            termios.tcflush(self.fd, termios.TCIOFLUSH)
        except (OSError, termios.error) as error:
            raise ConnectError(f"{self.path}: cannot be set to {baud} 8N1 ({error}); unplug and plug it in") from error
        if accepted != speed:
            raise ConnectError(f"{self.path}: the adapter did not accept {baud} baud; use one that can")
        with contextlib.suppress(OSError):  # pseudo-terminals and most CDC devices have no such setting
            fields = list(_SERIAL_STRUCT.unpack(fcntl.ioctl(self.fd, _TIOCGSERIAL, bytes(_SERIAL_STRUCT.size))))
            fields[4] |= _ASYNC_LOW_LATENCY
            fcntl.ioctl(self.fd, _TIOCSSERIAL, _SERIAL_STRUCT.pack(*fields))

    def latency_ms(self) -> int | None:
        """Latency timer of an FTDI adapter, ms; None where the port has none."""
        name = Path(os.path.realpath(self.path)).name
        try:
            return int(Path(f"/sys/bus/usb-serial/devices/{name}/latency_timer").read_text())
        except (OSError, ValueError):
            return None

    def read_available(self) -> bytes:
        """All that has arrived, without waiting; ``b""`` if nothing. Never raises: a lost device sets ``lost``."""
        fd = self.fd
        data = b""
        try:
            for _ in range(_MAX_CHUNKS):
                chunk = os.read(fd, _CHUNK)
                if not chunk:
                    self.lost = "end of file (unplugged, or the other side closed)"
                    break
                data = data + chunk if data else chunk
        except BlockingIOError:
            pass
        except (OSError, termios.error) as error:
            self.lost = f"{error.strerror if isinstance(error, OSError) else error} (unplugged?)"
        return data

    def write(self, data: bytes) -> None:
        """Write a short command. Raises DeviceLostError if the line does not take it whole."""
        try:
            written = os.write(self.fd, data)
        except OSError as error:
            raise DeviceLostError(f"{self.path}: writing {data!r}: {error.strerror}; check the cable") from error
        if written != len(data):
            raise DeviceLostError(f"{self.path}: took {written} of {len(data)} bytes of {data!r}; check the cable")

    def close(self) -> None:
        """Let go of the port; legal more than once."""
        if self.fd < 0:
            return
        fd, self.fd = self.fd, -1
        with contextlib.suppress(OSError, termios.error):
            fcntl.ioctl(fd, termios.TIOCNXCL)
        with contextlib.suppress(OSError):
            os.close(fd)


def _open_advice(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "expected a serial port there: plug the device in, list the names with ls -l /dev/serial/by-id"
    if isinstance(error, PermissionError):
        return "add yourself to the group of the port (ls -l shows it, often dialout) and log in again"
    return "if another program holds it, end that one (fuser -v names it); otherwise unplug and plug it in"

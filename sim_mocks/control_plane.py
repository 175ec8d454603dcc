"""Client side of a mock cell in another process: the operator's words and the time token. Light: no physics.

Two unix sockets in the cell's control directory, apart from the wires:

``control.sock``  stream; one JSON object per line. Request ``{"op": name, …arguments}``, reply ``{"ok": true, …}``
                  or ``{"ok": false, "error": sentence}``. Requests are served between ticks.
``token.sock``    sequenced packets; one holder. On connection the cell sends :data:`GREETING` (tick, t_ns, period).
                  From then on the holder sends one byte, the cell runs one send period (a tick of the arm, often
                  also one of the world) and returns :data:`TOKEN` (world ticks so far, t_ns). When the holder's
                  end closes, the cell runs on alone until the arm stands. A cell in wall-clock time has no token
                  to give and closes the connection at once.
"""

from __future__ import annotations

import abc
import json
import select
import socket
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drivers.errors import ConnectError

TOKEN = struct.Struct("<qq")
GREETING = struct.Struct("<qqq")
TOKEN_SOCKET = "token.sock"
CONTROL_SOCKET = "control.sock"
_ZERO7 = (0.0,) * 7


class ControlError(Exception):
    """The cell refuses an operation, or is gone; the message is the cell's own sentence."""


class Control(abc.ABC):
    """The operator of a mock cell; what the robot application in Java and a person's hands do at a real one."""

    @abc.abstractmethod
    def call(self, op: str, **arguments: Any) -> dict[str, Any]:
        """Carry out an operation by name; its result. Raises :class:`ControlError`."""

    def hello(self) -> dict[str, Any]:
        """``pid``, ``n``, ``dt``, ``tick``, ``fri`` (host, port), ``ft_path``, ``profile``, ``seed``, ``paced``,
        ``realtime``."""
        return self.call("hello")

    def state(self) -> dict[str, Any]:
        """Session, quality, brakes, errors and counters of the robot controller; true q, TCP and loose object; in
        wall-clock time the periods ``skipped`` and the largest delay ``late_max_ns``."""
        return self.call("state")

    def fri_peer(self, host: str, port: int) -> None:
        """Send the monitoring stream there."""
        self.call("fri_peer", host=host, port=port)

    def open_session(self) -> None:
        self.call("open_session")

    def close_session(self) -> None:
        self.call("close_session")

    def start_overlay(
        self, mode: str = "TORQUE", stiffness: Sequence[float] = _ZERO7, damping: Sequence[float] = _ZERO7
    ) -> None:
        """Start the position-hold motion with FRI overlay; N·m/rad and N·m·s/rad, 7 each."""
        self.call("start_overlay", mode=mode, stiffness=list(stiffness), damping=list(damping))

    def cancel_overlay(self) -> None:
        self.call("cancel_overlay")

    def safety_stop(self, level: int) -> None:
        """Safety state as on the wire; 0 clears."""
        self.call("safety_stop", level=level)

    def set_mode(self, mode: int) -> None:
        """0 T1, 1 T2, 2 AUT."""
        self.call("set_mode", mode=mode)

    def set_io(self, name: str, value: float) -> None:
        """Value of an input or output of the robot controller; booleans are 0 and 1."""
        self.call("set_io", name=name, value=value)

    def unplug_ft(self) -> None:
        """Pull the cable of the F/T sensor."""
        self.call("unplug_ft")

    def plug_ft(self) -> None:
        """Put it back; the sensor boots."""
        self.call("plug_ft")

    def push(self, wrench: Sequence[float] | None) -> None:
        """Constant wrench (6,) of the environment on the TCP, base axes, N and N·m; ``None`` ends it."""
        self.call("push", wrench=None if wrench is None else list(wrench))

    def attach(self, mass: float, com: Sequence[float]) -> None:
        """Fix a payload: kg, centre of mass (3,) in the flange frame."""
        self.call("attach", mass=mass, com=list(com))

    def release(self) -> None:
        """Drop the payload."""
        self.call("release")

    def register(self, name: str, pid: int) -> None:
        """Name a process for ``kill`` faults."""
        self.call("register", name=name, pid=pid)

    def faults_add(self, faults: Sequence[Mapping[str, Any]]) -> None:
        """Add faults, each a mapping as :meth:`sim_mocks.faults.Fault.from_mapping` reads it."""
        self.call("faults_add", faults=[dict(fault) for fault in faults])

    def faults_list(self) -> dict[str, Any]:
        """``faults`` and ``log``, a list of (tick, index of the fault, what it did)."""
        return self.call("faults_list")

    def truth(self, since: int | None = None) -> dict[str, Any]:
        """Extremes of what the joints felt; with ``since`` also the joint travel after that tick."""
        return self.call("truth", since=since)

    def truth_save(self, path: Path) -> None:
        """Write the truth of every tick as ``.npz``."""
        self.call("truth_save", path=str(path))

    def run_out(self) -> int:
        """Let virtual time run until the arm stands; ticks it took."""
        return int(self.call("run_out")["ticks"])

    def quit(self) -> None:
        """End the cell."""
        self.call("quit")


class SocketControl(Control):
    """The control plane over its socket."""

    def __init__(self, control_dir: str | Path, timeout: float = 30.0) -> None:
        """Connect. ``timeout`` (s) bounds each call. Raises ``drivers.errors.ConnectError``."""
        self._path = Path(control_dir) / CONTROL_SOCKET
        self._timeout = timeout
        self._connect()

    def _connect(self) -> None:
        self._socket = _connect(self._path, socket.SOCK_STREAM)
        self._socket.settimeout(self._timeout)
        self._file = self._socket.makefile("rb")

    def reconnect(self) -> None:
        """Connect to a cell that was started anew in the same directory. Raises ``drivers.errors.ConnectError``."""
        self.close()
        self._connect()

    def call(self, op: str, **arguments: Any) -> dict[str, Any]:
        """See :meth:`Control.call`."""
        try:
            self._socket.sendall(json.dumps({"op": op, **arguments}).encode() + b"\n")
            line = self._file.readline()
        except (OSError, ValueError) as error:  # ValueError: closed, after an attempt to reconnect that failed
            raise ControlError(
                f"{op}: the mock cell does not answer ({error}); its process has died or hangs"
            ) from error
        if not line:
            raise ControlError(f"{op}: the mock cell has closed the connection; its process has ended")
        reply: dict[str, Any] = json.loads(line)
        if not reply.pop("ok", False):
            raise ControlError(str(reply.get("error", "the mock cell refused without a reason")))
        return reply

    def close(self) -> None:
        self._file.close()
        self._socket.close()


class LockstepTicks:
    """:class:`drivers.contract.Ticks` of a supervisor whose world is a mock cell in another process.

    Each :meth:`wait` hands the token over and blocks until the next tick is done. When the cell dies, :attr:`lost`
    becomes True and time goes on by itself, one tick per wait: the client sees its data grow old, as it would on
    a real robot, and can stop in order.
    """

    def __init__(self, control_dir: str | Path) -> None:
        """Take the token. Raises ``drivers.errors.ConnectError`` when there is no cell or another client has it."""
        self._path = Path(control_dir) / TOKEN_SOCKET
        self.tick: int
        """Ticks of the world completed."""
        self.dt_ns: int
        """Virtual time that passes in each wait, ns."""
        self._t_ns = -1
        self._offset_ns = 0
        self.lost = True
        """The cell is gone."""
        self._poll = select.poll()
        self._fd = -1
        self._take_token()

    def _take_token(self) -> None:
        self._socket = _connect(self._path, socket.SOCK_SEQPACKET)
        greeting = self._socket.recv(GREETING.size)
        if len(greeting) != GREETING.size:
            self._socket.close()
            raise ConnectError(
                "the mock cell gives the time token to one client at a time, and another one holds it; or it runs in "
                "wall-clock time and has none"
            )
        self.tick, t_ns, self.dt_ns = GREETING.unpack(greeting)
        # A cell that was started anew counts from zero; for its client time never goes back.
        self._offset_ns = self._t_ns - t_ns if self._t_ns >= 0 else 0
        self._t_ns = t_ns + self._offset_ns
        self.lost = False

    def reconnect(self) -> None:
        """Take the token of a cell that was started anew in the same directory. Raises
        ``drivers.errors.ConnectError``."""
        self._socket.close()
        self._take_token()

    def now_ns(self) -> int:
        """Virtual time, ns."""
        return self._t_ns

    def wait(self, fd: int, timeout_ns: int) -> bool:
        """Pass the token, wait for the next tick; True if ``fd`` is readable after it. ``timeout_ns`` is ignored."""
        if self.lost:
            self._t_ns += self.dt_ns
        else:
            self._next()
        if fd != self._fd:
            if self._fd >= 0:
                self._poll.unregister(self._fd)
            self._poll.register(fd, select.POLLIN)
            self._fd = fd
        return bool(self._poll.poll(0))

    def close(self) -> None:
        """Give the token back for good: the cell runs on alone until the arm stands."""
        self._socket.close()
        self.lost = True

    def _next(self) -> None:
        try:
            self._socket.send(b"g")
            data = self._socket.recv(TOKEN.size)
        except OSError:
            data = b""
        if len(data) == TOKEN.size:
            self.tick, t_ns = TOKEN.unpack(data)
            self._t_ns = t_ns + self._offset_ns
        else:
            self.lost = True
            self._t_ns += self.dt_ns


def _connect(path: Path, kind: socket.SocketKind) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, kind)
    try:
        connection.connect(str(path))
    except OSError as error:
        connection.close()
        raise ConnectError(
            f"no mock cell listens at {path} ({error}); start one with: python -m sim_mocks.serve"
        ) from error
    return connection

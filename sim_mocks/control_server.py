"""Server side of the control plane: who moves virtual time on, and who is served in between.

In lockstep it is the holder of the time token; in wall-clock time it is the clock, and nobody is waited for.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import socket
from pathlib import Path

from sim_mocks.control_plane import CONTROL_SOCKET, GREETING, TOKEN, TOKEN_SOCKET, ControlError
from sim_mocks.errors import MockError
from sim_mocks.host import MockCell
from sim_mocks.operations import Operations
from sim_mocks.pacing import Pacer, WallPacer, sharpen_timers

_LINE_MAX = 1 << 20
_PATH_MAX = 107
"""Longest path of a unix socket that Linux takes, bytes."""


class ControlServer:
    """Serves a cell until someone says ``quit``.

    While the token is out, everything waits for it in one ``poll``; a control request is carried out there, between
    two ticks, so that its effect falls on a definite tick. With a :class:`WallPacer` the world goes on by itself and
    there is no token: requests are looked for once in every tick.
    """

    def __init__(
        self, cell: MockCell, control_dir: Path, pacer: Pacer | WallPacer | None = None, parent: int | None = None
    ) -> None:
        """Bind both sockets in ``control_dir``. Raises MockError for a path too long, OSError.

        ``parent``: process whose end also ends the serving, as soon as nobody holds the token and the arm stands.
        """
        self._cell = cell
        self._pacer = pacer if isinstance(pacer, Pacer) else None
        self._wall = pacer if isinstance(pacer, WallPacer) else None
        self._operations = Operations(cell)
        self._poll = select.poll()
        self._token: socket.socket | None = None
        self._clients: dict[int, tuple[socket.socket, bytearray]] = {}
        self._quit = False
        self._paths = [control_dir / TOKEN_SOCKET, control_dir / CONTROL_SOCKET]
        self._orphan = False
        self._parent_fd = -1
        if parent is not None:
            self._parent_fd = os.pidfd_open(parent)
            self._poll.register(self._parent_fd, select.POLLIN)
        self._token_listener = self._listen(self._paths[0], socket.SOCK_SEQPACKET)
        self._control_listener = self._listen(self._paths[1], socket.SOCK_STREAM)

    def serve(self) -> None:
        """Serve until ``quit``."""
        if self._wall is not None:
            self._serve_wall(self._wall)
            return
        while not self._quit:
            self._look(None)
            if self._orphan and self._token is None:
                self._cell.run_out()
                self._quit = True

    def _serve_wall(self, pacer: WallPacer) -> None:
        cell = self._cell
        sharpen_timers()
        while not self._quit:
            pacer.wait()
            cell.cycle()
            cell.skipped, cell.late_max_ns = pacer.skipped, pacer.late_max_ns
            self._look(0)
            # Whoever drives the arm sees the same death and stops; until then nobody else moves the time on.
            self._quit = self._quit or (self._orphan and cell.standing())

    def _look(self, timeout_ms: int | None) -> None:
        """Serve what has come, waiting for it at most that long (None: for ever)."""
        for fd, _ in self._poll.poll(timeout_ms):
            if fd == self._parent_fd:
                self._orphan = True
                self._poll.unregister(fd)
                os.close(fd)
                self._parent_fd = -1
            elif self._token is not None and fd == self._token.fileno():
                self._serve_token(self._token)
            elif fd == self._control_listener.fileno():
                connection, _ = self._control_listener.accept()
                connection.settimeout(5.0)  # for replies; requests are only read when they are there
                self._poll.register(connection, select.POLLIN)
                self._clients[connection.fileno()] = (connection, bytearray())
            elif fd == self._token_listener.fileno():
                self._accept_token()
            elif fd in self._clients:
                self._serve_client(fd)

    def close(self) -> None:
        """Close and remove the sockets."""
        if self._parent_fd >= 0:
            os.close(self._parent_fd)
            self._parent_fd = -1
        clients = [connection for connection, _ in self._clients.values()]
        for connection in [self._token, self._token_listener, self._control_listener, *clients]:
            if connection is not None:
                connection.close()
        for path in self._paths:
            path.unlink(missing_ok=True)
        if self._orphan:  # nobody is left who would clean up
            shutil.rmtree(self._paths[0].parent, ignore_errors=True)

    def _listen(self, path: Path, kind: socket.SocketKind) -> socket.socket:
        if len(str(path).encode()) > _PATH_MAX:
            raise MockError(f"{path} is longer than a unix socket's {_PATH_MAX} bytes; choose a shorter control_dir")
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, kind)
        listener.bind(str(path))
        listener.listen(4)
        self._poll.register(listener, select.POLLIN)
        return listener

    def _accept_token(self) -> None:
        connection, _ = self._token_listener.accept()
        if self._token is not None and _hung_up(self._token):  # the old holder left before the new one came
            self._serve_token(self._token)
        if self._token is not None or self._wall is not None:
            connection.close()
            return
        self._token = connection
        self._poll.register(connection, select.POLLIN)
        with contextlib.suppress(OSError):
            connection.send(GREETING.pack(self._cell.ticks, self._cell.t_ns, self._cell.cycle_ns))

    def _serve_token(self, token: socket.socket) -> None:
        try:
            alive = bool(token.recv(1))
        except OSError:
            alive = False
        if not alive:
            self._poll.unregister(token)
            token.close()
            self._token = None
            self._cell.run_out()
            return
        if self._pacer is not None:
            self._pacer.wait()
        self._cell.cycle()
        with contextlib.suppress(OSError):  # a dead holder shows at the next recv
            token.send(TOKEN.pack(self._cell.ticks, self._cell.t_ns))

    def _serve_client(self, fd: int) -> None:
        connection, buffer = self._clients[fd]
        try:
            data = connection.recv(65536)
        except OSError:
            data = b""
        buffer += data
        if not data or len(buffer) > _LINE_MAX:
            self._drop_client(fd)
            return
        while (end := buffer.find(b"\n")) >= 0:
            line = bytes(buffer[:end])
            del buffer[: end + 1]
            try:
                connection.sendall(self._reply(line))
            except OSError:
                self._drop_client(fd)
                return

    def _reply(self, line: bytes) -> bytes:
        try:
            request = json.loads(line)
            if not isinstance(request, dict) or not isinstance(request.get("op"), str):
                raise ControlError("a request is a JSON object with 'op'")
            op = request.pop("op")
            reply = {"ok": True, **self._operations(op, request)}
            self._quit = self._quit or op == "quit"
        except (ControlError, ValueError) as error:
            reply = {"ok": False, "error": str(error)}
        return json.dumps(reply).encode() + b"\n"

    def _drop_client(self, fd: int) -> None:
        connection, _ = self._clients.pop(fd)
        self._poll.unregister(fd)
        connection.close()


def _hung_up(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True

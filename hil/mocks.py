"""The mock devices of a cell whose file asks for them: with :mod:`hil.mock_cell`, which says what they are made of, and
the campaigns, the one place that knows ``sim_mocks``.

A cell on mocks is hosted in one of two ways, and nothing above can tell which: :class:`MockHere` in this process and
thread, moved on whenever a driver waits (tests, notebooks); :class:`MockProcess` in a process of its own (demo, runs,
kill tests). Both offer the drivers' :class:`~drivers.contract.Ticks` and the control plane.
"""

from __future__ import annotations

import dataclasses
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from drivers.contract import RobotArm, Ticks
from drivers.errors import ConnectError, RefusedError
from drivers.fri.arm import FriArm
from drivers.fri.modes import MODES
from drivers.ticks import WallClock
from hil.cell import Cell
from hil.cell.devices import Robot
from hil.mock_cell import mock_config
from hil.telemetry.channel import has_ended
from sim_mocks.config import MockConfig
from sim_mocks.control_plane import Control, ControlError, LockstepTicks, SocketControl

__all__ = [
    "Control",
    "ControlError",
    "MockHere",
    "MockHost",
    "MockLink",
    "MockProcess",
    "connect_mock",
    "ending",
    "mock_config",
    "overlay_starter",
    "point_at",
]

READY_TIMEOUT = 30.0
"""How long a mock process may take to say hello, s; a cold disk makes PyBullet slow to load."""


class MockHost(Protocol):
    """A hosted mock cell."""

    control: Control
    ticks: Ticks

    @property
    def ft_path(self) -> str | None:
        """Serial port of the mock F/T sensor."""
        ...

    def close(self) -> None: ...


class MockHere:
    """The mock cell in this process; needs PyBullet."""

    def __init__(self, config: MockConfig) -> None:
        """Raises ConnectError where PyBullet is missing."""
        try:
            from sim_mocks.host import CooperativeHost
            from sim_mocks.operations import LocalControl
        except ImportError as error:
            raise ConnectError(_no_pybullet(error)) from error
        self.cell = CooperativeHost(config)
        self.control: Control = LocalControl(self.cell)
        self.ticks: Ticks = self.cell

    @property
    def ft_path(self) -> str | None:
        return self.cell.ft_path

    def close(self) -> None:
        self.cell.close()


class MockProcess:
    """The mock cell in a process of its own; ends with this object."""

    def __init__(self, config: MockConfig, served_by: Sequence[str] = ("sim_mocks.serve",)) -> None:
        """Start it and wait for its hello. Raises ConnectError with what the process said.

        ``served_by``: module with further arguments.
        """
        self._served_by = served_by
        # Unix sockets have short paths; a directory of our own below the system's temporary one keeps them so.
        self._own_dir = "" if config.control_dir else tempfile.mkdtemp(prefix="hil-mock-")
        self.control_dir = Path(config.control_dir or self._own_dir)
        if self._own_dir:
            config = dataclasses.replace(config, control_dir=self._own_dir)
        self._config = config
        self._start(config)

    def _start(self, config: MockConfig) -> None:
        path = self.control_dir / "mock.json"
        path.write_text(config.to_json(), encoding="utf-8")
        environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
        # A session of its own: Ctrl-C in the terminal stops the arm first, then the world.
        self.process = subprocess.Popen(
            [sys.executable, "-m", *self._served_by, "--config", str(path), "--parent", str(os.getpid())],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=environment,
        )
        assert self.process.stdout is not None
        try:
            ready, _, _ = select.select([self.process.stdout], [], [], READY_TIMEOUT)
            if not ready:
                raise ConnectError(f"the mock process did not start within {READY_TIMEOUT:.0f} s")
            if not self.process.stdout.readline():
                raise ConnectError("the mock process ended at once")
            self._control = SocketControl(self.control_dir)
            self._can: list[dict[str, Any]] = self._control.hello().get("can", [])
        except ConnectError as error:
            self.process.terminate()
            raise ConnectError(f"{error}; it said: {self._end() or 'nothing'}") from error
        except BaseException:
            self.process.kill()
            self._end()
            raise

    @property
    def control(self) -> Control:
        """The control plane."""
        return self._control

    def restart(self) -> None:
        """Start a mock that died anew, in the same directory; its planned faults do not come again.

        Raises ConnectError.
        """
        self.process.kill()
        self.process.communicate()
        self._control.close()
        config = dataclasses.replace(self._config, faults=())
        if config.cobot is not None and len(self._can) == 1:
            # The driver looks for the drives where they were.
            port = self._can[0].get("port", 0)
            config = dataclasses.replace(config, cobot=dataclasses.replace(config.cobot, port=port))
        self._start(config)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def ended(self) -> str:
        """How the process ended, in words; empty while it runs."""
        return ending("the mock process", self.process.poll())

    @property
    def ft_path(self) -> str | None:
        path: str | None = self.control.hello()["ft_path"]
        return path

    def token(self) -> LockstepTicks:
        """The time token; for the one client that drives the cell."""
        return LockstepTicks(self.control_dir)

    def close(self) -> None:
        self._control.close()
        if self.process.poll() is None:
            self.process.terminate()
        self._end()

    def _end(self) -> str:
        """Wait for the process (kill it if it must be) and clean up; what it wrote to standard error."""
        try:
            _, said = self.process.communicate(timeout=10.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, said = self.process.communicate()
        if self._own_dir:
            shutil.rmtree(self._own_dir, ignore_errors=True)
        lines = said.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


def ending(what: str, returncode: int | None) -> str:
    """``the mock process was killed by SIGKILL``: how a process ended; empty while it runs."""
    if returncode is None:
        return ""
    if returncode < 0:
        return f"{what} was killed by {signal.Signals(-returncode).name}"
    return f"{what} ended with code {returncode}"


def connect_mock(control_dir: str | Path) -> tuple[LockstepTicks, SocketControl]:
    """Time token and control plane of a mock process that somebody else started. Raises ConnectError."""
    return LockstepTicks(control_dir), SocketControl(control_dir)


class MockLink:
    """Time and control plane of a mock process that may die and be started anew in the same directory."""

    def __init__(self, control_dir: str | Path, *, realtime: bool = False) -> None:
        """``realtime``: time is the wall clock's and the mock gives no token. Raises ConnectError, ControlError."""
        self._token = None if realtime else LockstepTicks(control_dir)
        self.ticks: Ticks = WallClock() if self._token is None else self._token
        self.control = SocketControl(control_dir)
        self.processes: dict[str, int] = {}
        """Processes to be named to the mock, by name."""
        self._pidfd = -1
        self._meet()

    def _meet(self) -> None:
        self.pid = int(self.control.hello()["pid"])
        """The mock's process."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        try:
            self._pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            raise ConnectError("the mock process has ended") from None

    @property
    def lost(self) -> bool:
        """The mock process is gone; time goes on by itself. A system call in wall-clock time."""
        return self._token.lost if self._token is not None else self._pidfd < 0 or has_ended(self._pidfd)

    def register(self, **processes: int) -> None:
        """Name processes to this mock and to every later one."""
        self.processes.update(processes)
        for name, pid in processes.items():
            self.control.register(name, pid)

    def reconnect(self, arm: RobotArm) -> bool:
        """Try to find the mock again and tell it all that the first one was told; whether it is there."""
        try:
            self.control.reconnect()
            self._meet()
            self.register(**self.processes)
            point_at(self.control, arm)
            if self._token is not None:
                self._token.reconnect()
        except (ConnectError, ControlError):
            return False
        return True


def point_at(control: Control, arm: RobotArm) -> None:
    """Tell the mock robot where its client listens, as the application on a real cabinet is told."""
    if isinstance(arm, FriArm):
        control.fri_peer(*arm.address)


def overlay_starter(control: Control, cell: Cell) -> Callable[[], None]:
    """What the operator does at a real cabinet: start the application with the FRI overlay on it."""
    robot = cell.robot

    def start() -> None:
        if not isinstance(robot, Robot):
            return  # drives need no application beside them
        try:
            control.start_overlay(MODES[robot.fri.command_mode].wire.name, robot.stiffness, robot.damping)
        except ControlError as error:
            raise RefusedError(f"the robot refuses to start the overlay: {error}") from error

    return start


def _no_pybullet(error: ImportError) -> str:
    return f"mock devices need PyBullet ({error}); install the extra: pip install 'hil-lab[mocks]'"

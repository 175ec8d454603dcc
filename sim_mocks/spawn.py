"""Start and end a mock cell in a process of its own; light, so that a supervisor can use it."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from drivers.errors import ConnectError
from sim_mocks.config import MockConfig
from sim_mocks.control_plane import Control, ControlError, LockstepTicks, SocketControl


class MockProcess:
    """A running ``python -m sim_mocks.serve``; a context manager that ends it.

    ``config.control_dir`` must exist; the configuration and the process' messages are kept in it as ``mock.json``
    and ``mock.log``.
    """

    def __init__(self, config: MockConfig, timeout: float = 30.0) -> None:
        """Start and wait until it is ready, at most ``timeout`` s. Raises ConnectError with its last words."""
        self.directory = Path(config.control_dir)
        path, self._log = self.directory / "mock.json", self.directory / "mock.log"
        path.write_text(config.to_json(), encoding="utf-8")
        command = [sys.executable, "-m", "sim_mocks.serve", "--config", str(path)]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        self.hello: dict[str, Any] = self._wait_ready(timeout)
        """What the cell said when it was ready; see :meth:`Control.hello`."""
        self.control: Control = SocketControl(self.directory)

    @property
    def pid(self) -> int:
        """Process id of the mock."""
        return self.process.pid

    def ticks(self) -> LockstepTicks:
        """Take the time token. Raises ConnectError."""
        return LockstepTicks(self.directory)

    def close(self, timeout: float = 5.0) -> None:
        """End the process: asked first, then told. Legal more than once."""
        with contextlib.suppress(ControlError):
            self.control.quit()
        if isinstance(self.control, SocketControl):
            self.control.close()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def __enter__(self) -> MockProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait_ready(self, timeout: float) -> dict[str, Any]:
        stdout = self.process.stdout
        assert stdout is not None
        if select.select([stdout], [], [], timeout)[0]:
            line = stdout.readline()
            if line:
                hello: dict[str, Any] = json.loads(line)
                return hello
        self.process.kill()
        self.process.wait()
        words = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise ConnectError(f"the mock cell did not start within {timeout} s; its last words: {words or '(none)'}")

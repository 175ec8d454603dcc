"""The log of a session: the same recorder process, file and metadata as those of a run."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

from drivers.errors import DriverError
from hil.cell import Cell
from hil.job import CELL_NAME
from hil.recording import FAULT_NUMBERS, STATE_NUMBERS, TelemetryWriter
from hil.telemetry.launch import start_recorder, versions, write_meta
from hil.telemetry.publisher import Publisher

START_TIMEOUT = 20.0


class SessionLog:
    """One log being written, from the next cycle on until :meth:`close`."""

    def __init__(self, path: Path, cell: Cell, hello: dict[str, Any]) -> None:
        """Start the recorder. Raises DriverError where it does not start, FileExistsError for a file that exists."""
        if path.exists():
            raise FileExistsError(f"{path} exists already; a log is never overwritten, name another file")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._sockets = tempfile.TemporaryDirectory(prefix="hil-session-")
        folder = Path(self._sockets.name)
        limits = cell.robot.joint_limits
        self._publisher = Publisher(f"ipc://{folder}/telemetry", limits.n, lockstep=True)
        write_meta(
            folder / "meta.json",
            n=limits.n,
            lockstep=True,
            metadata={
                "run": {
                    "cell": cell.name,
                    "digest": cell.digest(),
                    "mock": cell.mocks,
                    "started": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
                    "motions": [],
                    "mock_profile": hello["profile"],
                    "mock_seed": hello["seed"],
                },
                "limits": {
                    "tau_max": limits.tau_max.tolist(),
                    "tau_cmd_max": limits.tau_cmd_max.tolist(),
                    "qd_max": limits.qd_max.tolist(),
                    "source": cell.robot.limits.source,
                },
                "codes": {
                    "safety_state": {state.value: number for state, number in STATE_NUMBERS.items()},
                    "fault": {code.value: number for code, number in FAULT_NUMBERS.items()},
                },
                "versions": versions(),
            },
            files=[(CELL_NAME, "application/yaml", cell.dump())],
        )
        self._recorder = start_recorder(self._publisher.endpoint, path, folder / "meta.json")
        if not self._publisher.wait_for_recorder(START_TIMEOUT):
            self.close()
            raise DriverError(f"the recorder did not start within {START_TIMEOUT:.0f} s; look for its message above")
        self.writer = TelemetryWriter(self._publisher)

    def close(self) -> bool:
        """Complete the file; whether the recorder said that it is complete."""
        complete = self._publisher.close()
        try:
            self._recorder.wait(START_TIMEOUT if complete else 1.0)
        except TimeoutExpired:
            self._recorder.kill()
            self._recorder.wait()
        self._sockets.cleanup()
        return complete

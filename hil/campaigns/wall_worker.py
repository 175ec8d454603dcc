"""The supervisor's process of an operated cell on the wall clock.

``python -m hil.campaigns.wall_worker --job JOB.json [--slow N]``: the same supervisor, operation and recorder as in
:mod:`hil.worker`, against a mock that waits for nobody (:mod:`hil.campaigns.free_mock`).
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import sys
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before numpy is loaded
    os.environ.setdefault(_name, "1")

from drivers.contract import RobotArm  # noqa: E402
from drivers.errors import ConnectError, DriverError  # noqa: E402
from drivers.ticks import WallClock  # noqa: E402
from hil.build import build_parts  # noqa: E402
from hil.campaigns.wall_rig import lock_memory  # noqa: E402
from hil.cell import load_cell, require_permission  # noqa: E402
from hil.cell.parts import array  # noqa: E402
from hil.job import LOG_NAME, Job, ProgressPipe  # noqa: E402
from hil.mocks import ControlError, overlay_starter, point_at  # noqa: E402
from hil.operation.cell import OperatedCell  # noqa: E402
from hil.operation.events import RememberingWriter  # noqa: E402
from hil.operation.place import Claim  # noqa: E402
from hil.operation.run import LogFiles, run_operated  # noqa: E402
from hil.operation.server import OperationServer  # noqa: E402
from hil.recording import TelemetryWriter  # noqa: E402
from hil.supervisor import Supervisor  # noqa: E402
from hil.telemetry.channel import has_ended  # noqa: E402
from hil.telemetry.launch import start_recorder, write_meta  # noqa: E402
from hil.telemetry.publisher import Publisher  # noqa: E402
from hil.worker import StopRequest  # noqa: E402
from safety.states import State  # noqa: E402
from sim_mocks.control_plane import SocketControl  # noqa: E402

RECORDER_TIMEOUT = 20.0


class WallLink:
    """Control plane of a mock on the wall clock, which may die and be started anew in the same directory."""

    def __init__(self, control_dir: str) -> None:
        """Raises ConnectError."""
        self.control = SocketControl(control_dir)
        self._pidfd = os.pidfd_open(self.control.hello()["pid"])

    @property
    def lost(self) -> bool:
        """The mock process is gone."""
        return has_ended(self._pidfd)

    def reconnect(self, arm: RobotArm) -> bool:
        """Try to find the mock again; whether it is there."""
        try:
            self.control.reconnect()
            pidfd = os.pidfd_open(self.control.hello()["pid"])
            point_at(self.control, arm)
        except (ConnectError, ControlError, OSError):
            return False
        os.close(self._pidfd)
        self._pidfd = pidfd
        return True


class SlowClock(WallClock):
    """The wall clock, ``slow`` times slower."""

    def __init__(self, slow: int) -> None:
        super().__init__()
        self._slow = slow

    def now_ns(self) -> int:
        return super().now_ns() // self._slow

    def wait(self, fd: int, timeout_ns: int) -> bool:
        return super().wait(fd, timeout_ns * self._slow)


def work(job: Job, progress: ProgressPipe, slow: int) -> int:
    """Operate the cell until it is told to go down; the exit code of :mod:`hil.worker`."""
    request = StopRequest(job.parent)
    cell = load_cell(job.cell)
    require_permission(cell, real=False)
    link = WallLink(job.control_dir)
    hello = link.control.hello()
    parts = build_parts(cell, SlowClock(slow), overlay_starter(link.control, cell), hello["ft_path"])
    with contextlib.ExitStack() as stack:
        claim = stack.enter_context(Claim(cell.name))
        publisher = Publisher(claim.cell.telemetry, parts.model.n, lockstep=False)
        stack.callback(publisher.close)
        meta = Path(job.control_dir) / "meta.json"
        write_meta(meta, n=parts.model.n, lockstep=False, metadata={"run": {"cell": cell.name, "clock": "wall"}})
        log = Path(job.run_dir) / LOG_NAME
        recorder = start_recorder(publisher.endpoint, log, meta)
        stack.callback(recorder.wait)
        stack.callback(publisher.close)
        if not publisher.wait_for_recorder(RECORDER_TIMEOUT):
            raise DriverError("the recorder did not start")
        writer = RememberingWriter(TelemetryWriter(publisher, array(cell.robot.stiffness)))
        supervisor = Supervisor(parts, writer)
        try:
            if parts.sensor is not None:
                parts.sensor.open()
            parts.arm.open()
            point_at(link.control, parts.arm)
            gc.collect()
            gc.freeze()
            gc.disable()
            lock_memory()
            operated = OperatedCell(
                supervisor,
                cell,
                writer,
                recording=LogFiles(publisher, log, job.recording),
                reconnect=lambda: not link.lost or link.reconnect(parts.arm),
            )
            server = OperationServer(claim.cell.control, operated.handle)
            stack.callback(server.close)
            progress.send(pid=os.getpid(), recorder=recorder.pid)
            run_operated(operated, server, link, request.look, _Silent())
        finally:
            parts.arm.off()
            parts.arm.close()
            if parts.sensor is not None:
                parts.sensor.close()
    return 0 if operated.result.finished and supervisor.state is not State.FAULTED else 3


class _Silent(ProgressPipe):
    """Says nothing: the campaign asks."""

    def __init__(self) -> None:
        pass

    def send(self, **progress: object) -> None:
        """Nothing to do."""


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m hil.campaigns.wall_worker", description=__doc__.splitlines()[0])
    parser.add_argument("--job", type=Path, required=True, help="Job as JSON")
    parser.add_argument("--slow", type=int, default=1, help="wall-clock time that passes in a unit of the cell's")
    options = parser.parse_args(arguments)
    job = Job.from_json(options.job.read_text(encoding="utf-8"))
    try:
        return work(job, ProgressPipe(sys.stdout.fileno()), options.slow)
    except (DriverError, ControlError, OSError) as error:
        print(f"{error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

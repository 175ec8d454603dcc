"""The supervisor's process on a slowed-down wall clock.

``python -m hil.campaigns.wall_worker --slow N --job JOB.json`` is :mod:`hil.worker`; only its clock, and with it that
of the cell, runs ``N`` times slower. So what holds a process up for 5 ms on a busy machine is a matter of 5 ms / ``N``
to the cell.
"""

from __future__ import annotations

import argparse
import sys

from drivers.ticks import WallClock
from hil import worker
from hil.job import Job
from hil.mocks import MockLink


class SlowClock(WallClock):
    """The wall clock, ``slow`` times slower."""

    def __init__(self, slow: int) -> None:
        super().__init__()
        self._slow = slow

    def now_ns(self) -> int:
        return super().now_ns() // self._slow

    def wait(self, fd: int, timeout_ns: int) -> bool:
        return super().wait(fd, timeout_ns * self._slow)


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit code of :mod:`hil.worker`."""
    parser = argparse.ArgumentParser(prog="python -m hil.campaigns.wall_worker", description="Run a job, slowed down.")
    parser.add_argument("--slow", type=int, default=1, help="wall-clock time that passes in a unit of the cell's")
    options, rest = parser.parse_known_args(arguments)

    def connect(job: Job) -> MockLink:
        link = MockLink(job.control_dir, realtime=True)
        link.ticks = SlowClock(options.slow)
        return link

    return worker.main(rest, connect)


if __name__ == "__main__":
    sys.exit(main())

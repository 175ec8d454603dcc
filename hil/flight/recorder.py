"""The flight recorder of one run, as the program that starts the run holds it."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from hil.flight.ring import FlightRing
from hil.flight.watch import FlightWatch
from hil.job import META_NAME
from hil.telemetry.recorder import Meta


class FlightRecorder:
    """Memory that the supervisor writes to (hand ``fd`` down to it), and what reads behind it.

    A machine that has no such memory runs without, and says so.
    """

    def __init__(self, n: int, period: float, folder: Path, control_dir: str | Path) -> None:
        """``n``: joints; ``period`` s: of the cycle; ``folder``: the run's; ``control_dir``: of its sockets."""
        self.fd = -1
        self.files: list[Path] = []
        """Files written so far, the oldest first."""
        self._watch: FlightWatch | None = None
        self._problem = ""
        meta = Path(control_dir) / META_NAME
        try:
            ring = FlightRing.create(n, period)
        except OSError as error:
            self._problem = f"no flight recorder: there is no memory for it ({error})"
            return
        self.fd = ring.fd
        self._watch = FlightWatch(ring, folder, period, lambda: Meta.load(meta))
        self.files = self._watch.files

    def __enter__(self) -> FlightRecorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def poll(self) -> None:
        """Look at the rows that are new; at least once in a few seconds of the cell's time."""
        if self._watch is not None:
            self._watch.poll()

    def finish(self, died: bool, planned: bool) -> list[str]:
        """The supervisor's process has ended; see :meth:`hil.flight.watch.FlightWatch.finish`. What went wrong."""
        problems = [self._problem] if self._problem else []
        if self._watch is not None:
            self._watch.finish(died, planned)
            problems += self._watch.problems
        return problems

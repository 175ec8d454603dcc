"""The flight recorder of one run, as the program that starts the run holds it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from hil.explain import Explanation, explain
from hil.explain.kept import keep
from hil.flight.ring import FlightRing
from hil.flight.watch import FlightWatch
from hil.job import META_NAME
from hil.telemetry.log import LogError, read_log
from hil.telemetry.recorder import Meta


@dataclass
class KeptStop:
    """One stop that the flight recorder kept."""

    path: Path
    explanation: Explanation | None = None
    """None where the file says nothing of a stop."""


class FlightRecorder:
    """Memory that the supervisor writes to (hand ``fd`` down to it), and what reads behind it.

    A machine that has no such memory runs without, and says so.
    """

    def __init__(self, n: int, period: float, folder: Path, control_dir: str | Path) -> None:
        """``n``: joints; ``period`` s: of the cycle; ``folder``: the run's; ``control_dir``: of its sockets."""
        self.fd = -1
        self.stops: list[KeptStop] = []
        """What was kept so far, the oldest first."""
        self._unexplained: list[str] = []
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
            self._explain()

    def finish(self, died: bool, planned: bool) -> list[str]:
        """The supervisor's process has ended; see :meth:`hil.flight.watch.FlightWatch.finish`. What went wrong."""
        problems = [self._problem] if self._problem else []
        if self._watch is not None:
            self._watch.finish(died, planned)
            self._explain()
            problems += self._watch.problems + self._unexplained
        return problems

    def _explain(self) -> None:
        """Explain what is new, and keep it beside its file."""
        files = [] if self._watch is None else self._watch.files
        for path in files[len(self.stops) :]:
            kept = KeptStop(path)
            self.stops.append(kept)
            try:
                told = explain(read_log(path))
                if told:
                    kept.explanation = told[-1]
                    keep(told[-1], path.with_suffix(".json"))
            except (LogError, OSError, ValueError, KeyError) as error:
                self._unexplained.append(f"{path} could not be explained: {error}")

"""The cycles of an operated cell in the supervisor's process, and what it looks at between two of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from hil.job import ProgressPipe
from hil.operation.cell import OperatedCell
from hil.operation.server import OperationServer
from hil.operation.verbs import describe
from hil.realtime.collector import collect
from hil.telemetry.publisher import Publisher

LOOK_NS = 4_000_000
"""How often verbs, signals and the parent are looked at, ns of the cell's time."""
PROGRESS_NS = 100_000_000
COLLECT_NS = 60_000_000_000
"""How often garbage is collected, while nothing is enabled."""


class LogFiles:
    """:class:`hil.operation.cell.Recording` in the files ``run.mcap``, ``run_2.mcap`` … of one folder."""

    def __init__(self, publisher: Publisher, first: Path, recording: bool) -> None:
        """``recording``: the recorder has begun with ``first``; otherwise it is idle, and will begin with it."""
        self._publisher = publisher
        self._first = first
        self._count = 1 if recording else 0
        self.log = first.name if recording else ""

    def switch(self, on: bool) -> None:
        """Begin the next log, or complete the present one."""
        if not on:
            self.log = ""
            self._publisher.record_to("")
            return
        self._count += 1
        path = self._first if self._count == 1 else self._first.with_stem(f"{self._first.stem}_{self._count}")
        self._publisher.record_to(str(path))
        self.log = path.name


class Lost(Protocol):
    """Whether what gives the time is gone."""

    @property
    def lost(self) -> bool: ...


def run_operated(
    operated: OperatedCell,
    server: OperationServer,
    link: Lost,
    signalled: Callable[[], str],
    progress: ProgressPipe,
) -> None:
    """Cycle until the cell has gone down: by a verb, by a signal or a death that ``signalled`` names."""
    supervisor = operated.supervisor
    ticks = supervisor.parts.ticks
    next_look = next_progress = 0
    next_collect = ticks.now_ns() + COLLECT_NS
    for _ in operated.cycles():
        supervisor.step()
        now = ticks.now_ns()
        if now < next_look:
            continue
        next_look = now + LOOK_NS
        idle = not supervisor.machine.permitted
        # When what gives the time is gone, time would run as fast as this machine can.
        server.poll(round(LOOK_NS * 1e-6) if idle and link.lost else 0)
        if why := signalled():
            operated.go_down(why)
        if now >= next_progress:
            next_progress = now + PROGRESS_NS
            progress.send(**supervisor.progress(), sentence=describe(operated.context()))
        if idle and now >= next_collect:
            next_collect = now + COLLECT_NS
            collect()

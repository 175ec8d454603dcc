"""Cells with their sockets in this process, and monitors beside them, on one clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from operating import Operating

from hil.cell import Cell
from hil.cycle import CycleView, Decision
from hil.monitor.app import MonitorApp
from hil.monitor.frame import Frame
from hil.monitor.live import LiveSource
from hil.monitor.source import Answer
from hil.monitor.widgets import LinesWidget
from hil.operation.messages import Reply, Request, Status
from hil.operation.place import Claim
from hil.operation.server import OperationServer
from hil.recording import NoRecording, TelemetryWriter
from hil.telemetry.publisher import Publisher

NOON = datetime(2026, 1, 2, 14, 3, 12)
TRIES = 400
"""A limit against hanging, not a measure."""
WAIT_MS = 5
"""How long one try waits for a request that is under way between two sockets."""
LOOK = 0.1


class Clock:
    """The time of cell and monitor alike, s."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class OnClock(Publisher):
    """Publishes rows whose cycle woke now, by the clock of the test."""

    def __init__(self, endpoint: str, clock: Clock) -> None:
        super().__init__(endpoint, 7, lockstep=True)
        self._test_clock = clock

    def publish(self) -> None:
        self.slots["wall_wake_ns"][()] = round(self._test_clock() * 1e9)
        super().publish()


class Published(NoRecording):
    """Rows and events as a running cell publishes them."""

    def __init__(self, publisher: Publisher) -> None:
        super().__init__()
        self._inner = TelemetryWriter(publisher)

    def begin(self, tick: int, t_ns: int) -> None:
        self._inner.begin(tick, t_ns)

    def write(self, cycle: CycleView, decision: Decision, woke: int, read_ns: int, write_ns: int) -> None:
        self._inner.write(cycle, decision, woke, read_ns, write_ns)

    def event(self, kind: str, text: str, **data: Any) -> None:
        super().event(kind, text)
        self._inner.event(kind, text, **data)


class RunningCell:
    """An operated cell with its sockets, as the process of ``hil run`` has them."""

    def __init__(self, cell: Cell, clock: Clock) -> None:
        self.claim = Claim(cell.name)
        self.publisher = OnClock(self.claim.cell.telemetry, clock)
        self.run = Operating(cell, Published(self.publisher))
        self.server = OperationServer(self.claim.cell.control, self.run.operated.handle)
        self._ended = False

    def go(self, cycles: int) -> None:
        """Cycle and answer, as :func:`hil.operation.run.run_operated` does."""
        with suppress(StopIteration):  # it has gone down
            self.run.go(cycles)
        self.server.poll(WAIT_MS)

    def end(self) -> None:
        """As a process that ends, in whatever state; legal more than once."""
        if self._ended:
            return
        self._ended = True
        self.server.close()
        self.publisher.close()
        self.run.shut()
        self.claim.close()


@contextmanager
def running(cell: Cell, clock: Clock) -> Iterator[RunningCell]:
    made = RunningCell(cell, clock)
    try:
        yield made
    finally:
        made.end()


class Watching:
    """A monitor without a terminal beside a cell; each look is a tenth of a second later."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.source = LiveSource(clock=clock, now=lambda: NOON)
        self.app = MonitorApp(self.source, clock=clock, refresh=None)

    def text(self, name: str) -> str:
        return self.app.screen_stack[1].query_one(f"#{name}", LinesWidget).text

    def shows(self, name: str, words: str) -> Callable[[], bool]:
        return lambda: words in self.text(name)

    async def until(self, condition: Callable[[], bool], cell: RunningCell | None = None, cycles: int = 20) -> None:
        for _ in range(TRIES):
            if condition():
                return
            if cell is not None:
                cell.go(cycles)
            self.clock.now += LOOK
            self.app.advance()
            await asyncio.sleep(0)
        names = ("safety", "faults", "answer", "events")
        raise AssertionError("\n".join(f"{name}: {self.text(name)}" for name in names))


class Deaf:
    """A cell whose process is there and answers when it is told to."""

    def __init__(self) -> None:
        self.heard: list[Request] = []
        self.claim = Claim("deaf")
        self.publisher = Publisher(self.claim.cell.telemetry, 7, lockstep=False)
        self.server = OperationServer(self.claim.cell.control, self._answer)

    def _answer(self, request: Request) -> Reply:
        self.heard.append(request)
        told = {"situation": "moving", "state": "enabled", "sentence": "moving", "tick": 0, "t_ns": 0, "events": []}
        return Reply(True, "stopping (category 1)", told if isinstance(request, Status) else {})

    def close(self) -> None:
        self.server.close()
        self.publisher.close()
        self.claim.close()


class Looking:
    """A source without a screen, on a clock of its own."""

    def __init__(self, name: str | None = None) -> None:
        self.clock = Clock()
        self.source = LiveSource(name, clock=self.clock, now=lambda: NOON)
        self.answers: list[Answer] = []

    def look(self, after: float = LOOK) -> Frame:
        self.clock.now += after
        frame = self.source.poll()
        self.answers += self.source.answers()
        return frame

    def until(self, condition: Callable[[Frame], bool], serve: OperationServer | None = None) -> Frame:
        for _ in range(TRIES):
            frame = self.look()
            if condition(frame):
                return frame
            if serve is not None:
                serve.poll(WAIT_MS)
        raise AssertionError(frame)

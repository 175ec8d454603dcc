"""The monitor on an operated cell, over its real sockets, in lockstep and on one clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from operating import Operating, swinging_cell

from hil.cell import Cell
from hil.cycle import CycleView, Decision
from hil.monitor.app import MonitorApp
from hil.monitor.frame import Frame, Link, Mood
from hil.monitor.live import ASK_EVERY, LOOK_EVERY, STATUS_TIMEOUT, VERB_TIMEOUT, LiveSource
from hil.monitor.rows import Rows
from hil.monitor.source import Answer
from hil.monitor.widgets import LinesWidget
from hil.operation.messages import Acknowledge, Down, Enable, Mark, Reply, Request, Start, Status, Stop
from hil.operation.place import Claim
from hil.operation.server import OperationServer
from hil.operation.verbs import Situation
from hil.recording import NoRecording, TelemetryWriter
from hil.telemetry.publisher import Publisher

NOON = datetime(2026, 1, 2, 14, 3, 12)
TRIES = 400
"""A limit against hanging, not a measure."""
WAIT_MS = 5
"""How long one try waits for a request that is under way between two sockets."""
LOOK = 0.1


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A well-known place of the test's own."""
    monkeypatch.setenv("HIL_RUNTIME_DIR", str(tmp_path / "rt"))


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


def test_a_person_watches_stops_acknowledges_leaves_and_comes_back(tmp_path: Path) -> None:
    """Attach, see a motion, stop it by space, a fault, its refusals, detach, attach, the cell's end and return."""
    clock = Clock()
    file = swinging_cell(tmp_path)

    async def first(cell: RunningCell) -> None:
        watching, run = Watching(clock), cell.run
        shows = watching.shows
        async with watching.app.run_test(size=(80, 24)) as pilot:
            await watching.until(shows("safety", "● READY"), cell)
            assert "short  simulated" in watching.text("safety")
            assert "● ft " in watching.text("devices")
            assert "not valid" not in watching.text("devices")
            await pilot.press("a")
            await watching.until(shows("answer", "✖ ack refused: no fault is latched"), cell)

            run.say(Enable())
            await watching.until(shows("safety", "HOLDING"), cell)
            run.say(Start(motion="swing"))
            await watching.until(shows("safety", "MOVING"), cell)
            assert "motion  swing  " in watching.text("safety")
            await watching.until(shows("joints", "━"), cell)
            sample = run.supervisor.sample
            assert sample is not None
            shown = float(watching.text("joints").splitlines()[1].split()[1])
            assert shown == pytest.approx(np.degrees(sample.q[0]), abs=0.06)
            assert "p50 " in watching.text("cycle")
            assert "missed" in watching.text("cycle")

            await pilot.press("space")
            await watching.until(lambda: run.situation is Situation.STOPPING, cell, 1)
            await watching.until(shows("answer", "✔ stop: stopping (category 1)"), cell)
            await watching.until(shows("safety", "● READY"), cell)

            run.say(Enable())
            run.until_in(Situation.HOLDING)
            run.inject("nan", "iiwa", field="tau", ticks=20)
            await watching.until(lambda: run.situation is Situation.FAULTED, cell)
            await watching.until(shows("safety", "✖ FAULTED  "), cell)
            (fault, *_) = run.operated.status()["faults"]
            assert " ".join(watching.text("faults").split()).startswith(f"mend {fault['remedy']} likely ")
            assert fault["remedy"] in fault["explanation"]
            assert all(cause in fault["explanation"] for cause in fault["causes"])
            await pilot.press("a")
            await watching.until(shows("answer", "✔ ack: fault acknowledged"), cell)
            await watching.until(shows("safety", "● READY"), cell)
            assert not run.supervisor.machine.permitted
            await pilot.press("q")
        assert watching.app.return_code == 0

    async def second(cell: RunningCell) -> None:
        watching = Watching(clock)
        shows = watching.shows
        async with watching.app.run_test(size=(80, 24)) as pilot:
            await watching.until(shows("safety", "● READY"), cell)
            # The cell remembers what happened while nobody watched.
            assert "somebody passed" in watching.text("events")
            cell.run.say(Down())
            await watching.until(lambda: cell.run.operated.over, cell)
            cell.end()
            await watching.until(shows("safety", "NO CELL"))
            told = " ".join(watching.text("safety").split())
            assert "cell 'short' ended at 14:03:12; waiting for its return" in told
            assert "READY" not in watching.text("safety").splitlines()[0]
            await watching.until(shows("joints", "old: "))
            await pilot.press("space")
            await watching.until(shows("answer", "✖ stop: not sent: no cell is attached; use the emergency stop"))
            with running(file, clock) as again:
                await watching.until(shows("safety", "● READY"), again)
                assert "old" not in watching.text("joints")
                assert "attached again" in watching.text("events")

    with running(file, clock) as cell:
        asyncio.run(first(cell))
        cell.run.say(Mark(text="somebody passed"))  # nobody watches
        cell.go(200)
        assert cell.run.situation is Situation.READY
        asyncio.run(second(cell))


def test_the_cell_does_not_notice(tmp_path: Path) -> None:
    """The same run with a monitor that looks every 50 cycles and asks all the time, and without: the same bits."""
    file = swinging_cell(tmp_path)

    def swing(watched: bool) -> tuple[Any, int]:
        clock = Clock()
        source = LiveSource(clock=clock, now=lambda: NOON) if watched else None
        asked = 0
        with running(file, clock) as cell:
            run = cell.run
            run.until_in(Situation.READY)
            run.say(Enable())
            run.until_in(Situation.HOLDING)
            run.say(Start(motion="swing"))
            for _ in range(10):
                cell.go(50)
                clock.now += ASK_EVERY
                if source is not None:
                    asked += source.poll().link is Link.LIVE
            if source is not None:
                source.close()
            return run.truth()["q"], asked

    (alone, _), (watched, looks) = swing(False), swing(True)
    assert looks == 10
    assert np.array_equal(alone, watched)


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


@pytest.fixture
def deaf() -> Iterator[Deaf]:
    made = Deaf()
    yield made
    made.close()


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


@pytest.fixture
def looking() -> Iterator[Looking]:
    made = Looking()
    yield made
    made.source.close()


def test_a_stop_goes_out_while_a_request_for_the_status_hangs(deaf: Deaf, looking: Looking) -> None:
    """The cell answers nothing; both requests are in its socket when it looks again, and no look has waited."""
    looking.until(lambda frame: frame.safety.word == "MOVING", deaf.server)
    deaf.heard.clear()
    while deaf.server.poll():
        pass
    deaf.heard.clear()
    looking.look(ASK_EVERY)  # asks for the status; nobody answers
    looking.source.ask("stop", category=1)
    for _ in range(2):
        assert deaf.server.poll(2000)
    assert {type(request) for request in deaf.heard} == {Status, Stop}
    looking.until(lambda frame: bool(looking.answers))
    assert looking.answers == [Answer("stop", True, "stopping (category 1)")]


def test_a_silent_cell_is_not_shown_as_what_it_was(deaf: Deaf, looking: Looking) -> None:
    looking.until(lambda frame: frame.safety.word == "MOVING", deaf.server)
    looking.source.ask("stop", category=1)
    frame = looking.look(STATUS_TIMEOUT + 0.1)
    assert frame.link is Link.SILENT
    assert (frame.safety.word, frame.safety.mood) == ("NO ANSWER", Mood.BAD)
    assert frame.safety.advice == "last known: MOVING"
    assert "has not answered for 1." in frame.safety.sentence
    assert "emergency stop" in frame.safety.sentence
    looking.look(VERB_TIMEOUT)
    assert looking.answers == [Answer("stop", False, "no answer within 2 s; use the emergency stop", heard=False)]
    # It comes to itself again, and so does the monitor.
    frame = looking.until(lambda frame: frame.link is Link.LIVE, deaf.server)
    assert frame.safety.word == "MOVING"


def test_a_verb_for_one_process_never_reaches_the_next(deaf: Deaf, looking: Looking) -> None:
    """Acknowledge is asked of a cell whose socket is gone; the one that comes under its name hears nothing of it."""
    looking.until(lambda frame: frame.safety.word == "MOVING", deaf.server)
    deaf.server.close()
    looking.look()
    looking.source.ask("ack")
    deaf.publisher.close()
    deaf.claim.close()
    frame = looking.look(LOOK_EVERY)
    assert frame.link is Link.GONE
    assert [(a.verb, a.ok, a.heard) for a in looking.answers] == [("ack", False, False)]
    following = Deaf()
    try:
        looking.until(lambda frame: frame.link is Link.LIVE and frame.safety.word == "MOVING", following.server)
        assert following.heard
        assert not any(isinstance(request, Acknowledge) for request in following.heard)
    finally:
        following.close()


def test_without_a_cell_the_monitor_waits_and_says_for_what() -> None:
    looking = Looking()
    frame = looking.look()
    assert (frame.link, frame.safety.word) == (Link.GONE, "NO CELL")
    assert "no cell is running; start one with" in frame.safety.sentence
    with Claim("one"), Claim("two"):
        frame = looking.look(LOOK_EVERY)
        assert "2 cells are running: one, two" in frame.safety.sentence
    looking.source.ask("stop", category=1)
    frame = looking.look()
    assert [answer.sentence for answer in looking.answers] == ["not sent: no cell is attached; use the emergency stop"]
    looking.source.close()


def test_rows_of_another_version_are_told_of(deaf: Deaf, looking: Looking) -> None:
    """Not decoded as if they were ours."""
    deaf.publisher._buffer = bytearray(deaf.publisher._buffer + b"more")

    def told(frame: Frame) -> bool:
        deaf.publisher.publish()
        return any("different versions" in event.text for event in frame.events)

    frame = looking.until(told, deaf.server)
    assert frame.joints == ()
    assert frame.old
    assert len([event for event in frame.events if "different versions" in event.text]) == 1


def test_a_monitor_that_does_not_read_gets_the_newest_and_knows_what_it_missed(deaf: Deaf) -> None:
    """Neither does the publisher wait, nor does memory grow: ZeroMQ drops beyond its queues."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    rows = Rows(context, deaf.claim.cell.telemetry)
    publisher, last = deaf.publisher, 20_000

    def publish(tick: int) -> None:
        publisher.slots["tick"][()] = tick
        publisher.slots["t_ns"][()] = tick * 1_000_000
        publisher.slots["wall_cycle_ns"][()] = 200_000
        publisher.publish()

    tick = 0
    while rows.drain() == 0:  # until the subscription holds
        publish(tick)
        tick += 1
        assert tick < 100_000
    for number in range(tick, last):
        publish(number)
    for number in range(last, last + TRIES * 100):
        publish(number)
        rows.drain()
        if rows.newest is not None and rows.newest["tick"] >= last:
            break
    told = rows.timing._summary()
    assert rows.newest is not None
    newest = int(rows.newest["tick"])
    assert newest >= last
    assert told.unseen > 0
    assert told.seen + told.unseen <= newest + 1
    assert told.missed == 0
    rows.close()
    context.term()

"""The monitor on an operated cell, over its real sockets, in lockstep and on one clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from monitored import NOON, TRIES, Clock, Deaf, Looking, RunningCell, Watching, running
from operating import swinging_cell

from hil.monitor.frame import Frame, Link, Mood
from hil.monitor.live import ASK_EVERY, LOOK_EVERY, STATUS_TIMEOUT, VERB_TIMEOUT, LiveSource
from hil.monitor.rows import Rows
from hil.monitor.source import Answer
from hil.operation.messages import Acknowledge, Down, Enable, Mark, Start, Status, Stop
from hil.operation.place import Claim
from hil.operation.verbs import Situation


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A well-known place of the test's own."""
    monkeypatch.setenv("HIL_RUNTIME_DIR", str(tmp_path / "rt"))


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


@pytest.fixture
def deaf() -> Iterator[Deaf]:
    made = Deaf()
    yield made
    made.close()


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

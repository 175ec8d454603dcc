"""Frames of a running cell: attached by name, over sockets of the monitor's own, without waiting for any of them."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

import zmq

from hil.monitor.build import EVENTS_KEPT, Known, build, event_line, state_of
from hil.monitor.frame import CycleTimes, EventLine, Frame
from hil.monitor.frame import Link as LinkState
from hil.monitor.link import Link
from hil.monitor.rows import Rows
from hil.monitor.source import Answer
from hil.operation.messages import Reply
from hil.operation.place import PlaceError, RunningCell, find

ASK_EVERY = 0.5
"""Time between two requests for the status, s."""
LOOK_EVERY = 0.5
"""Time between two looks for the cell, s."""
STATUS_TIMEOUT = 1.5
"""Time without an answer from which the cell is called silent, s."""
VERB_TIMEOUT = 2.0
_ESTOP = "use the emergency stop"


class Attachment:
    """The sockets to one process of a cell, and what it has told."""

    def __init__(self, cell: RunningCell, clock: Callable[[], float]) -> None:
        self.cell = cell
        self.status: dict[str, Any] | None = None
        self.answered = clock()
        """When it last answered, or was attached to."""
        self.asked = -math.inf
        self.known_event = -1
        self.warned = False
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.rows = Rows(self._context, cell.telemetry)
        # Two connections: a verb must never wait behind a request for the status.
        self.told = Link(self._context, cell.control, STATUS_TIMEOUT, clock)
        self.verbs = Link(self._context, cell.control, VERB_TIMEOUT, clock)

    def close(self) -> None:
        for part in (self.rows, self.told, self.verbs):
            part.close()
        self._context.term()


class LiveSource:
    """A :class:`hil.monitor.source.Source` that follows one running cell, through its end and its return.

    Everything happens in :meth:`poll` and :meth:`ask`, in the caller's thread; both return within a millisecond or
    so, whatever the cell does.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        """``name``: None for the only one that runs, when there is one. ``clock``: the machine's monotonic time, s."""
        self._name = name
        self._clock, self._now = clock, now
        self._attached: Attachment | None = None
        self._last: Attachment | None = None
        """What an ended cell told last."""
        self._looked = -math.inf
        self._missing = "no cell is running yet; start one with `hil run CELL`"
        self._events: deque[EventLine] = deque(maxlen=EVENTS_KEPT)
        self._answers: list[Answer] = []

    def poll(self) -> Frame:
        now = self._clock()
        if now - self._looked >= LOOK_EVERY:
            self._looked = now
            self._look()
        attached = self._attached
        if attached is None:
            return build(self._without())
        attached.rows.drain()
        if attached.rows.foreign and not attached.warned:
            attached.warned = True
            self._note("rows that cannot be read: monitor and cell are of different versions")
        self._hear(attached)
        self._ask_status(attached, now)
        return build(self._known(attached, now))

    def ask(self, verb: str, **arguments: Any) -> None:
        if self._attached is None:
            advice = f"; {_ESTOP}" if verb == "stop" else ""
            self._answers.append(Answer(verb, False, f"not sent: no cell is attached{advice}", heard=False))
            return
        self._attached.verbs.ask(verb, **arguments)

    def answers(self) -> list[Answer]:
        answers, self._answers = self._answers, []
        return answers

    def close(self) -> None:
        self._looked = math.inf  # never again
        if self._attached is not None:
            self._attached.close()
            self._attached = None

    # Who is there

    def _look(self) -> None:
        try:
            found = find(self._name)
        except PlaceError as error:
            self._lose(str(error))
            return
        if self._attached is not None and self._attached.cell == found:
            return
        if self._attached is not None:
            self._lose("")
        self._name = found.name
        self._attached = Attachment(found, self._clock)
        self._note("attached" if self._last is None else "attached again, to a new process")

    def _lose(self, why: str) -> None:
        if self._attached is None:
            if self._last is None:
                self._missing = why
            return
        gone = self._attached
        self._hear(gone)
        ended = [Answer(verb, False, "no answer: the cell has ended", heard=False) for verb in gone.verbs.pending]
        self._answers += ended
        gone.close()
        self._last, self._attached = gone, None
        self._missing = f"cell {gone.cell.name!r} ended at {self._now():%H:%M:%S}; waiting for its return"
        self._note("the cell has ended")

    def _note(self, text: str) -> None:
        self._events.append(EventLine(f"{self._now():%H:%M:%S}", "monitor", text))

    # What it tells

    def _ask_status(self, attached: Attachment, now: float) -> None:
        row, told = attached.rows.newest, attached.status
        # What changed at once is asked for at once.
        news = row is not None and told is not None and row["tick"] >= told["tick"] and state_of(row) != told["state"]
        if not attached.told.pending and (news or now - attached.asked >= ASK_EVERY):
            attached.asked = now
            attached.told.ask("status", events_after=attached.known_event)

    def _hear(self, attached: Attachment) -> None:
        for _, reply in attached.told.receive():
            if reply is not None and reply.ok:
                self._take(attached, reply)
        for verb, reply in attached.verbs.receive():
            if reply is None:
                advice = f"; {_ESTOP}" if verb == "stop" else ""
                self._answers.append(Answer(verb, False, f"no answer within {VERB_TIMEOUT:g} s{advice}", heard=False))
            else:
                self._answers.append(Answer(verb, reply.ok, reply.sentence))

    def _take(self, attached: Attachment, reply: Reply) -> None:
        attached.status = reply.data
        attached.answered = self._clock()
        for event in reply.data.get("events", ()):
            attached.known_event = max(attached.known_event, int(event["number"]))
            if (line := event_line(event)) is not None:
                self._events.append(line)

    def _known(self, attached: Attachment, now: float) -> Known:
        cell, silent = attached.cell, now - attached.answered
        link, sentence = LinkState.LIVE, ""
        if silent > STATUS_TIMEOUT:
            link = LinkState.SILENT
            sentence = f"process {cell.pid} has not answered for {silent:.1f} s; if the arm moves, {_ESTOP}"
        return self._of(attached, link, sentence, attached.rows.timing.summary())

    def _without(self) -> Known:
        if self._last is None:
            return Known(self._name or "no cell", LinkState.GONE, self._missing, events=self._events)
        return self._of(self._last, LinkState.GONE, self._missing, self._last.rows.timing.summary())

    def _of(self, attached: Attachment, link: LinkState, sentence: str, cycle: CycleTimes) -> Known:
        row = attached.rows.newest
        # The row says when its cycle woke, by the same clock: what waited in a queue does not look new.
        age = math.nan if row is None else max(0.0, self._clock() - int(row["wall_wake_ns"]) * 1e-9)
        return Known(attached.cell.name, link, sentence, attached.status, row, age, cycle, self._events)

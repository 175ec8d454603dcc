"""Frames for tests of the monitor, a source that tells them as they are scripted, and the screen that shows them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from math import radians
from typing import Any

from textual.pilot import Pilot

from hil.monitor.app import MonitorApp
from hil.monitor.frame import (
    CycleTimes,
    Device,
    EventLine,
    Fault,
    Frame,
    Joint,
    Link,
    MotionProgress,
    Safety,
    Wrench,
)
from hil.monitor.source import Answer
from hil.monitor.widgets import LinesWidget
from hil.monitor.words import WORDS
from hil.operation.verbs import Situation

_RANGES = (170, 120, 170, 120, 170, 120, 175)
_TORQUES = (320, 320, 176, 176, 110, 40, 40)
_Q = (-27.4, 35.1, 12.9, -86.2, 5.1, 71.0, 18.2)
_QD = (3.2, -41.0, 0.1, 12.2, -2.4, 58.0, 0.0)
_TAU = (-4.2, -61.3, 2.9, 30.1, 0.4, 39.2, -0.1)


def safety(situation: Situation, sentence: str = "", faults: tuple[Fault, ...] = ()) -> Safety:
    word, mood, advice = WORDS[situation]
    return Safety(word, sentence, advice, mood, "14:03:12", faults)


def joints(q: tuple[float, ...] = _Q, qd: tuple[float, ...] = _QD, tau: tuple[float, ...] = _TAU) -> tuple[Joint, ...]:
    """Seven joints; degrees, degrees/s, N·m."""
    return tuple(
        Joint(f"A{i}", radians(a), -radians(r), radians(r), radians(v), radians(65), t, m)
        for i, (a, v, t, r, m) in enumerate(zip(q, qd, tau, _RANGES, _TORQUES, strict=True), 1)
    )


MOVING = Frame(
    cell="iiwa14_polish",
    link=Link.LIVE,
    safety=safety(Situation.MOVING, "motion 'polish' is under way (12.4 of 31.0 s)"),
    mocks=True,
    age=0.012,
    motion=MotionProgress("polish", 12.4, 31.0),
    motions=("warmup", "aside", "home", "polish"),
    log="run.mcap",
    joints=joints(),
    wrench=Wrench(
        (0.42, -1.31, 20.18, 0.021, -0.334, 0.008),
        (0.6, 0.6, 0.9, 0.05, 0.05, 0.03),
        (0.11, -1.05, 19.94, 0.013, -0.310, 0.002),
    ),
    cycle=CycleTimes(10_000, 160e-6, 295e-6, 430e-6, 1e-3, 1000.0, 0, 62_340, 0),
    devices=(
        Device("iiwa", "arm", "commanded", True, 0.0004, 1.0, 0, 0, ("mode AUT", "drives on")),
        Device("ft", "wrench sensor", "streaming", True, 0.0012),
    ),
    events=(
        EventLine("14:02:51", "task", "checked and tared"),
        EventLine("14:02:58", "verb", "enable accepted: enabling: the robot opens its brakes and is held"),
        EventLine("14:03:01", "state", "enabled"),
        EventLine("14:03:12", "verb", "start accepted: motion 'polish' begins"),
        EventLine("14:03:20", "mark", "new sanding paper"),
    ),
)

FAULT = Fault(
    "torque rate on A6: 412 N·m/s, limit 300",
    ("a controller with too much gain, or without a ramp at its start", "a step in the reference", "a noisy velocity"),
    "look at the commanded torque of A6 in the log; lower the gain or ramp the reference, then start anew",
)
FAULTED = replace(
    MOVING,
    safety=safety(Situation.FAULTED, f"faulted since 14:03:12: {FAULT.headline}", (FAULT,)),
    motion=None,
    events=(*MOVING.events, EventLine("14:03:24", "fault", FAULT.headline)),
)


class Script:
    """A source that tells the frame it is given, and remembers what it was asked for."""

    def __init__(self, frame: Frame = MOVING) -> None:
        self.frame = frame
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.replies: list[Answer] = []
        self.closed = False

    def poll(self) -> Frame:
        return self.frame

    def ask(self, verb: str, **arguments: Any) -> None:
        self.asked.append((verb, arguments))

    def answers(self) -> list[Answer]:
        replies, self.replies = self.replies, []
        return replies

    def close(self) -> None:
        self.closed = True


class Screen:
    """A monitor on a scripted source, with a clock of its own."""

    def __init__(self, frame: Frame) -> None:
        self.source = Script(frame)
        self.now = 100.0
        self.app = MonitorApp(self.source, clock=lambda: self.now, refresh=None)
        self.pilot: Pilot[None]

    async def show(self, frame: Frame | None = None, after: float = 0.1) -> None:
        self.now += after
        self.source.frame = frame or self.source.frame
        self.app.advance()
        await self.pilot.pause()

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.show(after=0.0)

    def widget(self, name: str) -> LinesWidget:
        return self.app.screen_stack[1].query_one(f"#{name}", LinesWidget)

    def text(self, name: str) -> str:
        return self.widget(name).text

    def line(self, name: str, start: str) -> str:
        return next(line for line in self.text(name).splitlines() if line.strip().startswith(start))


def on_screen(
    play: Callable[[Screen], Awaitable[None]], frame: Frame = MOVING, size: tuple[int, int] = (80, 24)
) -> None:
    """Run ``play`` on a screen that shows ``frame``."""

    async def run() -> None:
        screen = Screen(frame)
        async with screen.app.run_test(size=size) as screen.pilot:
            await screen.pilot.pause()
            await screen.show()
            await screen.show()
            await play(screen)

    asyncio.run(run())

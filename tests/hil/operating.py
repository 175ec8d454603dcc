"""An operated cell in this process, moved on one cycle at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import yaml
from running import Running, short_cell

from hil.cell import Cell, load_cell
from hil.operation.cell import OperatedCell
from hil.operation.events import RememberingWriter
from hil.operation.messages import Down, Enable, Guide, Reply, Request, Start, Stop
from hil.operation.verbs import Situation
from hil.recording import NoRecording
from hil.supervisor import Supervisor
from sim_mocks.iiwa_device import IiwaDevice

NOON = datetime(2026, 1, 2, 14, 3, 12)


class Operating(Running):
    """Mock devices, drivers, supervisor and operation of one cell."""

    def __init__(self, cell: Cell, writer: NoRecording | None = None) -> None:
        """``writer`` gets the rows and events; they are kept nowhere by default."""
        super().__init__(cell)
        self.writer = writer or self.writer
        # A session can be opened again after half a second instead of five: fewer ticks of waiting.
        if isinstance(self.mock.arm, IiwaDevice):
            controller = self.mock.controller
            controller._config = replace(controller._config, reopen_delay=0.5)
        events = RememberingWriter(self.writer, lambda: NOON)
        self.supervisor = Supervisor(self.parts, events)
        self.operated = OperatedCell(self.supervisor, self.cell, events, clock=lambda: NOON)
        self.cycles = self.operated.cycles()

    @property
    def situation(self) -> Situation:
        return self.operated.context().situation

    def go(self, count: int) -> None:
        for _ in range(count):
            next(self.cycles)
            self.supervisor.step()

    def until_in(self, *situations: Situation, within: int = 3000) -> int:
        """Cycles until the cell is in one of ``situations``."""
        return self.while_(lambda: self.situation not in situations, within)

    def while_(self, condition: Callable[[], bool], within: int) -> int:
        for count in range(within + 1):
            if not condition():
                return count
            self.go(1)
        raise AssertionError(f"not within {within} cycles; {self.situation}\n{self.said}")

    def ask(self, request: Request) -> Reply:
        return self.operated.handle(request)

    def say(self, request: Request) -> Reply:
        """Ask for what must be accepted."""
        reply = self.operated.handle(request)
        assert reply.ok, reply.sentence
        return reply

    def holding(self) -> None:
        self.until_in(Situation.READY)
        self.say(Enable())
        self.until_in(Situation.HOLDING)

    def bring_to(self, situation: Situation) -> None:
        """From a cell that has just been started to ``situation``."""
        s = Situation
        if situation is s.OFFLINE:
            self.go(5)
        elif situation is s.CHECKING:
            self.until_in(s.CHECKING)
            self.go(3)
        elif situation is s.ENDING:
            self.until_in(s.READY)
            self.say(Down())
        elif situation in (s.READY, s.STARTING):
            self.until_in(s.READY)
            if situation is s.STARTING:
                self.say(Enable())
                self.go(3)
        else:
            self.holding()
            if situation is s.MOVING:
                self.say(Start(motion="swing"))
                self.go(300)
            elif situation is s.GUIDING:
                self.say(Guide())
                self.go(100)
                self.say(Guide())
            elif situation is s.STOPPING:
                self.say(Start(motion="swing"))
                self.go(900)
                self.say(Stop())
                self.go(2)
            elif situation is s.STOP_HOLDS:
                self.say(Stop(category=2))
                self.go(100)
            elif situation is s.FAULTED:
                self.inject("nan", "iiwa", field="tau", ticks=20)
                self.until_in(s.FAULTED)
            elif situation is s.FAULTED_OFFLINE:
                self.control.unplug_ft()
                self.while_(lambda: self.supervisor.state.value != "faulted", 3000)
        assert self.situation is situation, f"{self.situation}\n{self.said}"

    def shut(self) -> None:
        self.cycles.close()
        self.close()


def swinging_cell(folder: Path) -> Cell:
    """The short cell with a swing of two seconds beside its polishing, and a gripper, as a file."""
    path = short_cell(folder).path
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    swing = {"kind": "sinusoid", "amplitude": [0.04, 0.02, 0.04, 0.03, 0.05, 0.04, 0.06], "frequency": 1.0}
    content["motions"]["swing"] = {**swing, "duration": 2.0, "ramp": 0.5}
    content["robot"]["fri"]["inputs"] = {"Gripper.Opened": "boolean", "Gripper.Holding": "boolean"}
    content["robot"]["fri"]["outputs"] = {"Gripper.Close": "boolean"}
    ios = {"close": "Gripper.Close", "opened": "Gripper.Opened", "holding": "Gripper.Holding"}
    content["gripper"] = {"kind": "fri_io", **ios, "travel_time": 0.1}
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_cell(path)

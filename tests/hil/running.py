"""A mocked cell with its supervisor in this process, moved on one cycle at a time, and a cell file with a short run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from drivers.contract import Array, RobotSample
from drivers.ft.sensor import BotaSensor
from hil.build import build_motion, build_parts
from hil.cell import Cell, load_cell
from hil.mocks import MockHere, mock_config, overlay_starter, point_at
from hil.motion import JointReference, Motion
from hil.procedure import RunResult, procedure_cycles, run
from hil.recording import NoRecording
from hil.supervisor import Supervisor
from safety.faults import FaultCode
from safety.states import State
from sim_mocks.faults import Fault

MS = 1_000_000
"""One tick of these cells, ns."""
ENGAGE_TICKS = 50
"""Delay with which the brakes of the mock close (``brakes.engage_delay`` of its profile)."""
BRIDGING_TICKS = 10
"""How long the mock holds the last command when no other comes: 10 ms, or three periods, which is less."""
FORCE = 20.0
"""What the short polishing presses with, N."""
CONTACT = 5.0
"""Force from which a test speaks of contact, N."""
PLATE_Z = 0.255
"""Height of the short cell's plate, 2.5 cm below the tip at home, m."""


def shipped() -> Cell:
    """The cell of the demonstration."""
    return load_cell("iiwa14_polish")


def short_cell(folder: Path, **mock: Any) -> Cell:
    """The demonstration's cell with a plate close below the tip and a small square to polish, as a file.

    ``mock`` replaces keys of its mock section.
    """
    content = yaml.safe_load(shipped().dump())
    content["name"] = "short"
    content["mock"]["plate"]["xyz"] = [0.57, 0.0, PLATE_Z]
    content["mock"].update(mock)
    content["motions"] = {
        "polish": {
            "kind": "polish",
            "centre": [0.57, 0.0, PLATE_Z],
            "side": 0.008,
            "force": FORCE,
            "speed": 0.05,
            "approach": 0.01,
            "clearance": 0.002,
            "ramp": 0.3,
            "corner_time": 0.12,
            "travel_speed": 0.2,
            "touch_speed": 0.08,
        },
    }
    path = folder / "short.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_cell(path)


class Running:
    """Mock devices, drivers and supervisor of one cell."""

    def __init__(
        self,
        cell: Cell | None = None,
        *,
        plant: Cell | None = None,
        seed: int = 0,
        faults: Sequence[Fault] = (),
        distort: Callable[[RobotSample], None] | None = None,
    ) -> None:
        """``plant``: the cell that the mock is really built from, where it differs from the one we believe in.

        ``distort`` changes each sample of the arm before the supervisor sees it.
        """
        self.cell = shipped() if cell is None else cell
        self.host = MockHere(mock_config(plant or self.cell, seed=seed, faults=faults))
        self.mock = self.host.cell
        self.control = self.host.control
        self.parts = build_parts(
            self.cell,
            self.host.ticks,
            overlay_starter(self.control, self.cell),
            self.host.ft_path,
            self.control.hello().get("can"),
        )
        arm = self.parts.arm
        if distort is not None:
            read, change = arm.read, distort

            def distorted() -> RobotSample:
                sample = read()
                change(sample)
                return sample

            arm.read = distorted  # type: ignore[method-assign]
        if self.parts.sensor is not None:
            self.parts.sensor.open()
        for each in self.parts.adapting:
            each.open(lockstep=True)
        arm.open()
        point_at(self.control, arm)
        self.writer = NoRecording()
        self.supervisor = Supervisor(self.parts, self.writer)
        self.result = RunResult()

    @property
    def sensor(self) -> BotaSensor:
        sensor = self.parts.sensor
        assert isinstance(sensor, BotaSensor)
        return sensor

    @property
    def tick(self) -> int:
        """Number of the mock's next tick."""
        return self.mock.ticks

    @property
    def codes(self) -> list[FaultCode]:
        """The latched faults, without repetition."""
        return list(dict.fromkeys(fault.code for fault in self.supervisor.machine.faults))

    @property
    def said(self) -> str:
        """Every event so far, for the message of a failed assertion."""
        return "\n".join(f"{kind}: {text}" for kind, text in self.writer.events)

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.supervisor.step()

    def until(self, condition: Callable[[], bool], within: int) -> int:
        """Cycles until ``condition`` holds; how many it took. Fails after ``within``."""
        for count in range(within + 1):
            if condition():
                return count
            self.supervisor.step()
        raise AssertionError(f"not within {within} cycles; state {self.supervisor.state}\n{self.said}")

    def in_state(self, state: State) -> Callable[[], bool]:
        return lambda: self.supervisor.state is state

    def ready(self) -> None:
        """Connect."""
        self.until(self.in_state(State.READY), 150)

    def hold(self, ticks: int = 100) -> None:
        """From wherever the cell is to an arm that is enabled and has been held for ``ticks``.

        The standstill check, which takes half a second, counts as passed: it has tests of its own.
        """
        self.ready()
        self.supervisor.checked = True
        result = self.supervisor.enable()
        assert result.accepted, result.reason
        self.until(lambda: self.supervisor.moving and self.supervisor.commanded, 200)
        self.steps(ticks)
        assert self.supervisor.commanded, self.said

    def inject(self, kind: str, device: str, ticks: int = 1, **how: Any) -> int:
        """A fault that begins with the mock's next tick; the number of that tick."""
        self.mock.faults.add(Fault(kind, device, self.tick, ticks, **how), self.tick)
        return self.tick

    def procedure(self, motions: Sequence[Motion | str], each: Callable[[], None] = lambda: None) -> RunResult:
        """The whole run of the cell; ``each`` is called after every cycle."""
        built = [build_motion(m, self.cell) if isinstance(m, str) else m for m in motions]
        for _ in procedure_cycles(self.supervisor, run(self.supervisor, self.cell, built, self.result)):
            self.supervisor.step()
            each()
        return self.result

    def truth(self) -> dict[str, Any]:
        """What happened in each tick of the mock."""
        return self.mock.log.truth()

    def braked_since(self) -> int | None:
        """First tick of the closed brakes; None while they are open."""
        since: int | None = self.control.truth()["braked_since"]
        return since

    def close(self) -> None:
        self.parts.arm.close()
        if self.parts.sensor is not None:
            self.parts.sensor.close()
        for each in self.parts.adapting:
            each.close()
        self.host.close()


class Recorded:
    """A run in this process with what the supervisor knew in each of its cycles."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.rows: dict[str, list[Any]] = {name: [] for name in ("tick", "phase", "wrench_ft", "wrench", "error")}

    def run(self, motions: Sequence[Motion | str]) -> None:
        self.running.procedure(motions, self._keep)

    def phase(self, *names: str) -> dict[str, Any]:
        """The rows of these phases as arrays; ``tick`` is that of the mock, whose truth it indexes."""
        chosen = [i for i, name in enumerate(self.rows["phase"]) if name in names]
        return {key: np.array([values[i] for i in chosen]) for key, values in self.rows.items() if key != "phase"}

    def _keep(self) -> None:
        supervisor, dyn = self.running.supervisor, self.running.supervisor.dyn
        reference, sample = supervisor.reference, supervisor.sample
        error = np.full(7, np.nan)
        if supervisor.moving and sample is not None and dyn is not None:
            if isinstance(reference, JointReference):
                error = sample.q - reference.q
            elif reference is not None:
                error[:3] = dyn.x - reference.x
        estimate = supervisor.estimate
        row = (self.running.tick - 1, supervisor.phase, estimate.wrench_ft, estimate.wrench, error)
        for values, value in zip(self.rows.values(), row, strict=True):
            values.append(np.copy(value) if isinstance(value, np.ndarray) else value)


def released(truth: dict[str, Any]) -> bool:
    """The brakes were open at some time."""
    return not bool(np.all(truth["braked"]))


def peak_travel(truth: dict[str, Any], since: int) -> Array:
    """Largest distance of each joint from where it was at the end of tick ``since`` (7,), rad."""
    q = truth["q"][since:]
    travel: Array = np.abs(q - q[0]).max(axis=0)
    return travel

"""Rows in the flight recorder's memory: made up, or by a real supervisor in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hil.explain.meter import StopMeter
from hil.flight import FlightRing, FlightSink, FlightWatch
from hil.recording import FAULT_NUMBERS, STATE_NUMBERS, TelemetryWriter
from hil.supervisor import Supervisor
from hil.telemetry.mcapfile import AttachedFile
from hil.telemetry.publisher import Publisher
from hil.telemetry.recorder import Meta
from hil.telemetry.row import row_layout
from hil.telemetry.schema import Event
from safety.faults import FaultCode
from safety.states import State
from tests.hil.running import Running

N = 3
PERIOD = 0.01
"""s; ten times as long as the real one, so that seconds are few rows."""
ENABLED, STOPPING, FAULTED, READY = (
    STATE_NUMBERS[s] for s in (State.ENABLED, State.STOPPING, State.FAULTED, State.READY)
)
FAULT = FAULT_NUMBERS[FaultCode.VELOCITY]


def meta(n: int = N, **run: Any) -> Meta:
    """What a run of a cell says of itself."""
    told = {"cell": "bench", "mock": "true", "operated": "false", "motions": '["swing"]', **run}
    cell = AttachedFile("cell.yaml", "application/yaml", b"name: bench\n")
    return Meta(n, True, {"recording": {"n": str(n)}, "run": told, "limits": {"qd_max": str([1.0] * n)}}, [cell])


class Made:
    """Rows that are made up, one at a time."""

    def __init__(self, folder: Path, seconds: float = 8.0) -> None:
        self.ring = FlightRing.create(N, PERIOD, seconds)
        self.watch = FlightWatch(self.ring, folder, PERIOD, meta)
        self._layout = row_layout(N)
        self.tick = 0

    def rows(self, count: int, *, poll: bool = True, **values: Any) -> None:
        """``count`` rows with these fields; an arm that is held under command by default."""
        for _ in range(count):
            buffer = bytearray(self._layout.blank)
            row = np.frombuffer(buffer, dtype=self._layout.dtype)
            row["tick"], row["t_ns"] = self.tick, round(self.tick * PERIOD * 1e9)
            row["q"], row["qd"], row["arm_valid"], row["arm_fresh"] = 0.1, 0.0, 1, 1
            row["safety_state"] = ENABLED
            for name, value in values.items():
                row[name] = value
            self.ring.add(bytes(buffer))
            self.tick += 1
        if poll:
            self.watch.poll()

    def event(self, kind: str, text: str, **data: Any) -> None:
        """An event of the row before."""
        self.ring.event(Event(self.tick - 1, round((self.tick - 1) * PERIOD * 1e9), kind, text, data))

    def stop(self, rows: int = 20, category: int = 1, fault: int = 0) -> None:
        """A stop, and the arm standing after it for longer than is recorded."""
        self.rows(rows, stop_category=category, safety_state=STOPPING, fault=fault, qd=0.5)
        state = FAULTED if fault else READY
        self.rows(120, stop_category=-1, safety_state=state, fault=fault)


class Flying:
    """A cell in this process whose supervisor writes into a flight recorder."""

    def __init__(self, running: Running, folder: Path) -> None:
        self.running = running
        n = running.parts.model.n
        self.period = running.parts.arm.traits.period
        self.ring = FlightRing.create(n, self.period)
        self.publisher = Publisher(f"ipc://{folder}/t", n, lockstep=True)
        run = {"operated": "true", "cell": running.cell.name, "digest": running.cell.digest()}
        self.meta = meta(n, **run)
        self.meta.attachments[:] = [AttachedFile("cell.yaml", "application/yaml", running.cell.dump().encode())]
        self.watch = FlightWatch(self.ring, folder, self.period, lambda: self.meta)
        writer = StopMeter(TelemetryWriter(FlightSink(self.publisher, self.ring)))
        running.supervisor = Supervisor(running.parts, writer)

    def steps(self, count: int) -> None:
        for begin in range(0, count, 500):
            self.running.steps(min(500, count - begin))
            self.watch.poll()

    def close(self) -> None:
        self.publisher.close()

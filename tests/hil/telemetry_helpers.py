"""Rows with known content, and a recorder beside the test."""

from __future__ import annotations

import math
import os
import subprocess
from pathlib import Path

import numpy as np

from hil.telemetry.launch import start_recorder, write_meta
from hil.telemetry.publisher import Publisher

N = 7
DT_NS = 1_000_000
READY_S = 20.0
"""Time for a recorder process to start; a limit against hanging, not a measure."""


def fill(publisher: Publisher, tick: int, dt_ns: int = DT_NS) -> None:
    """Write a row whose every value follows from ``tick``; the wall-clock fields are left to chance."""
    publisher.clear()
    fields = publisher.fields
    fields["tick"][()] = tick
    fields["t_ns"][()] = tick * dt_ns
    for index, (name, view) in enumerate(fields.items()):
        if name in ("tick", "t_ns") or name.startswith("wall_"):
            continue
        if view.dtype.kind == "f":
            view[...] = np.sin(0.01 * tick + index + np.arange(view.size).reshape(view.shape))
        else:
            view[...] = (tick * 31 + index) % 977
    fields["x_ref"][:] = math.nan
    publisher.slots["wall_cycle_ns"][()] = os.getpid() + tick


def meta(folder: Path, *, lockstep: bool = True, n: int = N) -> Path:
    path = folder / "meta.json"
    write_meta(
        path,
        n=n,
        lockstep=lockstep,
        metadata={"run": {"cell": "test", "mock": True}, "limits": {"tau_max": [320.0] * n}},
        files=[("cell.yaml", "application/yaml", "name: test\n")],
    )
    return path


def endpoint(folder: Path) -> str:
    return f"ipc://{folder}/telemetry.sock"


def launch(folder: Path, name: str = "run.mcap", *, lockstep: bool = True) -> subprocess.Popen[bytes]:
    return start_recorder(endpoint(folder), folder / name, meta(folder, lockstep=lockstep))


def record(folder: Path, ticks: int, name: str = "run.mcap", *, lockstep: bool = True) -> Path:
    """Record ``ticks`` rows and two events with a recorder process of its own; returns the file."""
    publisher = Publisher(endpoint(folder), N, lockstep=lockstep)
    recorder = launch(folder, name, lockstep=lockstep)
    try:
        assert publisher.wait_for_recorder(READY_S)
        for tick in range(ticks):
            fill(publisher, tick)
            if tick == ticks // 2:
                publisher.phase("press")
                publisher.event("fault", "joint 3 is hot", joint=3, limit=math.nan, value=np.float64(81.5))
            publisher.publish()
        assert publisher.close(READY_S)
        assert recorder.wait(READY_S) == 0
    finally:
        publisher.close(0)
        recorder.kill()
        recorder.wait()
    return folder / name

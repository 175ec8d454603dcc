"""A true run by the wall clock, in processes of their own: what it did and when, never how few ticks it missed."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from running import shipped

from hil.cell import Cell, load_cell
from hil.launch import launch
from hil.report import summarise
from hil.telemetry.log import read_log

PERIOD_MS = 5
"""Of the robot's packets: a machine that others share answers these in time."""
LINK_FAULTS = ("link quality", "robot stopped taking commands", "the robot's state is too old", "drives are off")


def cell(folder: Path) -> Cell:
    content = yaml.safe_load(shipped().dump())
    content["name"] = "wall"
    content["robot"]["fri"]["send_period_ms"] = PERIOD_MS
    content["motions"] = {
        "swing": {"kind": "sinusoid", "amplitude": [0.05] * 7, "frequency": 0.5, "duration": 2.0},
    }
    path = folder / "wall.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_cell(path)


@pytest.mark.accept
def test_a_run_by_the_wall_clock(tmp_path: Path) -> None:
    begin = time.monotonic()
    run = launch(cell(tmp_path), ["swing"], tmp_path / "runs", realtime=True)
    took = time.monotonic() - begin
    log = read_log(run.folder / "run.mcap")
    cycle, timing = log.cycle, log.timing
    assert log.meta("run", "realtime") is True
    assert summarise(log).clock.realtime is True
    assert any(event.kind == "realtime" for event in log.events)
    # The rows' own time is the wall clock's, and the robot's packets are as far apart as they say.
    seconds = (cycle["t_ns"][-1] - cycle["t_ns"][0]) * 1e-9
    assert 0.0 < seconds < took
    assert np.median(np.diff(cycle["t_ns"])) == pytest.approx(PERIOD_MS * 1e6, rel=0.2)
    assert (np.diff(timing["wall_wake_ns"]) > 0).all()
    # Nothing is answered twice or in a burst: each command answers a packet of its own.
    answered = cycle["arm_seq"][timing["wall_write_ns"] > 0]
    assert (np.diff(answered) > 0).all()
    assert run.mock["standing"]
    assert run.outcome is not None
    if run.outcome.finished:
        assert run.outcome.motions == ("swing",)
        assert seconds > 2.0
    else:  # too busy a machine loses its robot: in words, and in order
        assert any(run.outcome.faults[0].startswith(text) for text in LINK_FAULTS), run.outcome.faults

"""Runs the benchmark: a mock cell and a driving process for each way to drive."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from drivers.errors import DriverError
from hil.bench.codec import codec_costs
from hil.bench.drive import CELL
from hil.bench.figures import Drive, Figures, judge, judge_wall, machine, mode, stage_figures
from hil.bench.recorder import recorder_share
from hil.cell import load_cell
from hil.mocks import MockProcess, mock_config

STAGE_CYCLES = 10_000
"""Cycles whose stages are measured, at most; the clocks would disturb the other figures."""
RECORDER_ROWS = 5_000


def bench(cycles: int, wall_cycles: int) -> Figures:
    """Measure ``cycles`` cycles in lockstep alone and as many with a recorder, and ``wall_cycles`` (0: none) by the
    wall clock with a recorder. Raises DriverError where lockstep cannot be measured; where the wall clock cannot, the
    figures say why."""
    before = machine()
    alone = drive(cycles)
    recorded = drive(cycles, "--recorder")
    staged = drive(min(cycles, STAGE_CYCLES), "--recorder", "--stages")
    alone_mode, recorded_mode = mode(alone), mode(recorded)
    wall, wall_note = None, ""
    if wall_cycles:
        try:
            by_wall = drive(wall_cycles, "--recorder", "--realtime", realtime=True)
            wall, wall_note = mode(by_wall), by_wall.ended
        except DriverError as error:
            wall_note = str(error)
    share = recorder_share(min(cycles, RECORDER_ROWS))
    verdict, advice = judge(alone_mode, recorded_mode, share)
    return Figures(
        cell=CELL,
        cycles=cycles,
        alone=alone_mode,
        recorded=recorded_mode,
        wall=wall,
        wall_note=wall_note,
        wall_verdict=judge_wall(wall, wall_cycles) if wall_cycles else "",
        recorder_share=share,
        recorder_share_lockstep=recorded.cpu["recorder"] / cycles * 1e3,
        stages=stage_figures(staged),
        codec_us=codec_costs(),
        verdict=verdict,
        advice=advice,
        machine=before,
    )


def drive(cycles: int, *options: str, realtime: bool = False) -> Drive:
    """One mock cell, driven for ``cycles`` cycles by a process of its own. Raises DriverError with what it said."""
    # The mock keeps extremes only: nobody asks for its truth.
    config = dataclasses.replace(mock_config(load_cell(CELL), realtime=realtime), truth="summary")
    mock = MockProcess(config)
    try:
        with tempfile.TemporaryDirectory(prefix="hil-bench-") as folder:
            out = Path(folder) / "figures.npz"
            command = [sys.executable, "-m", "hil.bench.drive", "--control", str(mock.control_dir)]
            command += ["--cycles", str(cycles), "--out", str(out), *options]
            environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
            ended = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=False)
            if ended.returncode != 0:
                raise DriverError(f"the driving process gave up: {ended.stderr.strip() or ended.returncode}")
            return _read(out)
    finally:
        mock.close()


def _read(path: Path) -> Drive:
    with np.load(path, allow_pickle=False) as data:
        cpu = {name.removeprefix("cpu_"): float(data[name]) for name in data if name.startswith("cpu_")}
        stages = {name.removeprefix("stage_"): data[name] * 1e-9 for name in data if name.startswith("stage_")}
        skipped, most = data["skipped"].tolist()
        return Drive(
            answer=data["answer_ns"] * 1e-9,
            cycle=data["cycle_ns"] * 1e-9,
            wall=cpu.pop("wall"),
            cpu=cpu,
            stages=stages,
            late=data["late_ns"] * 1e-9,
            skipped=skipped,
            most=most,
            granted=str(data["granted"]),
            ended=str(data["ended"]),
        )

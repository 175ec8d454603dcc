"""What the recorder costs at 1 kHz in real time, where it sleeps and drains instead of following every row."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from drivers.errors import DriverError
from hil.bench.clock import CpuTimes
from hil.job import LOG_NAME
from hil.telemetry.launch import start_recorder, write_meta
from hil.telemetry.publisher import Publisher

PERIOD = 1e-3
TIMEOUT = 20.0


def recorder_share(rows: int) -> float:
    """Share of a core that the recorder uses for rows at 1 kHz, measured over ``rows`` of them.

    Raises DriverError if the recorder does not start.
    """
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="hil-bench-") as name:
        folder = Path(name)
        publisher = Publisher(f"ipc://{folder}/telemetry", 7, lockstep=False)
        meta = folder / "meta.json"
        write_meta(meta, n=7, lockstep=False, metadata={})
        process = start_recorder(publisher.endpoint, folder / LOG_NAME, meta)
        try:
            if not publisher.wait_for_recorder(TIMEOUT):
                raise DriverError(f"the recorder did not start within {TIMEOUT:.0f} s")
            cpu = CpuTimes({"recorder": process.pid})
            cpu.begin()
            _publish(publisher, rows, rng)
            return cpu.end()["recorder"] / (rows * PERIOD)
        finally:
            publisher.close()
            process.wait(TIMEOUT)


def _publish(publisher: Publisher, rows: int, rng: np.random.Generator) -> None:
    """Rows full of noise, which does not compress, at absolute times."""
    fields, due = publisher.fields, time.monotonic()
    for tick in range(rows):
        for values in fields.values():
            if values.dtype.kind == "f":
                values[...] = rng.standard_normal(values.shape)
        fields["tick"][()], fields["t_ns"][()] = tick, round(tick * PERIOD * 1e9)
        publisher.publish()
        due += PERIOD
        time.sleep(max(0.0, due - time.monotonic()))

"""A mock cell that goes on by the wall clock whether anybody answers or not, as a robot does.

``python -m hil.campaigns.free_mock --config FILE.json [--slow N]``, otherwise as :mod:`sim_mocks.serve`. Nobody holds
its time token; after an overrun, or a suspension of its own, the world has stood still meanwhile: ticks come late,
never in a burst.
"""

from __future__ import annotations

import argparse
import array
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before numpy is loaded
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

from sim_mocks.config import MockConfig  # noqa: E402
from sim_mocks.control_server import ControlServer  # noqa: E402
from sim_mocks.errors import MockError  # noqa: E402
from sim_mocks.host import MockCell  # noqa: E402
from sim_mocks.operations import Operations  # noqa: E402
from sim_mocks.pacing import Pacer  # noqa: E402


class FreeServer(ControlServer):
    """Runs one send period after the other, tied to the wall clock, and serves the control plane in between.

    On top of the operations of every mock: ``wall_save`` (``path``) writes the monotonic time (T,), ns, at which each
    tick began, as ``.npy``.
    """

    def __init__(self, cell: MockCell, control_dir: Path, parent: int | None = None, slow: int = 1) -> None:
        """See :class:`ControlServer`. ``slow``: wall-clock time that passes in a unit of the cell's."""
        super().__init__(cell, control_dir, None, parent)
        self._clock = Pacer(slow * cell.cycle_ns)
        self._begun = array.array("q")
        self._operations = _Operations(cell, self._begun)

    def serve(self) -> None:
        """Run until ``quit``, or until the parent has ended and the arm stands."""
        cell, begun = self._cell, self._begun
        while not self._quit:
            self._clock.wait()
            now = time.monotonic_ns()
            before = cell.ticks
            cell.cycle()
            begun.extend([now] * (cell.ticks - before))
            self._look(0)
            self._quit = self._quit or (self._orphan and cell.standing())


class _Operations(Operations):
    def __init__(self, cell: MockCell, wall: array.array[int]) -> None:
        super().__init__(cell)

        def wall_save(path: str) -> dict[str, Any]:
            np.save(path, np.array(wall, dtype=np.int64), allow_pickle=False)
            return {}

        self._table["wall_save"] = wall_save


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m hil.campaigns.free_mock", description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, help="MockConfig as JSON")
    parser.add_argument("--parent", type=int, help="end when this process has ended and the arm stands")
    parser.add_argument("--slow", type=int, default=1, help="wall-clock time that passes in a unit of the cell's")
    options = parser.parse_args(arguments)
    try:
        config = MockConfig.from_json(options.config.read_text(encoding="utf-8"))
        cell = MockCell(config)
        try:
            server = FreeServer(cell, Path(config.control_dir), options.parent, options.slow)
            try:
                print(json.dumps(Operations(cell)("hello", {})), flush=True)
                gc.collect()
                gc.freeze()
                server.serve()
            finally:
                server.close()
        finally:
            cell.close()
    except (MockError, OSError) as error:
        print(f"hil.campaigns.free_mock: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

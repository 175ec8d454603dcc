"""A mock cell as a process of its own: ``python -m sim_mocks.serve --config FILE.json``.

It prints one line of JSON (the control plane's ``hello``) when it is ready, and ends on ``quit`` or SIGTERM.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import types
from pathlib import Path

# One BLAS thread: small matrices run faster, and sums keep their order. It must be set before numpy is loaded.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from sim_mocks.config import MockConfig, MockConfigError  # noqa: E402
from sim_mocks.control_server import ControlServer  # noqa: E402
from sim_mocks.errors import MockError  # noqa: E402
from sim_mocks.host import MockCell  # noqa: E402
from sim_mocks.operations import Operations  # noqa: E402
from sim_mocks.pacing import Pacer, WallPacer  # noqa: E402


def serve(config: MockConfig, parent: int | None = None) -> None:
    """Build the cell, say hello on standard output, serve until ``quit`` or the end of ``parent``.

    Raises MockError, OSError.
    """
    if not config.control_dir:
        raise MockConfigError("control_dir: empty; a cell in its own process needs a directory for its sockets")
    cell = MockCell(config)
    try:
        server = ControlServer(cell, Path(config.control_dir), _pacer(config, cell), parent)
        try:
            print(json.dumps(Operations(cell)("hello", {})), flush=True)
            gc.collect()
            gc.freeze()
            server.serve()
        finally:
            server.close()
    finally:
        cell.close()


def _pacer(config: MockConfig, cell: MockCell) -> Pacer | WallPacer | None:
    if config.realtime:
        return WallPacer(cell.cycle_ns)
    return Pacer(cell.cycle_ns) if config.paced else None


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sim_mocks.serve", description="Serve one mock cell.")
    parser.add_argument("--config", type=Path, required=True, help="MockConfig as JSON")
    parser.add_argument("--parent", type=int, help="end when this process has ended and the arm stands")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        serve(MockConfig.from_json(options.config.read_text(encoding="utf-8")), options.parent)
    except (MockError, OSError) as error:
        print(f"sim_mocks.serve: {error}", file=sys.stderr)
        return 1
    return 0


def _terminate(signum: int, frame: types.FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())

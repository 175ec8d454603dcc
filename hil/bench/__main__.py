"""Command line of the benchmark; see :mod:`hil.bench`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from drivers.errors import DriverError
from hil.bench.run import bench
from hil.bench.text import render

CYCLES = 60_000


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and end with 0 whatever the figures are; with 1 where nothing could be measured."""
    parser = argparse.ArgumentParser(
        prog="python -m hil.bench", description="How long a cycle takes, in lockstep with the mock cell."
    )
    parser.add_argument("--cycles", type=_count, default=CYCLES, help=f"cycles to measure (default {CYCLES})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--can", action="store_true", help="measure the cobot's process data and slcan instead")
    given = parser.parse_args(arguments)
    try:
        if given.can:
            from hil.bench import can

            print(can.render(can.bench_can()))
            return 0
        figures = bench(given.cycles)
        if given.json is not None:
            given.json.write_text(figures.to_json() + "\n", encoding="utf-8")
    except (DriverError, OSError) as error:
        print(f"hil.bench: {error}", file=sys.stderr)
        return 1
    print(render(figures))
    return 0


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"read {text}, expected at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())

"""Command line of the benchmark; see :mod:`hil.bench`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from drivers.errors import DriverError
from hil.bench.run import bench
from hil.bench.text import render

CYCLES = 60_000
WALL_CYCLES = 20_000


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and end with 0 whatever the figures are; with 1 where nothing could be measured."""
    parser = argparse.ArgumentParser(
        prog="python -m hil.bench", description="How long a cycle takes, in lockstep and by the wall clock."
    )
    parser.add_argument("--cycles", type=_count, default=CYCLES, help=f"cycles in lockstep (default {CYCLES})")
    parser.add_argument(
        "--wall-cycles",
        type=_count_or_none,
        default=WALL_CYCLES,
        help=f"cycles by the wall clock, 1 ms each (default {WALL_CYCLES}; 0: none)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--can", action="store_true", help="measure the cobot's process data and slcan instead")
    parser.add_argument("--dynamics", action="store_true", help="measure the learnt feed-forward torque instead")
    parser.add_argument("--learned", action="store_true", help="measure the controller that goes on learning instead")
    parser.add_argument("--observers", action="store_true", help="measure the step of each observer instead")
    given = parser.parse_args(arguments)
    try:
        if given.observers:
            from hil.bench import observers

            print(observers.render(observers.bench_observers()))
            return 0
        if given.can:
            from hil.bench import can

            print(can.render(can.bench_can()))
            return 0
        if given.learned:
            from hil.bench import learned

            print(learned.render(learned.bench_learned()))
            return 0
        if given.dynamics:
            from hil.bench import dynamics

            print(dynamics.render(dynamics.bench_dynamics()))
            return 0
        figures = bench(given.cycles, given.wall_cycles)
        if given.json is not None:
            given.json.write_text(figures.to_json() + "\n", encoding="utf-8")
    except (DriverError, OSError) as error:
        print(f"hil.bench: {error}", file=sys.stderr)
        return 1
    print(render(figures))
    return 0


def _count_or_none(text: str) -> int:
    return 0 if text == "0" else _count(text)


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"read {text}, expected at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())

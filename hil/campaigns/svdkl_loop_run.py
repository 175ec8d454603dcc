"""Seeds of the closed loop, one after the other: ``python -m hil.campaigns.svdkl_loop_run FOLDER SEED…``.

Each step leaves a file in ``FOLDER/seedN`` and is not done again when it is there.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before numpy is loaded: small matrices wait for threads
    os.environ.setdefault(_name, "1")

from hil.campaigns.svdkl_loop import RUNS, loaded, trial  # noqa: E402


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m hil.campaigns.svdkl_loop_run", description="The learnt feed-forward in closed loop."
    )
    parser.add_argument("folder", type=Path, help="what is there is not done again")
    parser.add_argument("seeds", nargs="+", type=int, metavar="seed")
    given = parser.parse_args(arguments)
    # What is asked first of all comes first, for every seed.
    for runs in (RUNS[:1], RUNS[1:]):
        for seed in given.seeds:
            found = trial(seed, given.folder / f"seed{seed}", tell=_tell, runs=runs)
            for name, run in found["followed"].items():
                _tell(f"seed {seed}, {name}: {1e3 * run['rmse']:.3f} mrad{_share(run['gain'])}")
    for seed in given.seeds:
        for name, run in loaded(seed, given.folder / f"seed{seed}", _tell).items():
            for each in run["windows"]:
                words = f"{1e3 * each['rmse']:.2f} mrad{_share(each['gain'])}"
                _tell(f"seed {seed}, {name}, to {each['to']:g} s: {words}")


def _share(gain: float | None) -> str:
    return "" if gain is None else f" at {gain:.3f} kp_max"


def _tell(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()

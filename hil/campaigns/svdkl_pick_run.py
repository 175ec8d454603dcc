"""Every case of the pick-and-place experiment, one after the other: ``python -m hil.campaigns.svdkl_pick_run FOLDER``.

Each result lies in ``FOLDER/results/CASE.json`` as soon as it is there, and what is there is not done again;
``FOLDER/results.json`` holds all of them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before numpy is loaded: small matrices wait for threads
    os.environ.setdefault(_name, "1")

from hil.campaigns.svdkl_pick import PickCase, cases, trial  # noqa: E402


def carry_out(wanted: Iterable[PickCase], folder: Path) -> list[dict[str, Any]]:
    """The results of ``wanted``, in their order. A case that cannot be done has ``error`` in words."""
    done = []
    for case in wanted:
        path = folder / "results" / f"{case.name}.json"
        if not path.is_file():
            try:
                result = trial(case, folder)
            except Exception as error:  # one case that fails is no end of the others
                result = {"case": case.name, "error": f"{type(error).__name__}: {error}"}
            _write(path, result)
        done.append(json.loads(path.read_text(encoding="utf-8")))
        print(_line(done[-1]), flush=True)
    return done


def _line(result: dict[str, Any]) -> str:
    if "error" in result:
        return f"{result['case']}: {result['error']}"
    error, reduction = result["ee_rmse_m"], result["gain_reduction"]
    said = "; ".join(result["faults"]) or ("held" if result["held"] else "nothing was held")
    if error is None or reduction is None:
        return f"{result['case']}: {said}"
    return f"{result['case']}: {1e3 * error:.2f} mm, gains reduced by {reduction:.0%}, {said}"


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(_plain(content), indent=1, allow_nan=False), encoding="utf-8")
    part.replace(path)


def _plain(value: Any) -> Any:
    """JSON has no NaN: null."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="pick and place with learnt inverse dynamics, on mocks")
    parser.add_argument("folder", type=Path, help="recordings, models and results; what is there is used again")
    parser.add_argument("--quick", action="store_true", help="one mass, the mirrored task, nothing else")
    given = parser.parse_args()
    _write(given.folder / "results.json", carry_out(cases(given.quick), given.folder))


if __name__ == "__main__":
    main()

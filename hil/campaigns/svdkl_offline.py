"""Learned inverse dynamics on the frozen simulation of an iiwa: one call is one (row, seed).

:func:`evaluate` trains the row's model on whole trajectories, judges it on others, and returns plain numbers, so that
any pool can take it. The recording is not part of the project; its trajectories 0–319 train, 320–359 stop training and
calibrate, 360–399 only judge. ``python -m hil.campaigns.svdkl_offline DIR OUT [--rows …] [--seeds …]`` fills the folder
OUT with one JSON for each case, leaves out what is there, and prints the table.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from estimators.dynamics.base import Progress
from estimators.dynamics.prior import Prior
from estimators.dynamics.samples import Samples
from estimators.dynamics.scores import score
from estimators.rigid_body import BodyInertia, RigidBodyModel
from hil.learning.dynamics import Family, Request, make_model
from hil.reproduce.store import to_json

FILE = "iiwa_sim_rhythmic.npz"
TRAIN, VALIDATE, TEST = range(320), range(320, 360), range(360, 400)
FEW = 40
"""Trajectories of the case of low diversity."""
FLOOR = 0.0917
"""Sensor noise of the recording, N·m, mean over joints: nothing can be better."""
SEEDS = (0, 1, 2, 3, 4)


class MissingData(FileNotFoundError):
    """No recording where it was looked for; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Row:
    """One configuration that scores are stated for."""

    title: str
    family: Family
    size: Literal["small", "large"] = "small"
    physics: bool = False
    """On the nominal rigid body."""
    trajectories: int = len(TRAIN)
    """How many of the training trajectories it learns from, the first ones."""


ROWS: dict[str, Row] = {
    "svgp_small": Row("SVGP, small", "svgp"),
    "svdkl_small": Row("SVDKL, small", "svdkl"),
    "semi_small": Row("SVDKL on nominal physics, small", "svdkl", physics=True),
    "svgp_few": Row("SVGP, small, 40 trajectories", "svgp", trajectories=FEW),
    "svdkl_few": Row("SVDKL, small, 40 trajectories", "svdkl", trajectories=FEW),
    "svgp_large": Row("SVGP, large", "svgp", "large"),
    "svdkl_large": Row("SVDKL, large", "svdkl", "large"),
    "semi_large": Row("SVDKL on nominal physics, large", "svdkl", "large", physics=True),
    "sgpr_small": Row("deep SGPR, small", "sgpr"),
    "dkl": Row("DKL with KISS-GP, on 2000 samples", "dkl"),
    "lstm": Row("B-LSTM", "lstm"),
}
HEADLINE = tuple(ROWS)[:7]
"""The rows whose scores are bounded by tests or reported beside them; the others are for comparison."""


@lru_cache(maxsize=1)
def recording(data: Path) -> Samples:
    """All trajectories. Raises MissingData."""
    path = data / FILE
    if not path.is_file():
        raise MissingData(f"{path} does not exist: name the folder with the frozen simulation of the iiwa")
    with np.load(path, allow_pickle=False) as file:
        q, qd, qdd, tau = (np.array(file[key], dtype=np.float64) for key in ("q", "qd", "qdd", "tau"))
        return Samples(q, qd, qdd, tau, np.array(file["traj"], dtype=np.int64))


@lru_cache(maxsize=1)
def nominal() -> RigidBodyModel:
    """What the recording calls nominal: PyBullet's own description of the arm, and a tool of 1 kg.

    Raises ImportError where PyBullet is not installed.
    """
    import pybullet_data

    urdf = Path(pybullet_data.getDataPath(), "kuka_iiwa", "model.urdf").read_text(encoding="utf-8")
    tool = BodyInertia(1.0, np.array([0.0, 0.0, 0.105]), np.diag([0.004, 0.004, 0.003]))
    return RigidBodyModel(urdf, tool, flange="lbr_iiwa_link_7")


def split(data: Path, trajectories: int = len(TRAIN)) -> tuple[Samples, Samples, Samples]:
    """The first ``trajectories`` to train on, then those that validate and those that test. Raises MissingData."""
    samples = recording(data)
    return samples.of(list(TRAIN[:trajectories])), samples.of(list(VALIDATE)), samples.of(list(TEST))


def evaluate(
    data: Path,
    name: str,
    seed: int = 0,
    *,
    trajectories: int | None = None,
    keep: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train row ``name`` of :data:`ROWS` with ``seed`` and judge it on the test trajectories.

    ``trajectories`` overrides the row's number of training trajectories; ``keep`` is a file to save the trained model
    to. Returns ``row``, ``title``, ``seed``, ``trajectories``, ``samples`` (trained on); for each joint ``rmse`` N·m,
    ``nmse``, ``coverage68``, ``coverage95``, ``nll`` and ``constant_nll`` (nats, the same mean with its best constant
    variance), ``sigma`` N·m; ``mean`` N·m over joints; ``cov95``, ``nll_mean``, ``constant_nll_mean``; ``cpu`` s of
    processor time of the whole fit, ``wall`` s; ``epochs``, ``best_epoch``, ``notes``. Raises MissingData; KeyError for
    another row; ImportError where PyBullet is needed and missing.
    """
    row = ROWS[name]
    count = row.trajectories if trajectories is None else trajectories
    train, validate, test = split(data, count)
    prior = Prior(nominal()) if row.physics else None
    model = make_model(Request(row.family, row.size, seed=seed, device="cpu"), prior)
    cpu, wall = time.process_time(), time.perf_counter()
    history = model.fit(train, validate, progress)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    found = score(test.tau, *model.predict(test), train.tau.mean(axis=0), train.tau.var(axis=0))
    if keep is not None:
        model.save(keep, {"row": name, "seed": seed, "trajectories": count})
    joints = ("rmse", "nmse", "coverage68", "coverage95", "nll", "constant_nll", "sigma")
    return {
        "row": name, "title": row.title, "seed": seed, "trajectories": count, "samples": len(train),
        **{key: getattr(found, key).tolist() for key in joints},
        "mean": found.mean_rmse, "cov95": float(found.coverage95.mean()), "nll_mean": float(found.nll.mean()),
        "constant_nll_mean": float(found.constant_nll.mean()), "cpu": cpu, "wall": wall,
        "epochs": len(history.steps), "best_epoch": history.best_epoch, "notes": list(history.notes),
    }  # fmt: skip


def table(results: Iterable[Mapping[str, Any]]) -> str:
    """A line for each row: mean over its seeds with the least and the largest."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for each in results:
        found.setdefault(str(each["row"]), []).append(each)
    lines = [f"{'':34}{'seeds':>6}{'RMSE N·m':>22}{'95 % band':>19}{'NLL':>8}{'constant':>10}{'s (most)':>12}"]
    for name in (name for name in ROWS if name in found):
        own = found[name]

        def column(key: str, own: list[Mapping[str, Any]] = own) -> np.ndarray[Any, np.dtype[np.float64]]:
            return np.array([float(each[key]) for each in own])

        rmse, covered, cpu = column("mean"), column("cov95"), column("cpu")
        lines.append(
            f"{ROWS[name].title:34}{len(own):6}{rmse.mean():9.4f} ({rmse.min():.4f}–{rmse.max():.4f})"
            f"{covered.mean():7.3f} ({covered.min():.3f}–{covered.max():.3f}){column('nll_mean').mean():8.3f}"
            f"{column('constant_nll_mean').mean():10.3f}{cpu.mean():6.0f} ({cpu.max():.0f})"
        )
    return "\n".join(lines)


def read(folder: Path) -> list[dict[str, Any]]:
    """The cases that are finished in ``folder``."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out what is missing in the folder OUT; 1 where there is no recording."""
    parser = argparse.ArgumentParser(prog="python -m hil.campaigns.svdkl_offline", description=__doc__)
    parser.add_argument("data", type=Path, help="folder with the recording")
    parser.add_argument("out", type=Path, help="folder for the results")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(HEADLINE))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--models", type=Path, metavar="DIR", help="keep the trained models there")
    given = parser.parse_args(arguments)
    try:
        for name in given.rows:
            for seed in given.seeds:
                path = given.out / f"{name}-{seed}.json"
                if path.exists():
                    continue
                keep = None if given.models is None else given.models / f"{name}-{seed}.npz"
                result = evaluate(given.data, name, seed, keep=keep)
                path.parent.mkdir(parents=True, exist_ok=True)
                part = path.with_suffix(".part")
                part.write_text(to_json(result), encoding="utf-8")
                part.replace(path)
                print(f"{name} {seed}: {result['mean']:.4f} N·m, {result['cpu']:.0f} s", flush=True)
    except (MissingData, ImportError) as error:
        print(error, file=sys.stderr)
        return 1
    print(table(read(given.out)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

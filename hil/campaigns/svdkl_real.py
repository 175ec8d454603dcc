"""Learned inverse dynamics on recordings of real arms, whole trajectories left out.

One call of :func:`evaluate` is one row: physics regressed where the row has any, a sparse GP on top, judged on motions
that nothing has seen. The recordings are not part of the project. ``python -m hil.campaigns.svdkl_real DIR [ROW …]``
prints a line for each.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from estimators.dynamics.base import Progress
from estimators.dynamics.fitting.options import KernelOptions, TrainOptions, plain
from estimators.dynamics.fitting.variational import VariationalModel
from estimators.dynamics.memory import Memory, flicker
from estimators.dynamics.prior import STRIBECK, Prior, regress
from estimators.dynamics.samples import Samples
from estimators.dynamics.scores import Scores, score
from estimators.rigid_body import RigidBodyModel
from hil.campaigns.svdkl_offline import MissingData

STILL = 0.02
"""Below this speed, rad/s, friction is not known well."""


@dataclass(frozen=True, slots=True)
class Arm:
    """A recording and how it is divided."""

    file: str
    urdf: str
    flange: str
    train: tuple[int, ...]
    validate: tuple[int, ...]
    """Stop training and calibrate."""
    tests: Mapping[str, tuple[int, ...]]
    every: int = 1
    """Of the training and validation samples, for the GP."""


ARMS = {
    # The URDF is a sister arm's: only its kinematics matter, everything else is regressed.
    "kuka": Arm("kuka_polydoros_real", "kuka_lwr4", "lwr_7_link", (1, 2, 4, 5, 7, 8), (3, 6), {"9 and 10": (9, 10)}),
    "lwr4": Arm("kuka_lwr4_real", "kuka_lwr4", "lwr_7_link", (0,), (1,), {"run 2": (2,)}, 2),
    "ur10e": Arm(
        "ur10e_real", "ur10e", "tool0", (0, 1, 2, 4, 5, 6, 7, 9), (3, 8),
        {"14harm50sec": (10,), "point to point": (12,)}, 2,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One configuration."""

    title: str
    arm: str
    physics: Literal["none", "nominal", "friction", "memory"]
    """``friction``: regressed with friction under load; ``memory``: with states of the path too."""
    kernel: KernelOptions
    train: TrainOptions


_REAL = TrainOptions(epochs=20, temper=0.05)
"""100 to 200 samples a second are no independent evidence."""
_SHORT = TrainOptions(epochs=10, batch=256, temper=0.01, patience=5)
_KUKA, _UR = KernelOptions(inducing=100), plain(KernelOptions(inducing=64))
ROWS: dict[str, Row] = {
    "kuka": Row("KUKA, SVDKL black box", "kuka", "none", _KUKA, _REAL),
    "kuka_physics": Row("KUKA, SVDKL on regressed physics", "kuka", "friction", _KUKA, _REAL),
    "kuka_memory": Row(
        "KUKA, SVDKL on physics with memory", "kuka", "memory", replace(_KUKA, standstill=STILL), _REAL
    ),
    "lwr4": Row("KUKA LWR4+, SVGP on nominal physics", "lwr4", "nominal", plain(_KUKA), _REAL),
    "ur10e_physics": Row("UR10e, SVGP on regressed physics", "ur10e", "friction", _UR, _SHORT),
    "ur10e": Row(
        "UR10e, SVGP on physics with memory", "ur10e", "memory", replace(_UR, standstill=STILL), _SHORT
    ),
}  # fmt: skip


def recording(data: Path, name: str) -> Samples:
    """Raises MissingData."""
    path = data / f"{name}.npz"
    if not path.is_file():
        raise MissingData(f"{path} does not exist: name the folder with the recordings of real arms")
    with np.load(path, allow_pickle=False) as file:
        q, qd, qdd, tau = (np.array(file[key], dtype=np.float64) for key in ("q", "qd", "qdd", "tau"))
        return Samples(q, qd, qdd, tau, np.array(file["traj"], dtype=np.int64))


def evaluate(data: Path, name: str, seed: int = 0, progress: Progress | None = None) -> dict[str, Any]:
    """Train row ``name`` of :data:`ROWS` and judge it on its arm's test trajectories.

    Returns ``row``, ``title``, ``seed``, ``cpu`` s, ``notes``, ``play`` rad (0 without memory), and ``tests``: by name
    what :func:`_told` says of the ``model``, of its ``physics`` alone (None without) and of the ``baseline``, a
    ridge-regressed rigid body with offset, viscous and Coulomb friction. Raises MissingData; KeyError for another row.
    """
    row = ROWS[name]
    arm = ARMS[row.arm]
    samples = recording(data, arm.file)
    train, validate = samples.of(list(arm.train)), samples.of(list(arm.validate))
    urdf = data / f"{arm.urdf}.urdf"
    if not urdf.is_file():
        raise MissingData(f"{urdf} does not exist: name the folder with the recordings of real arms")
    body = RigidBodyModel(urdf.read_text(encoding="utf-8"), flange=arm.flange)
    begin = time.process_time()
    play = flicker(train) if row.physics == "memory" else 0.0
    prior = _prior(row, body, train, play)
    model = VariationalModel(row.kernel, replace(row.train, seed=seed, device="cpu"), prior)
    history = model.fit(_every(train, arm.every), _every(validate, arm.every), progress)
    cpu = time.process_time() - begin
    baseline = regress(body, _every(train, 4))
    tests = {}
    for title, left_out in arm.tests.items():
        test = samples.of(list(left_out))
        tests[title] = {
            "model": _told(test, _score(test, train, *model.predict(test))),
            "physics": None if prior is None else _told(test, _alone(prior, train, validate, test)),
            "baseline": _told(test, _alone(baseline, train, validate, test)),
        }
    return {
        "row": name, "title": row.title, "seed": seed, "cpu": cpu, "notes": list(history.notes), "play": play,
        "inside": _told(validate, _score(validate, train, *model.predict(validate)))["sigma"], "tests": tests,
    }  # fmt: skip


def _prior(row: Row, body: RigidBodyModel, train: Samples, play: float) -> Prior | None:
    if row.physics == "none":
        return None
    if row.physics == "nominal":
        return Prior(body)
    memory = Memory(play=play) if row.physics == "memory" else None
    return regress(body, train, widths=STRIBECK, loaded=True, memory=memory)


def _every(samples: Samples, k: int) -> Samples:
    return samples.at(np.arange(0, len(samples), k))


def _score(test: Samples, train: Samples, mean: Any, variance: Any) -> Scores:
    return score(test.tau, mean, variance, train.tau.mean(axis=0), train.tau.var(axis=0))


def _alone(prior: Prior, train: Samples, validate: Samples, test: Samples) -> Scores:
    """Of physics without a GP, with the validation trajectories' mean squared error for a variance."""
    mean, spread = prior.of(test), ((validate.tau - prior.of(validate)) ** 2).mean(axis=0)
    return _score(test, train, mean, np.broadcast_to(spread, mean.shape))


def _told(test: Samples, found: Scores) -> dict[str, Any]:
    """``mean`` N·m over joints of the RMSE, ``rmse`` N·m, ``cov95``, ``coverage95``, ``nll``, ``constant_nll``,
    ``sigma`` N·m."""
    return {
        "mean": found.mean_rmse, "rmse": found.rmse.tolist(), "cov95": float(found.coverage95.mean()),
        "coverage95": found.coverage95.tolist(), "nll": float(found.nll.mean()),
        "constant_nll": float(found.constant_nll.mean()), "sigma": found.sigma.tolist(), "samples": len(test),
    }  # fmt: skip


def lines(result: Mapping[str, Any]) -> str:
    """A line for each test of a result."""
    found = []
    for title, scores in result["tests"].items():
        own, base = scores["model"], scores["baseline"]
        physics = "" if scores["physics"] is None else f"  physics alone {scores['physics']['mean']:.3f}"
        found.append(
            f"{result['title']:36} {title:15} RMSE {own['mean']:.3f} N·m ({own['mean'] / base['mean'] - 1.0:+.0%} of "
            f"{base['mean']:.3f}){physics}  in the 95 % band {own['cov95']:.3f}  NLL {own['nll']:.3f} (constant "
            f"{own['constant_nll']:.3f})  σ {np.mean(own['sigma']):.2f} (validation {np.mean(result['inside']):.2f})"
            f"  {result['cpu']:.0f} s"
        )
    return "\n".join(found)


def main(arguments: Sequence[str]) -> int:
    """``DIR [ROW …]``; 1 where there is no recording, 2 for another call."""
    if not arguments or not set(arguments[1:]) <= set(ROWS):
        print(f"usage: python -m hil.campaigns.svdkl_real DIR [{' | '.join(ROWS)} ...]", file=sys.stderr)
        return 2
    try:
        for name in arguments[1:] or ROWS:
            print(lines(evaluate(Path(arguments[0]), name)), flush=True)
    except MissingData as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

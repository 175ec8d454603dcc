"""Observers of external torque on the frozen simulations of a cobot, three families of friction.

One call of :func:`evaluate` is one (family, method): it fits the method on the runs named for that, tunes it, scores it
on runs that it has not seen, and returns plain numbers, so that any pool can take it. The folder is not part of the
project; its README says what is in it. ``python -m hil.campaigns.kvark_frozen DIR`` prints the whole table.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.kvark import methods, scoring
from estimators.kvark.replay import measure
from estimators.residual.base import ResidualModel
from estimators.residual.memory import MemoryParams
from estimators.residual.semiparametric import Run
from estimators.rigid_body import RigidBodyModel

Array = npt.NDArray[np.float64]

FAMILIES = ("maxwell_slip", "lugre", "memoryless")
ARMATURE = np.array([0.8, 0.8, 0.4, 0.12, 0.12, 0.1])
"""Rotor inertia of the cobot, kg·m²; its URDF cannot say it."""
DT = 1e-3
TRAIN = ("train0", "train1", "train2", "train3", "train4")
JUDGE = ("validate",)
TUNE = ("validate", "tune_ptp")
FREE = ("test_free_fourier", "test_free_ptp")
SCORED = ("test_load_fourier", "test_load_ptp", "test_polish")
"""The runs whose mean error is a method's score."""
MEMORY = MemoryParams(ripple=(202.0,))
"""The cobot's gears have ratio 101, and ripple twice a revolution of the motor."""


class MissingData(FileNotFoundError):
    """No frozen simulations where they were looked for; the message says what is missing."""


@lru_cache(maxsize=1)
def recordings(data: Path, family: str) -> dict[str, Array]:
    """Arrays of one family by ``RUN/key``, float64. Raises MissingData."""
    path = data / f"cobot_sim_{family}.npz"
    if not path.is_file():
        raise MissingData(f"{path} does not exist: name the folder with the frozen simulations")
    with np.load(path, allow_pickle=False) as file:
        return {name: np.array(file[name], dtype=np.float64) for name in file.files}


def rigid_body(data: Path) -> RigidBodyModel:
    """The nominal model of the simulated cobot. Raises MissingData."""
    path = data / "cobot_sim.urdf"
    if not path.is_file():
        raise MissingData(f"{path} does not exist: name the folder with the frozen simulations")
    return RigidBodyModel(path.read_text(), flange="tool", armature=ARMATURE)


def run_of(data: Path, family: str, name: str) -> Run:
    """One run as an observer may see it."""
    found = recordings(data, family)
    return Run(found[f"{name}/q"], found[f"{name}/qd"], found[f"{name}/tau"], DT)


@lru_cache(maxsize=8)
def residual_of(data: Path, family: str, kind: methods.ResidualKind, seed: int) -> ResidualModel:
    """The residual model of ``kind``; the last few are kept, because ablations share theirs."""
    train_on, judge = ([run_of(data, family, name) for name in names] for names in (TRAIN, JUDGE))
    return methods.fit_residual(kind, rigid_body(data), train_on, judge, memory=MEMORY, seed=seed)


def evaluate(
    data: Path,
    family: str,
    name: str,
    seed: int = 0,
    *,
    scored: Sequence[str] = (*FREE, *SCORED),
    traces: bool = False,
    progress: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Fit, tune and score method ``name`` on ``family``: ``rmse`` N·m by run and ``mean`` over :data:`SCORED`.

    ``runs``: what :class:`estimators.kvark.scoring.Score` says of each. ``force`` N per axis on the polishing run, by
    the wrench with its prior and by point contact, and ``moment`` N·m. With ``traces``: ``x``, ``variance``,
    ``tau_ext`` and ``J`` of each scored run. ``progress(share)`` of the tuning. Raises MissingData; ParameterError
    for another method.
    """
    chosen = methods.method(name)
    model, residual = rigid_body(data), residual_of(data, family, chosen.residual, seed)
    tuned = methods.tune(
        chosen, residual, [measure(model, residual, run_of(data, family, run)) for run in TUNE], seed, progress
    )
    constant = np.mean(tuned.errors**2, axis=0)
    found = recordings(data, family)
    out: dict[str, Any] = {
        "family": family, "method": name, "title": chosen.title, "seed": seed, "injected": float(tuned.rmse.mean()),
        "runs": {}, "rmse": {}, "settings": _settings(tuned),
    }  # fmt: skip
    if traces:
        out["traces"] = {}
    for run in scored:
        seen = measure(model, residual, run_of(data, family, run))
        (x, _, nis), variance = tuned.replay(seen)
        truth = found[f"{run}/tau_ext"]
        score = scoring.score(x, variance, nis, truth, constant, DT)
        out["rmse"][run] = score.mean_rmse
        out["runs"][run] = {key: np.asarray(value).tolist() for key, value in score._asdict().items()}
        if f"{run}/wrench" in found:
            wrench = found[f"{run}/wrench"]
            mapped = scoring.rms(scoring.wrenches(seen.J, x, variance) - wrench, DT)
            point = scoring.rms(scoring.point_forces(seen.J, x, variance) - wrench[:, :3], DT)
            out["force"] = {"map": mapped[:3].tolist(), "point": point.tolist()}
            out["moment"] = mapped[3:].tolist()
        if traces:
            out["traces"][run] = {"x": x, "variance": variance, "tau_ext": truth, "J": seen.J}
    if all(run in out["rmse"] for run in SCORED):
        out["mean"] = float(np.mean([out["rmse"][run] for run in SCORED]))
    return out


def _settings(tuned: methods.Tuned) -> dict[str, Any]:
    """What the tuner chose."""
    if tuned.params is None:
        return {"bandwidth": tuned.bandwidth}
    p = tuned.params
    return {
        "kappa": (p.q_rate / p.r_empirical).tolist(), "colour": p.colour, "window_q": p.window_q,
        "window_r": p.window_r,
    }  # fmt: skip


def row(result: dict[str, Any]) -> str:
    """One line of the table: family, method, each run, mean, polishing force by point contact and with a prior."""
    runs = " ".join(f"{value:6.3f}" for value in result["rmse"].values())
    point, mapped = (float(np.mean(result["force"][key])) for key in ("point", "map"))
    return (
        f"{result['family']:13s} {result['method']:24s} {runs}  mean {result['mean']:6.3f}  injected "
        f"{result['injected']:6.3f}  force {point:6.2f} {mapped:6.2f}"
    )


def main(arguments: Sequence[str]) -> int:
    """Print a row for each family and method; ``DIR [METHOD …]``."""
    if not arguments:
        print("usage: python -m hil.campaigns.kvark_frozen DIR [METHOD ...]", file=sys.stderr)
        return 2
    try:
        for family in FAMILIES:
            for name in arguments[1:] or methods.METHODS:
                print(row(evaluate(Path(arguments[0]), family, name)), flush=True)
    except MissingData as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

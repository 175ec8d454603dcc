"""The learnt feed-forward in closed loop: record, train, calibrate and follow unseen motion, for one seed of the world.

Everything goes through the mock's real wire in lockstep, and uses nothing of the world's truth. Each step leaves a file
in the seed's folder and is not done again when it is there: an interrupted campaign goes on where it was.
:mod:`hil.campaigns.svdkl_loop_run` runs seeds from the command line.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import hil
from drivers.contract import Array
from estimators.dynamics import predictor as predictors
from estimators.dynamics.samples import Samples
from estimators.excitation import Rhythm
from estimators.gains.law import GainLaw
from hil.build import build_model
from hil.campaigns.svdkl_load import grasp
from hil.campaigns.svdkl_record import Tell, load, ready, record, rhythmic, save
from hil.cell import Cell, load_cell
from hil.control.base import Controller
from hil.control.variable_gain import VariableGain, VariableGainParams
from hil.learning.dynamics import Request, Size, train_dynamics
from hil.learning.dynamics_data import commanded, from_segment, joined
from hil.learning.dynamics_split import by_trajectory
from hil.learning.feed_forward import COMMANDED, GAINS
from hil.learning.gains import calibrate
from hil.learning.segments import Segment

KP_MAX = np.array([1000.0, 1000.0, 600.0, 600.0, 200.0, 120.0, 40.0])
"""N·m/rad."""
KP_MIN = 0.1 * KP_MAX
RHYTHM = {"seconds": 8.0, "frequency": 0.5, "slowest": 0.3, "around": 0.5, "swing": 0.8}
"""Of recorded and of unseen motions; they differ in their seed."""
RUNS = ("learnt", "rnea", "computed-torque", "paper")
"""What follows the unseen motions: the learnt feed-forward with calibrated gains; rigid-body torque at full gains; the
cell's own computed torque; the learnt feed-forward by the paper's law alone."""
LOADED = ("load", "load-paper", "load-rnea", "load-computed-torque")
"""The same four with a load that nobody announced, the first with load estimate."""
TRAINED, MODEL = "trained.npz", "model.npz"
"""The model as it was trained, and with the calibration of its gains."""
UNSEEN = 1000
"""Added to the seed for motions that are followed and never recorded."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is recorded and followed."""

    recorded: int = 24
    followed: int = 2
    size: Size = "small"
    epochs: int | None = None


def trial(
    seed: int, folder: Path, effort: Effort | None = None, tell: Tell = print, runs: Sequence[str] = RUNS
) -> dict[str, Any]:
    """All figures of one seed, of the named ``runs``. Raises FaultError, EstimatorError, OSError."""
    effort = effort or Effort()
    folder.mkdir(parents=True, exist_ok=True)
    cell = load_cell("iiwa14_free")
    pieces = _recorded(cell, seed, folder, effort, tell)
    page = _trained(cell, pieces, seed, folder, effort, tell)
    page |= _calibrated(cell, pieces, seed, folder, page["held_out"], tell)
    learned = learned_cell(folder)
    found: dict[str, Any] = {"seed": seed, **page, "followed": {}}
    made: dict[str, Callable[[], tuple[Cell, Controller | None]]] = {
        "learnt": lambda: (learned, None),
        "rnea": lambda: (cell, rnea(cell)),
        "computed-torque": lambda: (cell, None),
        "paper": lambda: (learned_cell(folder, "paper", _paper(folder, learned)), None),
    }
    for name in runs:
        path = folder / f"{name}.json"
        if not path.exists():
            tell(f"seed {seed}: {name}")
            which, controller = made[name]()
            path.write_text(json.dumps(follow(which, seed, effort.followed, controller)), encoding="utf-8")
        found["followed"][name] = json.loads(path.read_text(encoding="utf-8"))
    return found


def loaded(seed: int, folder: Path, tell: Tell = print, runs: Sequence[str] = LOADED) -> dict[str, Any]:
    """A load that nobody announced, with the model of a :func:`trial`, under the named ``runs``. Raises FaultError."""
    cell, learned = load_cell("iiwa14_free"), learned_cell(folder)
    made: dict[str, Callable[[], tuple[Cell, Controller | None]]] = {
        "load": lambda: (learned_cell(folder, "load", {"online": {"posterior": False}}), None),
        "load-paper": lambda: (learned_cell(folder, "load-paper", _paper(folder, learned)), None),
        "load-rnea": lambda: (cell, rnea(cell)),
        "load-computed-torque": lambda: (cell, None),
    }
    found = {}
    for name in runs:
        path = folder / f"{name}.json"
        if not path.exists():
            tell(f"seed {seed}: {name}")
            which, controller = made[name]()
            page = grasp(which, seed, RHYTHM, 2 * UNSEEN + seed, KP_MAX, controller)
            path.write_text(json.dumps(page), encoding="utf-8")
        found[name] = json.loads(path.read_text(encoding="utf-8"))
    return found


def learned_cell(folder: Path, name: str = "learnt", keys: dict[str, Any] | None = None) -> Cell:
    """The cell with the folder's model in its joint controller, and ``keys`` of that section besides."""
    content = yaml.safe_load(load_cell("iiwa14_free").dump())
    learned = {"model": MODEL, "kp_min": KP_MIN.tolist(), "kp_max": KP_MAX.tolist()}
    content["controller"]["joint"]["learned"] = learned | (keys or {})
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_cell(path)


def rnea(cell: Cell) -> VariableGain:
    """Rigid-body torque at full gains: what the controller falls back to where a model says nothing."""
    law = GainLaw(KP_MIN, KP_MAX, np.zeros(KP_MAX.size), np.ones(KP_MAX.size))
    return VariableGain(_Unknown(), law, cell.robot.terms, VariableGainParams(innovation=False))


class _Unknown:
    n = KP_MAX.size

    def step(self, q: Array, qd: Array, qdd: Array, stream: int = 0) -> tuple[Array, Array]:
        nothing = np.full(self.n, math.nan)
        return nothing, nothing


def follow(cell: Cell, seed: int, count: int, controller: Controller | None = None) -> dict[str, Any]:
    """Unseen motions with the cell's controller, or another: errors rad and gains, the ways between left out."""
    errors, gains, surprises, tank = [], [], [], math.inf
    with hil.open(cell, seed=seed) as session:
        ready(session, controller)
        for motion in rhythmic(cell, Rhythm(motions=count, **RHYTHM), UNSEEN + seed):
            trace = session.run(motion)
            rows = np.flatnonzero(np.array(trace.phases()) == "excite")
            errors.append((trace["q_ref"] - trace["q"])[rows])
            gains.append(trace["kp"][rows] / KP_MAX)
            surprises.append(trace["ff_surprise"][rows])
            tank = min(tank, float(trace["gain_tank"][rows].min()))
    error, gain, surprise = (np.concatenate(part) for part in (errors, gains, surprises))
    known = bool(np.isfinite(gain).all())
    return {
        "rmse": _rms(error),
        "joints": np.sqrt(np.mean(error**2, axis=0)).tolist(),
        "motions": [_rms(part) for part in errors],
        "gain": float(gain.mean()) if known else None,
        "gain_joints": gain.mean(axis=0).tolist() if known else None,
        "gain_95": np.quantile(gain, 0.95, axis=0).tolist() if known else None,
        "surprise": surprise.max(axis=0).tolist() if known else None,
        "tank": tank if known else None,
        "seconds": len(error) * 1e-3,
    }


def _rms(error: Array) -> float:
    return float(np.sqrt(np.mean(error**2)))


def _recorded(cell: Cell, seed: int, folder: Path, effort: Effort, tell: Tell) -> list[Segment]:
    path = folder / "train.npz"
    if not path.exists():
        motions = rhythmic(cell, Rhythm(motions=effort.recorded, **RHYTHM), seed)
        save(record(cell, seed, motions, lambda what: tell(f"seed {seed}: recording {what}")), path)
    return load(path)[: effort.recorded]


def _trained(
    cell: Cell, pieces: Sequence[Segment], seed: int, folder: Path, effort: Effort, tell: Tell
) -> dict[str, Any]:
    path, page = folder / TRAINED, folder / "trained.json"
    if not page.exists():
        tell(f"seed {seed}: training")
        split = by_trajectory(samples_of(pieces), None, None, seed)
        request = Request("svdkl", effort.size, "maxwell-slip", seed, effort.epochs)
        about: dict[str, object] = {"torque": COMMANDED, "cell": cell.name, "digest": cell.digest()}
        trained = train_dynamics(split, request, build_model(cell), about)
        trained.save(path)
        assert trained.physics is not None
        content = {
            "recorded_seconds": sum(piece.seconds for piece in pieces),
            "held_out": [*map(int, split.validate.trajectories), *map(int, split.test.trajectories)],
            "held_out_rmse": trained.scores.rmse.tolist(),
            "held_out_coverage": trained.scores.coverage95.tolist(),
            "physics_rmse": trained.physics.rmse.tolist(),
            "training_cpu": trained.history.cpu_seconds,
        }
        page.write_text(json.dumps(content, indent=1), encoding="utf-8")
    found: dict[str, Any] = json.loads(page.read_text(encoding="utf-8"))
    return found


def _calibrated(
    cell: Cell, pieces: Sequence[Segment], seed: int, folder: Path, held_out: Sequence[int], tell: Tell
) -> dict[str, Any]:
    page = folder / "gains.json"
    if not page.exists():
        tell(f"seed {seed}: calibrating")
        begun = time.process_time()
        loaded = predictors.load(folder / TRAINED, build_model(cell))
        # On what no parameter was fitted to.
        kept = [pieces[k] for k in held_out]
        found = calibrate(learned_cell(folder), loaded, build_model(cell), kept, seed)
        loaded.provenance[GAINS] = found.figures.to_mapping()
        loaded.save(folder / MODEL)
        content = {
            "calibration_cpu": time.process_time() - begun,
            "gains": found.figures.to_mapping(),
            "known": found.known.tolist(),
            "unknown": {name: share.tolist() for name, share in found.unknown.items()},
        }
        page.write_text(json.dumps(content, indent=1), encoding="utf-8")
    read: dict[str, Any] = json.loads(page.read_text(encoding="utf-8"))
    return read


def samples_of(pieces: Sequence[Segment]) -> Samples:
    """What training takes of them: the command with our gravity, each piece a trajectory."""
    return joined([from_segment(commanded(piece, "commanded+gravity"), k) for k, piece in enumerate(pieces)])


def _paper(folder: Path, cell: Cell) -> dict[str, Any]:
    """Keys of the paper's law alone: σ_n and σ_f as fitted, no innovation."""
    model = predictors.load(folder / MODEL, build_model(cell))
    noise, signal = model.sigma_noise, model.sigma_signal
    # Where the fitted spread is below the noise the law has no span at all: next to none, so that any doubt is stiff.
    unknown = np.maximum(signal, 1.0001 * noise)
    keys = {"sigma_known": noise.tolist(), "sigma_unknown": unknown.tolist(), "sensitivity": 3.0}
    return {**keys, "innovation": False}

"""Pick and place with an object that no model is told of: learnt feed-forward and gains that follow its uncertainty.

One :class:`PickCase` is one experiment in PyBullet through the FRI mock: a warm start of rhythmic motions
(:mod:`hil.campaigns.svdkl_warmup`), a model trained on it, then an object is taken from a table, carried and put down.
:func:`trial` runs it and returns plain numbers; recordings and models are kept in its folder and made once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt

from drivers.gripper import GripState
from estimators.dynamics.posterior import Posterior
from estimators.dynamics.predictor import DynamicsPredictor
from estimators.dynamics.prior import Prior
from estimators.dynamics.samples import Scaling
from hil import session
from hil.build import build_model, build_motion
from hil.campaigns import svdkl_warmup
from hil.campaigns.svdkl_cell import EDGE, KP_MAX, task_cell, warmup_cell
from hil.campaigns.svdkl_shapes import COUNT, described, draw
from hil.campaigns.svdkl_tools import PARALLEL
from hil.cell import Cell
from hil.learning.feed_forward import COMMANDED
from hil.motion import PickPlace
from hil.trace import Trace
from safety.saturation import LimitedBy

if TYPE_CHECKING:
    from hil.learning.dynamics import Physics

Array = npt.NDArray[np.float64]
Law = Literal["ours", "paper", "rnea_high"]
MASSES = (1.0, 3.0, 5.0, 10.0, 15.0)
"""Of the cube, kg. The iiwa 14 is rated for 14 kg, tool included: the last is out of its specification."""
WARMUP = 50
"""Trajectories of the warm start."""
ONE_SIDED = 20
"""The same where it leaves one side out."""
SHAPES = 5
"""Objects of random shape."""
PAPERS_ONLINE = {"payload": False, "guarded": False, "batch": 100, "every": 1, "settle": 50, "keep": 0.2}
"""Each batch of 100 is scored, then learnt: every cycle is a sample, and nothing is held back or refused. The paper
trains by gradient; this is the recursive closed form, with a κ that does well for it (docs/dynamics.md)."""
_EVERY = 5
"""Cycles of which one enters the error of the tool centre point."""


@dataclass(frozen=True, slots=True)
class PickCase:
    """One experiment."""

    family: Literal["svdkl", "svgp"] = "svdkl"
    law: Law = "ours"
    """``ours``: residual on the nominal rigid body, innovation, payload estimator. ``paper``: black box, gains by
    eq. (8), learnt on as :data:`PAPERS_ONLINE`. ``rnea_high``: the nominal rigid body at full gains."""
    thing: str = "cube"
    """``cube``, or ``random_NNN``: shape NNN of :mod:`hil.campaigns.svdkl_shapes`."""
    mass: float = 3.0
    """kg."""
    gripper: Literal["parallel", "tong"] = "parallel"
    mirrored: bool = False
    """On the other side of the x-z plane; the warm start has then seen this side alone."""
    warmup: int = WARMUP
    trips: int = 1
    """There, back, and so on."""
    seed: int = 0

    @property
    def side(self) -> svdkl_warmup.Side:
        """What the warm start covers."""
        return "near" if self.mirrored else "both"

    @property
    def physics(self) -> Physics:
        """What the model is a residual of."""
        return "none" if self.law == "paper" else "nominal"

    @property
    def name(self) -> str:
        """In words, for file names and tables."""
        side = "_mirrored" if self.mirrored else ""
        trips = f"_{self.trips}trips" if self.trips > 1 else ""
        what = f"{self.family}_{self.law}_{self.thing}_{self.mass:g}kg_{self.gripper}"
        return f"{what}{side}{trips}_{self.warmup}_s{self.seed}"


def cases(quick: bool = False) -> list[PickCase]:
    """The experiments of a whole campaign; ``quick``: of a short one."""
    laws: tuple[Law, ...] = ("ours", "paper")
    families: tuple[Literal["svdkl", "svgp"], ...] = ("svdkl", "svgp")
    masses = MASSES[1:2] if quick else MASSES
    found = [PickCase(family, law, mass=mass) for mass in masses for law in laws for family in families]
    found += [PickCase(law="rnea_high", mass=mass) for mass in masses]
    found += [PickCase(family, law, mirrored=True, warmup=ONE_SIDED) for law in laws for family in families]
    if not quick:
        found += [PickCase(family, law, gripper="tong") for law in laws for family in families]
        found += [
            PickCase(family, law, f"random_{number:03d}", mass)
            for number, mass in draw(PARALLEL, SHAPES, 0) for law in laws for family in families
        ]  # fmt: skip
        found += [PickCase(family, law, trips=10) for law in laws for family in families]
    return found


def trial(case: PickCase, folder: Path) -> dict[str, Any]:
    """Run ``case``; what came of it as plain JSON types. Recordings, models and cells are kept in ``folder``.

    ``ee_rmse_m`` (over the whole motion) and ``ee_rmse_carrying_m``, m; ``ff_rmse``, N·m: command less feed-forward;
    ``rmse_joint``, rad; ``kp_ratio``: mean stiffness by its largest; ``gain_reduction`` = 1 − mean of that;
    ``saturated``: share of cycles in which a joint's torque was at its limit, ``limited``: at any limit, that of its
    rate too; ``faults`` in words, empty for none; ``held``; ``trips``: the same of each. Raises what recording and
    training raise.
    """
    begun = time.perf_counter()
    cell = case_cell(case, folder)
    trips: list[dict[str, Any]] = []
    faults: list[str] = []
    with session.open(cell) as arm:
        arm.bring_up()
        arm.enable()
        motion = build_motion("mirrored" if case.mirrored else "pick", cell)
        assert isinstance(motion, PickPlace)
        for _ in range(case.trips):
            try:
                trace = arm.run(motion)
            except session.FaultError as error:
                faults = [fault.headline() for fault in error.faults]
                trace = error.trace
            trips.append(figures(cell, trace))
            if faults:
                break
            motion = motion.back()
    return {
        "case": case.name, "family": case.family, "law": case.law, "thing": case.thing, "mass": case.mass,
        "gripper": case.gripper, "mirrored": case.mirrored, "warmup": case.warmup, "seed": case.seed, **trips[-1],
        "trips": trips, "faults": faults, "seconds": time.perf_counter() - begun,
    }  # fmt: skip


def case_cell(case: PickCase, folder: Path) -> Cell:
    """The cell of ``case``, with its model recorded, trained and named. Raises as :func:`trial`."""
    bare = warmup_cell(folder / "cells", case.gripper)
    learned: dict[str, Any]
    if case.law == "rnea_high":
        path = folder / f"model_rigid_{case.gripper}.npz"
        rigid_body(bare).save(path)
        learned = {"kp_min": list(KP_MAX), "innovation": False}
    else:
        recording = folder / f"warmup_{case.gripper}_{case.side}_{case.seed}.npz"
        samples = svdkl_warmup.record(bare, case.side, case.warmup, case.seed, recording)
        path = folder / f"model_{case.family}_{case.physics}_{case.gripper}_{case.side}_{case.warmup}_s{case.seed}.npz"
        svdkl_warmup.train(bare, samples, case.family, case.physics, case.seed, path)
        own = case.law == "ours"
        learned = {"innovation": own, "online": {"payload": True, "posterior": False} if own else PAPERS_ONLINE}
    learned["model"] = str(path.resolve())
    return task_cell(folder / "cells", case.name, case.gripper, thing(case), case.mirrored, learned, case.seed)


def thing(case: PickCase) -> dict[str, Any]:
    """The object of ``case``, as keys of ``mock.object``. Raises ValueError for one that is not known."""
    if case.thing == "cube":
        return {"mass": case.mass, "size": [EDGE] * 3}
    kind, _, number = case.thing.partition("_")
    if kind != "random" or not number.isdecimal():
        raise ValueError(f"object {case.thing!r}; known are 'cube' and 'random_000' to 'random_{COUNT - 1}'")
    return described(int(number), case.mass)


def rigid_body(cell: Cell) -> DynamicsPredictor:
    """The nominal rigid body alone, in the form of a learnt model: one inducing point that says nothing."""
    model = build_model(cell)
    n = model.n
    wide = Scaling(np.zeros(3 * n), np.ones(3 * n), np.zeros(n), np.ones(n))
    posterior = Posterior(
        weights=(), biases=(), skip=False, lengths=np.ones((n, 3 * n)), points=np.zeros((n, 1, 3 * n)),
        s2=np.ones(n), noise=np.full(n, 1e-3), alpha=np.zeros((n, 1)), B=np.zeros((n, 1, 1)), scaling=wide,
    )  # fmt: skip
    return DynamicsPredictor(posterior, Prior(model), {"torque": COMMANDED}, "numpy")


def figures(cell: Cell, trace: Trace) -> dict[str, Any]:
    """Of one motion; NaN where nothing was recorded."""
    q, q_ref, kp = trace["q"], trace["q_ref"], trace["kp"]
    rows = np.isfinite(q_ref).all(axis=1) & np.isfinite(kp).all(axis=1)
    grip = trace["grip"] == list(GripState).index(GripState.HOLDING)
    model = build_model(cell)
    some = np.flatnonzero(rows)[::_EVERY]
    error = np.array([model.fk(q[k])[0] - model.fk(q_ref[k])[0] for k in some]).reshape(-1, 3)
    limited = trace["limited"].astype(np.int64)
    at_limit = (limited & int(LimitedBy.MAGNITUDE | LimitedBy.TOTAL) != 0).any(axis=1)
    ratio = kp[rows] / np.array(KP_MAX)
    return {
        "ee_rmse_m": _rms(error),
        "ee_rmse_carrying_m": _rms(error[grip[some]]),
        "ff_rmse": _rms_joint((trace["tau_cmd"] - trace["tau_ff"])[rows]),
        "rmse_joint": _rms_joint((q_ref - q)[rows]),
        "kp_ratio": ratio.mean(axis=0).tolist() if rows.any() else [float("nan")] * len(KP_MAX),
        "gain_reduction": 1.0 - float(ratio.mean()) if rows.any() else float("nan"),
        "saturated": float(at_limit[rows].mean()) if rows.any() else float("nan"),
        "limited": float((limited != 0).any(axis=1)[rows].mean()) if rows.any() else float("nan"),
        "held": bool(grip.any()),
        "cycles": int(rows.sum()),
    }


def _rms(error: Array) -> float:
    """Of the length of rows (m, 3)."""
    return float(np.sqrt(np.mean(np.sum(error**2, axis=1)))) if len(error) else float("nan")


def _rms_joint(error: Array) -> list[float]:
    return cast(list[float], np.sqrt(np.nanmean(error**2, axis=0)).tolist()) if len(error) else [float("nan")] * 7

"""Recordings of real arms, whole trajectories left out: what models reach there, beside physics alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from estimators.dynamics.fitting.economy import economical
from estimators.dynamics.fitting.options import KernelOptions, TrainOptions, plain
from estimators.dynamics.fitting.variational import VariationalModel
from estimators.dynamics.prior import STRIBECK, Prior, regress
from estimators.dynamics.samples import Samples
from estimators.rigid_body import RigidBodyModel
from hil.learning.dynamics_data import DataError as Unreadable
from hil.learning.dynamics_data import Layout, read
from hil.learning.dynamics_split import by_trajectory
from hil.reproduce.group import DataError, Found
from hil.reproduce.svdkl.models import fit
from hil.reproduce.svdkl.trial import scored

Physics = str
"""``none``, ``nominal``, ``regressed``: as ``hil train dynamics --physics``; ``friction``: regressed, but for friction
of one width alone."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recording: which files, which of its trajectories do what, and how it is learnt from."""

    title: str
    files: tuple[str, ...]
    """The first one has to be there."""
    about: str
    physics: Physics
    """Of the semi-parametric models."""
    deep: bool = True
    """Whether those are SVDKL; else SVGP, where a deep kernel has too little to learn from."""
    baseline: Physics | None = None
    """Physics alone that the models stand beside; None: those of the semi-parametric ones."""
    urdf: str = ""
    flange: str = ""
    layout: Layout | None = None
    train: tuple[int, ...] = ()
    """Nothing: a tenth each is drawn to stop by and to judge by."""
    validate: tuple[int, ...] = ()
    test: tuple[int, ...] = ()
    every: int = 1
    """Of how many samples one is taken, of those to train and to stop by."""
    regress_every: int = 2
    inducing: int = 100
    options: TrainOptions = field(default_factory=lambda: TrainOptions(epochs=20, temper=0.05))
    """100 to 200 samples a second are no independent evidence: the likelihood is weighed down."""
    black_box: bool = True


_TEXT = TrainOptions(epochs=15, temper=0.05)

RECORDED = {
    "kuka": Recorded(
        "KUKA, pick and place", ("kuka_polydoros_real.npz", "kuka_lwr4.urdf"),
        "ten trajectories at 100 Hz; 9 and 10 left out, 3 and 6 stop the training", "regressed", urdf="kuka_lwr4.urdf",
        flange="lwr_7_link", train=(1, 2, 4, 5, 7, 8), validate=(3, 6), test=(9, 10),
    ),
    "lwr4": Recorded(
        "KUKA LWR4+, elsewhere", ("kuka_lwr4_real.npz", "kuka_lwr4.urdf"),
        "trained on run 0, stopped by run 1 (the same motion), judged on run 2, which is elsewhere", "nominal",
        deep=False, urdf="kuka_lwr4.urdf", flange="lwr_7_link", train=(0,), validate=(1,), test=(2,), every=2,
    ),
    "ur10e": Recorded(
        "UR10e, 14harm50sec", ("ur10e_real.npz", "ur10e.urdf"),
        "free runs at 100 Hz, motor current times drive gain; a Fourier run left out", "regressed", deep=False,
        baseline="friction", urdf="ur10e.urdf", flange="tool0", train=(0, 1, 2, 4, 5, 6, 7, 9), validate=(3, 8),
        test=(10,), every=2, regress_every=4, inducing=64,
        options=TrainOptions(epochs=10, batch=256, temper=0.01, patience=5),
    ),
    "sarcos": Recorded(
        "SARCOS", ("sarcos_inv.mat",), "28 columns; a tenth of its trajectories each to stop and to judge by", "none",
        options=TrainOptions(epochs=15, temper=0.2), inducing=128,
    ),
    "kuka_sim_text": Recorded(
        "KUKA SIM, as text", ("kuka_sim.txt",), "28 columns, torques times 50 70 20 20 4 4 2 N·m", "none",
        layout="kuka-sim", options=_TEXT, inducing=128,
    ),
    "kuka_real_text": Recorded(
        "KUKA REAL, as text", ("kuka_real.txt",), "28 columns, torques times 40 40 20 20 4 4 2 N·m", "none",
        layout="kuka-real", options=_TEXT, inducing=128,
    ),
}  # fmt: skip
"""In the order of the page."""


def there(folder: str | None) -> tuple[str, ...]:
    """Names of the recordings that ``folder`` holds."""
    if folder is None:
        return ()
    return tuple(
        name for name, each in RECORDED.items() if all((Path(folder) / file).is_file() for file in each.files)
    )


def methods(name: str) -> tuple[str, ...]:
    """Rows of a recording: ``svgp``, ``svdkl``, and ``semi`` where there are physics to begin with."""
    each = RECORDED[name]
    return (*(("svgp", "svdkl") if each.black_box else ()), *(("semi",) if each.physics != "none" else ()))


def computer(name: str, folder: str, quick: bool) -> Callable[[str], Found]:
    """Function from a row of :func:`methods` to its scores. Raises DataError."""
    each = RECORDED[name]
    train, validate, test = _split(name, folder)
    if quick:
        train, validate = _every(train, 8), _every(validate, 8)

    def compute(row: str) -> Found:
        prior = _physics(each, each.physics, folder, train) if row == "semi" else None
        deep = each.deep if row == "semi" else row == "svdkl"
        kernel = KernelOptions(inducing=each.inducing)
        model = VariationalModel(kernel if deep else plain(kernel), each.options, prior)
        _, seconds = fit(model, _every(train, each.every), _every(validate, each.every))
        with economical():
            mean, variance = model.predict(test)
            inside = np.sqrt(model.predict(validate)[1])
        result: dict[str, Any] = {
            "recording": name, "method": row, "deep": deep, "seconds": seconds, "samples": len(train),
            "test": scored(test, mean, variance, train), "sigma_validation": inside.mean(axis=0).tolist(),
        }  # fmt: skip
        if prior is not None:
            alone = prior if each.baseline is None else _physics(each, each.baseline, folder, train)
            result["physics_rmse"] = np.sqrt(np.mean((test.tau - alone.of(test)) ** 2, axis=0)).tolist()
        return result, {}

    return compute


@cache
def _split(name: str, folder: str) -> tuple[Samples, Samples, Samples]:
    each = RECORDED[name]
    try:
        samples = read([Path(folder) / each.files[0]], each.layout).samples
        if not each.train:
            split = by_trajectory(samples)
            return split.train, split.validate, split.test
    except Unreadable as error:
        raise DataError(str(error)) from error
    train, validate, test = (samples.of(list(part)) for part in (each.train, each.validate, each.test))
    if not (len(train) and len(validate) and len(test)):
        numbers = ", ".join(map(str, samples.trajectories.tolist()))
        raise DataError(
            f"{Path(folder) / each.files[0]} has the trajectories {numbers}; expected at least one each of "
            f"{each.train}, {each.validate} and {each.test}: copy it anew"
        )
    return train, validate, test


def _physics(each: Recorded, physics: Physics, folder: str, train: Samples) -> Prior:
    urdf = (Path(folder) / each.urdf).read_text(encoding="utf-8")
    arm = RigidBodyModel(urdf, flange=each.flange)
    if physics == "nominal":
        return Prior(arm)
    some = _every(train, each.regress_every)
    return regress(arm, some) if physics == "friction" else regress(arm, some, widths=STRIBECK, loaded=True)


def _every(samples: Samples, k: int) -> Samples:
    return samples.at(np.arange(0, len(samples), k))

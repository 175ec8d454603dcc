"""What the models of experiments I and II learn from: an arm's rhythmic motions, split by whole motion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np

from estimators.dynamics.prior import Prior
from estimators.dynamics.samples import Samples
from estimators.rigid_body import RigidBodyModel
from hil.campaigns import svdkl_plant
from hil.campaigns.svdkl_plant import joined
from hil.learning.dynamics_data import DataError as Unreadable
from hil.learning.dynamics_data import read
from hil.reproduce.group import DataError

Source = Literal["simulated", "frozen"]
FROZEN = "iiwa_sim_rhythmic.npz"
MOTIONS = (320, 40, 40)
"""To train on, to stop and calibrate by, to judge by."""
QUICK = (40, 8, 8)
SHOWN = 20.0
"""Length of the one trajectory that predictions are shown on, s."""


@dataclass(frozen=True, slots=True, eq=False)
class MotionSet:
    """Samples of one arm; ``shown`` lasts :data:`SHOWN` and is of motions that no model has seen."""

    train: Samples
    validate: Samples
    test: Samples
    shown: Samples
    rigid_body: RigidBodyModel
    """What is known of the arm."""
    noise: tuple[float, ...]
    """Of the measured torque, N·m: no model can do better."""
    rate: float = svdkl_plant.RATE

    @property
    def prior(self) -> Prior:
        """Nominal physics."""
        return Prior(self.rigid_body)

    def first(self, motions: int) -> Samples:
        """Of the training motions the first ones."""
        return self.train.of(self.train.trajectories[:motions])


@cache
def simulated(seed: int, counts: tuple[int, int, int] = MOTIONS) -> MotionSet:
    """The arm ``seed`` and its motions, simulated now; what is shown is one motion of 20 s."""
    arm = svdkl_plant.draw(seed)
    # Other sizes have the same motions, as far as they go.
    begins = (0, MOTIONS[0], MOTIONS[0] + MOTIONS[1])
    sets = [
        joined([svdkl_plant.rhythmic(arm, begin + k) for k in range(count)])
        for begin, count in zip(begins, counts, strict=True)
    ]
    shown = svdkl_plant.rhythmic(arm, sum(MOTIONS), SHOWN)
    noise = tuple(float(sd) for sd in arm.tau_noise)
    return MotionSet(sets[0], sets[1], sets[2], shown, svdkl_plant.nominal_model(), noise)


@cache
def frozen(folder: str, counts: tuple[int, int, int] = MOTIONS) -> MotionSet:
    """The frozen simulation; what is shown is two test motions of 10 s, one after the other. Raises DataError."""
    path = Path(folder) / FROZEN
    try:
        samples = read([path]).samples
    except Unreadable as error:
        raise DataError(f"{error}; --data names the folder with {FROZEN}") from error
    if samples.n != svdkl_plant.nominal_model().n or samples.trajectories.tolist() != list(range(sum(MOTIONS))):
        raise DataError(f"{path} is no recording of {sum(MOTIONS)} motions of an arm with 7 joints: copy it anew")
    begins = (0, MOTIONS[0], MOTIONS[0] + MOTIONS[1])
    train, validate, test = (
        samples.of(np.arange(begin, begin + count)) for begin, count in zip(begins, counts, strict=True)
    )
    with np.load(path, allow_pickle=False) as file:
        rate = 1.0 / float(file["dt"]) if "dt" in file.files else svdkl_plant.RATE
    noise = tuple(float(sd) for sd in svdkl_plant.draw(0).tau_noise)
    shown = samples.of(test.trajectories[:2])
    return MotionSet(train, validate, test, shown, pybullet_model(), noise, rate)


def pybullet_model() -> RigidBodyModel:
    """What the frozen simulation knows of its arm: PyBullet's own description, and the tool. Raises DataError."""
    # Only its files are needed, and importing it is the world's alone.
    package = find_spec("pybullet_data")
    if package is None or not package.submodule_search_locations:
        raise DataError("the frozen simulation is of PyBullet's iiwa: pip install pybullet, or leave --data out")
    place = Path(package.submodule_search_locations[0], "kuka_iiwa", "model.urdf")
    try:
        urdf = place.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{place} cannot be read ({error.strerror}): install pybullet anew") from error
    return RigidBodyModel(urdf, svdkl_plant.TOOL, flange="lbr_iiwa_link_7")


def motion_set(source: Source, seed: int, folder: str | None, counts: tuple[int, int, int]) -> MotionSet:
    """The set of a trial: of the simulation here each trial has an arm of its own. Raises DataError."""
    if source == "simulated":
        return simulated(seed, counts)
    if folder is None:
        raise DataError("the frozen simulation needs its folder: name it with --data")
    return frozen(folder, counts)


def leaking(found: MotionSet, seed: int) -> MotionSet:
    """The same samples dealt at random, as much of the literature does: neighbours are on both sides."""
    everything = joined([found.train, found.validate, found.test])
    order = np.random.default_rng(seed).permutation(len(everything))
    cuts = np.cumsum([len(found.train), len(found.validate)])
    train, validate, test = (everything.at(np.sort(rows)) for rows in np.split(order, cuts))
    return replace(found, train=train, validate=validate, test=test)

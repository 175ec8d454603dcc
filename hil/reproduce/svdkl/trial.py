"""One training: how long it took, how good it is, and the gains that its standard deviation would give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.dynamics.base import DynamicsModel
from estimators.dynamics.fitting.economy import economical
from estimators.dynamics.samples import Samples
from estimators.dynamics.scores import Scores, score
from estimators.errors import ParameterError
from estimators.gains.law import GainLaw, calibrate
from hil.reproduce.group import Found
from hil.reproduce.svdkl import models
from hil.reproduce.svdkl.sets import MotionSet

Array = npt.NDArray[np.float64]

KP_MAX = np.array([1000.0, 1000.0, 600.0, 600.0, 200.0, 120.0, 40.0])
"""N·m/rad."""
SOFTEST = 0.1
"""Kmin over Kmax."""
SENSITIVITY = 3.0
"""C of the gain law."""
BAND = 2.0
"""Standard deviations of the band that is drawn."""
ASIDE = 1.0
"""How far postures are moved away from those learnt, rad."""
FASTER = 2.5
_MOTIONS = 8
"""Of which gains elsewhere are computed."""


def run(
    found: MotionSet, method: str, seed: int, motions: int, subset: int | None = None, *, quick: bool = False
) -> Found:
    """Train ``method`` on the first ``motions`` motions, from scratch, and score it. Raises EstimatorError."""
    chosen = models.METHODS[method]
    train = found.first(motions)
    model = models.make(method, seed, found.prior if chosen.physics else None, quick, subset)
    history, seconds = models.fit(model, train, found.validate)
    with economical():
        mean, variance = model.predict(found.test)
        shown, shown_variance = model.predict(found.shown)
    sigma = np.sqrt(shown_variance)
    result: dict[str, Any] = {
        "method": method,
        "seed": seed,
        "motions": motions,
        "all_motions": len(found.train.trajectories),
        "samples": len(train) if subset is None else min(subset, len(train)),
        "subset": subset,
        "seconds": seconds,
        "epochs": len(history.steps),
        "best_epoch": history.best_epoch,
        "notes": history.notes,
        "noise": list(found.noise),
        "test": scored(found.test, mean, variance, train),
        "shown": scored(found.shown, shown, shown_variance, train)
        | {"within": float(np.mean(np.abs(shown - found.shown.tau) <= BAND * sigma)), "rate": found.rate},
    }
    arrays = {"mean": shown, "sigma": sigma, "tau": found.shown.tau}
    sigma_n, sigma_f = models.sigmas(model)
    law = GainLaw(SOFTEST * KP_MAX, KP_MAX, sigma_n, sigma_f, SENSITIVITY)
    kp = law.stiffness(sigma) / KP_MAX
    arrays["kp"] = kp
    result["gains"] = {
        "sigma_n": sigma_n.tolist(), "sigma_f": sigma_f.tolist(), "test": _share(law, np.sqrt(variance)),
        "shown": kp.mean(axis=0).tolist(),
    }  # fmt: skip
    if motions == len(found.train.trajectories):
        result["gains"] |= elsewhere(model, found, law)
    return result, arrays


def scored(samples: Samples, mean: Array, variance: Array, train: Samples) -> dict[str, Any]:
    """Scores as plain lists, one number for each joint. Raises ParameterError for a prediction that is none."""
    s: Scores = score(samples.tau, mean, variance, train.tau.mean(axis=0), train.tau.var(axis=0))
    names = ("rmse", "nmse", "nll", "msll", "constant_nll", "coverage68", "coverage95", "sigma")
    return {name: getattr(s, name).tolist() for name in names} | {"mean_rmse": s.mean_rmse}


def elsewhere(model: DynamicsModel, found: MotionSet, law: GainLaw) -> dict[str, Any]:
    """Kp/Kmax on test motions moved to other postures and made faster: by ``law``, and by one calibrated for it."""
    known, test = (part.of(part.trajectories[:_MOTIONS]) for part in (found.validate, found.test))
    far = {"positions": moved, "speeds": faster}
    with economical():
        sure = np.sqrt(model.predict(known)[1])
        unsure = np.concatenate([np.sqrt(model.predict(change(known))[1]) for change in far.values()])
        tested = {"known": np.sqrt(model.predict(test)[1])}
        tested |= {name: np.sqrt(model.predict(change(test))[1]) for name, change in far.items()}
    result: dict[str, Any] = {"elsewhere": {name: _share(law, sigma) for name, sigma in tested.items()}}
    try:
        fitted = calibrate(SOFTEST * KP_MAX, KP_MAX, sure, unsure)
    except ParameterError as error:
        return result | {"uncalibrated": str(error)}
    result["calibrated"] = {name: _share(fitted, sigma) for name, sigma in tested.items()}
    return result | {"sensitivity": fitted.sensitivity}


def moved(samples: Samples) -> Samples:
    """Every joint :data:`ASIDE` away, up or down by motion."""
    sign = np.random.default_rng(0).choice((-1.0, 1.0), (int(samples.trajectory.max()) + 1, samples.n))
    return replace(samples, q=samples.q + ASIDE * sign[samples.trajectory])


def faster(samples: Samples) -> Samples:
    """The same path :data:`FASTER` times as fast."""
    return replace(samples, qd=FASTER * samples.qd, qdd=FASTER**2 * samples.qdd)


def _share(law: GainLaw, sigma: Array) -> list[float]:
    share: list[float] = (law.stiffness(sigma) / law.kp_max).mean(axis=0).tolist()
    return share

"""Contact force from joint torques of a real Panda, against a force-torque sensor at its flange; one run left out.

The recordings (``panda_ati_contact.npz``) are third-party: external joint torques as the robot's vendor estimates them,
Jacobians, and the sensor's wrench, six runs in six poses. Everything that is learnt (covariance of the torque errors,
lever of the contact point, delay between both sensors) comes from the five other runs, everything that is chosen by
leaving one out among those five again. Scored as recorded, delay included; the aligned score is stated beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from estimators.wrench import contact_wrench, jacobian_at
from estimators.wrench_mixture import contact_prior, mixture_wrench

Array = npt.NDArray[np.float64]

WORSE = 1.05
"""No run may be worse than the pseudo-inverse by more than this factor; choices keep to it on the runs they see."""
FORCES = (1.0, 4.0, 16.0)
"""Widths of the mixture's components, N: anything that a hand does."""
REACHES = (0.01, 0.03, 0.1)
"""How far from the expected point of contact, m."""
_COVERED = 1.959963984540054
_FLOOR = 1e-5
_DELAYS = 9
_INNER = 8


@dataclass(frozen=True, slots=True, eq=False)
class Contact:
    """One run: ``t`` s, ``tau_ext`` (m, 7) N·m, ``J`` (m, 6, 7), ``wrench`` (m, 6) by the sensor, in the axes of J."""

    name: str
    t: Array
    tau_ext: Array
    J: Array
    wrench: Array

    def thinned(self, every: int) -> Contact:
        return Contact(self.name, self.t[::every], self.tau_ext[::every], self.J[::every], self.wrench[::every])


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """What one run teaches, for each delay of 0 … 8 samples where it depends on one."""

    second: Array
    """Second moments of the torque errors, (9, 7, 7) (N·m)²."""
    moved: Array
    """Mean square change of a force component, (9,) N²."""
    arm: float
    """Mean square of (flange axis × force), N²."""
    moment: float
    """Mean of its product with the sensor's moments, N·N·m."""


@dataclass(frozen=True, slots=True)
class Method:
    """How the force is computed; the tuples are what may be chosen."""

    name: str
    lever: bool = False
    """Whether contact is expected at a learnt distance along the flange axis, instead of at the point of J."""
    shrink: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0)
    """Share of the off-diagonal covariance of torque errors that is not believed: it comes from five runs."""
    moment: tuple[float, ...] = (0.1, 0.2, 0.3, 0.5, 1.0)
    """Prior of the moments, N·m."""
    free: tuple[float, ...] = ()
    """Prior probability that nothing touches, of the mixture; empty: one Gaussian."""


METHODS = (
    Method("weighted"),
    Method("weighted, at the contact point", lever=True, moment=(0.05, 0.1, 0.2, 0.5)),
    Method("mixture, at the contact point", lever=True, moment=(0.0,), free=(0.01, 0.3)),
)


@dataclass(frozen=True, slots=True)
class Choice:
    shrink: float
    moment: float
    free: float


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """From training runs."""

    P: Array
    """Covariance of torque errors, static ones included, (7, 7) (N·m)²."""
    lever: float
    """Of the contact point from the point of J along the flange axis, m; 0 where the method has none."""
    delay: int
    """Samples by which the torques are late."""
    moved: float
    """Mean square of what a force component changes in that time, N²: added to the reported variance."""


@dataclass(frozen=True, slots=True, eq=False)
class RunScore:
    """One run under one method; ``force`` (m, 3) N, ``sigma`` its reported standard deviation, without the scale."""

    name: str
    rmse: float
    """Of the force vector, N, as recorded."""
    aligned: float
    """The same with the sensor's signal late by the learnt delay."""
    coverage: float
    """Share of force components in the 95 % band."""
    nll: float
    """Mean negative log-likelihood of the force vector, nats."""
    choice: Choice | None
    learnt: Learnt | None
    force: Array
    sigma: Array


@dataclass(frozen=True, slots=True, eq=False)
class PandaResult:
    runs: tuple[Contact, ...]
    pseudo_inverse: tuple[float, ...]
    """RMSE of each run, N."""
    scores: dict[str, tuple[RunScore, ...]]
    """By method."""

    def mean(self, method: str) -> float:
        """Mean RMSE over the runs, N."""
        return float(np.mean([s.rmse for s in self.scores[method]]))

    def worst(self, method: str) -> float:
        """Largest ratio to the pseudo-inverse."""
        return max(s.rmse / p for s, p in zip(self.scores[method], self.pseudo_inverse, strict=True))


def read(data: Path) -> list[Contact]:
    """The six runs. Raises OSError, KeyError and ValueError for files that are not it."""
    with np.load(data / "panda_ati_contact.npz", allow_pickle=False) as file:
        t, tau, J, w = (file[key].astype(np.float64) for key in ("t", "tau_ext", "J", "wrench_ft"))
        traj, names = file["traj"], [str(x) for x in file["run_name"]]
    return [Contact(n, t[traj == k] - t[traj == k][0], tau[traj == k], J[traj == k], w[traj == k])
            for k, n in enumerate(names)]  # fmt: skip


def pseudo_inverse(run: Contact) -> Array:
    """Force (m, 3) N of the least-squares wrench."""
    return np.array([np.linalg.lstsq(J.T, tau, rcond=None)[0][:3] for J, tau in zip(run.J, run.tau_ext, strict=True)])


def vector_rmse(error: Array) -> float:
    """Of (m, 3), the vector's length."""
    return math.sqrt(float(np.mean(np.sum(error**2, axis=1))))


def evaluate(
    data: Path, methods: Sequence[Method] = METHODS, progress: Callable[[str, float], None] | None = None
) -> PandaResult:
    """Each run by what the five others teach; deterministic. Raises as :func:`read`."""
    tell = progress or (lambda what, share: None)
    runs = read(data)
    taught = [teach(run) for run in runs]
    bases = [vector_rmse(pseudo_inverse(run) - run.wrench[:, :3]) for run in runs]
    scores: dict[str, tuple[RunScore, ...]] = {
        "pseudo-inverse": tuple(_plain(run) for run in runs),
    }
    for k, method in enumerate(methods):
        found = []
        for i, run in enumerate(runs):
            tell(f"{method.name}: {run.name}", (k + i / len(runs)) / len(methods))
            others = [j for j in range(len(runs)) if j != i]
            choice = choose(method, [runs[j] for j in others], [taught[j] for j in others], [bases[j] for j in others])
            learnt = learn(method, [taught[j] for j in others], choice)
            found.append(_scored(run, choice, learnt, *forces(run, choice, learnt)))
        scores[method.name] = tuple(found)
    return PandaResult(tuple(runs), tuple(bases), scores)


def choose(method: Method, runs: Sequence[Contact], taught: Sequence[Taught], bases: Sequence[float]) -> Choice:
    """The choice of least mean RMSE among those that keep to :data:`WORSE`, each run by the others among ``runs``."""
    options = [Choice(*each) for each in product(method.shrink, method.moment, method.free or (0.0,))]
    thinned = [run.thinned(_INNER) for run in runs]
    ranked = []
    for choice in options:
        errors = []
        for i, thin in enumerate(thinned):
            learnt = learn(method, [each for j, each in enumerate(taught) if j != i], choice)
            errors.append(vector_rmse(forces(thin, choice, learnt)[0] - thin.wrench[:, :3]))
        worst = float(np.max(np.array(errors) / bases))
        ranked.append((max(worst, WORSE), float(np.mean(errors)), choice))
    return min(ranked, key=lambda each: each[:2])[2]


def teach(run: Contact) -> Taught:
    """The sums over one run that :func:`learn` needs."""
    expected = np.einsum("kij,ki->kj", run.J, run.wrench)
    force, m = run.wrench[:, :3], len(run.t)
    arm = np.cross(run.J[:, 3:, -1], force)
    second, moved = [], []
    for d in range(_DELAYS):
        residual = run.tau_ext[d:] - expected[: m - d]
        second.append(residual.T @ residual / len(residual))
        moved.append(float(np.mean((force[d:] - force[: m - d]) ** 2)))
    return Taught(
        np.array(second), np.array(moved),
        float(np.mean(np.sum(arm * arm, axis=1))), float(np.mean(np.sum(arm * run.wrench[:, 3:], axis=1))),
    )  # fmt: skip


def learn(method: Method, taught: Sequence[Taught], choice: Choice) -> Learnt:
    """What training runs say about the errors of torques, the delay and the contact point."""
    # The distance along the last joint's axis at which the sensor's moments are those of its forces.
    lever = sum(each.moment for each in taught) / sum(each.arm for each in taught) if method.lever else 0.0
    second = np.mean([each.second for each in taught], axis=0)
    delay = int(np.argmin(np.einsum("dii->d", second)))
    full = second[delay]
    P = (1.0 - choice.shrink) * full + choice.shrink * np.diag(full.diagonal()) + _FLOOR * np.eye(len(full))
    return Learnt(P, lever, delay, float(np.mean([each.moved[delay] for each in taught])))


def forces(run: Contact, choice: Choice, learnt: Learnt) -> tuple[Array, Array]:
    """Force (m, 3) N and its covariance (m, 3, 3), sample by sample, without a look ahead."""
    prior = contact_prior(FORCES, REACHES, choice.free) if choice.free else None
    found, spread = np.empty((len(run.t), 3)), np.empty((len(run.t), 3, 3))
    for k, (J, tau) in enumerate(zip(run.J, run.tau_ext, strict=True)):
        at = jacobian_at(J, learnt.lever * J[3:, -1])
        if prior is None:
            wrench, cov = contact_wrench(at, tau, learnt.P, sigma_moment=choice.moment)
        else:
            wrench, cov, _ = mixture_wrench(at, tau, learnt.P, prior)
        found[k], spread[k] = wrench[:3], cov[:3, :3]
    return found, spread + learnt.moved * np.eye(3)


def _scored(run: Contact, choice: Choice | None, learnt: Learnt | None, force: Array, cov: Array) -> RunScore:
    delay = learnt.delay if learnt else 0
    error = force - run.wrench[:, :3]
    late = force[delay:] - run.wrench[: len(run.t) - delay, :3]
    sigma = np.sqrt(np.einsum("kii->ki", cov))
    square = np.einsum("ki,kij,kj->k", error, np.linalg.inv(cov), error)
    nll = 0.5 * float(np.mean(np.linalg.slogdet(cov)[1] + square)) + 1.5 * math.log(2.0 * math.pi)
    inside = float(np.mean(np.abs(error) <= _COVERED * sigma))
    return RunScore(run.name, vector_rmse(error), vector_rmse(late), inside, nll, choice, learnt, force, sigma)


def _plain(run: Contact) -> RunScore:
    """The pseudo-inverse knows nothing of its errors."""
    force = pseudo_inverse(run)
    score = _scored(run, None, None, force, np.broadcast_to(np.eye(3), (len(force), 3, 3)))
    return replace(score, coverage=math.nan, nll=math.nan, sigma=np.full_like(force, math.nan))

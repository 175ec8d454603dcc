"""Residual torque by features with memory, beside a correction of the arm's inertial parameters.

One linear problem for the whole arm::

    −y = Y(q, qd, qdd) δπ + Φ(q, qd, tau) w + remainder

δπ is what the nominal inertial parameters are off by, with a prior that believes them to a few per cent; w are the
weights of :mod:`estimators.residual.memory`, each joint's own. The corrected parameters go into the rigid-body model,
so that online nothing needs qdd. A kernelised movement primitive on what remains gives the variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from estimators import virtual_measurement
from estimators.errors import ParameterError
from estimators.inertia import pseudo_inertia
from estimators.residual.memory import MemoryFeatures, MemoryParams
from estimators.rigid_body import RigidBodyModel

Array = npt.NDArray[np.float64]

PLAYS = (0.0, 3e-6, 6e-6, 1.2e-5, 3e-5, 1e-4)
"""Plays between encoder and memory that are tried, rad: from half a count of 20 bits to a count of 16."""
_HUBER = 1.5
_ROUNDS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One contact-free recording: ``q`` rad, ``qd`` rad/s, measured ``tau`` N·m, each (m, n), every ``dt`` s."""

    q: Array
    qd: Array
    tau: Array
    dt: float
    lead: int = 0
    """Samples at the beginning that only tell how the joints came to be where they are: nothing is learnt from them,
    and there may be contact."""


@dataclass(frozen=True, slots=True)
class Prior:
    """How far the nominal model may be off: standard deviations as parts of what it says."""

    mass: float = 0.05
    com: float = 0.005
    """m: of the centres of mass."""
    inertia: float = 0.05
    armature: float = 0.05
    weight: float = 1.0
    """Of a feature's share in the residual's standard deviation."""
    repeats: float = 300.0
    """Labels that say one thing between them: neighbours of a trajectory are no independent witnesses."""


@dataclass(frozen=True, slots=True, eq=False)
class SemiParametric:
    """What was learnt."""

    memory: MemoryParams
    weights: Array
    """(n, F), N·m per feature."""
    parameters: Array
    """Inertial parameters (11 n,) for :meth:`estimators.rigid_body.RigidBodyModel.adjust`."""
    rmse: Array
    """Of the training labels, (n,) N·m."""


def fit(
    model: RigidBodyModel,
    runs: Sequence[Run],
    memory: MemoryParams | None = None,
    prior: Prior | None = None,
    lag: int = 0,
) -> SemiParametric:
    """Learn from ``runs``; ``model`` is the nominal one and stays as it is.

    ``lag``: of the measured torque, see :class:`estimators.virtual_measurement.VirtualMeasurement`.
    Raises ParameterError for runs of another arm or none at all.
    """
    memory, prior = memory or MemoryParams(), prior or Prior()
    if not runs:
        raise ParameterError("no runs to learn from")
    return _fit(model, _equations(model, runs, lag), runs, memory, prior)


def fit_play(
    model: RigidBodyModel,
    runs: Sequence[Run],
    held_out: Sequence[Run],
    memory: MemoryParams | None = None,
    prior: Prior | None = None,
    lag: int = 0,
    plays: Sequence[float] = PLAYS,
) -> SemiParametric:
    """:func:`fit` to ``runs`` with the play in rad, of ``plays``, that leaves least of them and of ``held_out``.

    What is left is the mean over the joints of the root mean square remainder of all labels. Held-out motions alone may
    never stand, and say little of what happens to a joint that does; one number fits no noise of the training runs.
    Contact-free all. Raises ParameterError.
    """
    memory, prior = memory or MemoryParams(), prior or Prior()
    if not (runs and held_out and plays):
        raise ParameterError(
            f"{len(runs)} runs to learn from, {len(held_out)} held out, {len(plays)} plays; expected one or more each"
        )
    labels, judge = _equations(model, runs, lag), _equations(model, held_out, lag)
    k, k_held = len(labels[1]), len(judge[1])
    best: tuple[float, SemiParametric] | None = None
    for play in plays:
        found = _fit(model, labels, runs, replace(memory, play=play), prior)
        squares = k * found.rmse**2 + np.sum(_left(found, model, judge, held_out) ** 2, axis=0)
        error = float(np.sqrt(squares / (k + k_held)).mean())
        if np.isfinite(error) and (best is None or error < best[0]):
            best = error, found
    if best is None:
        raise ParameterError("the held-out runs hold samples that are not finite: leave them out")
    return best[1]


def _fit(
    model: RigidBodyModel, labels: tuple[Array, Array], runs: Sequence[Run], memory: MemoryParams, prior: Prior
) -> SemiParametric:
    Y, b = labels  # (k, n, 11 n), (k, n)
    Phi = _features(runs, memory)  # (k, n, F)
    delta, _, _ = _solve(Y, Phi, b, _sigma(model, prior), prior)
    delta = _real(model, delta)
    # Anew: the weights belong to the parameters that are used, not to those that were wanted.
    _, weights, error = _solve(Y, Phi, b - Y @ delta, np.zeros_like(delta), prior)
    return SemiParametric(
        memory, weights, model.inertial_parameters() + delta, np.sqrt(np.mean(error**2, axis=0))
    )


def _solve(Y: Array, Phi: Array, b: Array, sigma_pi: Array, prior: Prior) -> tuple[Array, Array, Array]:
    """δπ (11 n,), weights (n, F) and what remains of ``b`` (k, n), by iteratively reweighted least squares."""
    k, n, F = Phi.shape
    scale = np.sqrt(np.mean(Phi**2, axis=0)) + 1e-12
    Phi = Phi / scale
    tau_sigma = b.std(axis=0)
    # Unknowns: δπ in its prior's units, then the joints' weights in units of the residual's spread.
    size = 11 * n + n * F
    noise = 0.3 * tau_sigma
    trust = np.ones((k, n))
    solution = np.zeros(size)
    for _ in range(_ROUNDS):
        A = np.zeros((size, size))
        rhs = np.zeros(size)
        for j in range(n):
            w = trust[:, j] / (prior.repeats * noise[j] ** 2)
            G = np.hstack((Y[:, j] * sigma_pi, Phi[:, j] * tau_sigma[j]))
            at = np.concatenate((np.arange(11 * n), 11 * n + j * F + np.arange(F)))
            WG = G * w[:, None]
            A[np.ix_(at, at)] += G.T @ WG
            rhs[at] += WG.T @ b[:, j]
        A.flat[:: size + 1] += np.concatenate((np.ones(11 * n), np.full(n * F, 1.0 / prior.weight**2)))
        solution = cho_solve(cho_factor(A), rhs)
        delta = solution[: 11 * n] * sigma_pi
        weights = solution[11 * n :].reshape(n, F) * tau_sigma[:, None]
        error = b - Y @ delta - np.einsum("kjf,jf->kj", Phi, weights)
        noise = np.maximum(1.4826 * np.median(np.abs(error), axis=0), 1e-3 * tau_sigma)
        trust = 1.0 / np.maximum(1.0, np.abs(error) / (_HUBER * noise))
    return delta, weights / scale, error


def predict(fitted: SemiParametric, run: Run) -> Array:
    """Residual torque (m, n) N·m along a run, for the model with the corrected parameters."""
    features = MemoryFeatures(run.q.shape[1], fitted.memory).run(run.q, run.qd, run.tau, run.dt)
    predicted: Array = np.einsum("kjf,jf->kj", features, fitted.weights)
    return predicted


def _left(fitted: SemiParametric, model: RigidBodyModel, labels: tuple[Array, Array], runs: Sequence[Run]) -> Array:
    """What ``fitted`` leaves of the labels of ``runs``, (k, n) N·m."""
    Y, b = labels
    delta = fitted.parameters - model.inertial_parameters()
    left: Array = b - Y @ delta - np.einsum("kjf,jf->kj", _features(runs, fitted.memory), fitted.weights)
    return left


def _equations(model: RigidBodyModel, runs: Sequence[Run], lag: int) -> tuple[Array, Array]:
    """Regressor (k, n, 11 n) and labels (k, n) of ``runs`` behind one another, through one low-pass."""
    parts = [_equations_of(model, run, lag) for run in runs]
    return np.concatenate([Y for Y, _ in parts]), np.concatenate([b for _, b in parts])


def _equations_of(model: RigidBodyModel, run: Run, lag: int) -> tuple[Array, Array]:
    q, qd, tau = run.q[run.lead :], run.qd[run.lead :], run.tau[run.lead :]
    y, _ = virtual_measurement.replay(model, q, qd, tau, run.dt, lag)
    every = _every(run)
    q, qd = q[:-1], virtual_measurement.smooth(qd, run.dt)
    qdd = (np.diff(qd, axis=0) / run.dt)[::every]
    q, qd = np.ascontiguousarray(q[::every]), np.ascontiguousarray(qd[:-1][::every])
    Y = np.array([model.inertial_regressor(*row) for row in zip(q, qd, qdd, strict=True)])
    return Y, -virtual_measurement.smooth(y[1:], run.dt)[::every]


def _features(runs: Sequence[Run], memory: MemoryParams) -> Array:
    """Features (k, n, F) that belong to the labels of ``runs``, through the same low-pass."""
    parts = []
    for run in runs:
        n = run.q.shape[1]
        features = MemoryFeatures(n, memory).run(run.q, run.qd, run.tau, run.dt)[run.lead : -1]
        smoothed = virtual_measurement.smooth(features.reshape(len(features), -1), run.dt)[:: _every(run)]
        parts.append(smoothed.reshape(-1, n, memory.count))
    return np.concatenate(parts)


def _every(run: Run) -> int:
    """Samples a label."""
    return max(1, round(1.0 / (virtual_measurement.LABEL_RATE * run.dt)))


def _sigma(model: RigidBodyModel, prior: Prior) -> Array:
    """Prior standard deviations (11 n,) of the inertial parameters."""
    n = model.n
    links = model.inertial_parameters()[: 10 * n].reshape(n, 10)
    sigma = np.empty((n, 10))
    for j, link in enumerate(links):
        mass = max(float(link[0]), 1e-3)
        sigma[j, 0] = prior.mass * mass
        sigma[j, 1:4] = prior.mass * np.abs(link[1:4]) + prior.com * mass
        # Off-diagonal inertias may be zero in the nominal model and are not in a real link.
        sigma[j, 4:] = prior.inertia * (np.abs(link[4:]) + 0.3 * np.mean(link[[4, 6, 9]]))
    armature = np.asarray(model.inertial_parameters()[10 * n :])
    return np.concatenate((sigma.ravel(), prior.armature * armature + 1e-9))


def _real(model: RigidBodyModel, delta: Array) -> Array:
    """As much of ``delta`` (11 n,), link by link, as leaves every link a real body."""
    n = model.n
    nominal = model.inertial_parameters()
    kept = delta.copy()
    for j in range(n):
        link = slice(10 * j, 10 * j + 10)
        while not np.linalg.eigvalsh(pseudo_inertia(nominal[link] + kept[link]))[0] > 0.0:
            kept[link] *= 0.8
            if np.abs(kept[link]).max() < 1e-9:
                kept[link] = 0.0
                break
    kept[10 * n :] = np.maximum(kept[10 * n :], -0.5 * nominal[10 * n :])
    return kept

"""K-VARK on recordings of a real UR10e: learnt from free runs, scored on a held-out free run, a loaded run and a push.

The recordings (``ur10e_real.npz``, ``ur10e.urdf``) are third-party, 100 Hz; ``qd`` and ``tau`` carry the same
zero-phase low-pass, so that they match, and what is shown is what residual models and filter are worth, not their
reaction time. Nothing is chosen by a scored run: every fourth free training run is held out and judges.

A load of unknown centre of mass is found by regression of the estimated external torque on what a mass at the flange
would cause, weighted by the reported covariance. Virtual loads choose between the forms of the residual model; they are
added to the *measured torque* of held-out runs, so that a model which mistakes a load for friction shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from estimators import virtual_measurement
from estimators.kvark import injection
from estimators.kvark.recursion import RecursionParams
from estimators.kvark.replay import replay
from estimators.residual import semiparametric, train
from estimators.residual.base import ResidualModel
from estimators.residual.kmp import tabulate
from estimators.residual.memory import MemoryParams
from estimators.residual.remembering import MemoryResidual
from estimators.residual.semiparametric import Run
from estimators.residual.velocity import VelocityResidual
from estimators.rigid_body import RigidBodyModel
from estimators.wrench import contact_wrench
from hil.campaigns.kvark_ur10e_data import (
    HELD_OUT,
    gain_ratio,
    load_columns,
    load_of,
    load_torque,
    read,
    rotor_inertia,
    split,
)

Array = npt.NDArray[np.float64]
Gains = Literal["given", "refitted"]

LAG = 1
"""The torque that fits a step best is that at its end: less residual on the training runs than with that before."""
LOADS = ((2.0, (0.0, 0.0, 0.08)), (4.0, (0.0, 0.0, 0.08)), (2.0, (0.15, 0.0, 0.08)), (4.0, (-0.15, 0.0, 0.08)))
"""Virtual loads: kg, and their centre of mass in the flange frame, m."""
_EVERY = 4
_COVERED = 1.959963984540054
_SETTLE = 50
_KAPPA = 10.0 ** np.arange(-4.0, 3.1, 0.5)
_COLOUR = (1.0, 10.0, 100.0)
_WINDOW = (0.3, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """One residual model with one set of drive gains."""

    model: str
    gains: Gains
    before: Array
    """RMS of the residual on the held-out free run, (6,) N·m, of the URDF with the learnt rotor inertias alone."""
    after: Array
    coverage: float
    """Share of joint samples of the held-out free run in the 95 % band."""
    coverage_contacts: float
    """The same run under virtual contacts."""
    sigma: Array
    """Mean reported standard deviation there, (6,) N·m."""
    virtual: tuple[float, ...]
    """Relative errors of virtual loads on held-out *training* runs: what models are chosen by."""
    vertical: float
    """Vertical force that explains the held-out free run best, N; truth 0."""
    vertical_mean: float
    """Time mean of the vertical force by the per-sample wrench, N."""
    mass: float
    """Of the loaded run, kg; truth :data:`hil.campaigns.kvark_ur10e_data.LOAD`."""
    push: Array
    """Estimated external torque (m, 6) N·m of the hand-push run, the mean of its first second as zero."""
    push_sigma: Array
    free: Array
    """Estimated external torque (m, 6) N·m of the held-out free run."""
    loaded: Array
    """That of the loaded run, and below what a load of the estimated mass would cause."""
    loaded_fit: Array


@dataclass(frozen=True, slots=True, eq=False)
class Ur10eResult:
    scores: tuple[Score, ...]
    gain_ratio: Array
    """Refitted over given drive gains, (6,)."""
    armature: dict[Gains, Array]
    """Learnt rotor inertias at the joints, (6,) kg m²."""
    dt: float

    def score(self, model: str, gains: Gains) -> Score:
        return next(s for s in self.scores if (s.model, s.gains) == (model, gains))

    def chosen(self, gains: Gains) -> Score:
        """The model of least error under virtual loads on training runs."""
        return min((s for s in self.scores if s.gains == gains), key=lambda s: float(np.mean(np.abs(s.virtual))))


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A run as the filter gets it: row k belongs to the step that ends at sample k + 1."""

    y: Array
    variance: Array
    J: Array


@dataclass(frozen=True, slots=True, eq=False)
class _Arm:
    """Rigid-body model with the residual model that belongs to it, and the filter once it is tuned."""

    model: RigidBodyModel
    residual: ResidualModel

    def see(self, run: Run, tau_ext: Array | None = None) -> _Seen:
        """``tau_ext`` (m, 6): acts virtually; the motors had carried it, so it is in the measured torque too."""
        tau = run.tau if tau_ext is None else run.tau - tau_ext
        y, J = virtual_measurement.replay(self.model, run.q, run.qd, tau, run.dt, LAG)
        mean, variance = self.residual.run(run.q, run.qd, tau, run.dt)
        return _Seen(y[1:] + mean[:-1], variance[:-1], J[1:])


@dataclass(frozen=True, slots=True, eq=False)
class _Filter:
    params: RecursionParams
    scale: float

    def estimate(self, seen: _Seen, dt: float) -> tuple[Array, Array]:
        """x and its reported standard deviation, both (m, 6) N·m."""
        x, P, _ = replay(seen.y, seen.variance, dt, self.params)
        return x, self.scale * np.sqrt(P + seen.variance)


MODELS: dict[str, MemoryParams | None] = {
    "velocity": None,
    "semi-parametric": MemoryParams(load=False),
    "semi-parametric, load": MemoryParams(),
}
"""Residual models that are compared; None: of velocity alone."""


def evaluate(
    data: Path,
    models: Sequence[str] = tuple(MODELS),
    gains: Sequence[Gains] = ("given", "refitted"),
    progress: Callable[[str, float], None] | None = None,
) -> Ur10eResult:
    """Learn each of ``models`` with each set of drive gains, and score it; deterministic.

    ``progress(what, share)`` is told how far it is. Raises OSError, KeyError and ValueError where ``data`` has no such
    recording.
    """
    tell = progress or (lambda what, share: None)
    urdf = (data / "ur10e.urdf").read_text()
    recordings = read(data)
    learn, judge = split(recordings)
    ratio = gain_ratio(learn)
    scores: list[Score] = []
    armature: dict[Gains, Array] = {}
    for kind in gains:
        factor = ratio if kind == "refitted" else np.ones(6)
        armature[kind] = rotor_inertia(urdf, learn, factor)
        runs = {r.name: Run(r.run.q, r.run.qd, r.run.tau * factor, r.run.dt) for r in recordings}
        sets = [[runs[r.name] for r in part] for part in (learn, judge)]
        by_kind = {r.kind: runs[r.name] for r in recordings if r.kind in ("load", "push")}
        for name in models:
            tell(f"{name}, {kind} gains", len(scores) / (len(gains) * len(models)))
            arm = _learn(urdf, armature[kind], sets[0], sets[1], MODELS[name])
            tuned = _tune(arm, sets[1])
            nominal = RigidBodyModel(urdf, flange="tool0", armature=armature[kind])
            scored = (runs[HELD_OUT], by_kind["load"], by_kind["push"])
            scores.append(_score(name, kind, arm, tuned, nominal, sets[1], *scored))
    return Ur10eResult(tuple(scores), ratio, armature, recordings[0].run.dt)


def _learn(
    urdf: str, armature: Array, runs: Sequence[Run], held_out: Sequence[Run], memory: MemoryParams | None
) -> _Arm:
    model = RigidBodyModel(urdf, flange="tool0", armature=armature)
    fitted = None
    if memory is not None:
        fitted = semiparametric.fit(model, runs, memory, lag=LAG)
        model.adjust(fitted.parameters)

    def labels(parts: Sequence[Run]) -> tuple[Array, Array]:
        pairs = []
        for run in parts:
            y, _ = virtual_measurement.replay(model, run.q, run.qd, run.tau, run.dt, LAG)
            if fitted is not None:
                y[1:] += semiparametric.predict(fitted, run)[:-1]
            s, tau = virtual_measurement.labels(run.qd, y, run.dt)
            # At the motions' bandwidth of 5 Hz more labels say the same again.
            pairs.append((s[::_EVERY], tau[::_EVERY]))
        return np.concatenate([s for s, _ in pairs]), np.concatenate([tau for _, tau in pairs])

    fits = train.fit_arm(*labels(runs), *labels(held_out), components=(5, 10, 20))
    kmps = [each.kmp for each in fits]
    if fitted is None:
        return _Arm(model, VelocityResidual.of(kmps))
    return _Arm(model, MemoryResidual(fitted.memory, fitted.weights, fitted.parameters, tabulate(kmps)))


def _tune(arm: _Arm, held_out: Sequence[Run]) -> _Filter:
    """The filter of least error under virtual contacts on held-out training runs, and the scale of its band."""
    rng = np.random.default_rng(0)
    cases, steps = [], []
    for run in held_out:
        free = arm.see(run)
        extra = np.vstack((np.zeros(6), injection.torques(free.J, injection.contacts(len(free.y), run.dt, rng))))
        cases.append((arm.see(run, extra), extra[1:]))
        steps.append(np.diff(free.y, axis=0))
    dt = held_out[0].dt
    r = 0.5 * np.concatenate(steps).var(axis=0)
    best: tuple[float, _Filter] | None = None
    for kappa in _KAPPA:
        for colour in _COLOUR:
            for window in _WINDOW:
                params = RecursionParams(
                    kappa * r / dt, r, colour=colour, dt_colour=dt, adapt_r="off", window_q=window
                )
                tried = _Filter(params, 1.0)
                error = float(np.mean([np.mean((tried.estimate(seen, dt)[0] - e)[_SETTLE:] ** 2) for seen, e in cases]))
                if best is None or error < best[0]:
                    best = (error, tried)
    assert best is not None
    ratios = []
    for seen, extra in cases:
        x, sd = best[1].estimate(seen, dt)
        ratios.append((np.abs(x - extra) / sd)[_SETTLE:])
    return _Filter(best[1].params, float(np.quantile(np.concatenate(ratios), 0.95)) / _COVERED)


def _score(
    name: str, gains: Gains, arm: _Arm, tuned: _Filter, nominal: RigidBodyModel, held_out: Sequence[Run],
    free: Run, loaded: Run, push: Run,
) -> Score:  # fmt: skip
    dt = free.dt
    virtual = []
    for run in held_out:
        columns = load_columns(nominal, run)[1:]
        for mass, com in LOADS:
            seen = arm.see(run, load_torque(nominal, run, mass, com))
            virtual.append(load_of(*tuned.estimate(seen, dt), columns)[0][0] / mass - 1.0)
    y, _ = virtual_measurement.replay(nominal, free.q, free.qd, free.tau, dt, LAG)
    seen = arm.see(free)
    x, sd = tuned.estimate(seen, dt)
    extra = injection.torques(seen.J, injection.contacts(len(x), dt, np.random.default_rng(1)))
    touched, touched_sd = tuned.estimate(arm.see(free, np.vstack((np.zeros(6), extra))), dt)
    forces = [contact_wrench(J, tau, np.diag(s * s))[0][2] for J, tau, s in zip(seen.J, x, sd, strict=True)]
    weighted = seen.J[:, 2] / sd**2
    carried, carried_sd = tuned.estimate(arm.see(loaded), dt)
    columns = load_columns(nominal, loaded)[1:]
    load, fit = load_of(carried, carried_sd, columns)
    pushed, pushed_sd = tuned.estimate(arm.see(push), dt)
    # Standing still a joint holds any friction within its range: only changes are known, so a cell would tare first.
    start = round(1.0 / dt)
    return Score(
        name, gains,
        _rms(virtual_measurement.smooth(y[1:], dt)), _rms(virtual_measurement.smooth(seen.y, dt)),
        _inside(x, sd), _inside(touched - extra, touched_sd), sd.mean(axis=0),
        tuple(virtual),
        float((weighted * x).sum() / (weighted * seen.J[:, 2]).sum()), float(np.mean(forces)),
        float(load[0]), pushed - pushed[start // 2 : start].mean(axis=0), pushed_sd, x, carried, fit,
    )  # fmt: skip


def _rms(values: Array) -> Array:
    rms: Array = np.sqrt(np.mean(values**2, axis=0))
    return rms


def _inside(error: Array, sd: Array) -> float:
    return float(np.mean(np.abs(error[_SETTLE:]) <= _COVERED * sd[_SETTLE:]))

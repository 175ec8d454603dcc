"""From a trained feed-forward and recorded motion to the calibration of its gains, :mod:`estimators.gains.calibration`.

The innovation is replayed as in the cycle: at the motion as the driver estimated it then, smoothed, with the command
that acted. How noisy those estimates were is told by the same motion seen afterwards, low-passed without lag.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from drivers.contract import Array
from estimators.dynamics.predictor import DynamicsPredictor
from estimators.errors import ParameterError
from estimators.gains.calibration import GainFigures, made_unknown, spans
from estimators.gains.innovation import Innovation, baseline_of, input_noise
from estimators.gains.law import GainLaw
from estimators.gains.smoothed import SmoothedMotion
from estimators.rigid_body import RigidBodyModel
from hil.cell import Cell
from hil.cell.parts import array
from hil.learning.dynamics_data import commanded, from_segment, low_passed
from hil.learning.feed_forward import Command
from hil.learning.segments import Segment

SETTLE = 1.0
"""Beginning of each piece that is left out, s: friction's memory and filters are told nothing of what was before."""
THIN = 5
"""Every so many samples of those that training takes are asked for their σ."""
NUDGE = 2e-3
"""Step of the velocity by which slopes are found, rad/s: of the size of its noise."""
EVERY = 5
"""Every so many cycles are replayed: the average knows no more of the others."""
_MEASURED = 1
"""Stream of the measured path, as in :class:`hil.control.variable_gain.VariableGain`."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """The figures, and what the gains then are."""

    figures: GainFigures
    known: Array
    """Mean stiffness on known motion, innovation included, share of kp_max (n,)."""
    unknown: dict[str, Array]
    """On each kind of unknown motion, without innovation."""
    seconds: float
    """Of motion that it was made from."""


def calibrate(
    cell: Cell,
    predictor: DynamicsPredictor,
    model: RigidBodyModel,
    pieces: Sequence[Segment],
    seed: int = 0,
    tell: Callable[[str, float], None] | None = None,
) -> Calibrated:
    """Calibrate the gains of ``cell`` on ``pieces`` of free motion like that which the cell makes.

    ``model``: the cell's rigid-body model. ``seed``: of what is made unknown. Raises ParameterError.
    """
    learned = cell.controller.joint.learned
    if learned is None:
        raise ParameterError("the cell has no controller.joint.learned whose gains could be calibrated")
    used = [piece for piece in pieces if piece.acting is not None and piece.seconds > SETTLE + 5.0 * learned.window]
    if not used:
        raise ParameterError(f"there is no piece of free motion longer than {SETTLE + 5.0 * learned.window:.1f} s")
    say = tell or (lambda what, share: None)
    motion = _motion(used)
    law, shares = _law(predictor, motion, array(learned.kp_min), array(learned.kp_max), seed)
    command = Command(predictor, model, cell.robot.terms)
    replays = []
    for k, piece in enumerate(used):
        say(piece.name, k / len(used))
        replays.append(_replay(command, model, piece, learned.smoothing))
    qd_error, qdd_error = (np.concatenate([getattr(each, name) for each in replays]) for name in ("qd", "qdd"))
    qd_sigma, qdd_sigma = (np.sqrt(np.mean(np.square(part), axis=0)) for part in (qd_error, qdd_error))
    friction = _slope(predictor, motion)
    baseline = np.ones(law.n)
    noise = [each.noise(qdd_sigma, friction, qd_sigma) for each in replays]
    for each, R in zip(replays, noise, strict=True):
        found = baseline_of(each.error, np.zeros_like(each.error), each.variance + R, each.dt, learned.window)
        baseline = np.maximum(baseline, found)
    figures = GainFigures(law.sigma_n, law.sigma_f, law.sensitivity, baseline, qd_sigma, qdd_sigma, friction)
    followed = []
    for each, R in zip(replays, noise, strict=True):
        innovation = Innovation(law.n, learned.window, baseline)
        factor = np.empty_like(each.error)
        for k, row in enumerate(each.error):
            factor[k] = innovation.step(row, np.zeros(law.n), each.variance[k] + R[k], each.dt)
        followed.append(law.stiffness(np.sqrt(each.variance) * factor) / law.kp_max)
    say("done", 1.0)
    return Calibrated(figures, np.concatenate(followed).mean(axis=0), shares, sum(piece.seconds for piece in used))


@dataclass(frozen=True, slots=True, eq=False)
class _Replayed:
    """One piece as the innovation saw it; (m, n) each."""

    error: Array
    variance: Array
    inertia: npt.NDArray[np.float64]
    """M(q) (m, n, n)."""
    qd: Array
    """Noise of the smoothed velocity, rad/s."""
    qdd: Array
    """Of the smoothed acceleration, rad/s²."""
    dt: float

    def noise(self, qdd_sigma: Array, friction: Array, qd_sigma: Array) -> Array:
        """What :func:`input_noise` gives along the piece."""
        return np.array([input_noise(M, qdd_sigma, friction, qd_sigma) for M in self.inertia])


def _motion(pieces: Sequence[Segment]) -> tuple[Array, Array, Array]:
    """q, qd, qdd (m, n) of some samples of all pieces, seen afterwards."""
    parts = []
    for k, piece in enumerate(pieces):
        found = from_segment(commanded(piece, "commanded"), k)
        parts.append(found.at(np.arange(0, len(found), THIN)))
    q, qd, qdd = (np.concatenate([getattr(part, name) for part in parts]) for name in ("q", "qd", "qdd"))
    return q, qd, qdd


def _law(
    predictor: DynamicsPredictor, motion: tuple[Array, Array, Array], kp_min: Array, kp_max: Array, seed: int
) -> tuple[GainLaw, dict[str, Array]]:
    """The law, and the mean stiffness on each unknown motion, share of kp_max."""
    unknown = {
        name: _sigma(predictor, *other)
        for name, other in made_unknown(*motion, np.random.default_rng(seed)).items()
    }
    law = spans(kp_min, kp_max, _sigma(predictor, *motion), list(unknown.values()))
    return law, {name: law.stiffness(sigma).mean(axis=0) / kp_max for name, sigma in unknown.items()}


def _sigma(predictor: DynamicsPredictor, q: Array, qd: Array, qdd: Array) -> Array:
    rows = zip(q, qd, qdd, strict=True)
    return np.array([predictor.step(*row)[1].copy() for row in rows])


def _slope(predictor: DynamicsPredictor, motion: tuple[Array, Array, Array]) -> Array:
    """RMS slope (n,) of the predicted torque over velocity, N·m·s/rad, all joints moved together."""
    slopes = []
    for q, qd, qdd in zip(*motion, strict=True):
        faster = predictor.step(q, qd + NUDGE, qdd, _MEASURED)[0].copy()
        slopes.append((faster - predictor.step(q, qd - NUDGE, qdd, _MEASURED)[0]) / (2.0 * NUDGE))
    slope: Array = np.sqrt(np.mean(np.square(slopes), axis=0))
    return slope


def _replay(command: Command, model: RigidBodyModel, piece: Segment, smoothing: float) -> _Replayed:
    """As the cycle compares them: position, velocity and command, all behind one low-pass."""
    assert piece.acting is not None
    dt, n = piece.dt, piece.q.shape[1]
    q = low_passed(piece.q, dt)
    qd = np.gradient(q, dt, axis=0)
    seen, true = SmoothedMotion(n, smoothing), SmoothedMotion(n, smoothing)
    first, last = round(SETTLE / dt), len(q) - round(0.2 / dt)
    rows: list[tuple[Array, ...]] = []
    for k in range(last):
        used = seen.step(piece.q[k], piece.qd[k], piece.acting[k], dt)
        # The same motion without noise, as late as the other.
        true.step(q[k], qd[k], piece.acting[k], dt)
        if not used or k % EVERY:
            continue
        # From the beginning on: friction has to be told the path.
        mean, sigma = command.step(seen.q, seen.qd, seen.qdd, _MEASURED)
        if k >= first:
            M = model.update(piece.q[k], piece.qd[k]).M.copy()
            rows.append((seen.tau - mean, sigma * sigma, M, seen.qd - true.qd, seen.qdd - true.qdd))
    if not rows:
        raise ParameterError(f"{piece.name}: it is never certain which command acted")
    error, variance, inertia, qd_noise, qdd_noise = (np.array(part) for part in zip(*rows, strict=True))
    return _Replayed(error, variance, inertia, qd_noise, qdd_noise, EVERY * dt)

"""Joint control by a learnt feed-forward torque, with gains that follow its uncertainty::

    tau = mean(q_ref, qd_ref, qdd_ref) + KP e + KD ė,    KP by eqs (6)–(8) from σ of the same prediction

The model is asked at the *reference*, so that no loop goes through it; at the measured state it is asked a second time,
for the innovation factor that eq. (8) lacks (:mod:`estimators.gains.innovation`). What the law wants goes through slew
limit, passivity bound and energy tank, and below the stiffness that this loop can bear with its delay.

Where something goes on learning while it runs (:mod:`hil.control.adapting`), the load that it estimates is added to the
feed-forward, and its uncertainty raises the gains: by how far it could move the arm, not by the model's σ, which may be
a hundredth of any load's. They rise at a grasp and fall again as the load becomes known.

A prediction that is not finite is replaced by the rigid-body model's torque, and the gains go up.
"""

from __future__ import annotations

import math
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from drivers.contract import Array, RobotSample
from estimators.gains.innovation import Innovation, input_noise
from estimators.gains.law import Bearable, GainLaw, inverse_inertia
from estimators.gains.passivity import PassiveGains, PassivityParams
from estimators.gains.smoothed import CUTOFF, SmoothedMotion
from estimators.rigid_body import Dynamics
from hil.control.adapting import Adapting
from hil.control.base import ControlError, Takeover, number, vector
from hil.control.shown import Shown
from hil.motion.base import JointReference, Kind, Reference

EASE = 0.04
"""Time constant with which a new estimate of the load acts, s: 15 kg found in one tick would be a blow, beyond what the
torque may change, and light joints are the first to answer it."""
RELAX = 0.3
"""Time constant with which a doubt about the load may be forgotten, s."""


class TorquePredictor(Protocol):
    """A learnt inverse model of the torque that *we* command, without the terms that the robot adds."""

    @property
    def n(self) -> int:
        """Number of joints."""
        ...

    def step(self, q: Array, qd: Array, qdd: Array, stream: int = 0) -> tuple[Array, Array]:
        """Mean and standard deviation, noise included, both (n,) N·m, at (n,) rad, rad/s, rad/s².

        ``stream`` tells apart the paths of reference (0) and arm (1), for friction that remembers. The next call may
        overwrite them; NaN where the input is not finite.
        """
        ...


@dataclass(frozen=True, slots=True)
class VariableGainParams:
    """Of :class:`VariableGain`. A single number holds for all joints. Raises ControlError if out of range."""

    damping_ratio: float = 1.0
    """ζ with the joint's effective inertia."""
    bandwidth_max: float = 55.0
    """Coupled frequency of arm and springs, rad/s, that the loop can bear: at 1 kHz with three ticks of delay 60."""
    innovation: bool = True
    """False: the paper's law alone, which does not see a payload."""
    window: float = 0.25
    """Time constant of the innovation's average, s."""
    smoothing: float = CUTOFF
    """Low-pass of measured motion and command before they are compared, Hz."""
    baseline: float | tuple[float, ...] = 1.0
    """What the average is with nothing unusual, from data."""
    qd_sigma: float | tuple[float, ...] = 0.0
    """Noise of the measured velocity, rad/s."""
    qdd_sigma: float | tuple[float, ...] = 0.0
    """Noise of the measured acceleration, rad/s²: it enters what the innovation is compared with."""
    friction: float | tuple[float, ...] = 0.0
    """Slope of the torque over velocity, N·m·s/rad, through which velocity noise enters."""
    load_error: float = 0.01
    """What the doubt about a load may move the arm at the smallest stiffness until the gains are the largest, rad."""
    max_error: float = 0.2
    """Position errors are taken for no larger than this, rad."""
    slew: float = 5.0
    """Largest rate of the stiffness, spans a second."""
    tank: float = 2.0
    """What the energy tank holds, J."""
    blend_time: float = 0.5
    """Time over which the torque found at takeover fades out, s."""

    def __post_init__(self) -> None:
        positive = ("damping_ratio", "bandwidth_max", "window", "smoothing", "load_error", "max_error", "slew", "tank")
        for name in positive:
            number(name, getattr(self, name), above=True)
        number("blend_time", self.blend_time)
        for name in ("baseline", "qd_sigma", "qdd_sigma", "friction"):
            vector(name, getattr(self, name), np.size(getattr(self, name)), "")


class VariableGain:
    """Follows joint references on an arm of ``law.n`` joints; see the module's docstring.

    ``adds``: terms that the robot adds to our torque; they are left out of the fallback. ``adapting``: what goes on
    learning. Raises ControlError where ``predictor`` and ``law`` are for different arms.
    """

    kind: Kind = "joint"

    def __init__(
        self,
        predictor: TorquePredictor,
        law: GainLaw,
        adds: AbstractSet[str] = frozenset(),
        params: VariableGainParams | None = None,
        adapting: Adapting | None = None,
    ) -> None:
        self.n = n = law.n
        self.params = p = params or VariableGainParams()
        if predictor.n != n:
            raise ControlError(f"the model is for {predictor.n} joints, the gains for {n}")
        self.predictor = predictor
        self.adapting = adapting
        self.artefact = ""
        """Which model it is, for the log."""
        self.law = law
        self._gains = PassiveGains(
            law.kp_min,
            law.kp_max,
            PassivityParams(
                slew=p.slew, ratio=p.damping_ratio, tank=p.tank, reserve=0.025 * p.tank, max_error=p.max_error
            ),
        )
        self._bearable = Bearable(n, p.bandwidth_max)
        self._bears = p.load_error * law.kp_min
        self._innovation = Innovation(n, p.window, vector("baseline", p.baseline, n, ""))
        self._smoothed = SmoothedMotion(n, p.smoothing)
        self._qd_sigma = vector("qd_sigma", p.qd_sigma, n, "rad/s")
        self._qdd_sigma = vector("qdd_sigma", p.qdd_sigma, n, "rad/s²")
        self._friction = vector("friction", p.friction, n, "N·m·s/rad")
        self._coriolis = "coriolis" not in adds
        self._gravity = "gravity" not in adds
        self._load, self._to_come, self._changes = np.zeros(n), np.zeros(n), 0
        self._doubt = np.zeros(n)
        self._takeover = Takeover(n, p.blend_time, "gravity" in adds)
        unknown = np.full(n, math.nan)
        self.shown = Shown(unknown, unknown, unknown, unknown, unknown, math.nan, False, False, False)
        """What the last cycle did."""

    def reset(self, sample: RobotSample, dyn: Dynamics, tau_initial: Array | None = None) -> None:
        # As stiff as can be borne at first: at rest on the reference that costs nothing, and the gains fall from there.
        inverse = inverse_inertia(dyn.M)
        self._bearable = Bearable(self.n, self.params.bandwidth_max)
        kp = self.law.kp_max
        for _ in range(60):
            kp = np.fmin(self.law.kp_max, self._bearable.ceiling(inverse, kp))
        self._gains.reset(kp)
        self._innovation.reset()
        self._smoothed.reset()
        self._load, self._to_come, self._doubt = np.zeros(self.n), np.zeros(self.n), np.zeros(self.n)
        self._takeover.reset(sample, tau_initial)

    def torque(
        self, sample: RobotSample, dyn: Dynamics, reference: Reference, wrench_measured: Array | None, dt: float
    ) -> Array:
        if not isinstance(reference, JointReference):
            raise ControlError("variable-gain control follows joint references; the motion gave a Cartesian one")
        p, adapting = self.params, self.adapting
        e, ed = reference.q - sample.q, reference.qd - sample.qd
        mean, sigma = map(np.copy, self.predictor.step(reference.q, reference.qd, reference.qdd))
        known = math.isfinite(float(mean.sum() + sigma.sum()))
        if known and self._gravity:
            mean += dyn.g_payload  # where the robot adds gravity, the supervisor carries the load
        shown, doubt = sigma, np.zeros(self.n)
        tau_ff = mean if known else self._rigid(dyn, reference.qdd)
        if adapting is not None:
            adapting.carry(bool(dyn.g_payload.any()))
            load = adapting.load(reference.q, reference.qd, reference.qdd, dyn.g_payload)
            tau_ff += self._eased(np.zeros(self.n) if load is None else load[0], adapting.changes, dt)
            if load is not None:
                shown = np.hypot(sigma, load[1])
                doubt = np.minimum(load[1] / self._bears, 1.0)
            # What the load did until it was known has still to be put right.
            doubt = self._doubt = np.maximum(doubt, math.exp(-dt / RELAX) * self._doubt)
        surprise = np.ones(self.n)
        if p.innovation or adapting is not None:
            found = self._surprise(sample, dyn, dt)
            surprise = found if p.innovation else surprise
        law = self.law
        unsure = sigma * surprise + doubt * (law.sigma_f - law.sigma_n)
        wanted = law.stiffness(unsure if known else np.full(self.n, math.nan))
        inverse = inverse_inertia(dyn.M)
        ceiling = self._bearable.ceiling(inverse, self._gains.kp)
        gains = self._gains.step(wanted, e, ed, 1.0 / inverse.diagonal(), dt, ceiling)
        kp = gains.kp
        bent = np.minimum(np.maximum(e, -p.max_error), p.max_error)
        tau = tau_ff + kp * bent + gains.kd * ed
        self.shown = Shown(
            tau_ff, shown, surprise, kp, kp / self.law.kp_max, gains.energy, gains.clamped, gains.starved, not known,
            None if adapting is None else adapting.learnt,
        )  # fmt: skip
        jump = self._takeover.difference(tau)
        if jump is not None:
            self._takeover.fade(jump)
        return self._takeover.apply(tau, dt)

    def _eased(self, load: Array, changes: int, dt: float) -> Array:
        """The torque of the load, with each change of its estimate coming in by and by."""
        if changes != self._changes:
            self._changes = changes
            self._to_come += self._load - load
        self._load = load
        self._to_come *= math.exp(-dt / EASE)
        return load + self._to_come

    def _surprise(self, sample: RobotSample, dyn: Dynamics, dt: float) -> Array:
        """Compare the command that acts with what the model would have commanded for the motion it made."""
        # The weight of a declared load is carried beside what was learnt, and is no surprise.
        acting = 0.5 * (sample.tau_accepted_lo + sample.tau_accepted_hi) - dyn.g_payload
        seen, adapting = self._smoothed, self.adapting
        if not seen.step(sample.q, sample.qd, acting, dt):
            return self._innovation.factor
        mean, sigma = self.predictor.step(seen.q, seen.qd, seen.qdd, 1)
        variance = sigma * sigma + input_noise(dyn.M, self._qdd_sigma, self._friction, self._qd_sigma)
        load = None if adapting is None else adapting.load(seen.q, seen.qd, seen.qdd, dyn.g_payload)
        if load is None:
            factor = self._innovation.step(seen.tau, mean, variance, dt)
        else:
            factor = self._innovation.step(seen.tau, mean + load[0], variance + load[1] * load[1], dt)
        if adapting is not None:
            adapting.learn(seen.q, seen.qd, seen.qdd, seen.tau, mean, variance, dt)
        return factor

    def _rigid(self, dyn: Dynamics, qdd: Array) -> Array:
        """The rigid-body model's torque for the reference's acceleration, without what the robot adds."""
        tau: Array = dyn.M.dot(qdd)
        if self._coriolis:
            tau += dyn.Cqd
        if self._gravity:
            tau += dyn.g
        return tau

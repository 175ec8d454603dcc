"""Observers of external torque by name: which residual model each has, how its noise adapts, and what is tuned.

All are trained on contact-free recordings alone and tuned by the same virtual contacts
(:mod:`estimators.kvark.tuning`), so that what differs between two rows of a table is what their entries here say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from estimators import virtual_measurement
from estimators.errors import ParameterError
from estimators.kvark import tuning
from estimators.kvark.observer import KvarkObserver
from estimators.kvark.recursion import RecursionParams
from estimators.kvark.replay import Measured, Replayed, follow, replay
from estimators.kvark.tuning import Rules
from estimators.momentum import MomentumObserver
from estimators.observer import Observer
from estimators.residual import constant, gmr, gmr_gp, network, remembering, sparse_gp, train
from estimators.residual.base import ResidualModel
from estimators.residual.memory import MemoryParams
from estimators.residual.semiparametric import Run
from estimators.residual.velocity import VelocityResidual
from estimators.rigid_body import RigidBodyModel

Array = npt.NDArray[np.float64]
Tell = Callable[[str, float], None]

ResidualKind = Literal["constant", "gmr", "gmr_gp", "kmp", "sparse_gp", "network", "semiparametric"]


@dataclass(frozen=True, slots=True)
class Method:
    """One way to observe."""

    title: str
    residual: ResidualKind
    rules: Rules | None
    """None: a momentum observer."""
    compared: bool = True
    """Whether it is a method of its own; False: a step on the way to one, for an ablation."""


_CONSTANT = Rules(variance=False, adapt_q="off")

METHODS: dict[str, Method] = {
    "momentum": Method("momentum observer", "constant", None),
    "dkf": Method("disturbance Kalman filter", "constant", _CONSTANT),
    # Eqs (16)–(17), with the post-fit residual: the form with ε εᵀ − P⁻ can lose its definiteness.
    "akf": Method("adaptive Kalman filter", "constant", Rules(variance=False, adapt_r="residual")),
    "gmr_gp": Method("GMR-GP", "gmr_gp", Rules(adapt_q="off")),
    "gpadkf": Method("GPADKF", "sparse_gp", Rules(adapt_q="off")),
    "nnadkf": Method("NNADKF", "network", _CONSTANT),
    "kvark_literal": Method(
        "K-VARK, literal", "kmp", Rules(adapt_q="literal", adapt_r="literal", bounded=False, colours=(1.0,))
    ),
    "kvark": Method("K-VARK", "kmp", Rules()),
    "kvark_semi": Method("K-VARK, semi-parametric", "semiparametric", Rules()),
    "kmp_constant": Method("KMP mean, constant R and Q", "kmp", _CONSTANT, False),
    "kmp_r": Method("… + R_emp", "kmp", Rules(variance=False, adapt_q="off", adapt_r="residual"), False),
    "kmp_vb": Method("… + VB", "kmp", Rules(variance=False), False),
    "kmp_variance": Method("… + variance", "kmp", Rules(adapt_q="off"), False),
    "kmp_variance_r": Method("… + variance + R_emp", "kmp", Rules(adapt_q="off", adapt_r="residual"), False),
    "kmp_variance_literal_vb": Method("… + variance + literal VB, bounded", "kmp", Rules(adapt_q="literal"), False),
    "kmp_variance_vb_r": Method("… + variance + VB + R_emp", "kmp", Rules(adapt_r="residual"), False),
    "gmr_variance_vb": Method("GMR mean and variance + VB", "gmr", Rules(), False),
    "semi_constant": Method("semi-parametric mean, constant R and Q", "semiparametric", _CONSTANT, False),
    "semi_variance": Method("… + variance", "semiparametric", Rules(adapt_q="off"), False),
}
"""``kvark`` is its variance + VB, without R_emp, which gains nothing beside the variance."""

BASELINES = ("gmr_gp", "gpadkf", "nnadkf")
"""What K-VARK is compared with."""


def method(name: str) -> Method:
    """Of :data:`METHODS`. Raises ParameterError for a name that is none."""
    if name not in METHODS:
        raise ParameterError(f"method {name!r}; known are {', '.join(METHODS)}")
    return METHODS[name]


def fit_residual(
    kind: ResidualKind,
    model: RigidBodyModel,
    runs: Sequence[Run],
    held_out: Sequence[Run],
    *,
    memory: MemoryParams | None = None,
    lag: int = 0,
    seed: int = 0,
    tell: Tell | None = None,
) -> ResidualModel:
    """A residual model of ``kind`` from contact-free ``runs``; ``held_out`` ones choose what is to be chosen.

    ``model`` is as it was afterwards. ``memory``: shapes of the semi-parametric model's features. ``lag``: of the
    measured torque, see :class:`estimators.virtual_measurement.VirtualMeasurement`. ``tell(what, share)`` is told how
    far it is. Raises ParameterError for runs that nothing can be learnt from.
    """
    if not runs or not held_out:
        raise ParameterError(f"{len(runs)} runs to learn from, {len(held_out)} held out; expected at least one each")
    say = tell or (lambda what, share: None)
    if kind == "semiparametric":
        nominal = model.inertial_parameters()
        say("semi-parametric residual", 0.0)
        try:
            return remembering.fit(model, runs, held_out, memory, lag, seed)
        finally:
            model.adjust(nominal)
    q, qd, tau = labelled(model, runs, lag)
    q_held, qd_held, tau_held = labelled(model, held_out, lag)

    def told(joint: int) -> None:
        say(f"{kind} residual", (joint + 1) / model.n)

    if kind == "constant":
        return constant.fit(tau_held)
    if kind == "gmr":
        return gmr.fit(qd, tau, seed=seed, progress=told)
    if kind == "gmr_gp":
        return gmr_gp.fit(qd, tau, qd_held, tau_held, seed=seed, progress=told)
    if kind == "kmp":
        fits = train.fit_arm(qd, tau, qd_held, tau_held, seed=seed, progress=told)
        return VelocityResidual.of([each.kmp for each in fits])
    if kind == "sparse_gp":
        return sparse_gp.fit(q, qd, tau, seed=seed, progress=told)
    return network.fit(q, qd, tau, (q_held, qd_held, tau_held), seed=seed, progress=told)


def labelled(model: RigidBodyModel, runs: Sequence[Run], lag: int = 0) -> tuple[Array, Array, Array]:
    """q rad, qd rad/s and residual torque N·m, each (k, n), at the rate of labels, of contact-free ``runs``."""
    parts = []
    for run in runs:
        y, _ = virtual_measurement.replay(model, run.q, run.qd, run.tau, run.dt, lag)
        qd, tau = virtual_measurement.labels(run.qd, y, run.dt)
        # The same low-pass for position as for velocity and torque.
        q = virtual_measurement.smooth(run.q[:-1], run.dt)
        parts.append((q[:: max(1, round(len(q) / len(qd)))], qd, tau))
    q, qd, tau = (np.concatenate([part[i] for part in parts]) for i in range(3))
    return q, qd, tau


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """A method with its numbers: ``params`` of a filter, or ``bandwidth`` 1/s of a momentum observer."""

    method: Method
    residual: ResidualModel
    params: RecursionParams | None
    bandwidth: float
    tau_sigma: Array
    """White noise of the virtual measurement, (n,) N·m."""
    rmse: Array
    """Under the virtual contacts that it was tuned by, (n,) N·m."""
    errors: Array
    """(k, n) N·m."""
    sigma: Array
    """Standard deviations that it states for these errors, (k, n) N·m."""

    def replay(self, recording: Measured) -> tuple[Replayed, Array]:
        """What it makes of a recording, and the variance (m, n) (N·m)² that it states, the model's own included.

        As the observer of :meth:`observer` gives it sample by sample; a filter knows nothing at the first one: NaN.
        """
        y, dt = recording.y, recording.dt
        if self.params is not None:
            later = replay(y[1:], recording.variance[1:], dt, self.params)
            nothing = np.full((1, y.shape[1]), math.nan)
            found = Replayed(
                np.vstack((nothing, later.x)), np.vstack((nothing, later.P)), np.concatenate(([math.nan], later.nis))
            )
            return found, found.P + recording.variance
        x = follow(y, dt, self.bandwidth)
        share = 1.0 - math.exp(-self.bandwidth * dt)
        P = np.broadcast_to(self.tau_sigma**2 * share / (2.0 - share), x.shape)
        return Replayed(x, P, np.full(len(x), math.nan)), P + recording.variance

    def observer(self, model: RigidBodyModel | None = None, lag: int = 0) -> Observer:
        """For a cycle. ``model``: one of its own, which gets the residual model's inertial parameters if it has any.

        Raises ParameterError for a residual model that corrects parameters where no model is given.
        """
        if self.params is not None:
            return KvarkObserver(self.residual, self.params, lag=lag, model=model)
        # Without a model of friction the variance is the same everywhere.
        rest = np.zeros(self.residual.n)
        _, variance = self.residual.step(rest, rest, rest, math.nan)
        return MomentumObserver(
            self.residual.n, self.bandwidth, self.tau_sigma, model_sigma=np.sqrt(variance), start_sigma=0.0,
            delay_ticks=lag,
        )  # fmt: skip


def tune(
    chosen: Method,
    residual: ResidualModel,
    recordings: Sequence[Measured],
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Tuned:
    """The numbers of ``chosen`` with its fitted ``residual``, by virtual contacts on contact-free ``recordings``.

    ``progress(share)`` is told how far it is. Raises ParameterError for recordings that say nothing.
    """
    tests = tuning.cases(recordings, seed)
    noise = np.sqrt(tuning.measurement_noise(tests))
    if chosen.rules is not None:
        found = tuning.tune(tests, chosen.rules, progress)
        return Tuned(chosen, residual, found.params, math.nan, noise, found.rmse, found.errors, found.sigma)
    slow = tuning.tune_bandwidth(tests, progress)
    share = 1.0 - math.exp(-slow.bandwidth * tests[0].dt)
    variance = np.concatenate([case.variance[round(tuning.SETTLE / case.dt) :] for case in tests])
    sigma = np.sqrt(variance + noise**2 * share / (2.0 - share))
    return Tuned(chosen, residual, None, slow.bandwidth, noise, slow.rmse, slow.errors, sigma)

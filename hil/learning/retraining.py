"""Gradient retraining while a cell runs: a few steps after each batch, and every few batches a model to be judged.

It runs in the learner's process, between two batches, where the cell file asks for it, and is the only part of a
running cell that needs torch. What a candidate knows beside its new features is what the model that is learnt on in
closed form knows: old samples, tempered, and the newest batches on top of them, which fade as ever.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from estimators.dynamics.fitting.retrain import StepOptions, Steps, require_trainable
from estimators.dynamics.online import OnlinePosterior, predict
from estimators.dynamics.posterior import Posterior
from estimators.errors import ModelError
from hil.learning.replay import Replay

Array = npt.NDArray[np.float64]

COPIES, JITTER = 3, 0.3
"""Of each offline input, and how far apart, standard deviations of the offline inputs."""


@dataclass(frozen=True, slots=True)
class RetrainingParams:
    """Of :class:`Retraining`."""

    steps: int = 2
    """Adam steps after each batch: some 0.1 s of the 0.5 s that a batch takes to fill."""
    burst: int = 10
    """Steps from the model in use to a candidate."""
    samples: int = 256
    """Of each step."""
    patience: int = 20
    """Bursts from the same beginning."""
    batch: int = 100
    """The newest samples are learnt in batches of so many, in closed form."""
    gradient: StepOptions = field(default_factory=StepOptions)


class Retraining:
    """Bursts of gradient steps on a replay buffer that begins with what ``offline`` says about ``x`` (k, 3n).

    ``keep``: κ of the closed form that goes on from a candidate. Raises ModelError where ``offline`` cannot be trained
    on.
    """

    def __init__(self, offline: Posterior, x: Array, keep: float, params: RetrainingParams | None = None) -> None:
        require_trainable(offline)
        self.params = params or RetrainingParams()
        self._keep = keep
        self.replay = Replay(*rehearsal(offline, x))
        self._steps: Steps | None = None
        self._made = 0

    def take(self, x: Array, r: Array) -> None:
        """Keep a batch that may be learnt from."""
        self.replay.take(x, r)

    def work(self, current: Posterior) -> OnlinePosterior | None:
        """The next steps of the burst; at its end the candidate.

        The next burst goes on where this one ended, whether its candidate was taken or not: ten steps change little.
        After ``patience`` bursts it begins anew from ``current``. Raises ModelError where the steps led nowhere; the
        next burst then begins anew.
        """
        p = self.params
        try:
            if self._steps is None:
                self._steps, self._made = Steps(current, p.gradient), 0
            for _ in range(p.steps):
                self._steps.step(*self.replay.draw(p.samples), len(self.replay))
            self._made += p.steps
            if self._made % p.burst:
                return None
            known = self._known(self._steps.posterior())
        except ModelError:
            self._steps = None
            raise
        if self._made >= p.burst * p.patience:
            self._steps = None
        return known

    def _known(self, trained: Posterior) -> OnlinePosterior:
        """q(u) of the new features in closed form."""
        p = self.params
        nothing = replace(trained, alpha=np.zeros_like(trained.alpha), B=np.zeros_like(trained.B))
        x, r = self.replay.old
        old = OnlinePosterior(nothing, keep=1.0)
        old.learn(x, r)
        known = OnlinePosterior(old.posterior(), self._keep, 1.0)
        x, r = self.replay.recent
        for k in range(0, len(x), p.batch):
            known.learn(x[k : k + p.batch], r[k : k + p.batch])
        return known


def rehearsal(offline: Posterior, x: Array) -> tuple[Array, Array]:
    """What ``offline`` says, torque (N, n) N·m, at N inputs (N, 3n) about ``x`` (k, 3n).

    Pseudo-rehearsal (Robins 1995). A model says more of the samples it was trained on than a few of them do.
    """
    rng = np.random.default_rng(0)
    spread = JITTER * x.std(axis=0)
    inputs = np.vstack([x] + [x + rng.normal(size=x.shape) * spread for _ in range(COPIES)])
    return inputs, predict(offline, inputs)[0]

"""What a cell goes on learning while it runs: the load that it carries, and the model itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from drivers.contract import Array
from estimators.dynamics.predictor import DynamicsPredictor
from hil.control.shown import Learnt
from hil.learning.load import LoadWatch
from hil.learning.online import Learner, require_probe, require_torch
from hil.learning.online_params import OnlineParams


class Predicts(Protocol):
    """What predicts our command by a model of the whole torque."""

    def use(self, whole: DynamicsPredictor) -> None:
        """From now on predict by ``whole``."""
        ...

    def whole(self, q: Array, tau: Array) -> Array:
        """The whole torque (n,) N·m of which our command is ``tau`` (n,) N·m at ``q`` (n,) rad."""
        ...


class Adaptation:
    """For :class:`hil.control.variable_gain.VariableGain`; see :class:`hil.control.adapting.Adapting`.

    ``offline``: the model that was loaded from ``path``. ``load``: None where loads are not estimated; ``params``:
    None where the model is not learnt on. ``command``: what predicts by it. ``tau_max`` (n,) N·m: what no mean may
    exceed. Raises ModelError where the model has nothing that would judge what is learnt.
    """

    def __init__(
        self,
        offline: DynamicsPredictor,
        path: Path,
        tau_max: Array,
        command: Predicts,
        load: LoadWatch | None = None,
        params: OnlineParams | None = None,
    ) -> None:
        if params is not None:
            require_probe(offline, path)
            if params.retrain:
                require_torch()
        self._offline, self._path, self._tau_max, self._command = offline, path, tau_max, command
        self._load, self._params = load, params
        self._learner: Learner | None = None
        self._accepted: bool | None = None
        self._retrained: bool | None = None
        self.learnt = Learnt()

    @property
    def learner(self) -> Learner | None:
        """The process that learns; None while there is none."""
        return self._learner

    @property
    def pid(self) -> int:
        """Of that process; -1 while there is none."""
        return -1 if self._learner is None else self._learner.pid

    @property
    def changes(self) -> int:
        """See :class:`hil.control.adapting.Adapting`."""
        return 0 if self._load is None else self._load.changes

    def open(self, lockstep: bool) -> None:
        """Start the process that learns the model on, if one shall; until then, and without, only loads are estimated.

        In ``lockstep`` a new model takes effect at the same tick in every run. Raises ModelError.
        """
        if self._params is not None and self._learner is None:
            self._learner = Learner(
                self._offline, self._path, self._tau_max, lockstep=lockstep, params=self._params, tell=self._heard
            )
            # The first call compiles the prediction; that must not happen in the cycle.
            zero = np.zeros(self._offline.n)
            self._learner.predictor.step(zero, zero, zero)
            self._command.use(self._learner.predictor)
            self.learnt.version = self._learner.version

    def close(self) -> None:
        """End the process that learns; legal more than once. Its last model stays where it is used."""
        if self._learner is not None:
            self._learner.close()

    def carry(self, declared: bool) -> None:
        """See :class:`hil.control.adapting.Adapting`."""
        if self._load is not None:
            self._load.carry(declared)

    def load(self, q: Array, qd: Array, qdd: Array, declared: Array) -> tuple[Array, Array] | None:
        """See :class:`hil.control.adapting.Adapting`."""
        if self._load is None:
            return None
        return self._load.torque(q, qd, qdd, declared)

    def learn(self, q: Array, qd: Array, qdd: Array, tau: Array, mean: Array, variance: Array, dt: float) -> None:
        """See :class:`hil.control.adapting.Adapting`."""
        learnt, watch = self.learnt, self._load
        if watch is not None:
            if news := watch.step(q, qd, qdd, tau - mean, variance, dt):
                learnt.told.append((news, {"load_mass": watch.mass, "load_mass_sd": watch.mass_sigma}))
            learnt.load_mass, learnt.load_mass_sd = watch.mass, watch.mass_sigma
        learner = self._learner
        if learner is None:
            return
        r = None
        if watch is None or watch.settled:
            # What a load takes is none of the model's business; while nobody knows what it takes, nothing is learnt.
            alone = tau if watch is None else tau - watch.carried
            r = self._command.whole(q, alone) - learner.predictor.prior_torque
        learner.step(q, qd, qdd, r)
        learnt.version = learner.predictor.version

    def _heard(self, said: dict[str, Any]) -> None:
        """Of the learner, for the log: what has changed, not every batch."""
        learnt = self.learnt
        if "died" in said:
            text = f"the process that learns has ended; the model stays as it is, at version {said['version']}"
            learnt.told.append((text, said))
            return
        if "rmse" in said:
            learnt.rmse, learnt.nis = float(np.mean(said["rmse"])), float(np.mean(said["nis"]))
        accepted, reason = bool(said["accepted"]), str(said["reason"])
        if reason:
            learnt.told.append((reason if accepted else f"not taken over: {reason}", said))
        elif accepted and self._accepted is not True:
            learnt.told.append((f"what was learnt is in use, version {said['version']}", said))
        if reason or accepted:
            self._accepted = accepted and not reason
        if "retrained" in said:
            self._heard_of(said["retrained"], said)

    def _heard_of(self, retrained: dict[str, Any], said: dict[str, Any]) -> None:
        """Of a retrained model: again only what has changed."""
        accepted = bool(retrained["accepted"])
        if accepted != self._retrained:
            use = f"a retrained model is in use, version {said['version']}"
            self.learnt.told.append((use if accepted else f"retrained, not taken over: {retrained['reason']}", said))
        self._retrained = accepted

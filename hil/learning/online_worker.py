"""Learns from the samples that a running cell leaves in shared memory; a process of its own.

``python -m hil.learning.online_worker`` is started by :class:`hil.learning.online.Learner` and takes no other arguments
than one page of JSON. It says one line on its output for each batch that is dealt with, ends when its input is closed,
and touches nothing but the two shared memories. Only where the cell asks for retraining it loads torch.
"""

from __future__ import annotations

import json
import os
import select
import sys
from collections import deque
from pathlib import Path
from typing import Any, Protocol

# Small matrices are faster on one thread; it must be set before numpy is loaded.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

from estimators.dynamics import store  # noqa: E402
from estimators.dynamics.online import Guard, OnlinePosterior, predict  # noqa: E402
from estimators.dynamics.posterior import Posterior  # noqa: E402
from estimators.dynamics.predictor import KIND, own_arrays  # noqa: E402
from estimators.errors import EstimatorError  # noqa: E402
from hil.learning.ring import SampleRing  # noqa: E402
from hil.learning.swap import Swap  # noqa: E402

HELD_OUT = 2
"""Newest batches that judge and are learnt from only when they are no longer the newest."""
NICE = 5
"""What retraining adds to the process's niceness: the cycle goes first."""


class Retrains(Protocol):
    """See :class:`hil.learning.retraining.Retraining`."""

    def take(self, x: np.ndarray[Any, Any], r: np.ndarray[Any, Any]) -> None: ...

    def work(self, current: Posterior) -> OnlinePosterior | None: ...


class OnlineLearning:
    """What the process does with each batch; without processes, for tests.

    ``guard``: None learns each batch at once and takes over whatever is finite. ``retraining``: what makes new
    features; only with a guard.
    """

    def __init__(
        self, offline: Posterior, guard: Guard | None, keep: float, weight: float, retraining: Retrains | None = None
    ) -> None:
        self._first = self._online = OnlinePosterior(offline, keep, weight)
        self._guard, self._retraining = guard, retraining
        self._offline = self.current = offline
        """The posterior in use."""
        self._waiting: deque[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]] = deque()

    def batch(self, x: np.ndarray[Any, Any], r: np.ndarray[Any, Any]) -> dict[str, Any]:
        """Score the batch, learn from it or from the oldest one that waits; what came of it, ``accepted`` among it."""
        mean, variance = predict(self.current, x)
        error = r - mean
        scored = {
            "rmse": np.sqrt(np.mean(error**2, axis=0)).tolist(),
            "nis": np.mean(error**2 / variance, axis=0).tolist(),
        }
        if self._guard is None:
            return {**scored, **self._at_once(x, r)}
        self._waiting.append((x, r))
        if len(self._waiting) <= HELD_OUT:
            return {**scored, "accepted": False, "reason": ""}
        learnt = self._waiting.popleft()
        if self._retraining is not None:
            self._retraining.take(*learnt)
        self._online.learn(*learnt)
        new = self._online.posterior()
        accepted = self._guard.accepts(new, self.current, *self._held)
        if accepted:
            self.current = new
        elif self._guard.gave_up:
            # Nothing that was learnt can be trusted: from the offline model anew.
            self._online = self._first
            self._online.reset()
            self.current = self._offline
            self._guard.rejected = 0
            return {**scored, "accepted": True, "reason": f"learning began anew: {self._guard.reason}"}
        return {**scored, "accepted": accepted, "reason": self._guard.reason}

    @property
    def _held(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """What nothing was learnt from yet."""
        return np.vstack([x for x, _ in self._waiting]), np.vstack([r for _, r in self._waiting])

    def retrain(self) -> dict[str, Any] | None:
        """The next gradient steps; what became of their model, None while they are under way.

        After one that is accepted the closed form goes on from it. One that is refused says nothing against what is
        learnt in closed form, and is not counted with that.
        """
        if self._retraining is None or self._guard is None or len(self._waiting) < HELD_OUT:
            return None
        try:
            online = self._retraining.work(self.current)
            if online is None:
                return None
            new = online.posterior()
        except EstimatorError as error:
            return {"accepted": False, "reason": str(error)}
        before = self._guard.rejected
        accepted = self._guard.accepts(new, self.current, *self._held)
        self._guard.rejected = before
        if accepted:
            self._online, self.current = online, new
        return {"accepted": accepted, "reason": self._guard.reason}

    def _at_once(self, x: np.ndarray[Any, Any], r: np.ndarray[Any, Any]) -> dict[str, Any]:
        self._online.learn(x, r)
        new = self._online.posterior()
        if not all(np.isfinite(part).all() for part in predict(new, x)):
            return {"accepted": False, "reason": "a prediction is not finite"}
        self.current = new
        return {"accepted": True, "reason": ""}


class Lines:
    """Lines of the file descriptor ``fd``, and whether another one waits."""

    def __init__(self, fd: int) -> None:
        self._fd, self._rest = fd, b""

    def next(self) -> str | None:
        """The next line, waited for; None at the end."""
        while b"\n" not in self._rest:
            data = os.read(self._fd, 65536)
            if not data:
                return None
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        return line.decode()

    @property
    def waiting(self) -> bool:
        """Whether there is more to be dealt with, the end among it."""
        return bool(self._rest) or bool(select.select([self._fd], [], [], 0.0)[0])


def prepared(job: dict[str, Any]) -> tuple[Posterior, OnlineLearning]:
    """The offline model, and what learns on from it as ``job`` says."""
    about, arrays = store.read(Path(job["model"]), (KIND,))
    offline = Posterior.of(own_arrays(arrays), bool(about["skip"]))
    probe_x, probe_r = arrays["probe_x"], arrays["probe_r"]
    retraining: Retrains | None = None
    if job["retrain"]:
        from hil.learning.retraining import Retraining

        os.nice(NICE)
        retraining = Retraining(offline, probe_x[1::2], job["keep"])
        # What is trained on cannot judge.
        probe_x, probe_r = probe_x[::2], probe_r[::2]
    guard = Guard(offline, probe_x, probe_r, np.array(job["tau_max"])) if job["guarded"] else None
    return offline, OnlineLearning(offline, guard, job["keep"], job["weight"], retraining)


def main() -> int:
    """See the module's docstring."""
    lines = Lines(sys.stdin.fileno())
    job = json.loads(lines.next() or "")
    offline, learning = prepared(job)
    ring = SampleRing(offline.n, job["ring"])
    swap = Swap(offline, job["swap"])
    print(json.dumps({"ready": os.getpid()}), flush=True)
    try:
        # One line on the input for each batch that lies complete in the ring.
        while (line := lines.next()) is not None:
            first = int(line)
            x, r = ring.batch(first, job["batch"])
            try:
                said = learning.batch(x, r)
            except EstimatorError as error:
                said = {"accepted": False, "reason": str(error)}
            # Batches go first. In lockstep the cycle waits for this one, and there is never another.
            retrained = None if lines.waiting else learning.retrain()
            if retrained is not None:
                said["retrained"] = retrained
            # Once a batch, or the model that the cycle is bound to would be written over.
            if said["accepted"] or (retrained is not None and retrained["accepted"]):
                swap.publish(learning.current)
            print(json.dumps({"first": first, "version": swap.version, **said}), flush=True)
    finally:
        ring.close()
        swap.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

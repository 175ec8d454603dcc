"""Learns from the samples that a running cell leaves in shared memory; a process of its own.

``python -m hil.learning.online_worker`` is started by :class:`hil.learning.online.Learner` and takes no other arguments
than one page of JSON. It says one line on its output for each batch that is dealt with, ends when its input is closed,
and touches nothing but the two shared memories.
"""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from pathlib import Path
from typing import Any

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


class OnlineLearning:
    """What the process does with each batch; without processes, for tests.

    ``guard``: None learns each batch at once and takes over whatever is finite.
    """

    def __init__(self, offline: Posterior, guard: Guard | None, keep: float, weight: float) -> None:
        self._online = OnlinePosterior(offline, keep, weight)
        self._guard = guard
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
        self._online.learn(*self._waiting.popleft())
        held_x = np.vstack([each for each, _ in self._waiting])
        held_r = np.vstack([each for _, each in self._waiting])
        new = self._online.posterior()
        accepted = self._guard.accepts(new, self.current, held_x, held_r)
        if accepted:
            self.current = new
        elif self._guard.gave_up:
            # Nothing that was learnt can be trusted: from the offline model anew.
            self._online.reset()
            self.current = self._offline
            self._guard.rejected = 0
            return {**scored, "accepted": True, "reason": f"learning began anew: {self._guard.reason}"}
        return {**scored, "accepted": accepted, "reason": self._guard.reason}

    def _at_once(self, x: np.ndarray[Any, Any], r: np.ndarray[Any, Any]) -> dict[str, Any]:
        self._online.learn(x, r)
        new = self._online.posterior()
        if not all(np.isfinite(part).all() for part in predict(new, x)):
            return {"accepted": False, "reason": "a prediction is not finite"}
        self.current = new
        return {"accepted": True, "reason": ""}


def main() -> int:
    """See the module's docstring."""
    job = json.loads(sys.stdin.readline())
    about, arrays = store.read(Path(job["model"]), (KIND,))
    offline = Posterior.of(own_arrays(arrays), bool(about["skip"]))
    guard = None
    if job["guarded"]:
        guard = Guard(offline, arrays["probe_x"], arrays["probe_r"], np.array(job["tau_max"]))
    ring = SampleRing(offline.n, job["ring"])
    swap = Swap(offline, job["swap"])
    learning = OnlineLearning(offline, guard, job["keep"], job["weight"])
    print(json.dumps({"ready": os.getpid()}), flush=True)
    try:
        # One line on the input for each batch that lies complete in the ring.
        for line in sys.stdin:
            first = int(line)
            x, r = ring.batch(first, job["batch"])
            try:
                said = learning.batch(x, r)
            except EstimatorError as error:
                said = {"accepted": False, "reason": str(error)}
            if said["accepted"]:
                swap.publish(learning.current)
            print(json.dumps({"first": first, "version": swap.version, **said}), flush=True)
    finally:
        ring.close()
        swap.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

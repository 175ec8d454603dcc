"""A running cell's end of online learning: hands samples over, takes new models at a tick that is known beforehand.

The cycle writes a row into shared memory and, once a batch is complete, one line into a pipe. It reads what the learner
says without waiting. In lockstep a model must take effect at the same tick in every run, however fast the machine:
there, and only there, the cycle waits for the learner, ``settle`` ticks after the batch. A learner that has died is
noticed by its closed pipe; the cycle goes on with the last model.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from drivers.contract import Array
from estimators.dynamics.predictor import DynamicsPredictor
from estimators.errors import ModelError
from hil.learning.online_params import OnlineParams
from hil.learning.ring import SampleRing
from hil.learning.swap import Swap, SwappedPredictor

START_TIMEOUT = 60.0
"""Longest wait for the learner's process, s: it loads the model and the probe set."""


def require_probe(offline: DynamicsPredictor, model: Path) -> None:
    """Raises ModelError where ``model`` has no samples to judge by what is learnt online."""
    if offline.probe is None:
        raise ModelError(
            f"{model} has no probe samples, by which every model that is learnt online must prove no worse: train it "
            "anew with `hil train dynamics`, which keeps some of the test trajectories in the file"
        )


def require_torch() -> None:
    """Raises ModelError where what gradient retraining needs is not installed."""
    for package in ("torch", "gpytorch"):
        if find_spec(package) is None:
            raise ModelError(
                f"controller.joint.learned.online.retrain needs {package}, which is not installed: "
                "pip install 'hil-lab[learn]', or set it to false"
            )


class Learner:
    """The learner's process and what is shared with it.

    ``model``: the file that ``offline`` was loaded from; it must have probe samples. ``tau_max`` (n,) N·m: no mean
    beyond it is believed. ``tell``: takes what the learner says of each batch. Raises ModelError where the file has no
    probe samples, or the process does not come up.
    """

    def __init__(
        self,
        offline: DynamicsPredictor,
        model: Path,
        tau_max: Array,
        *,
        lockstep: bool,
        params: OnlineParams | None = None,
        tell: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        require_probe(offline, model)
        self.params = p = params or OnlineParams()
        if p.retrain:
            require_torch()
        self._lockstep = lockstep
        self._tell = tell or (lambda said: None)
        self._ring = SampleRing(offline.n)
        self._swap = Swap(offline.posterior)
        self.predictor = SwappedPredictor(offline, self._swap)
        """Always with the newest model."""
        self._tick = 0
        self._open: deque[int] = deque()
        """Ticks at which a batch was handed over that nothing has been heard of yet."""
        self._heard = b""
        self.alive = True
        """False once the learner has died."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hil.learning.online_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(self._ring.fd, self._swap.fd),
            start_new_session=True,
        )
        job = {
            "model": str(model),
            "ring": self._ring.fd,
            "swap": self._swap.fd,
            "tau_max": tau_max.tolist(),
            "batch": p.batch,
            "keep": p.keep,
            "weight": p.weight,
            "guarded": p.guarded,
            "retrain": p.retrain,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._out, False)
        self._send(json.dumps(job))
        if not self._wait(START_TIMEOUT):
            self.close()
            raise ModelError("the process that learns online did not start: see what it printed above")
        self._read()
        os.set_blocking(self._in, False)
        if lockstep:
            self.predictor.pinned = 0

    @property
    def pid(self) -> int:
        """Of the learner's process."""
        return self._process.pid

    @property
    def version(self) -> int:
        """Of the newest model."""
        return self._swap.version

    def step(self, q: Array, qd: Array, qdd: Array, r: Array | None) -> None:
        """One tick: the motion that was measured, and the torque ``r`` that acted on it less the prior's; (n,) each.

        Never waits by the clock. A sample that is not finite is left out, as is one without ``r``.
        """
        self._tick += 1
        if not self.alive:
            return
        p = self.params
        if r is not None and self._tick % p.every == 0 and math.isfinite(float((q + qd + qdd + r).sum())):
            count = self._ring.write(q, qd, qdd, r)
            if count % p.batch == 0:
                self._open.append(self._tick)
                self._send(str(count - p.batch))
        if self._lockstep:
            while self.alive and self._open and self._tick - self._open[0] >= p.settle:
                self._wait(START_TIMEOUT)
                self._read()
                if self.alive:
                    self.predictor.pinned = self.version
        elif self._open:
            self._read()

    def close(self) -> None:
        """End the learner and remove what was shared; legal more than once."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self.alive = False
        self._ring.close()
        self._swap.close()

    def _send(self, line: str) -> None:
        try:
            os.write(self._in, line.encode() + b"\n")
        except OSError:  # a pipe that is full for seconds, or closed: a learner that does not learn
            self._died()

    def _wait(self, seconds: float) -> bool:
        """Whether the learner has said something, or ended, within ``seconds``."""
        end = time.monotonic() + seconds
        return bool(select.select([self._out], [], [], max(0.0, end - time.monotonic()))[0])

    def _read(self) -> None:
        """What the learner has said since."""
        try:
            data = os.read(self._out, 65536)
        except BlockingIOError:
            return
        if not data:
            self._died()
            return
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "first" in said:
                self._open.popleft()
                self._tell(said)

    def _died(self) -> None:
        if self.alive:
            self.alive = False
            self._open.clear()
            self._tell({"died": True, "version": self.version})

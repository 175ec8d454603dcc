"""A running cell's end of online learning: hands samples over, takes new models at a tick that is known beforehand.

The cycle writes a row into shared memory and, once a batch is complete, one line into a pipe. It reads what the learner
says without waiting. In lockstep a model must take effect at the same tick in every run, however fast the machine:
there, and only there, the cycle waits for the learner, ``settle`` ticks after the batch. A learner that has died is
noticed by its closed pipe; the cycle goes on with the last model.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from drivers.contract import Array
from estimators.dynamics.online import BATCH, KEEP, WEIGHT
from estimators.dynamics.predictor import DynamicsPredictor
from estimators.errors import ModelError
from hil.learning.ring import SampleRing
from hil.learning.swap import Swap, SwappedPredictor

_STREAM = 2
"""Of the samples that are learnt from, where the prior's friction remembers a path: not every one is taken."""
START_TIMEOUT = 60.0
"""Longest wait for the learner's process, s: it loads the model and the probe set."""


@dataclass(frozen=True, slots=True)
class OnlineParams:
    """Of :class:`Learner`."""

    batch: int = BATCH
    """Samples that are learnt at once."""
    every: int = 5
    """Ticks from one sample to the next: neighbours at 1 kHz say the same."""
    settle: int = 100
    """In lockstep: ticks from the end of a batch to the tick at which what it taught takes effect."""
    keep: float = KEEP
    weight: float = WEIGHT

    def __post_init__(self) -> None:
        if not 0 < self.settle < self.batch * self.every:
            raise ModelError(
                f"settle is {self.settle} ticks, a batch takes {self.batch * self.every}; expected less, and above 0: "
                "one batch must be dealt with before the next is complete"
            )


class Learner:
    """The learner's process and what is shared with it.

    ``model``: the file that ``offline`` was loaded from. ``probe``: an .npz with ``x`` (k, 3n) and ``r`` (k, n):
    offline samples and their torque without the prior's. ``tau_max`` (n,) N·m. ``tell``: takes what the learner says of
    each batch. Raises ModelError where the process does not come up.
    """

    def __init__(
        self,
        offline: DynamicsPredictor,
        model: Path,
        probe: Path,
        tau_max: Array,
        *,
        lockstep: bool,
        params: OnlineParams | None = None,
        tell: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.params = p = params or OnlineParams()
        self._lockstep = lockstep
        self._tell = tell or (lambda said: None)
        self._ring = SampleRing(offline.n)
        self._swap = Swap(offline.posterior)
        self.predictor = SwappedPredictor(offline, self._swap)
        """Always with the newest model."""
        self._prior = offline.prior
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
            "probe": str(probe),
            "ring": self._ring.fd,
            "swap": self._swap.fd,
            "tau_max": tau_max.tolist(),
            "batch": p.batch,
            "keep": p.keep,
            "weight": p.weight,
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
    def version(self) -> int:
        """Of the newest model."""
        return self._swap.version

    def step(self, q: Array, qd: Array, qdd: Array, tau: Array) -> None:
        """One tick: the motion that was measured and the command that acted on it, (n,) each. Never waits by the clock.

        A sample that is not finite is left out.
        """
        self._tick += 1
        if not self.alive:
            return
        p = self.params
        if self._tick % p.every == 0:
            r = tau if self._prior is None else tau - self._prior.torque(q, qd, qdd, _STREAM)
            if np.isfinite(q).all() and np.isfinite(qd).all() and np.isfinite(qdd).all() and np.isfinite(r).all():
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

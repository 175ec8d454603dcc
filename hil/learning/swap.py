"""A model that changes under a running cycle: two buffers and a version in shared memory, nothing copied in the tick.

The learner fills the buffer that is not in use and raises the version by one; the cycle reads the version once, uses
the buffer of that parity, and reads the version again: if it grew meanwhile, that buffer may be the one that is being
filled anew, and the cycle predicts once more. So a model is never half new, and nobody waits for anybody. (That stores
are seen in the order in which they were made is what x86 guarantees; elsewhere the version would need a barrier.)
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from estimators.dynamics.machine import Compiled
from estimators.dynamics.packed import Packed
from estimators.dynamics.posterior import Posterior
from estimators.dynamics.predictor import DynamicsPredictor
from estimators.dynamics.reference import Reference
from hil.learning.shared import SharedMemory

Array = npt.NDArray[np.float64]

_HEADER = 64
"""Bytes before the buffers: the version stands alone in its cache line."""


class Swap:
    """The two buffers, for posteriors of the shape of ``like``; by ``fd`` those of another process.

    Raises ModelError where ``fd`` belongs to another model.
    """

    def __init__(self, like: Posterior, fd: int | None = None) -> None:
        shapes = Packed.shapes(like)
        starts, size = {}, _HEADER
        for k in range(2):
            for name, shape in shapes.items():
                starts[k, name] = size
                # Each from a cache line on.
                size += -(-8 * math.prod(shape) // _HEADER) * _HEADER
        self._memory = memory = SharedMemory(size, fd)
        self._version = memory.numbers(0, 1)
        self.buffers = [
            Packed(**{name: memory.floats(starts[k, name], *shape) for name, shape in shapes.items()}) for k in range(2)
        ]
        """The two models, all of their numbers."""
        if fd is None:
            self._version[0] = -1
            self.publish(like)

    @property
    def fd(self) -> int:
        """For the other process."""
        return self._memory.fd

    @property
    def version(self) -> int:
        """Of the newest model: 0 for the first, one more with each."""
        return int(self._version[0])

    def publish(self, posterior: Posterior) -> int:
        """Make ``posterior`` the newest model; its version. Only the learner calls it. Raises ModelError."""
        version = self.version + 1
        self.buffers[version & 1].fill(posterior)
        self._version[0] = version
        return version

    def close(self) -> None:
        """Let go of it."""
        self._memory.close()


class SwappedPredictor(DynamicsPredictor):
    """A predictor that always uses the newest model of ``swap``; ``offline`` has the prior and the shapes."""

    def __init__(self, offline: DynamicsPredictor, swap: Swap) -> None:
        super().__init__(offline.posterior, offline.prior, offline.provenance, offline.kernel)
        self._swap = swap
        self.version = swap.version
        """Of the model that the last prediction came from."""
        self.again = 0
        """Predictions that were made anew because the model changed meanwhile."""
        kernel = Compiled if self.kernel == "compiled" else Reference
        self._kernels = [kernel(offline.posterior, buffer).at for buffer in swap.buffers]
        self._at = self._newest
        self.pinned = -1
        """In lockstep: the version to use, the newest or the one before it; -1: the newest, whichever that is."""

    def _newest(self, x: Array, mean: Array, sigma: Array) -> None:
        swap = self._swap
        if self.pinned >= 0:
            self.version = self.pinned
            self._kernels[self.pinned & 1](x, mean, sigma)
            return
        while True:
            version = swap.version
            self._kernels[version & 1](x, mean, sigma)
            if swap.version == version:
                self.version = version
                return
            self.again += 1

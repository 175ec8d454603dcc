"""The newest samples of a running cell in shared memory: the cycle writes one row a tick, the learner reads batches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hil.learning.shared import SharedMemory

Array = npt.NDArray[np.float64]

ROWS = 4096
"""Samples that are kept: seconds of them, while a batch is a tenth."""


class SampleRing:
    """Rows of inputs (3n,) rad, rad/s, rad/s² and residual torque (n,) N·m, numbered from 0.

    By ``fd`` those of another process.

    Raises ModelError where ``fd`` belongs to another arm.
    """

    def __init__(self, n: int, fd: int | None = None) -> None:
        self.n = n
        self._memory = SharedMemory(8 * ROWS * 4 * n, fd)
        self._rows: Array = self._memory.floats(0, ROWS, 4 * n)
        self.count = 0
        """Rows written so far, by this end."""

    @property
    def fd(self) -> int:
        """For the other process."""
        return self._memory.fd

    def write(self, q: Array, qd: Array, qdd: Array, r: Array) -> int:
        """Write the next row; how many there are now."""
        n, row = self.n, self._rows[self.count % ROWS]
        row[:n], row[n : 2 * n], row[2 * n : 3 * n], row[3 * n :] = q, qd, qdd, r
        self.count += 1
        return self.count

    def batch(self, first: int, count: int) -> tuple[Array, Array]:
        """Rows ``first`` to ``first + count``: inputs (count, 3n) and torques (count, n), copies."""
        at = np.arange(first, first + count) % ROWS
        rows = self._rows[at]
        return rows[:, : 3 * self.n].copy(), rows[:, 3 * self.n :].copy()

    def close(self) -> None:
        """Let go of it."""
        self._memory.close()

"""Samples to train on while a cell runs: the newest, and old ones that stand for all that came before."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

OLD, NEWEST = 2000, 1000
"""Samples that are kept of each kind."""


class Replay:
    """Inputs (k, 3n) and torques (k, n); the same samples give the same choice.

    ``x``, ``r``: offline samples, which stay for good. What is no longer among the newest goes into a reservoir, where
    each of them is as likely to be kept as any other (Vitter 1985, algorithm R).
    """

    def __init__(self, x: Array, r: Array, old: int = OLD, newest: int = NEWEST, seed: int = 0) -> None:
        seeds = min(len(x), old // 2)
        self._seeds, self._seed, self._newest = np.hstack((x, r))[:seeds], seed, newest
        self._split = x.shape[1]
        self._room = old - seeds
        self.reset()

    def reset(self) -> None:
        """Forget all but the offline samples."""
        self._rng = np.random.default_rng(self._seed)
        width = self._seeds.shape[1]
        self._recent, self._reservoir = np.empty((0, width)), np.empty((self._room, width))
        self._left = 0

    def take(self, x: Array, r: Array) -> None:
        """Take in the next batch."""
        rows = np.vstack((self._recent, np.hstack((x, r))))
        gone = max(0, len(rows) - self._newest)
        for row in rows[:gone]:
            at = self._left if self._left < self._room else int(self._rng.integers(self._left + 1))
            if at < self._room:
                self._reservoir[at] = row
            self._left += 1
        self._recent = rows[gone:]

    @property
    def old(self) -> tuple[Array, Array]:
        """Offline samples and the reservoir; the former repeated until they count as much as the latter."""
        reservoir = self._reservoir[: self._left]
        times = max(1, len(reservoir) // max(1, len(self._seeds)))
        return self._parts(np.vstack((np.tile(self._seeds, (times, 1)), reservoir)))

    @property
    def recent(self) -> tuple[Array, Array]:
        """The newest samples, in their order."""
        return self._parts(self._recent)

    def draw(self, count: int) -> tuple[Array, Array]:
        """At most ``count`` samples: half of the newest, a quarter each of the reservoir and the offline samples."""
        parts = []
        sources = (self._seeds, 4), (self._reservoir[: self._left], 4), (self._recent, 2)
        for rows, share in sources:
            parts.append(rows[self._rng.permutation(len(rows))[: count // share]])
        return self._parts(np.vstack(parts))

    def __len__(self) -> int:
        return len(self._seeds) + min(self._left, self._room) + len(self._recent)

    def _parts(self, rows: Array) -> tuple[Array, Array]:
        return rows[:, : self._split], rows[:, self._split :]

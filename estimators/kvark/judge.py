"""Band and detector of one sample in one call: what the compiled observer does after its filter.

The same arithmetic as :class:`estimators.kvark.band.Band` and :class:`estimators.kvark.detection.Detector`, which a
test holds it to; each call into machine code costs by the number of its arrays, and small ones by numpy cost more.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from estimators.compiled import compiled
from estimators.kvark.band import BandParams, advance, start
from estimators.kvark.detection import judged_by, sense

Array = npt.NDArray[np.float64]


@compiled
def judge(
    q: Array, qd: Array, out: Array, P: Array, dt: float, numbers: Array, sizes: Array, weights: Array, state: Array,
    work: Array,
) -> float:  # fmt: skip
    """The detector's statistic; row 1 of ``out`` becomes the variance to report, NaN where nothing is known.

    ``q`` rad, ``qd`` rad/s and ``P`` (N·m)², (n,) each; ``out`` (5, n) as :func:`estimators.kvark.kernel.observe` left
    it. ``numbers``: variance of the level, and η². ``sizes`` (3, n): F, highest speed, least variance of a measurement;
    ``weights`` (2, 6): of the terms, to report and to judge by. ``state`` (14, n): the band's, then the detector's;
    ``work`` (7, n): terms, and variance of the measurement.
    """
    n = q.size
    known = advance(
        state[:12], q, qd, out[2], out[3], out[4], out[0], dt, numbers[0], sizes[0], sizes[1], work[2:6]
    )
    for j in range(n):
        work[0, j], work[1, j] = P[j], out[4, j]
        reported, judged = 0.0, sizes[2, j]
        for i in range(6):
            reported += weights[0, i] * work[i, j]
            judged += weights[1, i] * work[i, j]
        out[1, j] = reported + numbers[1] * out[0, j] * out[0, j] if known else math.nan
        work[6, j] = judged
    return sense(state[12:], out[2], work[6], dt)


class Judge:
    """:func:`judge` for one arm."""

    def __init__(self, params: BandParams) -> None:
        by, floor = judged_by(params)
        self._numbers = np.array([params.drift**2, params.load**2])
        self._sizes = np.vstack((params.friction, params.speed, floor))
        self._weights = np.vstack((params.scale**2 * np.array(params.weights), by))
        self._work = np.zeros((7, params.friction.size))
        self.reset()

    def reset(self) -> None:
        """Nothing was seen."""
        n = self._work.shape[1]
        self.state = np.vstack((start(n), np.zeros((2, n))))
        """Row 0: λ."""

    def step(self, q: Array, qd: Array, out: Array, P: Array, dt: float) -> float:
        """As :func:`judge`."""
        return judge(q, qd, out, P, dt, self._numbers, self._sizes, self._weights, self.state, self._work)

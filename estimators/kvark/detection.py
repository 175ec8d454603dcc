"""Contact or not, by thresholds in units of what is known of the error.

The statistic is the largest over the joints of the virtual measurement, through a fast low-pass of its own
(:data:`TIME`), over the standard deviation that the residual model has at this moment: its variance Σ, doubt about
friction's memory, level, speed beyond training, see :mod:`estimators.kvark.band`. The filter's estimate is not used:
where the model is unsure the filter is slow, and innovation is no excuse for a contact.

Its threshold comes from contact-free recordings under virtual drift alone: the largest values of half-second blocks
follow a Gumbel distribution, of which :func:`threshold` gives the value that is passed as often as is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from estimators.compiled import COMPILED, compiled
from estimators.errors import ParameterError
from estimators.kvark.band import BEYOND, DOUBT, LEVEL, MODEL, Banded, BandParams
from estimators.kvark.calibration import Recording
from estimators.sensed import UNKNOWN, Contact, Sensed

Array = npt.NDArray[np.float64]

TIME = 0.005
"""Time constant of each of the two low-passes on the measurement, s."""
FLOOR = 0.02
"""Least standard deviation of a joint, as a part of its friction F."""
RATE = 0.2
"""False alarms per minute that thresholds are made for."""
BLOCK = 0.5
"""Of which the largest value counts, s."""
RELEASE = 0.6
"""A contact ends below this part of the threshold..."""
HOLD = 0.1
"""... for this long, s."""
_EULER = 0.5772156649015329


class Detector:
    """Contact by ``limit``, with hysteresis; raises ParameterError for a limit that is not above 0.

    ``use_compiled``: by machine code, where there is numba.
    """

    def __init__(self, n: int, limit: float, use_compiled: bool = COMPILED) -> None:
        if not (math.isfinite(limit) and limit > 0.0):
            raise ParameterError(f"threshold is {limit}; expected a finite value above 0")
        self.n, self.limit = n, limit
        self._sense = sense if use_compiled else getattr(sense, "py_func", sense)
        self.reset()

    def reset(self) -> None:
        """Nothing was seen."""
        self._slow = np.zeros((2, self.n))
        self._quiet = 0.0
        self._touched = False

    def step(self, y: Array, variance: Array, dt: float) -> Sensed:
        """``y`` (n,) N·m measured, mean and level corrected for; ``variance`` (n,) of :func:`trust`; ``dt`` s.

        Unknown, and no word of an earlier contact, where anything is not finite.
        """
        return self.take(self._sense(self._slow, y, variance, dt), dt)

    def take(self, statistic: float, dt: float) -> Sensed:
        """What a sample's ``statistic`` of :func:`sense` means after those before."""
        level = statistic / self.limit
        if not math.isfinite(level):
            return UNKNOWN
        if level >= 1.0:
            self._touched, self._quiet = True, 0.0
        elif self._touched:
            self._quiet = self._quiet + dt if level < RELEASE else 0.0
            self._touched = self._quiet < HOLD
        return Sensed(Contact.TOUCHED if self._touched else Contact.FREE, level)


@compiled
def sense(slow: Array, y: Array, variance: Array, dt: float) -> float:
    """The statistic after one sample, NaN where it says nothing; ``slow`` (2, n): the low-passes, in place."""
    known = dt > 0.0
    for j in range(y.size):
        known = known and math.isfinite(y[j] + variance[j]) and variance[j] > 0.0
    if not known:
        return math.nan
    share = 1.0 - math.exp(-dt / TIME)
    most = 0.0
    for j in range(y.size):
        slow[0, j] += share * (y[j] - slow[0, j])
        slow[1, j] += share * (slow[0, j] - slow[1, j])
        most = max(most, slow[1, j] * slow[1, j] / variance[j])
    return math.sqrt(most)


@compiled
def _senses(y: Array, variance: Array, dt: float, out: Array) -> int:
    slow = np.zeros((2, y.shape[1]))
    for k in range(y.shape[0]):
        out[k] = sense(slow, y[k], variance[k], dt)
    return 0


def judged_by(params: BandParams) -> tuple[Array, Array]:
    """Weights (6,) of the band's terms, and a constant (n,) (N·m)²: their sum is what measurements are judged by."""
    w = params.weights
    weights = np.zeros(6)
    weights[MODEL], weights[DOUBT], weights[LEVEL], weights[BEYOND] = 1.0, w[DOUBT], 1.0, w[BEYOND]
    floor: Array = (FLOOR * params.friction) ** 2
    return weights, floor


def trust(banded: Banded, params: BandParams) -> Array:
    """Variance (m, n) (N·m)² by which measurements are judged along a recording."""
    weights, floor = judged_by(params)
    # Not tensordot over all six: what has no weight may be unknown.
    used = np.flatnonzero(weights)
    variance: Array = np.tensordot(weights[used], banded.terms[used], 1) + floor
    return variance


def statistics(recording: Recording, y: Array, banded: Banded, params: BandParams) -> Array:
    """The statistic (m,) along ``recording`` with the measurement ``y`` (m, n), as :class:`Detector` sees it."""
    before = np.vstack((np.zeros((1, y.shape[1])), banded.level[:-1]))
    out = np.empty(len(y))
    _senses(np.ascontiguousarray(y + before * recording.mean), trust(banded, params), recording.dt, out)
    return out


def threshold(quiet: Sequence[Array], dt: float, rate: float = RATE) -> float:
    """The value that contact-free statistics pass ``rate`` times a minute; ``quiet``: recordings of them, (m,) each.

    By the moments of a Gumbel distribution of block maxima, and never below the largest value seen.
    Raises ParameterError for less than twenty blocks.
    """
    size = round(BLOCK / dt)
    largest = [
        float(block.max())
        for each in quiet
        for block in (part[np.isfinite(part)] for part in np.split(each, range(size, len(each), size)))
        if len(block) == size
    ]
    if len(largest) < 20:
        raise ParameterError(f"{len(largest)} blocks of {BLOCK} s without contact; a threshold needs at least 20")
    beta = float(np.std(largest, ddof=1)) * math.sqrt(6.0) / math.pi
    mode = float(np.mean(largest)) - _EULER * beta
    share = min(0.5, rate * BLOCK / 60.0)
    return max(mode - beta * math.log(-math.log1p(-share)), max(largest))

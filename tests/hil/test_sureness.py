"""Band and threshold from held-out pieces: what one half makes holds on the other; too little is refused in words."""

from __future__ import annotations

import math

import numpy as np
import pytest

from estimators.errors import ParameterError
from estimators.kvark.calibration import Recording
from estimators.kvark.recursion import RecursionParams
from hil.learning.sureness import sureness

N, DT = 2, 2e-3
FRICTION, SPEED = np.array([8.0, 3.0]), np.ones(2)
PARAMS = RecursionParams(np.full(N, 30.0), np.full(N, 4.0), adapt_r="off")


def piece(seed: int, seconds: float = 14.0, noise: float = 1.0) -> Recording:
    """Free motion against tanh friction that the model knows, with slow errors of 0.2 N·m and white noise."""
    rng, t = np.random.default_rng(seed), np.arange(round(seconds / DT)) * DT
    rate = rng.uniform(0.3, 0.5, N)
    qd = 0.5 * np.sin(2.0 * np.pi * rate * t[:, None] + rng.uniform(0.0, 6.0, N))
    mean = FRICTION * np.tanh(qd / 0.02)
    slow, keep, white = np.zeros_like(qd), math.exp(-DT / 0.3), rng.standard_normal(qd.shape)
    for k in range(1, len(t)):
        slow[k] = keep * slow[k - 1] + 0.2 * math.sqrt(1.0 - keep * keep) * white[k]
    J = np.zeros((len(t), 6, N))
    J[:, 0, 0], J[:, 1, 1] = 0.6, 0.3
    y = slow + noise * rng.standard_normal(qd.shape)
    y[0] = math.nan
    return Recording(np.cumsum(qd, axis=0) * DT, qd, y, mean, np.full_like(qd, 0.04), J, DT)


def test_what_one_half_makes_holds_on_the_other() -> None:
    found = sureness([piece(seed) for seed in range(4)], PARAMS, SPEED)
    assert 0.88 < found.coverage < 0.99
    assert found.minutes == pytest.approx(4 * 13.5 / 60.0, rel=0.01)
    # Four pieces are a minute: some false alarm may be among them, a wrong threshold would make dozens.
    assert found.alarms * found.minutes <= 3
    assert found.limit > 1.0


def test_pieces_unlike_each_other_show() -> None:
    """Halves with slow errors of another size: what the quiet one promises does not hold on the other."""
    loud = [piece(seed) for seed in range(4)]
    for each in loud[1::2]:
        each.y[:] += 2.0 * np.sin(2.0 * np.pi * 0.7 * np.arange(len(each.y)) * DT)[:, None]
    found = sureness(loud, PARAMS, SPEED)
    assert found.coverage < 0.85
    assert found.alarms * found.minutes > 5


def test_too_little_is_refused_in_words() -> None:
    with pytest.raises(ParameterError, match="1 piece held out"):
        sureness([piece(0)], PARAMS, SPEED)
    with pytest.raises(ParameterError, match="needs at least 20"):
        sureness([piece(0, 4.0), piece(1, 4.0)], PARAMS, SPEED)

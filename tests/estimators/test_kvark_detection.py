"""Contact detection: false-alarm rate, pulses, hysteresis, and samples that say nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from estimators.errors import ParameterError
from estimators.kvark.detection import HOLD, Contact, Detector, sense, threshold

DT = 1e-3


def noise(seconds: float, seed: int) -> np.ndarray:
    """Statistic of a quiet arm: the largest of three joints' slow errors."""
    rng = np.random.default_rng(seed)
    m = round(seconds / DT)
    white, slow, keep = rng.standard_normal((m, 3)), np.zeros((m, 3)), math.exp(-DT / 0.05)
    for k in range(1, m):
        slow[k] = keep * slow[k - 1] + math.sqrt(1.0 - keep * keep) * white[k]
    largest: np.ndarray = np.abs(slow).max(axis=1)
    return largest


def test_threshold_keeps_the_rate_of_false_alarms() -> None:
    rate = 2.0
    limit = threshold([noise(120.0, seed) for seed in (1, 2)], DT, rate)
    seconds, alarms = 0.0, 0
    for seed in (3, 4, 5):
        above = np.flatnonzero(noise(120.0, seed) > limit)
        alarms += int(len(above) > 0) + int(np.sum(np.diff(above) > 250))
        seconds += 120.0
    assert alarms / (seconds / 60.0) < 2.0 * rate
    assert limit < 6.0
    assert threshold([noise(120.0, 1)], DT, 0.01) > threshold([noise(120.0, 1)], DT, 10.0)


def test_threshold_needs_enough_blocks() -> None:
    with pytest.raises(ParameterError, match="at least 20"):
        threshold([noise(5.0, 1)], DT)


def test_pulse_is_found_and_released() -> None:
    detector, said = Detector(2, 4.0), []
    push = np.zeros(1000)
    push[300:550] = 8.0 * np.sin(np.pi * np.arange(250) / 250) ** 2
    for force in push:
        said.append(detector.step(np.array([force, 0.0]), np.ones(2), DT))
    touched = [k for k, each in enumerate(said) if each.contact is Contact.TOUCHED]
    assert 350 < touched[0] < 420
    assert 530 < touched[-1] < 560 + round(HOLD / DT)
    assert touched == list(range(touched[0], touched[-1] + 1))
    assert max(each.level for each in said) == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize(
    ("y", "variance", "dt"),
    [([math.nan, 0.0], [1.0, 1.0], DT), ([0.0, 0.0], [1.0, math.nan], DT), ([0.0, 0.0], [1.0, 0.0], DT),
     ([0.0, math.inf], [1.0, 1.0], DT), ([0.0, 0.0], [1.0, 1.0], 0.0), ([0.0, 0.0], [1.0, 1.0], math.nan)],
)  # fmt: skip
def test_what_is_not_finite_is_unknown_and_leaves_no_trace(y: list[float], variance: list[float], dt: float) -> None:
    detector = Detector(2, 4.0)
    for _ in range(50):
        detector.step(np.array([9.0, 0.0]), np.ones(2), DT)
    said = detector.step(np.array(y), np.array(variance), dt)
    assert said.contact is Contact.UNKNOWN
    assert math.isnan(said.level)
    after = detector.step(np.array([9.0, 0.0]), np.ones(2), DT)
    assert after.contact is Contact.TOUCHED
    assert after.level == pytest.approx(9.0 / 4.0, rel=0.01)


def test_statistic_is_in_standard_deviations() -> None:
    slow = np.zeros((2, 2))
    for _ in range(100):
        value = sense(slow, np.array([1.0, -6.0]), np.array([1.0, 4.0]), DT)
    assert value == pytest.approx(3.0, rel=1e-6)


@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan, math.inf])
def test_limits_that_mean_nothing_are_refused(limit: float) -> None:
    with pytest.raises(ParameterError, match="above 0"):
        Detector(2, limit)

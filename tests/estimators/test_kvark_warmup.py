"""Warm-up friction scale: found, with its error; refused in words."""

from __future__ import annotations

import math

import numpy as np
import pytest

from estimators.errors import ParameterError
from estimators.kvark.warmup import friction_scale

DT = 1e-3


def run(
    seconds: float = 20.0, factors: tuple[float, float] = (1.08, 0.93)
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y without the mean, the mean, its variance."""
    rng = np.random.default_rng(0)
    t = np.arange(round(seconds / DT)) * DT
    qd = np.column_stack((0.6 * np.sin(2.0 * np.pi * 0.4 * t), 0.5 * np.sin(2.0 * np.pi * 0.3 * t + 1.0)))
    mean = np.array([8.0, 3.0]) * np.tanh(qd / 0.02)
    y = -mean * factors + 0.3 * np.sin(2.0 * np.pi * 0.17 * t)[:, None] + 2.0 * rng.standard_normal(mean.shape)
    y[0] = math.nan
    return y, mean, np.full_like(mean, 0.09)


def test_factors_are_found_with_an_honest_error() -> None:
    y, mean, variance = run()
    found = friction_scale(y, mean, variance, DT)
    assert found.refused == ("", "")
    assert found.scale == pytest.approx([1.08, 0.93], abs=0.02)
    assert (np.abs(found.scale - (1.08, 0.93)) < 2.0 * found.sigma).all()
    assert (found.sigma < 0.05).all()
    assert (found.rmse_after < found.rmse_before).all()


def test_a_joint_that_stands_keeps_its_factor() -> None:
    y, mean, variance = run()
    y[:, 1], mean[:, 1] = 0.1, 0.0
    found = friction_scale(y, mean, variance, DT)
    assert found.scale[1] == 1.0
    assert math.isnan(found.sigma[1])
    assert "to and fro" in found.refused[1]
    assert found.refused[0] == ""
    assert found.scale[0] == pytest.approx(1.08, abs=0.02)


def test_touching_the_arm_is_seen() -> None:
    y, mean, variance = run()
    y[5000:10000, 0] += 10.0
    found = friction_scale(y, mean, variance, DT)
    assert found.scale[0] == 1.0
    assert "touch" in found.refused[0]
    assert found.refused[1] == ""


def test_what_is_no_drift_is_refused() -> None:
    found = friction_scale(*run(factors=(3.0, 1.0)), DT)
    assert found.scale[0] == 1.0
    assert found.refused[0]


@pytest.mark.parametrize(("seconds", "word"), [(5.0, "at least 10"), (0.2, "at least 10")])
def test_short_runs(seconds: float, word: str) -> None:
    with pytest.raises(ParameterError, match=word):
        friction_scale(*run(seconds), DT)


def test_holes_and_shapes() -> None:
    y, mean, variance = run()
    y[9000] = math.nan
    with pytest.raises(ParameterError, match="not finite"):
        friction_scale(y, mean, variance, DT)
    with pytest.raises(ParameterError, match="three times"):
        friction_scale(y, mean[:, :1], variance, DT)

"""Host tare: the right offset with the right spread, and one refusal per gate."""

import numpy as np
import pytest

from calibration.tare import Tare, TareError, tare, tare_torque, torque_gates, wrench_gates
from drivers.contract import Array

NOISE = np.repeat((0.05, 0.002), 3)
BIAS = np.array([4.0, -3.0, 2.0, 0.15, -0.1, 0.05])
LOAD = np.array([0.0, 0.0, -11.77, 0.02, 0.0, 0.0])


def readings(n: int = 800, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return LOAD + BIAS + NOISE * rng.standard_normal((n, 6)), np.arange(n) / 800.0


def refused(samples: Array, t: Array, expected: Array = LOAD) -> TareError:
    with pytest.raises(TareError) as caught:
        tare(samples, expected, t)
    return caught.value


@pytest.mark.parametrize("seed", range(5))
def test_offset_and_spread(seed: int) -> None:
    """Mean within five of its own standard deviations; sd within 15 % of the noise."""
    samples, t = readings(seed=seed)
    result = tare(samples, LOAD, t)
    assert (np.abs(result.mean - BIAS) < 5.0 * result.sd / np.sqrt(result.n)).all()
    assert result.sd == pytest.approx(NOISE, rel=0.15)
    assert (result.n, result.t) == (800, t[-1])
    assert result.apply(samples).mean(axis=0) == pytest.approx(LOAD)


def test_expected_load_per_sample() -> None:
    """A load that is known for each sample is taken off sample by sample."""
    samples, t = readings()
    sway = np.outer(np.sin(t), np.ones(6))
    result = tare(samples + sway, LOAD + sway, t)
    assert result.mean == pytest.approx(tare(samples, LOAD, t).mean)


def test_repeated_samples_do_not_count() -> None:
    """A sensor slower than the cycle gives each sample several times: the result is that of the fresh ones."""
    samples, t = readings()
    plain = tare(samples, LOAD, t)
    repeated = tare(np.repeat(samples, 3, axis=0), LOAD, np.repeat(t, 3))
    assert repeated.n == 800
    assert repeated.mean == pytest.approx(plain.mean)
    assert repeated.sd == pytest.approx(plain.sd)
    few = refused(np.repeat(samples[:150], 10, axis=0), np.repeat(t[:150], 10))
    assert few.gate == "samples"
    assert "150 fresh samples of 1500" in str(few)


def test_time_going_back_is_refused() -> None:
    samples, t = readings()
    t[400:] -= 0.3
    assert refused(samples, t).gate == "samples"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_finite_is_refused_first(bad: float) -> None:
    """In a sample, in the expected load and in time."""
    samples, t = readings()
    spoilt = samples.copy()
    spoilt[17, 3] = bad
    error = refused(spoilt, t)
    assert error.gate == "finite"
    assert "1 of 800" in str(error)
    assert refused(samples, t, LOAD + bad).gate == "finite"
    assert refused(samples, np.append(t[:-1], bad)).gate == "finite"


def test_stuck_axis_is_refused() -> None:
    samples, t = readings()
    samples[:, 4] = 0.125
    error = refused(samples, t)
    assert error.gate == "stuck"
    assert "My [N·m] 0.125" in str(error)


def test_shaking_is_refused() -> None:
    """A 20 Hz vibration of five times the noise: named with its axis and limit."""
    samples, t = readings()
    samples[:, 1] += 0.25 * np.sqrt(2.0) * np.sin(2.0 * np.pi * 20.0 * t)
    error = refused(samples, t)
    assert error.gate == "noise"
    assert "Fy [N]" in str(error)
    assert "at most 0.15" in str(error)


def test_drift_is_refused_and_warm_up_is_not() -> None:
    """0.1 N/s is a contact building up; 0.3 N per hour is the sensor."""
    samples, t = readings()
    ramp = np.outer(t, [0, 0, 1, 0, 0, 0])
    error = refused(samples + 0.1 * ramp, t)
    assert error.gate == "drift"
    assert "Fz [N]" in str(error)
    warm = tare(samples + 0.3 / 3600.0 * ramp, LOAD, t)
    assert warm.mean == pytest.approx(BIAS, abs=0.02)


@pytest.mark.parametrize("axis", range(6))
def test_implausible_offset_is_refused(axis: int) -> None:
    """20 N or 0.8 N·m beyond the bias: something touches the tool."""
    samples, t = readings()
    samples[:, axis] += 20.0 if axis < 3 else 0.8
    error = refused(samples, t)
    assert error.gate == "bias"
    assert "touches the tool" in str(error)


@pytest.mark.parametrize("shape", [(800, 5), (800,), (799, 6)])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    _, t = readings()
    assert refused(np.zeros(shape), t).gate == "shape"
    assert refused(readings()[0], t, np.zeros(3)).gate == "shape"


def test_gates_can_be_set() -> None:
    samples, t = readings(100)
    assert tare(samples, LOAD, t, wrench_gates(min_samples=100)).n == 100
    with pytest.raises(TareError, match="Fx"):
        tare(samples, LOAD, t, wrench_gates(min_samples=100, force_bias_max=3.5))
    with pytest.raises(TareError) as caught:
        tare(samples, LOAD, t, wrench_gates(0.005, 0.002, min_samples=100))
    assert caught.value.gate == "noise"


def test_torque_offsets() -> None:
    """Seven joints against g(q): offsets come out, a hand on joint 3 is refused by name."""
    rng = np.random.default_rng(2)
    sigma = np.array([0.15, 0.15, 0.10, 0.10, 0.06, 0.03, 0.02])
    g = np.array([0.0, -55.0, 1.0, 24.0, 0.3, 1.2, 0.0])
    bias = rng.uniform(-0.2, 0.2, 7)
    t = np.arange(500) * 1e-3
    tau = g + bias + sigma * rng.standard_normal((500, 7))
    gates = torque_gates(sigma, np.full(7, 1.0))
    result: Tare = tare_torque(tau, g, t, gates)
    assert (np.abs(result.mean - bias) < 5.0 * sigma / np.sqrt(500)).all()
    assert tare_torque(tau, np.tile(g, (500, 1)), t, gates).mean == pytest.approx(result.mean)
    tau[:, 2] += 3.0
    with pytest.raises(TareError, match="joint 3") as caught:
        tare_torque(tau, g, t, gates)
    assert caught.value.gate == "bias"


def test_quiet_sensor_passes_only_where_it_is_expected() -> None:
    """An ideal mock sensor is bit-constant."""
    samples = np.tile(LOAD + BIAS, (300, 1))
    t = np.arange(300) * 1e-3
    assert refused(samples, t).gate == "stuck"
    assert tare(samples, LOAD, t, wrench_gates(may_be_quiet=True)).mean == pytest.approx(BIAS)

"""Sensor physics against what the profile says: noise, delay, bias, drift, temperature, mounting, cross-talk."""

import numpy as np
import pytest

from drivers.contract import Array
from sim_mocks.errors import ProfileError
from sim_mocks.ft_physics import SensorPhysics
from sim_mocks.profiles import load_profile

TICK_NS = 1_000_000


def physics(seed: int = 0, **profile: object) -> SensorPhysics:
    return SensorPhysics(profile, np.random.default_rng(seed))


def settled(made: SensorPhysics, load: Array, t_ns: int = TICK_NS) -> Array:
    made.load(t_ns, load, TICK_NS)
    return made.measure(t_ns)[0]


def test_standard_profile_is_taken_whole() -> None:
    """Every figure of the frozen profile arrives; biases of axes and seeds differ, draws repeat."""
    profile = load_profile("ft_sensor", "standard", 3)
    made = SensorPhysics(profile, np.random.default_rng(0))
    assert made.noise_sd.tolist() == [0.05] * 3 + [0.002] * 3
    assert (np.abs(made.bias[:3]) <= 5.0).all()
    assert (np.abs(made.bias[3:]) <= 0.2).all()
    assert len(set(made.bias)) == 6
    assert np.allclose(np.abs(made.drift), np.repeat((0.3, 0.01), 3) / 3600.0)
    assert np.abs(made.thermal).tolist() == [0.05] * 3 + [0.002] * 3
    angle = np.degrees(np.arccos((np.trace(made.rotation) - 1.0) / 2.0))
    assert 0.0 < angle <= np.sqrt(3.0)
    assert made.group_delay == 0.003
    again = SensorPhysics(load_profile("ft_sensor", "standard", 3), np.random.default_rng(0))
    assert np.array_equal(made.bias, again.bias)
    assert np.array_equal(made.matrix, again.matrix)
    other = SensorPhysics(load_profile("ft_sensor", "standard", 4), np.random.default_rng(0))
    assert not np.array_equal(made.bias, other.bias)


def test_without_imperfections_it_is_exact() -> None:
    load = np.array([1.0, -2.0, 3.0, 0.1, -0.2, 0.3])
    assert settled(physics(), load).tolist() == load.tolist()
    ideal = SensorPhysics(load_profile("ft_sensor", "ideal", 0), np.random.default_rng(0))
    assert settled(ideal, load).tolist() == load.tolist()


def test_noise_is_white_and_of_the_size_stated() -> None:
    """20 000 frames: sd within 3 % (6 sigma of its estimate is 3 %), mean, and correlation from frame to frame."""
    made = physics(force_noise=0.05, moment_noise=0.002)
    made.load(TICK_NS, np.zeros(6), TICK_NS)
    n = 20_000
    noise = np.array([made.measure(TICK_NS)[0] for _ in range(n)])
    sd = noise.std(axis=0)
    assert sd == pytest.approx([0.05] * 3 + [0.002] * 3, rel=0.03)
    assert (np.abs(noise.mean(axis=0)) < 5.0 * sd / np.sqrt(n)).all()
    correlation = np.corrcoef(np.hstack([noise[1:], noise[:-1]]).T) - np.eye(12)
    assert np.abs(correlation).max() < 5.0 / np.sqrt(n)


@pytest.mark.parametrize("frequency", [1.0, 10.0, 40.0, 80.0])
def test_group_delay_is_the_same_at_every_frequency(frequency: float) -> None:
    """Phase of a sinusoid through the filter, sampled at 800 Hz out of step with the 1 kHz load: 3 ms, to 10 µs.

    The load is constant over each tick, as the mean over it: that is itself the sinusoid half a tick late, which
    counts as the world's and is taken off.
    """
    made = physics(filter_group_delay=0.003)
    ticks = 3000
    times, output = [], []
    k = 1
    for tick in range(1, ticks + 1):
        t = tick * 1e-3
        load = np.full(6, np.sin(2.0 * np.pi * frequency * t))
        made.load(tick * TICK_NS, load, TICK_NS)
        while k * 1_250_000 <= tick * TICK_NS:
            if k * 1_250_000 > 1_000_000_000:
                times.append(k * 1.25e-3)
                output.append(made.measure(k * 1_250_000)[0][0])
            k += 1
    at = 2.0 * np.pi * frequency * np.array(times)
    a, b = np.linalg.lstsq(np.column_stack([np.sin(at), np.cos(at)]), np.array(output), rcond=None)[0]
    # Held over the tick that ends at t, the value for t acts on average half a tick early.
    delay = -np.arctan2(b, a) / (2.0 * np.pi * frequency) + 0.0005
    assert delay == pytest.approx(0.003, abs=1e-5)
    gain = np.sinc(frequency * 0.006) * np.sinc(frequency * 0.001)
    assert np.hypot(a, b) == pytest.approx(gain, abs=0.002)


def test_filter_is_causal_and_settles() -> None:
    """A step appears nowhere before it happens, is half there after the delay and complete after twice of it."""
    made = physics(filter_group_delay=0.003)
    response = []
    for tick in range(1, 30):
        made.load(tick * TICK_NS, np.full(6, float(tick > 10)), TICK_NS)
        response.append(made.measure(tick * TICK_NS)[0][0])
    assert response[:10] == [0.0] * 10
    assert response[12] == pytest.approx(0.5)
    assert response[15:] == pytest.approx([1.0] * len(response[15:]))
    assert (np.diff(response) >= -1e-12).all()


def test_first_load_has_always_acted() -> None:
    """No transient at start: a hanging tool has hung before."""
    made = physics(filter_group_delay=0.003)
    load = np.array([0.0, 0.0, -11.8, 0.0, 0.0, 0.0])
    assert settled(made, load) == pytest.approx(load)


def test_bias_drift_and_temperature() -> None:
    """After an hour: bias + drift + the warm-up, each with the profile's size; compensation takes most heat away."""
    made = physics(
        bias={"force": [1.0, 2.0, 3.0], "moment": 0.1},
        drift_per_hour={"force": 0.3, "moment": 0.01},
        temperature_drift_per_kelvin={"force": 0.05, "moment": 0.002},
    )
    assert settled(made, np.zeros(6)) == pytest.approx([1.0, 2.0, 3.0, 0.1, 0.1, 0.1], abs=1e-3)
    hour = 3600 * 10**9
    made.load(hour, np.zeros(6), TICK_NS)
    warm, temperature = made.measure(hour)
    kelvin = 2.0 * (1.0 - np.exp(-4.0))
    assert temperature == pytest.approx(31.0 + kelvin, abs=0.15)
    assert warm - made.bias == pytest.approx(3600.0 * made.drift + kelvin * made.thermal)
    cool, _ = made.measure(hour, compensated=True)
    assert warm - cool == pytest.approx(0.9 * kelvin * made.thermal)


def test_mounting_rotation_turns_force_and_moment_alike() -> None:
    """A sensor turned by +90° about z reads a force along nominal x as one along its own −y."""
    made = physics(mounting_rotation_deg=[0.0, 0.0, 90.0])
    got = settled(made, np.array([1.0, 0.0, 2.0, 0.1, 0.0, 0.2]))
    assert got == pytest.approx([0.0, -1.0, 2.0, 0.0, -0.1, 0.2], abs=1e-12)


def test_crosstalk_stays_within_its_bound() -> None:
    """Diagonal untouched; off-diagonals within 0.5 % of range, force and moment brought together by 30 mm."""
    for seed in range(20):
        off = physics(seed, crosstalk=0.005).matrix - np.eye(6)
        assert np.diagonal(off).tolist() == [0.0] * 6
        scale = np.array([1.0, 1.0, 1.0, 0.03, 0.03, 0.03])
        relative = np.abs(off / scale[:, None] * scale[None, :])
        assert 0.002 < relative.max() <= 0.005


def test_wrong_profile_is_named() -> None:
    with pytest.raises(ProfileError, match="force_noise"):
        physics(force_noise="much")

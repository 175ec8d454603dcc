"""Imperfections of a six-axis force/torque sensor: what its output says when a true load acts on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import exp
from typing import Any

import numpy as np

from drivers.contract import Array
from sim_mocks.profiles import Profile

_CROSSTALK_ARM = 0.03
"""m; ratio of moment range to force range, makes one cross-talk figure fit N and N·m (15 N·m : 500 N). Ours."""
_START_TEMPERATURE, _WARM_UP, _WARM_UP_TIME = 31.0, 2.0, 900.0
"""°C, K, s: the sensor heats itself exponentially. Ours."""
_TEMPERATURE_NOISE = 0.02
_COMPENSATED = 0.1
"""Share of the temperature drift that the device's own compensation leaves. Ours."""


class SensorPhysics:
    """``measured = X R^T mean(true) + bias + drift t + k (T - T0) + noise``.

    * ``R`` turns the sensor by ``mounting_rotation_deg`` (rotation vector) against where it is thought to be,
    * ``X`` is the identity plus cross-talk: each off-diagonal entry uniform within ± ``crosstalk`` of the range,
    * the mean is a moving average over twice ``filter_group_delay``: causal, linear phase, so its delay is that
      figure at every frequency. The true load is taken as constant over each tick and integrated exactly, so
      samples may fall anywhere between ticks. Before the first tick the first load is assumed to have acted.
    * drift and temperature drift have the profile's size on every axis, the sign of each drawn from the seed,
    * noise is white from frame to frame, with the profile's standard deviation at every frame rate (ours).

    ``profile`` is an ``ft_sensor`` profile, or a plain mapping of the same form (an entry is a number for all three
    axes, or three). Missing entries mean: this imperfection is absent. All that the profile does not draw itself
    comes from ``rng``.
    """

    def __init__(self, profile: Mapping[str, Any], rng: np.random.Generator) -> None:
        """Raises ProfileError for entries of the wrong form."""
        if not isinstance(profile, Profile):
            profile = Profile("ft_sensor", "given", 0, 6, profile)
        self.noise_sd = np.concatenate([profile.array("force_noise", (3,)), profile.array("moment_noise", (3,))])
        """(6,) N, N·m."""
        self.bias = _force_moment(profile, "bias")
        """(6,) N, N·m."""
        signs = rng.choice((-1.0, 1.0), size=(2, 6))
        self.drift = signs[0] * _force_moment(profile, "drift_per_hour") / 3600.0
        """(6,) N/s, N·m/s."""
        self.thermal = signs[1] * _force_moment(profile, "temperature_drift_per_kelvin")
        """(6,) N/K, N·m/K."""
        self.rotation = _rotation(np.radians(profile.array("mounting_rotation_deg", (3,))))
        """(3, 3), real sensor axes in nominal sensor axes."""
        arm = np.array([1.0, 1.0, 1.0, *[_CROSSTALK_ARM] * 3])
        crosstalk = profile.number("crosstalk") * rng.uniform(-1.0, 1.0, (6, 6)) * arm[:, None] / arm[None, :]
        np.fill_diagonal(crosstalk, 0.0)
        self.matrix = (np.eye(6) + crosstalk) @ np.kron(np.eye(2), self.rotation.T)
        """(6, 6): the noise-free, unbiased output for a constant true load."""
        self.group_delay = profile.number("filter_group_delay")
        """s."""
        self._window_ns = round(2e9 * self.group_delay)
        self._rng = rng
        self._times: deque[int] = deque()
        self._integrals: deque[Array] = deque()
        self._load = np.zeros(6)

    def load(self, t_ns: int, wrench: Array, dt_ns: int) -> None:
        """The true load (6,) was ``wrench`` since the last call (``dt_ns`` ns long at the first) until ``t_ns``.

        Raises ValueError for a load that is not finite or a time that does not grow.
        """
        wrench = np.array(wrench, dtype=float)
        if wrench.shape != (6,) or not np.isfinite(wrench).all():
            raise ValueError(f"true load {wrench} at {t_ns} ns: expected six finite numbers; look at the world")
        times, integrals = self._times, self._integrals
        if not times:
            start, before = t_ns - dt_ns, self._window_ns
            times.extend((start - before - 1, start))
            integrals.extend((np.zeros(6), wrench * (before + 1)))
        step = t_ns - times[-1]
        if step <= 0:
            raise ValueError(f"load at {t_ns} ns after one at {times[-1]} ns: time must grow; call once per tick")
        oldest = times[-1] - self._window_ns
        while len(times) > 1 and times[1] <= oldest:
            times.popleft()
            integrals.popleft()
        integrals.append(integrals[-1] + wrench * step)
        times.append(t_ns)
        self._load = wrench

    def measure(self, t_ns: int, compensated: bool = False) -> tuple[Array, float]:
        """``(wrench (6,), temperature °C)`` as the sensor puts them out at ``t_ns``, which must lie in the interval
        of the last :meth:`load`. Draws noise: call once per frame, in order."""
        window = self._window_ns
        mean = (self._integral(t_ns) - self._integral(t_ns - window)) / window if window else self._load
        seconds = t_ns * 1e-9
        warmth = _WARM_UP * (1.0 - exp(-max(0.0, seconds) / _WARM_UP_TIME))
        noise = self._rng.standard_normal(7)
        wrench = self.matrix @ mean
        wrench += self.bias
        wrench += self.drift * seconds
        wrench += self.thermal * (warmth * (_COMPENSATED if compensated else 1.0))
        wrench += self.noise_sd * noise[:6]
        return wrench, _START_TEMPERATURE + warmth + _TEMPERATURE_NOISE * float(noise[6])

    def _integral(self, t_ns: int) -> Array:
        times = self._times
        i = len(times) - 1
        while times[i - 1] > t_ns:
            i -= 1
        earlier = self._integrals[i - 1]
        share = (t_ns - times[i - 1]) / (times[i] - times[i - 1])
        between: Array = earlier + share * (self._integrals[i] - earlier)
        return between


def _force_moment(profile: Profile, key: str) -> Array:
    section = profile.section(key)
    return np.concatenate([section.array("force", (3,)), section.array("moment", (3,))])


def _rotation(vector: Array) -> Array:
    """Rodrigues' formula: rotation matrix of a rotation vector in rad."""
    angle = float(np.linalg.norm(vector))
    if angle == 0.0:
        return np.eye(3)
    x, y, z = vector / angle
    k = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    matrix: Array = np.eye(3) + np.sin(angle) * k + (1.0 - np.cos(angle)) * (k @ k)
    return matrix

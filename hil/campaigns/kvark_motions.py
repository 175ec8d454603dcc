"""Motions of the K-VARK campaign: random Fourier series, point-to-point with dwells, and the polishing square."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
from scipy.linalg import null_space

Array = npt.NDArray[np.float64]

HOME = np.array([0.0, -1.45, 1.75, -1.87, -1.57, 0.0])
"""Where every motion begins, rad: tool down, upper arm raised."""
REACH = np.array([0.75, 0.40, 0.55, 0.85, 0.75, 0.80])
"""Largest excursion of a Fourier motion from home, rad."""
SPEED = np.array([0.85, 0.60, 0.75, 0.90, 0.90, 0.90])
"""Largest speed of a Fourier motion, rad/s."""
TARGETS = np.array([1.2, 0.40, 0.55, 0.95, 0.9, 1.2])
"""Range of point-to-point targets around home, rad."""
_HARMONICS = 10
_ACCELERATION = 3.0
"""Of point-to-point moves, rad/s²."""
_TOP = 2.0
"""Speed of point-to-point moves, rad/s."""
DWELL = (0.3, 1.2)
"""Between point-to-point moves, s."""


def fourier(samples: int, dt: float, scale: float, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """q, qd, qdd (samples, 6) of one period of a random Fourier series, eq. (24), at rest at both ends.

    ``scale``: part of :data:`REACH` and :data:`SPEED` that is used, whichever is reached first. Zero offset, velocity
    and acceleration at the ends hold exactly, by the null space of Σa = 0, Σ l b = 0, Σ b/l = 0.
    """
    n, omega = len(HOME), math.tau / (samples * dt)
    l = np.arange(1, _HARMONICS + 1)  # noqa: E741 - the harmonic's name in eq. (24)
    a = null_space(np.ones((1, _HARMONICS))) @ rng.standard_normal((_HARMONICS - 1, n))
    b = null_space(np.vstack((l, 1.0 / l))) @ rng.standard_normal((_HARMONICS - 2, n))
    t = omega * dt * np.arange(samples)[:, None] * l
    q = np.sin(t) @ (a / (omega * l)[:, None]) - np.cos(t) @ (b / (omega * l)[:, None])
    qd = np.cos(t) @ a + np.sin(t) @ b
    qdd = -np.sin(t) @ (a * (omega * l)[:, None]) + np.cos(t) @ (b * (omega * l)[:, None])
    factor = scale * np.minimum(REACH / np.abs(q).max(axis=0), SPEED / np.abs(qd).max(axis=0))
    return HOME + factor * q, factor * qd, factor * qdd


def point_to_point(samples: int, dt: float, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """q, qd, qdd (samples, 6): minimum-jerk moves to random postures around home, with dwells between."""
    q, qd, qdd = np.tile(HOME, (samples, 1)), np.zeros((samples, 6)), np.zeros((samples, 6))
    at, start = round(rng.uniform(*DWELL) / dt), HOME
    while at < samples:
        target = HOME + TARGETS * rng.uniform(-1.0, 1.0, 6)
        change = target - start
        pace = rng.uniform(0.35, 1.0)
        # A minimum-jerk move over D in T has speed 1.875 D/T and acceleration 5.77 D/T².
        far = float(np.abs(change).max())
        T = max(1.875 * far / (_TOP * pace), math.sqrt(5.774 * far / (_ACCELERATION * pace)))
        count = max(2, round(T / dt))
        s = np.arange(1, count + 1)[:, None] / count
        rows = slice(at, min(at + count, samples))
        keep = rows.stop - at
        q[rows] = (start + change * (10 * s**3 - 15 * s**4 + 6 * s**5))[:keep]
        qd[rows] = (change / T * (30 * s**2 - 60 * s**3 + 30 * s**4))[:keep]
        qdd[rows] = (change / T**2 * (60 * s - 180 * s**2 + 120 * s**3))[:keep]
        q[rows.stop :] = target
        at, start = at + count + round(rng.uniform(*DWELL) / dt), target
    return q, qd, qdd


SIDE = 0.2
"""Of the polishing square, m."""
ABOVE = 0.05
"""Height of the tool over the surface at the start, m."""
FORCE = (20.0, 40.0)
"""Normal force at the beginning and at the end of polishing, N."""
_LAPS = 2
_WORK = (0.16, 0.90)
"""Begin and end of the laps, parts of the run's time."""


def polish(samples: int, dt: float, at: Array) -> tuple[Array, Array, Array]:
    """Path x (samples, 3) m, its velocity, and the wanted normal force (samples,) N, from the tool point ``at``.

    Down to the surface :data:`ABOVE` below, laps of the square of side :data:`SIDE` around the start, up again.
    """
    half, low = 0.5 * SIDE, at - np.array([0.0, 0.0, ABOVE])
    corners = [low + half * np.array([x, y, 0.0]) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))]
    up = np.array([0.0, 0.0, ABOVE])
    # Shares of the run's time at which a point is reached.
    points = [(0.0, at), (0.06, corners[0] + up), (0.10, corners[0]), (_WORK[0], corners[0])]
    for side in range(1, 4 * _LAPS + 1):
        points.append((_WORK[0] + (_WORK[1] - _WORK[0]) * side / (4 * _LAPS), corners[(side - 1) % 4 + 1]))
    points += [(0.93, corners[0]), (1.0, corners[0] + up)]
    total = samples * dt
    t = np.arange(samples) * dt
    x, v = np.empty((samples, 3)), np.zeros((samples, 3))
    for (t0, a), (t1, b) in itertools.pairwise(points):
        inside = (t >= t0 * total) & (t <= t1 * total)
        T = (t1 - t0) * total
        s = ((t[inside] - t0 * total) / T)[:, None]
        x[inside] = a + (b - a) * (10 * s**3 - 15 * s**4 + 6 * s**5)
        v[inside] = (b - a) / T * (30 * s**2 - 60 * s**3 + 30 * s**4)
    share = np.clip((t / total - _WORK[0]) / (_WORK[1] - _WORK[0]), 0.0, 1.0)
    force = (FORCE[0] + (FORCE[1] - FORCE[0]) * share) * np.clip((t / total - 0.11) / 0.04, 0.0, 1.0)
    force *= np.clip((0.92 - t / total) / 0.02, 0.0, 1.0)
    return x, v, force

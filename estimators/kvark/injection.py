"""Virtual contacts: wrenches added to contact-free recordings, so that filters are tuned without any contact data.

The virtual measurement is linear in the external torque, so ``y + Jᵀ F(t)`` is what the same motion would have given
under the wrench F, but for friction that depends on load. Every method is tuned by the same contacts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FORCE = (8.0, 40.0)
"""Height of a contact, N."""
MOMENT = 0.03
"""Moments in N·m for each N of force, at most: what a tool tip of that radius transmits, m."""
RISE = (0.03, 0.6)
"""Time from nothing to full height, and back, s."""
HOLD = (0.2, 1.5)
PAUSE = (0.3, 1.5)


def contacts(samples: int, dt: float, rng: np.random.Generator) -> Array:
    """Wrenches F (samples, 6) N, N·m: trapezoids of random height, direction, rise and length, with pauses between."""
    F = np.zeros((samples, 6))
    at = rng.uniform(*PAUSE)
    while at < samples * dt:
        direction = rng.standard_normal(3)
        force = rng.uniform(*FORCE) * direction / np.linalg.norm(direction)
        moment = np.linalg.norm(force) * MOMENT * rng.uniform(-1.0, 1.0, 3)
        rise, hold = np.exp(rng.uniform(*np.log(RISE))), rng.uniform(*HOLD)
        ends = np.cumsum([at, rise, hold, rise])
        first, last = (min(samples, round(edge / dt)) for edge in (ends[0], ends[3]))
        t = np.arange(first, last) * dt
        shape = np.interp(t, ends, [0.0, 1.0, 1.0, 0.0])
        F[first:last] += shape[:, None] * np.concatenate((force, moment))
        at = ends[3] + rng.uniform(*PAUSE)
    return F


def torques(J: Array, F: Array) -> Array:
    """tau_ext (m, n) N·m of wrenches ``F`` (m, 6) at Jacobians ``J`` (m, 6, n)."""
    torque: Array = np.einsum("kij,ki->kj", J, F)
    return torque

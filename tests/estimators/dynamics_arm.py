"""A two-link arm with friction that its rigid-body model does not know, moved along rhythmic trajectories."""

from __future__ import annotations

import numpy as np

from estimators.dynamics.samples import Samples
from estimators.rigid_body import RigidBodyModel
from tests.estimators.arms import PLANAR

NOISE = np.array([0.05, 0.02])
"""Of the torque sensors, N·m."""
FRICTION = np.array([[0.1, 0.8, 1.5], [-0.05, 0.4, 0.6]])
"""Offset N·m, viscous N·m·s/rad, Coulomb N·m."""
WIDTH = 0.05


def planar() -> RigidBodyModel:
    return RigidBodyModel(PLANAR)


def moved(trajectories: int, seed: int = 0, samples: int = 100, centre: float = 0.0) -> Samples:
    """``trajectories`` of 10 s each, around a random pose near ``centre``."""
    rng = np.random.default_rng(seed)
    model = planar()
    t = np.linspace(0.0, 10.0, samples)[:, None]
    parts: list[list[np.ndarray]] = [[], [], [], [], []]
    for k in range(trajectories):
        middle = centre + rng.uniform(-0.25, 0.25, 2)
        q, qd, qdd = np.tile(middle, (samples, 1)), np.zeros((samples, 2)), np.zeros((samples, 2))
        for _ in range(2):
            w, a, p = 2.0 * np.pi * rng.uniform(0.1, 0.5, 2), rng.uniform(0.1, 0.5, 2), rng.uniform(0.0, 6.0, 2)
            q = q + a * np.sin(w * t + p)
            qd = qd + a * w * np.cos(w * t + p)
            qdd = qdd - a * w**2 * np.sin(w * t + p)
        offset, viscous, coulomb = FRICTION.T
        tau = np.array([model.rnea(*row) for row in zip(q, qd, qdd, strict=True)])
        tau = tau + offset + viscous * qd + coulomb * np.tanh(qd / WIDTH) + NOISE * rng.standard_normal(q.shape)
        for store, part in zip(parts, (q, qd, qdd, tau, np.full(samples, k)), strict=True):
            store.append(part)
    q, qd, qdd, tau, trajectory = (np.concatenate(part) for part in parts)
    return Samples(q, qd, qdd, tau, trajectory.astype(np.int64))

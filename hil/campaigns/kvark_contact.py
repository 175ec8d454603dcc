"""Polishing in the campaign's plant: the surface, and Cartesian impedance control that presses on it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from estimators.rigid_body import RigidBodyModel
from hil.campaigns.kvark_motions import ABOVE, HOME, polish

Array = npt.NDArray[np.float64]

STIFFNESS = 2e4
"""Of the surface, N/m."""
DAMPING = 100.0
"""Of the surface, N·s/m."""
FRICTION = 0.3
_SLIDES = 2e-3
"""Speed over which dry friction of the contact changes sign, m/s."""


class Contact:
    """A horizontal surface at height ``z`` m, base frame, that only pushes."""

    def __init__(self, z: float) -> None:
        self.z = z

    def torque(self, model: RigidBodyModel, q: Array, qd: Array) -> tuple[Array, Array]:
        """Force (3,) N on the tool point, base axes, and its joint torque (n,) N·m."""
        J = model.jacobian(q)[:3]
        x, _ = model.fk(q)
        depth = self.z - float(x[2])
        if depth <= 0.0:
            return np.zeros(3), np.zeros(model.n)
        v = J @ qd
        normal = max(0.0, STIFFNESS * depth - DAMPING * float(v[2]))
        across = np.array([v[0], v[1], 0.0])
        speed = float(np.hypot(v[0], v[1]))
        force = -FRICTION * normal * across / (speed + _SLIDES)
        force[2] += normal
        return force, J.T @ force


class Impedance:
    """Cartesian impedance along the polishing path, pressing by feed-forward; a law of :mod:`kvark_plant`.

    Stiff across the surface, soft along its normal, where the wanted force is added: so the force that arrives is off
    by what friction in the joints holds back, as on a real arm without a force sensor.
    """

    _K = np.array([4000.0, 4000.0, 500.0, 250.0, 250.0, 250.0])
    _D = np.array([300.0, 300.0, 150.0, 20.0, 20.0, 20.0])

    def __init__(self, model: RigidBodyModel, samples: int, dt: float) -> None:
        self._model = model
        at, self._R = model.fk(HOME)
        self.surface = float(at[2]) - ABOVE
        """Height of the surface, m."""
        self._x, self._v, self._force = polish(samples, dt, at)

    def __call__(self, k: int, q: Array, qd: Array) -> Array:
        """Torque (n,) N·m at sample ``k``."""
        dyn = self._model.update(q, qd)
        turn = 0.5 * sum(np.cross(dyn.R[:, i], self._R[:, i]) for i in range(3))
        error = np.concatenate((self._x[k] - dyn.x, turn))
        velocity = dyn.J @ qd
        velocity[:3] -= self._v[k]
        F = self._K * error - self._D * velocity
        F[2] -= self._force[k]
        torque: Array = dyn.g + dyn.Cqd + dyn.J.T @ F
        return torque

"""Inertia of one rigid body, checked for what real bodies can have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators.errors import ModelError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class BodyInertia:
    """Inertia of a rigid body: mass (kg), centre of mass ``(3,)`` (m) and inertia ``(3, 3)`` about it (kg m²).

    The frame of ``com`` and ``inertia`` is named where one is used (a tool's is the flange frame). Raises ModelError
    for anything no real body has: non-finite values, a negative mass, an inertia that is asymmetric, indefinite or
    breaks the triangle inequality of principal moments.
    """

    mass: float
    com: Array
    inertia: Array

    def __post_init__(self) -> None:
        com = np.asarray(self.com, dtype=np.float64)
        inertia = np.asarray(self.inertia, dtype=np.float64)
        if com.shape != (3,) or inertia.shape != (3, 3):
            raise ModelError(f"com and inertia have shapes {com.shape} and {inertia.shape}; expected (3,) and (3, 3)")
        if not (np.isfinite(self.mass) and np.isfinite(com).all() and np.isfinite(inertia).all()):
            raise ModelError(f"body inertia is not finite: mass {self.mass}, com {com}, inertia {inertia.tolist()}")
        if self.mass < 0.0:
            raise ModelError(f"mass is {self.mass} kg; a body's mass cannot be negative")
        problem = inertia_problem(inertia)
        if problem:
            raise ModelError(f"{problem}: {inertia.tolist()} kg m²; give it about the centre of mass")
        object.__setattr__(self, "com", com)
        object.__setattr__(self, "inertia", inertia)


def combined(a: BodyInertia, b: BodyInertia) -> BodyInertia:
    """Two bodies given in one frame, rigidly joined (parallel-axis theorem)."""
    mass = a.mass + b.mass
    if mass == 0.0:
        return a
    com = (a.mass * a.com + b.mass * b.com) / mass
    inertia = np.zeros((3, 3))
    for body in (a, b):
        r = body.com - com
        inertia += body.inertia + body.mass * (r @ r * np.eye(3) - np.outer(r, r))
    return BodyInertia(mass, com, inertia)


def inertia_problem(inertia: Array) -> str:
    """Why a rotational inertia is physically impossible; empty if it is possible."""
    scale = float(np.abs(inertia).max())
    if np.abs(inertia - inertia.T).max() > 1e-9 * scale:
        return "inertia is not symmetric"
    low, mid, high = np.linalg.eigvalsh(inertia)
    if low < -1e-9 * scale:
        return f"inertia has a negative principal moment ({low:.3g})"
    # A planar body meets the inequality with equality: leave room for rounding in published figures.
    if low + mid < high * (1.0 - 1e-3):
        return f"principal moments {low:.3g}, {mid:.3g}, {high:.3g} break the triangle inequality"
    return ""


def pseudo_inertia(parameters: Array) -> Array:
    """The 4×4 matrix of m, m c (3), Ixx, Ixy, Iyy, Ixz, Iyz, Izz, positive definite exactly for a real body of mass.

    Wensing, Kim, Slotine: Linear matrix inequalities for physically consistent inertial parameter identification,
    2018.
    """
    m, moment = parameters[0], parameters[1:4]
    xx, xy, yy, xz, yz, zz = parameters[4:]
    inertia = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    J = np.empty((4, 4))
    J[:3, :3] = 0.5 * np.trace(inertia) * np.eye(3) - inertia
    J[:3, 3] = J[3, :3] = moment
    J[3, 3] = m
    return J

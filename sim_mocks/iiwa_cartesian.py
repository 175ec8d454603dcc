"""Forward and inverse kinematics of the mock controller, in the units of the wire.

The point is the flange and the axes are those of the base: ours, since a real controller uses the motion's own frames.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from drivers.contract import Array

_STEPS = 12
_TOLERANCE = 1e-9
_STEP_MAX = 0.2
"""rad in one step of the iteration: a target further away than that is not followed into another posture."""


class Kinematics(Protocol):
    """Where the flange is and how it moves."""

    def fk(self, q: Array) -> tuple[Array, Array]:
        """Position (3,) m and orientation (3, 3)."""
        ...

    def jacobian(self, q: Array) -> Array:
        """(6, 7), linear rows above angular ones, base axes."""
        ...


def wire_pose(kinematics: Kinematics, q: Array) -> Array:
    """Pose at ``q`` as the wire carries it: ``[x y z (mm) qw qx qy qz]``."""
    position, rotation = kinematics.fk(q)
    return np.concatenate([1e3 * position, quaternion(rotation)])


def quaternion(rotation: Array) -> Array:
    """Unit quaternion, scalar part first and not negative, of a rotation matrix (3, 3)."""
    r = rotation
    # Each row is 4 w, x, y or z times the quaternion; the one with the largest diagonal loses no digits.
    rows = np.array(
        [
            [1 + r[0, 0] + r[1, 1] + r[2, 2], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], 1 + r[0, 0] - r[1, 1] - r[2, 2], r[1, 0] + r[0, 1], r[0, 2] + r[2, 0]],
            [r[0, 2] - r[2, 0], r[1, 0] + r[0, 1], 1 - r[0, 0] + r[1, 1] - r[2, 2], r[2, 1] + r[1, 2]],
            [r[1, 0] - r[0, 1], r[0, 2] + r[2, 0], r[2, 1] + r[1, 2], 1 - r[0, 0] - r[1, 1] + r[2, 2]],
        ]
    )
    row = rows[int(np.argmax(np.diag(rows)))]
    unit: Array = row / np.linalg.norm(row)
    return -unit if unit[0] < 0.0 else unit


def rotation_matrix(q: Array) -> Array:
    """Rotation matrix (3, 3) of a quaternion, scalar part first, of any length but zero."""
    w, x, y, z = (q / np.linalg.norm(q)).tolist()
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def pose_distance(a: Array, b: Array) -> tuple[float, float]:
    """Distance (m) and angle (rad) between two poses of the wire."""
    cosine = abs(float(a[3:] @ b[3:]) / float(np.linalg.norm(a[3:]) * np.linalg.norm(b[3:])))
    return 1e-3 * float(np.linalg.norm(a[:3] - b[:3])), 2.0 * math.acos(min(1.0, cosine))


def joints_at(kinematics: Kinematics, pose: Array, a3: float, start: Array) -> Array | None:
    """Joint positions (7,) that put the flange at the wire's ``pose`` with joint A3 at ``a3`` rad, next to ``start``;
    None where the iteration finds none."""
    q = start.copy()
    q[2] = a3
    target, orientation = 1e-3 * pose[:3], rotation_matrix(pose[3:])
    moving = [0, 1, 3, 4, 5, 6]
    for _ in range(_STEPS):
        position, rotation = kinematics.fk(q)
        turn = orientation @ rotation.T
        axis = 0.5 * np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
        error = np.concatenate([target - position, axis])
        if float(np.abs(error).max()) < _TOLERANCE:
            return q
        jacobian = kinematics.jacobian(q)[:, moving]
        # Damped least squares: near a singular posture it gives up slowly instead of jumping.
        step = jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + 1e-10 * np.eye(6), error)
        if not float(np.abs(step).max()) <= _STEP_MAX:
            return None
        q[moving] += step
    return None

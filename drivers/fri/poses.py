"""Poses between the contract (m, rotation matrix) and the wire (mm, unit quaternion, redundancy parameter)."""

from __future__ import annotations

import math

import numpy as np

from drivers.contract import Array, PoseCommand
from drivers.fri.records import Redundant
from drivers.fri.wire import Redundancy

SET_POINT = 8
"""Numbers of a pose as a set-point: ``[x y z (mm) qw qx qy qz r]`` with the redundancy parameter r, rad."""
QUATERNION_TOLERANCE = 1e-3
"""By how much the length of a quaternion from the wire may differ from 1."""
_ROTATION_TOLERANCE = 1e-6
ENTRY_DISTANCE = 0.02
"""m; the first pose of a stay in COMMANDED may be this far from the set-point mirrored before."""
ENTRY_ANGLE = 0.1
"""rad; the same for its orientation and its redundancy parameter."""


def set_point(pose: Array | None, redundancy: Redundant | None) -> Array | None:
    """A pose of the wire with its redundancy as (8,); None unless both are there, finite, a unit quaternion, and the
    redundancy is the position of joint A3 (E1)."""
    if pose is None or redundancy is None or redundancy[0] != Redundancy.E1:
        return None
    found = np.append(pose, redundancy[1])
    if not np.isfinite(found).all() or abs(float(np.linalg.norm(pose[3:])) - 1.0) > QUATERNION_TOLERANCE:
        return None
    return found


def from_wire(numbers: Array) -> PoseCommand:
    """A set-point (8,) in the words of the contract."""
    w, x, y, z = (numbers[3:7] / np.linalg.norm(numbers[3:7])).tolist()
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    return PoseCommand(1e-3 * numbers[:3], rotation, float(numbers[7]))


def to_wire(command: PoseCommand) -> Array:
    """A command as set-point (8,). Raises ValueError for one that is not finite, or whose matrix is no rotation."""
    R = np.array(command.R, dtype=float)
    x = np.array(command.x, dtype=float)
    if R.shape != (3, 3) or x.shape != (3,):
        raise ValueError(f"a pose of shapes {x.shape} and {R.shape}, expected (3,) and (3, 3)")
    redundancy = float(command.redundancy)
    if not (np.isfinite(R).all() and np.isfinite(x).all() and math.isfinite(redundancy)):
        raise ValueError(f"a pose is not finite: x {x.tolist()}, R {R.tolist()}, redundancy {redundancy}")
    if float(np.abs(R.T @ R - np.eye(3)).max()) > _ROTATION_TOLERANCE or np.linalg.det(R) < 0.0:
        raise ValueError(f"R is no rotation matrix: {R.tolist()}")
    return np.concatenate([1e3 * x, _quaternion(R), [redundancy]])


def entry_problem(reference: Array, entry: Array) -> str:
    """Why a first pose (8,) is too far from the mirrored set-point (8,); empty if it is not."""
    distance = 1e-3 * float(np.linalg.norm(reference[:3] - entry[:3]))
    cosine = min(1.0, abs(float(reference[3:7] @ entry[3:7])) / float(np.linalg.norm(entry[3:7])))
    angle, redundancy = 2.0 * math.acos(cosine), abs(float(reference[7] - entry[7]))
    if distance <= ENTRY_DISTANCE and angle <= ENTRY_ANGLE and redundancy <= ENTRY_ANGLE:
        return ""
    return (
        f"the first pose lies {distance:.3f} m, {angle:.3f} rad and, in its redundancy, {redundancy:.3f} rad from the "
        f"robot's set-point; {ENTRY_DISTANCE} m, {ENTRY_ANGLE} rad and {ENTRY_ANGLE} rad are allowed: begin at "
        "RobotSample.pose_ref_accepted"
    )


def _quaternion(R: Array) -> Array:
    """Unit quaternion (4,), scalar part first and not negative, of a rotation matrix."""
    # Shepperd's method: of the four ways to begin, the one that divides by the largest number.
    trace = float(np.trace(R))
    choice = int(np.argmax([trace, R[0, 0], R[1, 1], R[2, 2]]))
    if choice == 0:
        unscaled = np.array([1.0 + trace, R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]])
    else:
        i = choice - 1
        j, k = (i + 1) % 3, (i + 2) % 3
        unscaled = np.empty(4)
        unscaled[0] = R[k, j] - R[j, k]
        unscaled[1 + i] = 1.0 + R[i, i] - R[j, j] - R[k, k]
        unscaled[1 + j] = R[j, i] + R[i, j]
        unscaled[1 + k] = R[k, i] + R[i, k]
    unit: Array = unscaled / np.linalg.norm(unscaled)
    return -unit if unit[0] < 0.0 else unit

"""Joint positions for a pose of the TCP: damped least squares, the redundancy drawn to a chosen posture.

Each step is ``dq = J⁺ e + (1 − J⁺ J) k (posture − q)`` with the damped pseudo-inverse (Nakamura & Hanafusa 1986): an
arm with a joint to spare ends with its elbow near where it was asked for, and always in the same place.
"""

from __future__ import annotations

import numpy as np

from drivers.contract import Array
from estimators.rigid_body import RigidBodyModel
from hil.motion.base import MotionError

STEPS = 400
CLOSE = (1e-6, 1e-6)
"""Position m and orientation rad that are met."""
_DAMPING = 1e-3
_PULL = 0.2
"""Share of the way to the posture that one step takes within the redundancy."""
_LONGEST = 0.3
"""Step of a joint, rad."""
_MIRROR = np.diag([1.0, -1.0, 1.0])
_IN_PLANE = 1e-9


def solve(model: RigidBodyModel, x: Array, R: Array, posture: Array, q_min: Array, q_max: Array, what: str) -> Array:
    """Joints (n,) rad within ``q_min``, ``q_max`` whose TCP stands at ``x`` (3,) m with orientation ``R`` (3, 3).

    ``posture`` (n,) rad: where the search begins and what it stays close to. Raises MotionError with ``what``, the
    pose's name, where none is found.
    """
    q = np.clip(posture, q_min, q_max)
    still = 0
    for _ in range(STEPS):
        at, turned = model.fk(q)
        error = np.concatenate((x - at, _rotation_vector(R @ turned.T)))
        J = model.jacobian(q)
        # The damping fades with the error, or the last micrometres would take for ever.
        damping = _DAMPING * min(1.0, float(error @ error)) + 1e-12
        inverse = J.T @ np.linalg.inv(J @ J.T + damping * np.eye(6))
        change = inverse @ error
        pull = _PULL * (posture - q)
        pull -= inverse @ (J @ pull)
        change += pull
        longest = float(np.abs(change).max())
        after = np.clip(q + change * min(1.0, _LONGEST / max(longest, 1e-12)), q_min, q_max)
        met = np.linalg.norm(error[:3]) < CLOSE[0] and np.linalg.norm(error[3:]) < CLOSE[1]
        still = still + 1 if met and float(np.abs(after - q).max()) < 1e-6 else 0
        if still:
            return q
        q = after
    if met:
        return q
    raise MotionError(
        f"{what} at {np.round(x, 3).tolist()} m: no joint positions within the limits were found near the posture "
        f"{np.round(posture, 2).tolist()} rad (what is left: {1e3 * float(np.linalg.norm(error[:3])):.1f} mm, "
        f"{float(np.linalg.norm(error[3:])):.3f} rad); bring it closer, or choose another posture"
    )


def mirrored_posture(model: RigidBodyModel, q: Array) -> Array:
    """The posture that is ``q`` (n,) rad seen in a mirror in the base's x-z plane.

    A rotation about axis a becomes one about −S a: joints whose axis lies in the plane (at q = 0) turn the other way,
    those across it stay. Raises MotionError for an arm without that symmetry.
    """
    axes = model.jacobian(np.zeros(model.n))[3:].T
    across = np.abs(np.abs(axes[:, 1]) - 1.0) < _IN_PLANE
    within = np.abs(axes[:, 1]) < _IN_PLANE
    if not (across | within).all():
        j = int(np.argmin(across | within))
        raise MotionError(f"joint {j + 1} has no mirror image: its axis lies neither in the x-z plane nor across it")
    result: Array = np.where(across, q, -q)
    return result


def mirrored_pose(x: Array, R: Array) -> tuple[Array, Array]:
    """The pose seen in a mirror in the base's x-z plane; the TCP's own y axis is turned round, so that it stays one."""
    return _MIRROR @ x, _MIRROR @ R @ _MIRROR


def _rotation_vector(R: Array) -> Array:
    """Axis times angle (3,) rad of a rotation (3, 3)."""
    skew = 0.5 * np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]])
    sine, cosine = float(np.linalg.norm(skew)), 0.5 * (float(np.trace(R)) - 1.0)
    if sine > 1e-9:
        return skew * (float(np.arctan2(sine, cosine)) / sine)
    if cosine > 0.0:
        return skew
    # Half a turn: the axis is an eigenvector, its sign does not matter.
    values, vectors = np.linalg.eigh(0.5 * (R + R.T))
    axis: Array = vectors[:, int(np.argmax(values))]
    return np.pi * axis

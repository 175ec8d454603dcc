"""Poses of frames on the arm, checked once when things are built."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from estimators.errors import ModelError

Array = npt.NDArray[np.float64]


def checked_pose(pos: Array | None, rot: Array | None, what: str) -> tuple[Array, Array]:
    """Position and rotation with defaults filled in; ModelError unless the rotation is one."""
    p = np.zeros(3) if pos is None else np.asarray(pos, dtype=np.float64)
    R = np.eye(3) if rot is None else np.asarray(rot, dtype=np.float64)
    if p.shape != (3,) or R.shape != (3, 3) or not (np.isfinite(p).all() and np.isfinite(R).all()):
        raise ModelError(f"{what} pose is {p}, {R.tolist()}; expected finite values of shapes (3,) and (3, 3)")
    if np.abs(R @ R.T - np.eye(3)).max() > 1e-6 or np.linalg.det(R) < 0.0:
        raise ModelError(f"{what} orientation {R.tolist()} is not a rotation matrix")
    return p, R

"""What the sections of a cell file are made of: vectors, poses, the load at the flange.

Every number is finite, every unknown key a fault, and nothing is converted silently (``"1"`` is no number, ``1`` is
not true). Units are SI: m, rad, kg, N, N·m, s, unless a key's name says otherwise.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

Array = npt.NDArray[np.float64]


class Section(BaseModel):
    """Base of every section."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


JOINTS = 7
"""An LBR's; an arm with another number brings its own vectors."""


def every_joint(value: Any) -> Any:
    """One number for every joint, where a list was expected."""
    return (value,) * JOINTS if isinstance(value, int | float) and not isinstance(value, bool) else value


Vec3 = tuple[float, float, float]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Share = Annotated[float, Field(gt=0.0, le=1.0)]
Joints = Annotated[tuple[float, ...], Field(min_length=JOINTS, max_length=JOINTS)]
"""One value a joint, A1 … A7."""
PositiveJoints = Annotated[
    tuple[Positive, ...], Field(min_length=JOINTS, max_length=JOINTS), BeforeValidator(every_joint)
]
"""One positive value a joint, or one for all."""
NotNegativeJoints = Annotated[
    tuple[NotNegative, ...], Field(min_length=JOINTS, max_length=JOINTS), BeforeValidator(every_joint)
]


def array(values: tuple[float, ...]) -> Array:
    """A list of the file as ``float64`` array."""
    return np.array(values, dtype=np.float64)


def rotation(rpy: Vec3) -> Array:
    """Rotation matrix (3, 3) of roll, pitch and yaw about the fixed x, y and z axes (the URDF convention)."""
    (cr, cp, cy), (sr, sp, sy) = np.cos(rpy), np.sin(rpy)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ],
        dtype=np.float64,
    )


class Pose(Section):
    """Where a frame sits in another."""

    xyz: Vec3 = Field(default=(0.0, 0.0, 0.0), description="position, m")
    rpy: Vec3 = Field(default=(0.0, 0.0, 0.0), description="roll, pitch, yaw about the fixed axes, rad")

    @property
    def position(self) -> Array:
        """Shape (3,)."""
        return array(self.xyz)

    @property
    def rotation(self) -> Array:
        """Shape (3, 3)."""
        return rotation(self.rpy)


def near_flange(com: Vec3) -> Vec3:
    """Validates a centre of mass in the flange frame, m."""
    if max(map(abs, com)) > 1.0:
        raise ValueError("allowed: within 1 m of the flange (the unit is m, not mm)")
    return com


def checked_inertia(inertia: tuple[float, ...]) -> tuple[float, ...]:
    """Validates ``[ixx, ixy, iyy, ixz, iyz, izz]``, kg·m²."""
    if len(inertia) != 6:
        raise ValueError(f"allowed: 6 values, ixx ixy iyy ixz iyz izz, here are {len(inertia)}")
    principal = np.linalg.eigvalsh(inertia_matrix(inertia))
    if principal[0] < 0.0 or principal[2] > principal[0] + principal[1] + 1e-12:
        raise ValueError(
            "allowed: moments of a real body: none negative, none larger than the sum of the other two "
            f"(the principal moments here are {principal[0]:.4g}, {principal[1]:.4g}, {principal[2]:.4g})"
        )
    return inertia


class Tool(Section):
    """The load at the flange, sensor included: what gravity compensation, observer and tare rest on."""

    mass: float = Field(ge=0.0, le=50.0, description="kg")
    com: Vec3 = Field(description="centre of mass in the flange frame, m")
    inertia: tuple[float, ...] = Field(
        description="[ixx, ixy, iyy, ixz, iyz, izz] about the centre of mass, flange axes, kg·m²"
    )
    tcp: Pose = Field(description="tool centre point in the flange frame")

    _near = field_validator("com")(near_flange)
    _physical = field_validator("inertia")(checked_inertia)

    @property
    def inertia_matrix(self) -> Array:
        """Shape (3, 3), about the centre of mass, flange axes."""
        return inertia_matrix(self.inertia)


def inertia_matrix(inertia: tuple[float, ...]) -> Array:
    """``[ixx, ixy, iyy, ixz, iyz, izz]`` as symmetric matrix (3, 3)."""
    xx, xy, yy, xz, yz, zz = inertia
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]], dtype=np.float64)

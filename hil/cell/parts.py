"""What the sections of a cell file are made of: vectors, poses, the load at the flange.

Every number is finite, every unknown key a fault, and nothing is converted silently (``"1"`` is no number, ``1`` is
not true). Units are SI: m, rad, kg, N, N·m, s, unless a key's name says otherwise.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

Array = npt.NDArray[np.float64]


class Section(BaseModel):
    """Base of every section."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


JOINTS = 7
"""An LBR's, and what a section has that is made outside a cell file."""
joint_count: ContextVar[int] = ContextVar("joint_count", default=JOINTS)
"""Joints of the arm whose cell file is being read."""


def every_joint(value: Any) -> Any:
    """One number for every joint, where a list was expected."""
    return (value,) * joint_count.get() if isinstance(value, int | float) and not isinstance(value, bool) else value


def counted(values: tuple[float, ...]) -> tuple[float, ...]:
    """As many values as the arm has joints. Raises ValueError."""
    count = joint_count.get()
    if len(values) != count:
        raise ValueError(f"allowed: {count} values, here are {len(values)}")
    return values


def for_every_joint(value: float | tuple[float, ...]) -> Any:
    """Default factory of one value a joint; where they were chosen for another arm, the smallest of them."""

    def make() -> Any:
        if isinstance(value, tuple) and len(value) != joint_count.get():
            return every_joint(min(value))
        return every_joint(value)

    return make


Vec3 = tuple[float, float, float]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Share = Annotated[float, Field(gt=0.0, le=1.0)]
Joints = Annotated[tuple[float, ...], AfterValidator(counted)]
"""One value a joint, A1 … A7."""
PositiveJoints = Annotated[tuple[Positive, ...], AfterValidator(counted), BeforeValidator(every_joint)]
"""One positive value a joint, or one for all."""
NotNegativeJoints = Annotated[tuple[NotNegative, ...], AfterValidator(counted), BeforeValidator(every_joint)]


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
    radius: float = Field(
        default=0.05, ge=0.0, le=0.5, description="of a cylinder around it from flange to TCP, m; 0: it touches nothing"
    )

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

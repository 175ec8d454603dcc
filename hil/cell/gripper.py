"""The gripper of a cell, what it is said to hold, and, behind mocks, the object that it can grasp."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from hil.cell.check import show
from hil.cell.fri import IoName
from hil.cell.parts import Array, Pose, Positive, Section, Vec3, checked_inertia, inertia_matrix, near_flange
from hil.cell.source import Source


class Payload(Section):
    """What the jaws hold when they hold something; the model takes it while the gripper says so."""

    mass: float = Field(gt=0.0, le=50.0, description="kg")
    com: Vec3 = Field(description="centre of mass in the flange frame while it is held, m")
    inertia: tuple[float, ...] = Field(
        default=(0.0,) * 6,
        description="[ixx, ixy, iyy, ixz, iyz, izz] about the centre of mass, flange axes, kg·m²",
    )
    tolerance: float = Field(
        default=0.25,
        gt=0.0,
        le=1.0,
        description="share of its weight by which the wrench sensor may find it heavier or lighter at a check",
    )

    _near = field_validator("com")(near_flange)
    _physical = field_validator("inertia")(checked_inertia)

    @property
    def inertia_matrix(self) -> Array:
        """Shape (3, 3), about the centre of mass, flange axes."""
        return inertia_matrix(self.inertia)


class FriIoGripper(Section):
    """A gripper with two positions on inputs and outputs of the robot; `hil grip` closes and opens it."""

    kind: Literal["fri_io"] = Field(description="how it is connected: inputs and outputs of the robot")
    close: IoName = Field(description="boolean output of robot.fri.outputs; true closes")
    opened: IoName = Field(description="boolean input of robot.fri.inputs: the jaws are open")
    holding: IoName = Field(description="boolean input of robot.fri.inputs: an object is between the jaws")
    travel_time: float = Field(default=1.0, gt=0.0, lt=60.0, description="the jaws take no longer than that, s")
    payload: Payload | None = Field(
        default=None, description="what is held; without it the model knows nothing of a held object"
    )


class MockObject(Pose):
    """A box that the mock gripper can grasp, in the base frame; the floor is at height 0."""

    grasp: Literal["constraint", "mass"] = Field(
        default="constraint",
        description="`constraint`: held where it lies if it is within reach, falls when let go; `mass`: for exact "
        "tests, its mass hangs at the TCP wherever it lies, and vanishes",
    )
    mass: Positive = Field(le=50.0, description="kg")
    com: Vec3 = Field(default=(0.0, 0.0, 0.0), description="centre of mass from its middle, in its own axes, m")
    inertia: tuple[float, ...] | None = Field(
        default=None,
        description="[ixx, ixy, iyy, ixz, iyz, izz] about the centre of mass, own axes, kg·m²; without it: of a "
        "homogeneous box",
    )
    size: Vec3 = Field(description="edge lengths, m")
    reach: Positive = Field(
        default=0.03, le=0.5, description="how far its middle may be from the TCP when the jaws close, m"
    )

    @field_validator("size")
    @classmethod
    def _solid(cls, size: Vec3) -> Vec3:
        if min(size) <= 0.0:
            raise ValueError("allowed: three lengths above 0")
        return size

    @field_validator("inertia")
    @classmethod
    def _physical(cls, inertia: tuple[float, ...] | None) -> tuple[float, ...] | None:
        return None if inertia is None else checked_inertia(inertia)


_ENDS = (("close", "outputs"), ("opened", "inputs"), ("holding", "inputs"))


def check_gripper(source: Source) -> None:
    """The gripper's three IOs are three booleans that the robot's FRI section declares, each on its side; an object to
    grasp needs a gripper."""
    gripper = source.get("gripper")
    if source.get("mock", "object") is not None and not isinstance(gripper, Mapping):
        source.fault(("mock", "object"), "an object", "allowed with a section gripper, which can grasp it")
    if not isinstance(gripper, Mapping):
        return
    seen: dict[str, str] = {}
    for key, side in _ENDS:
        name, declared = gripper.get(key), source.get("robot", "fri", side)
        if not isinstance(name, str):
            continue
        booleans = [io for io, kind in declared.items() if kind == "boolean"] if isinstance(declared, Mapping) else []
        if name not in booleans:
            there = ", ".join(booleans) or "none yet"
            what = f"allowed: a boolean {side[:-1]} of robot.fri.{side} ({there})"
            source.fault(("gripper", key), show(name), what)
        elif name in seen:
            source.fault(("gripper", key), show(name), f"allowed: another one than gripper.{seen[name]}")
        seen[name] = key

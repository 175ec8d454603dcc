"""Reference motions by name: the parameters of ``hil.motion``, as a cell file states them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from estimators.errors import ModelError
from estimators.rigid_body import RigidBodyModel
from hil.cell.parts import Joints, NotNegative, Positive, PositiveJoints, Section, Share, Vec3, array, for_every_joint
from hil.cell.plugin import OwnMotion
from hil.motion import JointMove, JointSinusoids, MotionError, PickPlace, Place, PolishSquare, waypoints
from hil.plugins import is_plugin

if TYPE_CHECKING:
    from hil.cell.model import Cell


class Sinusoid(Section):
    """Every joint swings about where it stands, fading in and out."""

    kind: Literal["sinusoid"] = Field(description="joint sinusoids")
    amplitude: Joints = Field(description="rad")
    frequency: PositiveJoints = Field(description="Hz")
    duration: Positive = Field(le=3600.0, description="s")
    ramp: Positive = Field(default=1.0, description="fade-in and fade-out, s")

    def build(self, name: str, cell: Cell) -> JointSinusoids:
        """The motion. Raises :class:`hil.motion.MotionError` where its parameters do not fit together."""
        return JointSinusoids(array(self.amplitude), array(self.frequency), self.duration, self.ramp, name)


class Move(Section):
    """Minimum-jerk move of all joints together."""

    kind: Literal["move"] = Field(description="minimum-jerk move in joint space")
    target: Joints = Field(description="rad")
    duration: Positive | None = Field(default=None, le=600.0, description="s; nothing: as speed and qdd_max allow")
    speed: Share = Field(default=0.3, description="share of the speed limits")
    qdd_max: PositiveJoints = Field(
        default_factory=for_every_joint(3.0), description="rad/s²; a choice of ours, KUKA publishes none"
    )

    def build(self, name: str, cell: Cell) -> JointMove:
        """The motion. Raises :class:`hil.motion.MotionError` where its parameters do not fit together."""
        if self.duration is not None:
            return JointMove(array(self.target), duration=self.duration, name=name)
        speed = self.speed * cell.robot.joint_limits.qd_max
        return JointMove(array(self.target), qd_max=speed, qdd_max=array(self.qdd_max), name=name)


class Polish(Section):
    """A square on a surface, pressed with a normal force; the tool keeps the orientation it starts with."""

    kind: Literal["polish"] = Field(description="Cartesian square with normal force")
    centre: Vec3 = Field(description="centre of the square on the surface, base frame, m")
    normal: Vec3 = Field(default=(0.0, 0.0, 1.0), description="direction from the surface to the robot")
    side: Positive = Field(default=0.1, le=1.0, description="edge of the square, m")
    force: Positive = Field(default=20.0, le=100.0, description="pressed into the surface, N")
    speed: Positive = Field(default=0.05, le=0.25, description="along the edges, m/s")
    laps: int = Field(default=1, ge=1, le=1000, description="how often around")
    approach: Positive = Field(default=0.05, le=0.5, description="height above the surface at start and end, m")
    clearance: NotNegative = Field(default=0.002, description="height at which pressing begins, m; below approach")
    ramp: Positive = Field(default=1.0, le=60.0, description="rise and fall of the force, s")
    corner_time: Positive = Field(default=0.25, le=10.0, description="from rest to speed at a corner, s")
    travel_speed: Positive = Field(default=0.1, le=0.25, description="on the way to the surface, m/s")
    touch_speed: Positive = Field(default=0.03, le=0.1, description="close to the surface, m/s")

    @field_validator("normal")
    @classmethod
    def _direction(cls, normal: Vec3) -> Vec3:
        if sum(x * x for x in normal) < 1e-6:
            raise ValueError("allowed: a direction, not zero; [0, 0, 1] for a table")
        return normal

    def build(self, name: str, cell: Cell) -> PolishSquare:
        """The motion. Raises :class:`hil.motion.MotionError` where its parameters do not fit together."""
        return PolishSquare(
            self.side,
            self.force,
            self.speed,
            self.laps,
            centre=array(self.centre),
            normal=array(self.normal),
            approach=self.approach,
            clearance=self.clearance,
            ramp=self.ramp,
            corner_time=self.corner_time,
            travel_speed=self.travel_speed,
            touch_speed=self.touch_speed,
            name=name,
        )


class Station(Section):
    """Where an object is taken or put, with the tool straight down."""

    xyz: Vec3 = Field(description="of the TCP in the base frame, m")
    yaw: float = Field(
        default=0.0, ge=-math.pi, le=math.pi, description="turn of the tool about the vertical, rad; 0: x axis as base"
    )

    def place(self) -> Place:
        """For :mod:`hil.motion.pick_place`."""
        return Place(array(self.xyz), self.yaw)


class PickAndPlace(Section):
    """Take an object and put it elsewhere: joint moves between poses found by inverse kinematics; `gripper` is told
    to close and to open where the arm stands."""

    kind: Literal["pick_place"] = Field(description="pick and place with the cell's gripper")
    pick: Station = Field(description="where the object is")
    place: Station = Field(description="where it goes")
    height: Positive = Field(default=0.15, le=1.0, description="how far above both the arm comes and goes, m")
    posture: Joints = Field(description="posture that the inverse kinematics stay close to, rad: where the elbow is")
    mirrored: bool = Field(default=False, description="the whole task as in a mirror in the base's x-z plane")
    dwell: Positive = Field(default=1.5, le=60.0, description="standing while the jaws move, s; see travel_time")
    speed: Share = Field(default=0.3, description="share of the speed limits")
    qdd_max: PositiveJoints = Field(
        default_factory=for_every_joint(3.0), description="rad/s²; a choice of ours, KUKA publishes none"
    )
    vertical: float = Field(default=1.5, ge=1.0, le=20.0, description="how many times slower next to the object")

    def build(self, name: str, cell: Cell) -> PickPlace:
        """The motion. Raises :class:`hil.motion.MotionError` for a place out of reach, or no gripper for it."""
        if cell.gripper is None:
            raise MotionError("a motion of this kind moves jaws: give the cell a section gripper")
        if self.dwell < cell.gripper.travel_time:
            raise MotionError(f"dwell is {self.dwell:g} s; gripper.travel_time is {cell.gripper.travel_time:g} s")
        limits, margin = cell.robot.joint_limits, cell.safety.position_margin
        inside = (limits.q_min + margin, limits.q_max - margin)
        tcp = cell.tool.tcp
        try:
            model = RigidBodyModel(cell.urdf_xml, None, tcp.position, tcp.rotation)
        except ModelError as error:
            raise MotionError(str(error)) from error
        way = waypoints(
            model, self.pick.place(), self.place.place(), self.height, array(self.posture), inside, self.mirrored
        )
        return PickPlace(way, self.speed * limits.qd_max, array(self.qdd_max), self.dwell, self.vertical, name)


_BUILT_IN = ("sinusoid", "move", "polish", "pick_place")
OWN = "module:Class"
"""Tag of a motion of the user's own."""


def kind(value: Any) -> str | None:
    """Which section a motion is read as. Its name is part of pydantic's messages, which :mod:`hil.cell.check` reads."""
    if isinstance(value, OwnMotion):
        return OWN
    named = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    if not isinstance(named, str):
        return None if named is None else str(named)
    return OWN if named not in _BUILT_IN and is_plugin("motion", named) else named


Motion = Annotated[
    Annotated[Sinusoid, Tag("sinusoid")]
    | Annotated[Move, Tag("move")]
    | Annotated[Polish, Tag("polish")]
    | Annotated[PickAndPlace, Tag("pick_place")]
    | Annotated[OwnMotion, Tag(OWN)],
    Discriminator(kind),
]

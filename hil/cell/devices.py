"""The devices of a cell: robot, sensors and, for a cell that says so, the mocks that stand in for them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from drivers.piper.config import PERIOD
from hil.cell.cobot import CanLink
from hil.cell.fri import FriLink
from hil.cell.gripper import MockObject
from hil.cell.limits import joint_limits
from hil.cell.parts import (
    Joints,
    NotNegative,
    NotNegativeJoints,
    Pose,
    Positive,
    PositiveJoints,
    Section,
    Vec3,
    for_every_joint,
)
from hil.cell.piper import Firmware, FirmwareVersion, PiperLink
from safety.limits import JointLimits
from sim_mocks.faults import KINDS, Fault, FaultError

MOCK_PORT = "mock"


class Standstill(Section):
    """The check before enabling: at standstill the measured torque must agree with the model's g(q)."""

    tolerance_abs: PositiveJoints = Field(description="N·m: bias and noise of the torque sensors, friction")
    tolerance_rel: float = Field(default=0.15, ge=0.0, le=0.5, description="share of |g(q)|: error of the masses")


class Overrides(Section):
    """Limits of one's own, by the names of ``safety.limits.JointLimits``; each may only tighten the data sheet."""

    q_min: Joints | None = Field(default=None, description="lowest position, rad")
    q_max: Joints | None = Field(default=None, description="highest position, rad")
    qd_max: PositiveJoints | None = Field(default=None, description="largest speed, rad/s")
    tau_max: PositiveJoints | None = Field(default=None, description="largest total torque, N·m")
    tau_cmd_max: PositiveJoints | None = Field(default=None, description="largest torque that we command, N·m")
    tau_rate_max: PositiveJoints | None = Field(
        default=None, description="largest change of the torque in a tick, N·m/s"
    )
    tau_window_max: PositiveJoints | None = Field(
        default=None, description="largest change of the torque in a window, N·m"
    )
    q_ref_rate_max: PositiveJoints | None = Field(
        default=None, description="largest change of the position reference, rad/s"
    )
    q_ref_distance_max: PositiveJoints | None = Field(
        default=None, description="largest distance of the position reference from the measured position, rad"
    )
    window: Positive | None = Field(default=None, description="length of the window, s")
    total_margin: float | None = Field(
        default=None, ge=0.0, lt=1.0, description="share of the torque left for the robot's own model error"
    )


class Limits(Section):
    """Limits of the arm: the numbers of a data sheet by name, and what this cell tightens."""

    preset: Literal["iiwa14_r820", "iiwa7_r800", "cobot6", "piper6"] = Field(description="whose data sheet")
    source: str = Field(min_length=8, description="the document that the limits were checked against, for the report")
    force_max: NotNegative = Field(default=0.0, description="largest element of a commanded force, N (wrench mode)")
    moment_max: NotNegative = Field(
        default=0.0, description="largest element of a commanded moment, N·m; needs fri.moment_order"
    )
    reach_max: NotNegative = Field(
        default=0.0, le=5.0, description="largest distance of a commanded pose from its frame's origin, m (pose mode)"
    )
    pose_speed_max: NotNegative = Field(default=0.0, description="largest speed of a commanded pose, m/s (pose mode)")
    pose_turn_max: NotNegative = Field(default=0.0, description="largest angular speed of one, rad/s (pose mode)")
    overrides: Overrides = Field(default=Overrides(), description="tighter limits of one's own")

    def joint_limits(self) -> JointLimits:
        """The limits that bind the arm."""
        return joint_limits(self.preset, self.overrides.model_dump(exclude_none=True))


def _no_spring(stiffness: tuple[float, ...]) -> tuple[float, ...]:
    if any(stiffness):
        raise ValueError(
            "allowed: 0 for now; a spring of the robot's own needs controllers that know of it (a later release)"
        )
    return stiffness


NoStiffness = Annotated[NotNegativeJoints, AfterValidator(_no_spring)]


class Robot(Section):
    """The arm, what it adds to our torque by itself, and the limits that bind it."""

    driver: Literal["fri"] = Field(description="the family of wire the arm speaks")
    model: str = Field(description="URDF: a shipped one, or a path from this file's folder")
    fri: FriLink = Field(description="the FRI connection")
    stiffness: NoStiffness = Field(
        default_factory=for_every_joint(0.0),
        description="of the robot's own joint impedance, N·m/rad: 0 leaves the arm to our torque",
    )
    damping: NotNegativeJoints = Field(
        default_factory=for_every_joint(0.0), description="of the robot's own joint impedance, N·m·s/rad"
    )
    adds: tuple[Literal["gravity", "coriolis", "friction"], ...] = Field(
        description="terms that the robot adds to our torque by itself"
    )
    limits: Limits = Field(description="data sheet limits and tighter ones of one's own")
    home: Joints = Field(description="where motions start, rad")
    standstill: Standstill = Field(description="check before enabling")

    @field_validator("adds")
    @classmethod
    def _gravity(cls, adds: tuple[str, ...]) -> tuple[str, ...]:
        if "gravity" not in adds:
            raise ValueError("allowed: a list with gravity in it; an LBR compensates gravity in every torque mode")
        return adds

    @model_validator(mode="after")
    def _moments(self) -> Robot:
        if self.limits.moment_max > 0.0 and self.fri.moment_order is None:
            raise ValueError(
                "allowed with limits.moment_max above 0: a fri.moment_order, as measured on the robot; nobody has "
                "published in which order moments travel"
            )
        return self

    @property
    def joint_limits(self) -> JointLimits:
        """The limits that bind the arm."""
        return self.limits.joint_limits()

    @property
    def period(self) -> float:
        """The tick of the arm, s."""
        return self.fri.period

    @property
    def terms(self) -> frozenset[str]:
        """``ArmTraits.adds``: the terms of ``adds``, and ``stiffness`` where the robot's own spring is on."""
        return frozenset(self.adds) | ({"stiffness"} if any(self.stiffness) else frozenset())


class CobotRobot(Section):
    """An arm of CiA 402 drives: it does what our torque says and adds nothing, so gravity is ours."""

    driver: Literal["cobot"] = Field(description="the family of wire the arm speaks")
    model: str = Field(description="URDF: a shipped one, or a path from this file's folder")
    can: CanLink = Field(description="drives and CAN channels")
    armature: NotNegativeJoints = Field(description="rotor inertia seen at the joint, kg·m²")
    limits: Limits = Field(description="data sheet limits and tighter ones of one's own")
    home: Joints = Field(description="where motions start, rad")
    standstill: Standstill = Field(
        description="check after enabling: the torque that holds the arm is its weight's, but for friction"
    )

    @property
    def joint_limits(self) -> JointLimits:
        """The limits that bind the arm."""
        return self.limits.joint_limits()

    @property
    def period(self) -> float:
        """The tick of the arm, s."""
        return self.can.period

    @property
    def stiffness(self) -> tuple[float, ...]:
        """Of a spring of the robot's own, N·m/rad: it has none."""
        return (0.0,) * len(self.home)

    @property
    def terms(self) -> frozenset[str]:
        """``ArmTraits.adds``: nothing."""
        return frozenset()


class PiperRobot(Section):
    """An AgileX PiPER-type arm, experimental: torque by MIT frames without gains, so it adds nothing of its own."""

    driver: Literal["piper"] = Field(description="the family of wire the arm speaks (experimental)")
    model: str = Field(description="URDF: a shipped one, or a path from this file's folder")
    can: PiperLink = Field(description="the arm's CAN channel")
    firmware: dict[FirmwareVersion, Firmware] = Field(
        min_length=1, description="what each firmware makes of a torque; an arm with another is refused"
    )
    armature: NotNegativeJoints = Field(description="rotor inertia seen at the joint, kg·m²")
    limits: Limits = Field(description="data sheet limits and tighter ones of one's own")
    home: Joints = Field(description="where motions start, rad")
    standstill: Standstill = Field(
        description="check after enabling: the torque that holds the arm is its weight's, but for friction"
    )

    @model_validator(mode="after")
    def _sendable(self) -> PiperRobot:
        most = self.limits.joint_limits().tau_cmd_max
        for version, scale in self.firmware.items():
            short = [k for k, (tau, top) in enumerate(zip(most, scale.scale.torque_max, strict=True)) if tau > top]
            if short:
                shown = ", ".join(f"A{k + 1} {scale.scale.torque_max[k]:g} N·m" for k in short)
                raise ValueError(
                    f"allowed: limits.overrides.tau_cmd_max within what firmware {version} can be asked for: {shown}"
                )
        return self

    @property
    def joint_limits(self) -> JointLimits:
        """The limits that bind the arm."""
        return self.limits.joint_limits()

    @property
    def period(self) -> float:
        """The tick of the arm, s: its feedback's, which is fixed."""
        return PERIOD

    @property
    def stiffness(self) -> tuple[float, ...]:
        """Of a spring of the robot's own, N·m/rad: it has none."""
        return (0.0,) * len(self.home)

    @property
    def terms(self) -> frozenset[str]:
        """``ArmTraits.adds``: nothing."""
        return frozenset()


class Mount(Pose):
    """A pose and the frame in which it is given."""

    frame: Literal["flange"] = Field(default="flange", description="frame that xyz and rpy refer to")


class Bota(Section):
    """A Bota force/torque sensor on a serial line."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="short name, used in the log")
    driver: Literal["bota"] = Field(description="the family of wire the sensor speaks")
    port: str = Field(description=f"serial device, as in /dev/ttyUSB0; {MOCK_PORT} in a cell with mocks: true")
    rate: float = Field(default=800.0, ge=100.0, le=800.0, description="samples per second, Hz")
    mount: Mount = Field(description="where the sensor's frame sits")

    @field_validator("port")
    @classmethod
    def _device(cls, port: str) -> str:
        if port != MOCK_PORT and not port.startswith("/dev/"):
            raise ValueError(f"allowed: a device below /dev, or {MOCK_PORT} in a cell with mocks: true")
        return port


class MockPlate(Pose):
    """A plate to press on, in the base frame; its z axis is the normal of the surface."""

    size: Vec3 = Field(description="edge lengths, m")

    @field_validator("size")
    @classmethod
    def _solid(cls, size: Vec3) -> Vec3:
        if min(size) <= 0.0:
            raise ValueError("allowed: three lengths above 0")
        return size


class MockFault(Section):
    """Something that goes wrong on purpose, as docs/mocks.md lists it; what makes sense is said by the fault API."""

    kind: str = Field(description=f"what happens: {', '.join(KINDS)}")
    device: str = Field(min_length=1, description="to which device (iiwa, ft) or process (mock, supervisor, recorder)")
    at_tick: int = Field(ge=0, description="first tick")
    ticks: int = Field(default=1, ge=1, description="for how many ticks")
    field: str = Field(default="", description="which quantity (q, tau, tau_ext, q_set, wrench) or direction (out, in)")
    joint: int | None = Field(default=None, ge=0, description="one joint, counted from 0; nothing for all")
    other: int | None = Field(default=None, ge=0, description="the second joint of a swap")
    probability: float = Field(default=1.0, gt=0.0, le=1.0, description="chance in each tick; many kinds are certain")
    value: float | None = Field(default=None, description="parameter of the kind; nothing for its default")

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in KINDS:
            raise ValueError(f"allowed: {', '.join(KINDS)}")
        return kind

    @model_validator(mode="after")
    def _sense(self) -> MockFault:
        try:
            Fault.from_mapping(self.model_dump())
        except FaultError as error:
            raise ValueError(str(error)) from error
        return self


    @property
    def sentence(self) -> str:
        """``nan tau A3 at tick 7000``; parts of an arm are named as joints, those of other devices counted from 1."""
        part = "A" if self.device not in ("ft", "gripper") else "component "
        parts = [self.kind, self.field, *(f"{part}{at + 1}" for at in (self.joint, self.other) if at is not None)]
        words = " ".join([*filter(None, parts), f"of {self.device} at tick {self.at_tick}"])
        return words + (f" for {self.ticks} ticks" if self.ticks > 1 else "")


class Mock(Section):
    """The simulated world behind the mock devices; only in a cell with mocks: true."""

    profile: Literal["standard", "hard", "ideal"] = Field(description="physics: how far the plant is from the model")
    seed: int = Field(default=0, ge=0, description="draws the plant, noise and probabilities; same seed, same run")
    substeps: int = Field(default=1, ge=1, le=16, description="physics steps in a tick; 4 where impact forces matter")
    plate: MockPlate | None = Field(default=None, description="a plate to press on")
    object: MockObject | None = Field(default=None, description="an object that the gripper can grasp")
    contact: str = Field(default="plate", description="contact entry of the physics profiles")
    faults: tuple[MockFault, ...] = Field(default=(), description="what goes wrong on purpose")

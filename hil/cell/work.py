"""What a cell does: controllers, observer, safety, recording and the reference motions by name."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hil.cell.parts import Joints, NotNegative, NotNegativeJoints, Positive, PositiveJoints, Section, Vec3


class JointController(Section):
    """Joint computed torque with PD, shaped by the inertia: M(q) (qdd_ref + 2 ζ ω ė + ω² e)."""

    bandwidth: PositiveJoints = Field(default=(20.0,) * 7, description="ω of the tracking error, rad/s")
    damping_ratio: Positive = Field(default=1.0, description="ζ of the tracking error")


class CartesianController(Section):
    """Cartesian impedance with force feed-forward, damping shaped by the inertia seen at the TCP."""

    stiffness: tuple[Positive, Positive, Positive] = Field(
        default=(1500.0, 1500.0, 1500.0), description="N/m, base axes"
    )
    rotational_stiffness: tuple[Positive, Positive, Positive] = Field(default=(80.0, 80.0, 80.0), description="N·m/rad")
    damping_ratio: Positive = Field(default=1.0, description="ζ of each direction")


class Controller(Section):
    """Gains by kind of motion."""

    joint: JointController = Field(default=JointController(), description="for motions in joint space")
    cartesian: CartesianController = Field(default=CartesianController(), description="for motions of the TCP")


class Observer(Section):
    """The momentum observer: external torque from the generalised momentum."""

    kind: Literal["momentum"] = Field(description="which observer")
    bandwidth: Positive = Field(default=30.0, le=500.0, description="1/s: a step is seen to 63 % after its inverse")
    tau_sigma: PositiveJoints = Field(description="white noise of the measured torque per sample, N·m")
    model_sigma: NotNegativeJoints = Field(
        default=(0.0,) * 7, description="slow error of model and torque sensors, N·m"
    )
    delay_ticks: int = Field(default=0, ge=0, le=10, description="by how many ticks measured torque lags the position")


class Safety(Section):
    """How old data may become and how the arm brakes; the limits themselves are the robot's."""

    max_age_ms: Positive = Field(default=10.0, le=50.0, description="oldest robot sample that is still acted upon, ms")
    sensor_max_age_ms: Positive = Field(default=50.0, le=500.0, description="oldest sensor sample, ms")
    brake_damping: Positive = Field(default=20.0, description="damping of a controlled stop, 1/s (times the inertia)")


class Recording(Section):
    """Where and how runs are written."""

    dir: str = Field(default="runs", min_length=1, description="folder of the runs, from where the command is started")
    chunk_bytes: int = Field(
        default=65536, ge=4096, le=1 << 20, description="a chunk of the log is closed at this size"
    )
    chunk_ms: Positive = Field(default=50.0, le=100.0, description="and at the latest after this time, ms")
    fsync_s: Positive = Field(default=1.0, le=60.0, description="the log is forced to disk this often, s")


class Sinusoid(Section):
    """All joints swing about home; amplitude fades in and out."""

    kind: Literal["sinusoid"] = Field(description="joint sinusoids")
    amplitude: Joints = Field(description="rad")
    frequency: PositiveJoints = Field(description="Hz")
    duration: Positive = Field(le=3600.0, description="s")
    ramp: Positive = Field(default=1.0, description="fade-in and fade-out, s")


class Move(Section):
    """Minimum-jerk move of all joints together."""

    kind: Literal["move"] = Field(description="minimum-jerk move in joint space")
    target: Joints = Field(description="rad")
    duration: Positive | None = Field(default=None, description="s; nothing takes the shortest that the speed allows")
    speed: Annotated[float, Field(gt=0.0, le=1.0)] = Field(default=0.3, description="share of the speed limits")


class Polish(Section):
    """A square on a surface, pressed with a normal force."""

    kind: Literal["polish"] = Field(description="Cartesian square with normal force")
    centre: Vec3 = Field(description="centre of the square on the surface, base frame, m")
    side: Positive = Field(default=0.1, description="edge of the square, m")
    force: NotNegative = Field(default=20.0, le=200.0, description="N along the surface's normal")
    speed: Positive = Field(default=0.05, le=0.25, description="along the edges, m/s")
    approach: Positive = Field(default=0.05, description="height above the surface where it starts and ends, m")
    laps: int = Field(default=1, ge=1, le=1000, description="how often around")


Motion = Annotated[Sinusoid | Move | Polish, Field(discriminator="kind")]

"""What a cell does: controllers, observer, safety, recording and the reference motions by name."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from hil.cell.parts import Joints, NotNegative, NotNegativeJoints, Positive, PositiveJoints, Section, Share, Vec3
from safety.monitors import MonitorParams
from safety.stops import StopParams


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
    """How old data may become, how close to the limits the arm may go, how it brakes."""

    max_age_ms: Positive = Field(default=5.0, le=20.0, description="oldest robot sample, ms; 3 ticks where longer")
    sensor_max_age_ms: Positive = Field(default=100.0, le=500.0, description="oldest sensor sample in contact, ms")
    position_margin: NotNegative = Field(
        default=math.radians(1.0), le=0.5, description="distance from the end of a joint's range, rad"
    )
    speed_fraction: Share = Field(default=1.0, description="share of the speed limits that ends a motion")
    torque_fraction: Share = Field(default=1.0, description="share of the torque limits that may be measured")
    brake_damping: float = Field(
        default=30.0, ge=10.0, le=60.0, description="of a controlled stop, 1/s, shaped by the inertia"
    )

    def monitor_params(self) -> MonitorParams:
        """Tolerances of the state checks."""
        return MonitorParams(
            max_age=self.max_age_ms * 1e-3,
            position_margin=self.position_margin,
            speed_fraction=self.speed_fraction,
            torque_fraction=self.torque_fraction,
            sensor_max_age=self.sensor_max_age_ms * 1e-3,
        )

    def stop_params(self) -> StopParams:
        """The braking law; the hold after it stays critically damped whatever the damping."""
        usual = StopParams()
        scale = self.brake_damping / usual.damping
        return StopParams(
            damping=self.brake_damping,
            kp=usual.kp * scale**2,
            ki=usual.ki * scale**3,
            max_age=self.max_age_ms * 1e-3,
        )


class Recording(Section):
    """Where runs are written."""

    dir: str = Field(default="runs", min_length=1, description="folder of the runs, from where the command is started")


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

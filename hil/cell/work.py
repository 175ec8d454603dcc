"""The observer of a cell, its safety settings and where it records."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from hil.cell.contact import Contact
from hil.cell.parts import NotNegative, NotNegativeJoints, Positive, PositiveJoints, Section, Share, for_every_joint
from hil.cell.plugin import Params, plugin_name
from safety.consistency import ConsistencyParams
from safety.monitors import MonitorParams
from safety.stops import StopParams
from safety.variance import VarianceParams

BUILT_IN = ("momentum", "kvark")
"""Observers that the toolkit brings."""


class Observer(Section):
    """External torque from the generalised momentum; by K-VARK with a residual model trained on this arm, of
    whichever method its file holds (docs/kvark.md); or by an observer of your own (docs/research.md), which takes
    `params`. Of the keys below only `contact`, `tau_sigma` (the tare judges its noise by it) and `delay_ticks` concern
    the latter two."""

    kind: Annotated[str, plugin_name("observer", *BUILT_IN)] = Field(
        description="`momentum`, `kvark`; your own: `module:Class`, or an entry point `hil.observers`"
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        description="for `kvark`: a file that `hil train residual --out` wrote; without it the version that is in use "
        "(`hil models CELL`)",
    )
    contact: Literal["wrench", "point"] = Field(
        default="wrench",
        description="what touches the tool: `wrench`, force and moment; `point`, a force at the TCP alone, which makes "
        "it more accurate where a rounded tip presses",
    )
    params: Params = Field(default={}, description="keyword arguments of your class; none for the others")
    bandwidth: Positive = Field(default=30.0, le=500.0, description="1/s: a step is seen to 63 % after its inverse")
    tau_sigma: PositiveJoints = Field(description="white noise of the measured torque per sample, N·m")
    model_sigma: NotNegativeJoints = Field(
        default_factory=for_every_joint(0.0), description="slow error of model and torque sensors, N·m"
    )
    delay_ticks: int = Field(default=0, ge=0, le=10, description="by how many ticks measured torque lags the position")

    @field_validator("params")
    @classmethod
    def _own_only(cls, params: Params, info: ValidationInfo) -> Params:
        if params and info.data.get("kind") in BUILT_IN:
            raise ValueError(f"allowed: none with kind: {info.data['kind']}, whose keys stand beside it")
        return params

    @model_validator(mode="after")
    def _model(self) -> Observer:
        if self.kind != "kvark" and self.model is not None:
            raise ValueError("allowed: model with kind: kvark and with no other")
        return self


_MOVING = VarianceParams()


class MovingLimits(Section):
    """Contact thresholds and speed limits that move with the variance of learnt models (docs/contact.md), and are never
    looser than the fixed ones."""

    on: bool | None = Field(
        default=None, description="nothing: in a cell with `observer.kind: kvark` or a learnt feed-forward torque"
    )
    width: Positive = Field(
        default=_MOVING.width, le=100.0, description="standard deviations of the external torque that are no contact"
    )
    torque_share: Share = Field(
        default=_MOVING.torque_share, description="lowest threshold, share of torque_agreement and force_agreement"
    )
    speed_share: Share = Field(
        default=_MOVING.speed_share, description="speed limit where the models know nothing, share of the fixed one"
    )

    def params(self) -> VarianceParams:
        """For :class:`safety.variance.VarianceMonitor`."""
        return VarianceParams(self.width, self.torque_share, self.speed_share)


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
    braking_distance: bool = Field(
        default=True, description="stop the arm while it can still come to rest within the joint range"
    )
    energy_max: Positive | None = Field(
        default=None, description="kinetic energy of the arm that ends a motion, J; nothing: no bound"
    )
    power_max: Positive | None = Field(
        default=None, description="mechanical power of the joints that ends a motion, W; nothing: no bound"
    )
    stuck_ms: NotNegative = Field(
        default=50.0, le=1000.0, description="how long a measured value may repeat to the last bit, ms; 0: for ever"
    )
    torque_agreement: NotNegative = Field(
        default=0.12, le=1.0, description="how far joint torques and wrench sensor may disagree, share of the torque "
        "limits; 0: no matter how far"
    )
    force_agreement: NotNegative = Field(
        default=20.0, le=500.0, description="the same as a force, N; 0: no matter how far"
    )
    moving: MovingLimits = Field(default=MovingLimits(), description="limits that follow what models are sure of")
    contact: Contact | None = Field(default=None, description="limits of contact force, from a table of your own")

    def consistency_params(self, quiet: bool = False) -> ConsistencyParams:
        """What the signals are compared by; ``quiet``: the devices have no noise, so that values may repeat."""
        return ConsistencyParams(
            stuck_time=math.inf if quiet else self.stuck_ms * 1e-3 or math.inf,
            torque_fraction=self.torque_agreement or math.inf,
            force_max=self.force_agreement or math.inf,
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


class Artefacts(Section):
    """Where models and calibrations of this cell are kept, in versions (docs/models.md)."""

    dir: str = Field(
        default="artefacts",
        min_length=1,
        description="folder, from this file's folder (of a shipped cell: from where the command is started)",
    )

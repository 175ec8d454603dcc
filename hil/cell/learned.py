"""Learnt feed-forward with gains that follow its uncertainty, as a cell file states it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from hil.cell.online import OnlineLearning
from hil.cell.parts import NotNegative, NotNegativeJoints, Positive, PositiveJoints, Section, for_every_joint
from hil.control.variable_gain import VariableGainParams

_DEFAULT = VariableGainParams()


class LearnedController(Section):
    """Learnt feed-forward torque with variable gains (docs/dynamics.md), in the place of joint computed torque."""

    model: str | None = Field(
        default=None, min_length=1, description="file from this file's folder; nothing: the stored `dynamics` in use"
    )
    kp_min: PositiveJoints = Field(description="stiffness where the model is sure, N·m/rad")
    kp_max: PositiveJoints = Field(description="stiffness where it knows nothing, N·m/rad")
    sensitivity: Positive = Field(default=3.0, description="C of the law: how fast the stiffness rises with doubt")
    sigma_known: PositiveJoints | None = Field(
        default=None, description="σ_n, up to which the model counts as sure, N·m; nothing: its own noise"
    )
    sigma_unknown: PositiveJoints | None = Field(
        default=None, description="σ_f, from which it knows nothing, N·m; nothing: the spread of what it learnt"
    )
    innovation: bool = Field(
        default=_DEFAULT.innovation, description="raise the gains where the model's error is larger than it believes"
    )
    window: Positive = Field(default=_DEFAULT.window, description="time constant of that error's average, s")
    baseline: PositiveJoints = Field(
        default_factory=for_every_joint(1.0), description="the average with nothing unusual, from data"
    )
    qd_sigma: NotNegativeJoints = Field(
        default_factory=for_every_joint(0.0), description="noise of the measured velocity, rad/s"
    )
    qdd_sigma: NotNegativeJoints = Field(
        default_factory=for_every_joint(0.5), description="noise of the measured acceleration, rad/s²"
    )
    friction: NotNegativeJoints = Field(
        default_factory=for_every_joint(0.0), description="slope of the torque over velocity, N·m·s/rad"
    )
    damping_ratio: Positive = Field(default=_DEFAULT.damping_ratio, le=3.0, description="ζ of each joint")
    bandwidth_max: Positive = Field(
        default=_DEFAULT.bandwidth_max, le=60.0, description="coupled frequency that the loop can bear, rad/s"
    )
    slew: Positive = Field(default=_DEFAULT.slew, description="largest rate of the stiffness, spans (max − min) per s")
    tank: Positive = Field(default=_DEFAULT.tank, description="energy for rising stiffness under tension, J")
    max_error: Positive = Field(default=_DEFAULT.max_error, description="errors are taken for no larger, rad")
    blend_time: NotNegative = Field(default=_DEFAULT.blend_time, description="fade of the torque at takeover, s")
    smoothing: Annotated[float, Field(ge=2.0, le=100.0)] = Field(
        default=_DEFAULT.smoothing, description="low-pass before motion and command are compared, Hz"
    )
    online: OnlineLearning | None = Field(
        default=None, description="what goes on being learnt while the arm moves; `{}`: all"
    )

    @model_validator(mode="after")
    def _ordered(self) -> LearnedController:
        pairs = [("kp_min", self.kp_min, "kp_max", self.kp_max)]
        if self.sigma_known is not None and self.sigma_unknown is not None:
            pairs.append(("sigma_known", self.sigma_known, "sigma_unknown", self.sigma_unknown))
        for low_name, low, high_name, high in pairs:
            for j, (a, b) in enumerate(zip(low, high, strict=True)):
                if a > b:
                    raise ValueError(f"allowed: {low_name} up to {high_name}; on A{j + 1} they are {a:g} and {b:g}")
        return self

    def params(self) -> VariableGainParams:
        """For :class:`hil.control.variable_gain.VariableGain`."""
        law = {"model", "kp_min", "kp_max", "sensitivity", "sigma_known", "sigma_unknown", "online"}
        return VariableGainParams(**self.model_dump(exclude=law))

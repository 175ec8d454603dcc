"""Learnt feed-forward with gains that follow its uncertainty, as a cell file states it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from estimators.gains.calibration import GainFigures
from estimators.gains.law import GainLaw
from hil.cell.online import OnlineLearning
from hil.cell.parts import Array, NotNegative, NotNegativeJoints, Positive, PositiveJoints, Section, array
from hil.control.variable_gain import VariableGainParams

_DEFAULT = VariableGainParams()


class LearnedController(Section):
    """Learnt feed-forward torque with variable gains (docs/dynamics.md), in the place of joint computed torque."""

    model: str | None = Field(
        default=None, min_length=1, description="file from this file's folder; nothing: the stored `dynamics` in use"
    )
    kp_min: PositiveJoints = Field(description="stiffness where the model is sure, N·m/rad")
    kp_max: PositiveJoints = Field(description="stiffness where it knows nothing, N·m/rad")
    sensitivity: Positive | None = Field(
        default=None, description="C of the law: how fast the stiffness rises with doubt; nothing: calibrated, else 3"
    )
    sigma_known: PositiveJoints | None = Field(
        default=None,
        description="σ_n, up to which the model counts as sure, N·m; nothing: calibrated, else its own noise",
    )
    sigma_unknown: PositiveJoints | None = Field(
        default=None,
        description="σ_f, from which it knows nothing, N·m; nothing: calibrated, else the spread of what it learnt",
    )
    innovation: bool = Field(
        default=_DEFAULT.innovation, description="raise the gains where the model's error is larger than it believes"
    )
    window: Positive = Field(default=_DEFAULT.window, description="time constant of that error's average, s")
    baseline: PositiveJoints | None = Field(
        default=None, description="the average with nothing unusual; nothing: calibrated, else 1"
    )
    qd_sigma: NotNegativeJoints | None = Field(
        default=None, description="noise of the measured velocity, rad/s; nothing: calibrated, else 0"
    )
    qdd_sigma: NotNegativeJoints | None = Field(
        default=None, description="noise of the measured acceleration, rad/s²; nothing: calibrated, else 0.5"
    )
    friction: NotNegativeJoints | None = Field(
        default=None, description="slope of the torque over velocity, N·m·s/rad; nothing: calibrated, else 0"
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

    def params(self, calibrated: GainFigures | None = None) -> VariableGainParams:
        """For :class:`hil.control.variable_gain.VariableGain`; what the file does not name is ``calibrated``."""
        law = {"model", "kp_min", "kp_max", "sensitivity", "sigma_known", "sigma_unknown", "online"}
        values = self.model_dump(exclude=law)
        for name, otherwise in (("baseline", 1.0), ("qd_sigma", 0.0), ("qdd_sigma", 0.5), ("friction", 0.0)):
            if values[name] is None:
                values[name] = otherwise if calibrated is None else tuple(getattr(calibrated, name).tolist())
        return VariableGainParams(**values)

    def law(self, calibrated: GainFigures | None, noise: Array, signal: Array) -> GainLaw:
        """The law; what the file does not name is ``calibrated``, without that the model's ``noise`` and ``signal``
        (n,) N·m. Raises ParameterError."""
        known = noise if calibrated is None else calibrated.sigma_known
        unknown = signal if calibrated is None else calibrated.sigma_unknown
        sensitivity = 3.0 if calibrated is None else calibrated.sensitivity
        return GainLaw(
            array(self.kp_min),
            array(self.kp_max),
            known if self.sigma_known is None else array(self.sigma_known),
            unknown if self.sigma_unknown is None else array(self.sigma_unknown),
            sensitivity if self.sensitivity is None else self.sensitivity,
        )

"""Controller gains, as a cell file states them: the parameters of ``hil.control``, with the same defaults."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from hil.cell.learned import LearnedController
from hil.cell.parts import NotNegative, NotNegativeJoints, Positive, Section, counted, every_joint, for_every_joint
from hil.cell.plugin import Params, plugin_name
from hil.control import ComputedTorqueParams, ForceParams, ImpedanceParams

_JOINT, _CARTESIAN, _FORCE = ComputedTorqueParams(), ImpedanceParams(), ForceParams()

Bandwidth = Annotated[float, Field(gt=0.0, le=60.0)]
"""Closed-loop bandwidth, rad/s: at 60 a loop at 1 kHz is stable with three ticks of delay, at 70 it oscillates."""
JointBandwidths = Annotated[tuple[Bandwidth, ...], AfterValidator(counted), BeforeValidator(every_joint)]


class JointController(Section):
    """Joint computed torque with PD, shaped by the inertia."""

    bandwidth: JointBandwidths = Field(
        default_factory=for_every_joint(_JOINT.bandwidth), description="ω of the tracking error, rad/s"
    )
    damping_ratio: Positive = Field(default=_JOINT.damping_ratio, le=3.0, description="ζ of the tracking error")
    integral_time: Positive | None = Field(default=_JOINT.integral_time, description="s; nothing: no integral")
    integral_limit: NotNegativeJoints = Field(
        default_factory=for_every_joint(_JOINT.integral_limit), description="largest integral, N·m"
    )
    max_error: Positive = Field(default=_JOINT.max_error, description="errors are taken for no larger, rad")
    blend_time: NotNegative = Field(default=_JOINT.blend_time, description="fade of the torque found at takeover, s")
    learned: LearnedController | None = Field(
        default=None, description="learnt feed-forward and variable gains instead of the keys above"
    )

    def params(self) -> ComputedTorqueParams:
        """For :class:`hil.control.ComputedTorque`."""
        return ComputedTorqueParams(**_no_integral(self.model_dump(exclude={"learned"})))


class ForceLoop(Section):
    """Force feedback while a motion presses; needs a wrench sensor."""

    ki: NotNegative = Field(default=_FORCE.ki, description="integral gain, 1/s; 0: feed-forward only")
    low_pass: Positive = Field(default=_FORCE.low_pass, description="cut-off on the measured force, Hz")
    limit: NotNegative = Field(default=_FORCE.limit, description="largest correction, N")
    contact: Positive = Field(default=_FORCE.contact, description="measured force from which there is contact, N")
    search_rate: NotNegative = Field(default=_FORCE.search_rate, description="growth before there is contact, N/s")


class CartesianController(Section):
    """Cartesian impedance with force feed-forward, shaped by the inertia felt at the TCP."""

    bandwidth: Bandwidth = Field(default=_CARTESIAN.bandwidth, description="ω of position, rad/s")
    rotational_bandwidth: Bandwidth = Field(
        default=_CARTESIAN.rotational_bandwidth, description="ω of orientation, rad/s"
    )
    damping_ratio: Positive = Field(default=_CARTESIAN.damping_ratio, le=3.0, description="ζ of both")
    posture_bandwidth: NotNegative = Field(
        default=_CARTESIAN.posture_bandwidth, le=100.0, description="ω in the null space, rad/s"
    )
    integral_time: Positive | None = Field(default=_CARTESIAN.integral_time, description="s; nothing: no integral")
    integral_force: NotNegative = Field(default=_CARTESIAN.integral_force, description="largest integral force, N")
    integral_moment: NotNegative = Field(default=_CARTESIAN.integral_moment, description="largest moment, N·m")
    max_error: Positive = Field(default=_CARTESIAN.max_error, description="errors are taken for no larger, m")
    max_rotation: Positive = Field(default=_CARTESIAN.max_rotation, description="errors are taken for no larger, rad")
    max_mass: Positive = Field(default=_CARTESIAN.max_mass, description="inertia beyond is a singularity, kg")
    max_inertia: Positive = Field(default=_CARTESIAN.max_inertia, description="the same for rotation, kg·m²")
    blend_time: Positive = Field(default=_CARTESIAN.blend_time, description="fade of torque and spring steps, s")
    press_travel: Positive = Field(
        default=_CARTESIAN.press_travel, le=0.1, description="how far from the reference a pressed surface may lie, m"
    )
    force: ForceLoop = Field(default=ForceLoop(), description="force feedback while a motion presses")

    def params(self) -> ImpedanceParams:
        """For :class:`hil.control.CartesianImpedance`."""
        values = _no_integral(self.model_dump(exclude={"force"}))
        return ImpedanceParams(**values, force=ForceParams(**self.force.model_dump()))


class Controller(Section):
    """Gains by kind of motion; a controller of your own (docs/research.md) takes the place of one of the two."""

    joint: JointController = Field(default_factory=JointController, description="for motions in joint space")
    cartesian: CartesianController = Field(default=CartesianController(), description="for motions of the TCP")
    kind: Annotated[str, plugin_name("controller")] | None = Field(
        default=None, description="your own: `module:Class`, or an entry point `hil.controllers`"
    )
    params: Params = Field(default={}, description="keyword arguments of your class")


def _no_integral(values: dict[str, float | None]) -> dict[str, float]:
    """``integral_time: null`` in a file is an infinite time in the controller."""
    return {key: math.inf if value is None else value for key, value in values.items()}

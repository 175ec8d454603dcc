"""The faults by name, and what is known of each before it happens."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from drivers.contract import StopCategory


class FaultCode(enum.Enum):
    """Every fault of the supervisor; the value is the stable key in logs."""

    COMMAND_KIND = "command_kind"
    COMMAND_SHAPE = "command_shape"
    COMMAND_NOT_FINITE = "command_not_finite"
    NOT_PERMITTED = "not_permitted"
    NOT_COMMANDED = "not_commanded"
    MODEL_NOT_FINITE = "model_not_finite"
    ACCEPTED_UNKNOWN = "accepted_unknown"
    TORQUE_MAGNITUDE = "torque_magnitude"
    TORQUE_TOTAL = "torque_total"
    TORQUE_RATE = "torque_rate"
    TORQUE_WINDOW = "torque_window"
    REFERENCE_UNKNOWN = "reference_unknown"
    REFERENCE_RANGE = "reference_range"
    REFERENCE_STEP = "reference_step"
    REFERENCE_DISTANCE = "reference_distance"
    REFERENCE_VELOCITY = "reference_velocity"
    GAINS = "gains"
    WRENCH_FORCE = "wrench_force"
    WRENCH_MOMENT = "wrench_moment"
    SAMPLE_INVALID = "sample_invalid"
    SAMPLE_STALE = "sample_stale"
    POSITION_RANGE = "position_range"
    VELOCITY = "velocity"
    TORQUE_MEASURED = "torque_measured"
    LINK_LOST = "link_lost"
    LINK_QUALITY = "link_quality"
    ROBOT_SAFETY = "robot_safety"
    DRIVES_OFF = "drives_off"
    SENSOR_INVALID = "sensor_invalid"
    SENSOR_STALE = "sensor_stale"
    STANDSTILL_TORQUE = "standstill_torque"
    DEVICE_LOST = "device_lost"
    EMERGENCY_STOP = "emergency_stop"
    BRING_UP = "bring_up"
    STANDSTILL_UNSEEN = "standstill_unseen"
    INTERNAL_ERROR = "internal_error"
    JOINT_STUCK = "joint_stuck"
    POSITION_STEP = "position_step"
    SENSOR_STUCK = "sensor_stuck"
    TORQUE_MODEL = "torque_model"
    WRENCH_MISMATCH = "wrench_mismatch"
    DRIVE_FAULT = "drive_fault"
    NODE_LOST = "node_lost"
    NODE_RESTARTED = "node_restarted"
    NODE_CONFLICT = "node_conflict"
    BUS_FAULT = "bus_fault"
    POSE_ROTATION = "pose_rotation"
    POSE_REACH = "pose_reach"
    POSE_STEP = "pose_step"
    POSE_TURN = "pose_turn"
    POSE_DISTANCE = "pose_distance"
    POSE_ANGLE = "pose_angle"
    BRAKING_DISTANCE = "braking_distance"
    KINETIC_ENERGY = "kinetic_energy"
    POWER = "power"
    SPEED_DOUBT = "speed_doubt"
    GAIN_BOUND = "gain_bound"
    CONTACT_TRANSIENT = "contact_transient"
    CONTACT_QUASI_STATIC = "contact_quasi_static"
    CONTACT_UNKNOWN = "contact_unknown"


ACTIONS = {
    StopCategory.OFF_NOW: "power away at once (stop category 0)",
    StopCategory.STOP_THEN_OFF: "controlled stop, then power away (stop category 1)",
    StopCategory.STOP_AND_HOLD: "controlled stop, then hold under power (stop category 2)",
}
"""What is done to the arm, the most severe first: of several, the most severe wins."""


class Clears(enum.Enum):
    """How a latched fault is cleared. Whatever the way, nothing moves before a person has enabled anew.

    None clears by itself: what comes and goes within its limits is no fault (``limited by …`` of the soft saturation).
    """

    ACKNOWLEDGED = "by an operator's acknowledgement, once the devices are well"
    NEVER = "never in this run: end it, and begin a new one when the cause is found"


@dataclass(frozen=True)
class FaultSpec:
    """What is known about one fault before it happens."""

    code: FaultCode
    title: str
    unit: str
    """Unit of the value and the limit in a report; empty where there is none."""
    category: StopCategory
    """The stop that the fault requests. Never a hold: after a fault the power goes."""
    causes: tuple[str, ...]
    """Likely causes, the most likely first."""
    remedy: str
    clears: Clears = Clears.ACKNOWLEDGED

    @property
    def action(self) -> str:
        """What is done to the arm, in words."""
        return ACTIONS[self.category]

    @property
    def anchor(self) -> str:
        """Anchor of the fault on the documentation page."""
        return self.code.value.replace("_", "-")

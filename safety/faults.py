"""The fault registry: what each fault means, why it happens, what to do, and how hard the arm is stopped.

``python -m safety.faults > docs/faults.md`` writes the page for people; a test keeps it up to date.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
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

    @property
    def anchor(self) -> str:
        """Anchor of the fault on the documentation page."""
        return self.code.value.replace("_", "-")


@dataclass(frozen=True, slots=True)
class FaultReport:
    """One fault that happened."""

    code: FaultCode
    value: float
    """What was read; NaN where the fault has no number."""
    limit: float
    """What was allowed; NaN where the fault has no number."""
    unit: str
    joint: int | None
    """Joint, counted from 0; None where the fault is not about one joint."""
    tick: int
    """``seq`` of the sample that was judged."""
    t_ns: int
    detail: str = ""

    def headline(self) -> str:
        """One line: ``torque rate on A6: 412 N·m/s, limit 300``."""
        line = SPECS[self.code].title
        if self.joint is not None:
            line += f" on A{self.joint + 1}"
        figures = []
        if not math.isnan(self.value):
            figures.append(f"{self.value:.4g} {self.unit}".rstrip())
        if not math.isnan(self.limit):
            figures.append(f"limit {self.limit:.4g}")
        if self.detail:
            figures.append(self.detail)
        return f"{line}: {', '.join(figures)}" if figures else line

    def figures(self) -> dict[str, str | float | int | None]:
        """What a log keeps of it beside the headline: code, joint (counted from 0), value, limit and detail."""
        return {
            "code": self.code.value,
            "joint": self.joint,
            "value": self.value,
            "limit": self.limit,
            "detail": self.detail,
        }

    def explain(self) -> str:
        """Several lines: the headline, likely causes, what to do, where to read on."""
        spec = SPECS[self.code]
        causes = "\n".join(f"  {i}. {cause}" for i, cause in enumerate(spec.causes, 1))
        return (
            f"{self.headline()}\nlikely causes:\n{causes}\nwhat to do: {spec.remedy}\n"
            f"more: docs/faults.md#{spec.anchor}"
        )


class Findings:
    """Collects the faults of one tick; nothing that adds to it ends the checking."""

    def __init__(self, tick: int, t_ns: int) -> None:
        self.reports: list[FaultReport] = []
        self._tick = tick
        self._t_ns = t_ns

    def add(
        self,
        code: FaultCode,
        value: float = math.nan,
        limit: float = math.nan,
        joint: int | None = None,
        detail: str = "",
    ) -> None:
        """Add one fault; the unit comes from the registry."""
        self.reports.append(FaultReport(code, value, limit, SPECS[code].unit, joint, self._tick, self._t_ns, detail))

    def add_not_finite(self, code: FaultCode, values: Sequence[float], what: str) -> None:
        """Add one fault for each element of ``values`` that is not finite."""
        for joint, value in enumerate(values):
            if not math.isfinite(value):
                self.add(code, joint=joint, detail=f"{what} is {value}")


_OFF = StopCategory.OFF_NOW
_STOP = StopCategory.STOP_THEN_OFF
_BROKEN_CONTROLLER = "the controller or the motion computed nonsense (singular posture, division by zero, empty model)"
_LOST_PACKETS = "packets are late or lost: cable, switch, CPU load, a kernel without real-time scheduling"


def _specs() -> dict[FaultCode, FaultSpec]:
    c = FaultCode
    rows = [
        FaultSpec(c.COMMAND_KIND, "command kind not taken by this arm", "", _STOP,
                  ("the controller was written for another arm", "the overlay was started in another command mode"),
                  "Choose a controller whose commands this arm takes, or start the overlay in the matching mode."),
        FaultSpec(c.COMMAND_SHAPE, "command has the wrong shape", "", _STOP,
                  ("the controller was built for another number of joints", "an array is not float64"),
                  "Give float64 arrays with one element per joint (a wrench has six)."),
        FaultSpec(c.COMMAND_NOT_FINITE, "command is not finite", "", _STOP,
                  (_BROKEN_CONTROLLER, "a sensor value that was not finite went into the controller unchecked"),
                  "Open the log at this tick and look for the first signal that turns into NaN or infinity."),
        FaultSpec(c.NOT_PERMITTED, "command while not enabled", "", _STOP,
                  ("a program commands without having been enabled", "a fault was latched and the program went on"),
                  "Acknowledge the fault that is latched, then enable; command only while enabled."),
        FaultSpec(c.NOT_COMMANDED, "command while the robot does not take commands", "", _OFF,
                  ("the robot application ended or aborted the overlay motion", _LOST_PACKETS),
                  "Look at the robot's pendant for the reason, restart the overlay motion, then enable again."),
        FaultSpec(c.MODEL_NOT_FINITE, "gravity torque of the model is not usable", "", _OFF,
                  ("the measured position that went into the model is not finite",
                   "the robot description has a mass or inertia that is zero or missing"),
                  "Check the robot description and the tool in the cell file, then the log at this tick."),
        FaultSpec(c.ACCEPTED_UNKNOWN, "torque that acts on the robot is not known", "", _OFF,
                  ("the first command came before the robot had confirmed any state", _LOST_PACKETS),
                  "Enable again; if it comes back, check the link with the driver's health counters."),
        FaultSpec(c.TORQUE_MAGNITUDE, "commanded torque", "N·m", _STOP,
                  ("the controller bypasses the soft saturation", "gains or reference are far too large"),
                  "Send commands through the soft saturation; lower gains, or the speed of the motion."),
        FaultSpec(c.TORQUE_TOTAL, "predicted total torque", "N·m", _STOP,
                  ("the posture and the load leave no room for the commanded torque",
                   "the robot's spring is stretched: position reference far from the arm, stiffness high",
                   "the tool in the cell file is heavier than the real one, or its centre of mass is wrong"),
                  "Move in a posture with less gravity load, lower the stiffness, check the tool's mass and centre."),
        FaultSpec(c.TORQUE_RATE, "torque rate", "N·m/s", _STOP,
                  ("the controller bypasses the soft saturation", "the controller switched and its torque jumped",
                   "the position reference of a stiff robot moved too fast", "noise through a high damping gain"),
                  "Send commands through the soft saturation; start controllers at the present torque and position."),
        FaultSpec(c.TORQUE_WINDOW, "torque change within the window", "N·m", _STOP,
                  ("commands were sent more often than once a tick", "the controller bypasses the soft saturation"),
                  "Command once in each tick; send commands through the soft saturation."),
        FaultSpec(c.REFERENCE_UNKNOWN, "position reference that acts on the robot is not known", "", _OFF,
                  ("the first command came before the robot had confirmed any state", _LOST_PACKETS),
                  "Enable again; if it comes back, check the link with the driver's health counters."),
        FaultSpec(c.REFERENCE_RANGE, "position reference outside the joint range", "rad", _STOP,
                  ("the motion leaves the joint range", "degrees were given where radians are expected"),
                  "Shift or shrink the motion; check units."),
        FaultSpec(c.REFERENCE_STEP, "step of the position reference", "rad", _STOP,
                  ("the motion does not start where the arm stands", "the motion is too fast"),
                  "Start motions at the measured position; slow the motion down."),
        FaultSpec(c.REFERENCE_DISTANCE, "distance of the position reference from the arm", "rad", _STOP,
                  ("the arm does not follow: contact, too little torque, saturation",
                   "the motion does not start where the arm stands"),
                  "Let the reference follow the measured position, or slow the motion down; clear the obstacle."),
        FaultSpec(c.REFERENCE_VELOCITY, "velocity reference", "rad/s", _STOP,
                  ("the motion is too fast", "degrees were given where radians are expected"),
                  "Slow the motion down; check units."),
        FaultSpec(c.GAINS, "gains sent to the drives", "", _STOP,
                  ("the controller sends stiffness or damping, which this cell does not allow",
                   "a gain is negative, which would push the joint away"),
                  "Send torque only, or allow gains in the cell file after checking the drives' units and signs."),
        FaultSpec(c.WRENCH_FORCE, "commanded force", "N", _STOP,
                  ("the motion asks for more force than the cell allows", "the cell file states no limit"),
                  "Lower the force of the motion, or state the limit in the cell file."),
        FaultSpec(c.WRENCH_MOMENT, "commanded moment", "N·m", _STOP,
                  ("the order of moments on this wire has not been verified, so none may be commanded",
                   "the motion asks for more than the cell allows"),
                  "Command forces only, or verify the order of the moments on the robot and state it in the cell."),
        FaultSpec(c.SAMPLE_INVALID, "state of the robot is not valid", "", _OFF,
                  ("the newest packet held values that are not finite or not plausible", "no packet has arrived yet",
                   "another program sends to the same port"),
                  "Look at the driver's counters of refused packets, by reason."),
        FaultSpec(c.SAMPLE_STALE, "age of the robot's state", "s", _OFF,
                  (_LOST_PACKETS, "the robot application closed the session", "the supervisor's cycle was held up"),
                  "Check that the robot application runs, then the cable; run the link check of the driver."),
        FaultSpec(c.POSITION_RANGE, "joint position", "rad", _STOP,
                  ("the motion came too close to the end of the joint range", "the arm was pushed there"),
                  "Jog the arm back into its range with the pendant; shift or shrink the motion."),
        FaultSpec(c.VELOCITY, "joint speed", "rad/s", _STOP,
                  ("the motion is too fast, or passes near a singular posture", "contact was lost while pushing",
                   "the torque has the wrong sign or the load data are wrong"),
                  "Slow the motion down; check the standstill torque against the model before enabling."),
        FaultSpec(c.TORQUE_MEASURED, "measured torque", "N·m", _STOP,
                  ("the arm collided or is clamped", "the load is beyond what the arm may carry"),
                  "Free the arm with the pendant; check the load."),
        FaultSpec(c.LINK_LOST, "robot stopped taking commands", "", _OFF,
                  ("the robot application ended or aborted the overlay motion",
                   "the robot's own checks tripped: speed, axis delta, load data", _LOST_PACKETS),
                  "Look at the robot's pendant for the reason, restart the overlay motion, then enable again."),
        FaultSpec(c.LINK_QUALITY, "link quality", "", _STOP,
                  (_LOST_PACKETS, "the send period is shorter than this machine can answer"),
                  "Run the link check of the driver; try another cable, a longer send period, or a quieter machine."),
        FaultSpec(c.ROBOT_SAFETY, "robot's own safety stop", "", _OFF,
                  ("an emergency stop, the enabling switch, a door or a scanner tripped",
                   "the robot's safety configuration tripped: speed, space, torque"),
                  "Clear the cause at the cell and on the pendant, then acknowledge here."),
        FaultSpec(c.DRIVES_OFF, "drives are off", "", _OFF,
                  ("the enabling switch was released", "the robot's brakes were closed by its own controller"),
                  "Switch the drives on with the pendant, then enable again."),
        FaultSpec(c.SENSOR_INVALID, "wrench sensor is not valid", "", _STOP,
                  ("the sensor is overloaded (see its flags)", "the cable is loose or disturbed",
                   "no frame has arrived yet"),
                  "Unload the sensor; check its cable and its status bits."),
        FaultSpec(c.SENSOR_STALE, "age of the wrench", "s", _STOP,
                  ("the sensor stopped sending: cable, supply", "its rate is set lower than the motion needs"),
                  "Check the cable and the supply; restart the sensor; choose a higher rate."),
        FaultSpec(c.STANDSTILL_TORQUE, "measured torque at standstill against the model", "N·m", _OFF,
                  ("load data or the tool in the cell file are wrong", "the wrong robot model was chosen",
                   "the sign of the measured torque is flipped", "something touches the arm"),
                  "Free the arm, correct the tool or the model, then check again."),
        FaultSpec(c.DEVICE_LOST, "device is gone", "", _OFF,
                  ("the device was switched off or unplugged", "the robot application closed the session",
                   "the mock's process ended"),
                  "Bring the device back, then acknowledge."),
        FaultSpec(c.EMERGENCY_STOP, "emergency stop", "", _OFF,
                  ("somebody pressed it", "its circuit is broken or not connected"),
                  "Clear the danger, release the emergency stop, then acknowledge."),
        FaultSpec(c.BRING_UP, "a step of bringing the cell up failed", "", _OFF,
                  ("a device is not there, or its application does not run", "something touches the arm or the tool",
                   "the cell file does not describe this cell"),
                  "Do what the message says; the arm has not moved. Then acknowledge and begin again."),
        FaultSpec(c.STANDSTILL_UNSEEN, "nobody saw the arm come to rest", "", _OFF,
                  ("the link to the robot was lost while it stopped", "something pushes or pulls the arm"),
                  "Look at the arm: it must stand with its brakes closed. Then acknowledge."),
        FaultSpec(c.INTERNAL_ERROR, "error in a part of the cycle", "", _STOP,
                  ("a controller, an estimator or a motion raised an exception", "a defect of this program"),
                  "Mend what the exception names. `hil log info` shows its traceback; keep the log."),
        FaultSpec(c.JOINT_STUCK, "measurement of a joint is frozen", "s", _OFF,
                  ("the sensor or its electronics failed and the last value is repeated",
                   "the value is clipped at the end of its range"),
                  "Look at the signal in the log. A robot whose values carry no noise needs a larger stuck_ms."),
        FaultSpec(c.POSITION_STEP, "step of the measured position", "rad", _OFF,
                  ("the position sensor slipped or was replaced by another joint's", "a packet was corrupted",
                   "the arm was hit hard"),
                  "Check the joint's reference position on the pendant before anything moves."),
        FaultSpec(c.SENSOR_STUCK, "wrench is frozen", "s", _STOP,
                  ("the sensor failed and repeats its last value", "an axis is clipped at the end of its range"),
                  "Restart the sensor, compare its axes by hand; a sensor without noise needs a larger stuck_ms."),
        FaultSpec(c.TORQUE_MODEL, "measured torque against model and wrench sensor", "N·m", _STOP,
                  ("something touches the arm beside the tool",
                   "a torque sensor drifted, its sign is flipped, or two joints are mixed up",
                   "the load changed: something was picked up that the cell file does not know"),
                  "Free the arm; run the standstill check; compare measured torque and model in the log."),
        FaultSpec(c.WRENCH_MISMATCH, "wrench sensor against joint torques", "N", _STOP,
                  ("the sensor's sign, axes or unit are wrong", "something touches the arm beside the tool",
                   "the sensor's zero moved: overload, temperature"),
                  "Free the arm and tare again; check the sensor's mounting in the cell file."),
        FaultSpec(c.DRIVE_FAULT, "a drive reports a fault", "", _OFF,
                  ("what the drive's own message says", "its supply or its motor"),
                  "Do what the message says, then acknowledge: that resets the drive once."),
        FaultSpec(c.NODE_LOST, "a node of the bus does not answer", "", _OFF,
                  ("its supply or its plug is out", "the cable is broken or not terminated",
                   "it left its operational state after an error of its own"),
                  "Check supply, plug and termination, look who is there (hil can scan), then connect again."),
        FaultSpec(c.NODE_RESTARTED, "a node started anew", "", _OFF,
                  ("its supply dipped", "somebody reset it"),
                  "Check its supply. It has lost its settings: connect again, which sets it up."),
        FaultSpec(c.NODE_CONFLICT, "two nodes answer for one", "", _OFF,
                  ("two drives have the same id", "another program sends in a drive's name"),
                  "Unplug one, give it an id of its own, look who is there (hil can scan)."),
        FaultSpec(c.BUS_FAULT, "the bus is disturbed", "", _STOP,
                  ("cable, plug or termination", "a node with another bit rate", "another program drives the bus"),
                  "Check cable and both terminating resistors and every node's bit rate; end other programs."),
        FaultSpec(c.POSE_ROTATION, "commanded orientation is no rotation matrix", "", _STOP,
                  ("rows and columns were scaled, averaged or integrated without being made orthogonal again",
                   "a left-handed frame was given"),
                  "Give a right-handed orthonormal matrix; build it anew from angles or a quaternion in each step."),
        FaultSpec(c.POSE_REACH, "distance of the commanded point", "m", _STOP,
                  ("the motion leaves the workspace", "millimetres were given where metres are expected",
                   "the cell file states no reach"),
                  "Shift or shrink the motion; check units; state limits.reach_max in the cell file."),
        FaultSpec(c.POSE_STEP, "step of the pose reference", "m", _STOP,
                  ("the motion does not start where the robot's set-point is", "the motion is too fast",
                   "the cell file states no speed"),
                  "Start at the pose that acts already; slow the motion down; state limits.pose_speed_max."),
        FaultSpec(c.POSE_TURN, "turn of the pose reference", "rad", _STOP,
                  ("the motion does not start where the robot's set-point is", "the motion turns too fast",
                   "the cell file states no angular speed"),
                  "Start at the pose that acts already; slow the turn down; state limits.pose_turn_max."),
        FaultSpec(c.POSE_DISTANCE, "distance of the commanded from the measured point", "m", _STOP,
                  ("the arm does not follow: contact, a limit of the robot",
                   "the motion does not start where the arm stands"),
                  "Let the reference follow the measured pose, or slow the motion down; clear the obstacle."),
        FaultSpec(c.POSE_ANGLE, "angle between commanded and measured orientation", "rad", _STOP,
                  ("the arm does not follow: contact, a limit of the robot",
                   "the motion does not start where the arm stands"),
                  "Let the reference follow the measured pose, or slow the turn down; clear the obstacle."),
    ]  # fmt: skip
    return {spec.code: spec for spec in rows}


SPECS = _specs()
"""The registry, by code."""


def severest(reports: Sequence[FaultReport]) -> StopCategory:
    """The most severe stop that any of ``reports`` (at least one) requests."""
    return min(SPECS[report.code].category for report in reports)


_ACTIONS = {
    StopCategory.OFF_NOW: "power away at once (stop category 0)",
    StopCategory.STOP_THEN_OFF: "controlled stop, then power away (stop category 1)",
    StopCategory.STOP_AND_HOLD: "controlled stop, then hold under power (stop category 2)",
}


def render_markdown() -> str:
    """The registry as the page ``docs/faults.md``."""
    lines = [
        "# Faults",
        "",
        "Generated by `python -m safety.faults > docs/faults.md`. Every fault latches: the arm is stopped, and nothing",
        "moves until a person has acknowledged it and enabled anew.",
    ]
    for spec in SPECS.values():
        lines += ["", f'<a id="{spec.anchor}"></a>', f"## {spec.title}", ""]
        lines += [f"`{spec.code.value}`: {_ACTIONS[spec.category]}.", "", "Likely causes:", ""]
        lines += [f"{i}. {cause}" for i, cause in enumerate(spec.causes, 1)]
        lines += ["", f"What to do: {spec.remedy}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(render_markdown(), end="")

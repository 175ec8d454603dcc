"""What one cell's supervisor is made of, and how its devices are opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drivers.contract import Array, RobotArm, WrenchSensor
from estimators.observer import Observer
from estimators.rigid_body import RigidBodyModel
from estimators.spatial import WristWrench
from estimators.wrench import contact_wrench
from hil.control.adapting import Adapting
from hil.control.base import Controller
from hil.control.variable_gain import VariableGain
from hil.gripping import Grip
from hil.timing import TimedTicks
from safety.consistency import ConsistencyMonitor
from safety.contact import ContactMonitor
from safety.energy import EnergyMonitor
from safety.gate import CommandGate
from safety.monitors import StateMonitor
from safety.prediction import RestPrediction
from safety.saturation import Saturation
from safety.stops import StopController
from safety.variance import VarianceMonitor


@dataclass
class Parts:
    """What one cell's supervisor is made of; :func:`hil.build.build_parts` makes it from a cell file."""

    arm: RobotArm
    ticks: TimedTicks
    model: RigidBodyModel
    observer: Observer
    controllers: dict[str, Controller]
    """By kind of motion: ``joint`` and ``cartesian``."""
    saturation: Saturation
    gate: CommandGate
    monitor: StateMonitor
    stops: StopController
    start_motion: Callable[[], None]
    """Makes the robot begin to take commands (on a real iiwa: the operator starts the overlay application)."""
    sensor: WrenchSensor | None = None
    wrist: WristWrench | None = None
    frames_per_tick: int = 1
    """By how much the arm's counter grows from tick to tick."""
    consistency: ConsistencyMonitor | None = None
    """Compares the signals with one another; None: nothing does."""
    rest: RestPrediction | None = None
    """Looks ahead over the braking distance; None: nothing does."""
    energy: EnergyMonitor | None = None
    """Bounds of kinetic energy and power; None: the cell states none."""
    variance: VarianceMonitor | None = None
    """Limits that move with the variance of learnt models; None: they stand."""
    contact_limits: ContactMonitor | None = None
    """Limits of contact force from a table of the user's; None: there is none."""
    grip: Grip | None = None
    """The gripper, and what the model is told of its load."""
    contact: Callable[[Array, Array, Array], tuple[Array, Array]] = contact_wrench
    """Wrench at the TCP and its covariance from Jacobian, external torque and its covariance."""
    observed_by: str = "momentum observer"
    """The observer in words, for log and report."""
    lockstep: bool = True
    """Time passes in ticks, however long they take; False: by the wall clock."""

    @property
    def adapting(self) -> list[Adapting]:
        """What goes on learning beside controllers that run a learnt model."""
        own = [each for each in self.controllers.values() if isinstance(each, VariableGain)]
        return [each.adapting for each in own if each.adapting is not None]


def open_devices(parts: Parts) -> None:
    """Open the sensor, then the arm, which may take a second; the sensor is read meanwhile, nothing of it is lost.

    What learns in a process of its own is started before. Raises ConnectError; ModelError.
    """
    for each in parts.adapting:
        each.open(parts.lockstep)
    sensor = parts.sensor
    if sensor is not None:
        sensor.open()
        parts.ticks.meanwhile = sensor.poll
    try:
        parts.arm.open()
    finally:
        parts.ticks.meanwhile = None


def close_devices(parts: Parts) -> None:
    """Arm off, everything closed, what learns ended; legal more than once."""
    try:
        parts.arm.off()
        parts.arm.close()
        if parts.sensor is not None:
            parts.sensor.close()
    finally:
        for each in parts.adapting:
            each.close()

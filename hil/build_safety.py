"""From a cell file to what judges an arm's samples and commands."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

from drivers.contract import ArmTraits
from drivers.fri.traits import iiwa_traits
from hil import cobot, piper
from hil.cell import Cell
from hil.cell.devices import CobotRobot, PiperRobot, Robot
from hil.cell.parts import array
from safety.consistency import ConsistencyMonitor
from safety.contact import ContactMonitor
from safety.energy import EnergyMonitor
from safety.gate import CommandGate, GateParams
from safety.monitors import MonitorParams, StateMonitor
from safety.poses import PoseLimits
from safety.prediction import RestPrediction
from safety.saturation import Saturation
from safety.stops import StopController
from safety.variance import VarianceMonitor


def monitor_params(cell: Cell) -> MonitorParams:
    """Tolerances of the state checks; drives on a bus have no cabinet that could state a mode or a safety state."""
    params = cell.safety.monitor_params()
    if not isinstance(cell.robot, Robot):
        return dataclasses.replace(params, not_stated=frozenset({"safety", "mode"}))
    return params


def build_variance(cell: Cell) -> VarianceMonitor | None:
    """Limits that move with the variance of the cell's models; None where none do."""
    if not cell.variance_on:
        return None
    safety, limits, learned = cell.safety, cell.robot.joint_limits, cell.controller.joint.learned
    return VarianceMonitor(
        (safety.consistency_params().torque_scale * limits.tau_max).tolist(),
        (limits.qd_max * safety.speed_fraction).tolist(),
        safety.consistency_params().force_max,
        cell.robot.period,
        safety.moving.params(),
        None if learned is None else learned.kp_max,
        observes=cell.observer.kind == "kvark" or bool(safety.moving.on),
    )


def build_energy(cell: Cell) -> EnergyMonitor | None:
    """The bounds of energy and power that the cell states; None where it states none."""
    energy, power = cell.safety.energy_max, cell.safety.power_max
    if energy is None and power is None:
        return None
    return EnergyMonitor(len(cell.robot.home), energy or math.inf, power or math.inf)


def build_contact(cell: Cell) -> ContactMonitor | None:
    """The user's limits of contact force; None where the cell names no table."""
    contact, limits = cell.safety.contact, cell.contact_limits
    return None if contact is None or limits is None else ContactMonitor(limits, contact.unknown_ms * 1e-3)


def build_traits(cell: Cell) -> ArmTraits:
    """What is fixed about the arm of ``cell``, its command mode included."""
    robot = cell.robot
    if isinstance(robot, CobotRobot):
        return cobot.traits(cell, robot)
    if isinstance(robot, PiperRobot):
        return piper.traits(cell)
    return iiwa_traits(cell.name, robot.fri.period, robot.terms, robot.fri.command_mode)


def build_gate(cell: Cell) -> CommandGate:
    """The gate with the limits of ``cell``, for the commands of its command mode."""
    robot = cell.robot
    params = GateParams(
        max_age=cell.safety.max_age_ms * 1e-3,
        force_max=robot.limits.force_max,
        moment_max=robot.limits.moment_max,
        moment_order_verified=isinstance(robot, Robot) and robot.fri.moment_order is not None,
        poses=PoseLimits(robot.limits.reach_max, robot.limits.pose_speed_max, robot.limits.pose_turn_max),
    )
    return CommandGate(robot.joint_limits, build_traits(cell), array(robot.stiffness), params)


class Checks(NamedTuple):
    """What judges an arm's samples and commands, with the limits of one cell."""

    saturation: Saturation
    gate: CommandGate
    monitor: StateMonitor
    stops: StopController
    consistency: ConsistencyMonitor
    rest: RestPrediction | None
    energy: EnergyMonitor | None
    variance: VarianceMonitor | None
    contact_limits: ContactMonitor | None


def build_checks(cell: Cell, traits: ArmTraits) -> Checks:
    """The checks of ``cell``; no device is needed for them. Raises LimitsError."""
    limits, safety = cell.robot.joint_limits, cell.safety
    quiet = cell.mock is not None and cell.mock.profile == "ideal"
    return Checks(
        Saturation(limits, traits, array(cell.robot.stiffness)),
        build_gate(cell),
        StateMonitor(limits, traits, monitor_params(cell)),
        StopController(limits, traits, safety.stop_params()),
        ConsistencyMonitor(limits, traits, safety.consistency_params(quiet)),
        RestPrediction(limits, traits, safety.stop_params()) if safety.braking_distance else None,
        build_energy(cell),
        build_variance(cell),
        build_contact(cell),
    )

"""From a cell file to the tolerances and monitors of the checks."""

from __future__ import annotations

import dataclasses
import math

from hil.cell import Cell
from hil.cell.devices import Robot
from safety.contact import ContactMonitor
from safety.energy import EnergyMonitor
from safety.monitors import MonitorParams
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

"""The cobot of a cell: its driver, and the mock's side of its CAN channels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drivers.can.bus import BusConfig
from drivers.cobot.arm import CobotArm
from drivers.cobot.config import CobotConfig
from drivers.cobot.traits import cobot_traits
from drivers.contract import ArmTraits, Differentiator, Ticks
from drivers.errors import ConnectError
from estimators.rigid_body import RigidBodyModel
from hil.cell import Cell
from hil.cell.cobot import MOCK_CHANNEL
from hil.cell.devices import CobotRobot

Where = Sequence[Mapping[str, Any]]
"""For each channel of a mock what a client needs to open it: interface, channel and, for multicast, port."""


def traits(cell: Cell, robot: CobotRobot) -> ArmTraits:
    """What is fixed about the arm."""
    return cobot_traits(cell.name, len(robot.can.drives), robot.period, brakes=robot.can.brakes)


def config(cell: Cell, robot: CobotRobot, where: Where | None = None) -> CobotConfig:
    """Drives and channels; ``where``: those of the mock, for channels that are called so. Raises ConnectError."""
    limits = robot.joint_limits
    made = robot.can.config(tuple(limits.tau_max.tolist()), tuple(limits.qd_max.tolist()))
    eds = None if robot.can.eds is None else cell.path.parent / robot.can.eds
    if all(bus.channel != MOCK_CHANNEL for bus in made.buses):
        return dataclasses.replace(made, eds=eds)
    if where is None or len(where) != len(made.buses):
        raise ConnectError(f"the cell has {len(made.buses)} CAN channels, the mock {len(where or ())}")
    buses = []
    for place, bus in zip(where, made.buses, strict=True):
        options = {key: value for key, value in place.items() if key not in ("interface", "channel")}
        buses.append(BusConfig(place["interface"], place["channel"], bus.bitrate, {**bus.options, **options}))
    return dataclasses.replace(made, eds=eds, buses=tuple(buses))


def build(
    cell: Cell,
    robot: CobotRobot,
    ticks: Ticks,
    model: RigidBodyModel,
    differentiator: Differentiator,
    where: Where | None = None,
    log: Path | None = None,
) -> CobotArm:
    """The driver, not open yet; ``log``: folder of the .blf ring. Raises ConnectError."""
    return CobotArm(
        config(cell, robot, where),
        differentiator,
        ticks,
        traits(cell, robot),
        q_min=model.q_min,
        q_max=model.q_max,
        qd_max=model.qd_max,
        tau_max=model.tau_max,
        log=log,
    )

"""The PiPER-type arm of a cell (experimental): its driver, and the mock's side of its CAN channel."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from drivers.can.bus import BusConfig
from drivers.contract import ArmTraits, Differentiator, Ticks
from drivers.errors import ConnectError
from drivers.piper.arm import PiperArm
from drivers.piper.config import PiperConfig
from drivers.piper.traits import piper_traits
from estimators.rigid_body import RigidBodyModel
from hil.cell import Cell
from hil.cell.cobot import MOCK_CHANNEL
from hil.cell.devices import PiperRobot
from hil.cobot import Where


def traits(cell: Cell) -> ArmTraits:
    """What is fixed about the arm."""
    return piper_traits(cell.name)


def config(robot: PiperRobot, where: Where | None = None) -> PiperConfig:
    """Channel and firmwares; ``where``: that of the mock, for a channel that is called so. Raises ConnectError."""
    made = robot.can.config(robot.firmware)
    if made.bus.channel != MOCK_CHANNEL:
        return made
    if where is None or len(where) != 1:
        raise ConnectError(f"the cell has one CAN channel, the mock {len(where or ())}")
    options = {key: value for key, value in where[0].items() if key not in ("interface", "channel")}
    bus = BusConfig(where[0]["interface"], where[0]["channel"], made.bus.bitrate, {**made.bus.options, **options})
    return dataclasses.replace(made, bus=bus)


def build(
    cell: Cell,
    robot: PiperRobot,
    ticks: Ticks,
    model: RigidBodyModel,
    differentiator: Differentiator,
    where: Where | None = None,
    log: Path | None = None,
) -> PiperArm:
    """The driver, not open yet; ``log``: folder of the .blf ring. Raises ConnectError."""
    return PiperArm(
        config(robot, where),
        differentiator,
        ticks,
        traits(cell),
        q_min=model.q_min,
        q_max=model.q_max,
        qd_max=model.qd_max,
        tau_max=model.tau_max,
        log=log,
    )

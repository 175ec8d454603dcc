"""What stands around the arm of a cell, as shapes: its tool, the ground, obstacles, the plate of a simulated world."""

from __future__ import annotations

import numpy as np

from estimators.collision import Box, CollisionModel
from hil.cell import Cell
from hil.cell.parts import Array, Pose, Vec3, array

GROWN = 0.03
"""What stands around is taken for larger by as much on every side, m: the tip lags its reference by the lag of every
joint, and farther than two links of the arm lag against each other."""


def boxes(cell: Cell) -> list[Box]:
    """The obstacles of ``cell``, and the plate of its simulated world; grown."""
    found = [_grown(each.name, each.position, each, each.size) for each in cell.workspace.obstacles]
    plate = None if cell.mock is None else cell.mock.plate
    if plate is not None:
        # Its frame is that of the surface; the plate lies below.
        down = plate.rotation @ np.array([0.0, 0.0, -0.5 * plate.size[2]])
        found.append(_grown("plate", plate.position + down, plate, plate.size))
    return found


def _grown(name: str, middle: Array, pose: Pose, size: Vec3) -> Box:
    return Box(name, middle, pose.rotation, array(size) + 2.0 * GROWN)


def build_collision(cell: Cell) -> CollisionModel:
    """The arm of ``cell`` with its tool, among what stands around it. Raises ModelError."""
    tool, floor = cell.tool, cell.workspace.floor
    floor = None if floor is None else floor + GROWN
    return CollisionModel(cell.urdf_xml, tool.tcp.position, tool.radius, floor, boxes(cell))

"""What stands around the arm of a cell, as shapes: its tool, the ground, obstacles, the plate of a simulated world."""

from __future__ import annotations

import numpy as np

from estimators.collision import Box, CollisionModel
from hil.cell import Cell
from hil.cell.parts import array


def boxes(cell: Cell) -> list[Box]:
    """The obstacles of ``cell``, and the plate of its simulated world."""
    found = [Box(each.name, each.position, each.rotation, array(each.size)) for each in cell.workspace.obstacles]
    plate = None if cell.mock is None else cell.mock.plate
    if plate is not None:
        # Its frame is that of the surface; the plate lies below.
        down = plate.rotation @ np.array([0.0, 0.0, -0.5 * plate.size[2]])
        found.append(Box("plate", plate.position + down, plate.rotation, array(plate.size)))
    return found


def build_collision(cell: Cell) -> CollisionModel:
    """The arm of ``cell`` with its tool, among what stands around it. Raises ModelError."""
    tool = cell.tool
    return CollisionModel(cell.urdf_xml, tool.tcp.position, tool.radius, cell.workspace.floor, boxes(cell))

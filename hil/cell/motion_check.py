"""The motions of a whole cell, judged when the cell is loaded rather than when the arm is about to make them."""

from __future__ import annotations

import numpy as np

from hil.cell.check import show
from hil.cell.model import Cell
from hil.cell.plugin import OwnMotion
from hil.cell.source import Source
from hil.motion import MotionError, check_joint_motion


def check_motions(source: Source, cell: Cell) -> None:
    """Note every motion that cannot be built, and every joint motion from home that would leave the limits."""
    limits = cell.robot.limits.joint_limits()
    home, margin = np.array(cell.robot.home), cell.safety.position_margin
    for name, section in cell.motions.items():
        if isinstance(section, OwnMotion):
            continue  # reading a file imports nothing: these are judged when they are built
        try:
            motion = section.build(name, cell)
            if motion.kind == "joint":
                motion.start(home, np.zeros(3), np.eye(3))
                qd_max = limits.qd_max * cell.safety.speed_fraction
                check_joint_motion(motion, limits.q_min + margin, limits.q_max - margin, qd_max)
        except MotionError as error:
            source.fault(("motions", name), show(source.get("motions", name)), str(error))

"""Pressing on a surface that is not there."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
from running import PLATE_Z, Running, short_cell

from hil.build import build_motion


def test_a_tool_whose_surface_is_gone_comes_to_rest_near_it(tmp_path: Path) -> None:
    """Without the plate the tool follows its force for a few centimetres at most, and the run still ends in order."""
    cell = short_cell(tmp_path, plate=None)
    with closing(Running(cell)) as running:
        running.hold()
        supervisor = running.supervisor
        motion = build_motion("polish", cell)
        supervisor.start(motion)
        lowest = np.inf
        while supervisor.motion is motion:
            supervisor.step()
            assert supervisor.dyn is not None
            lowest = min(lowest, float(supervisor.dyn.x[2]))
        assert supervisor.machine.faults == []
        assert supervisor.finished is motion
        assert PLATE_Z - 0.03 < lowest < PLATE_Z - 0.005

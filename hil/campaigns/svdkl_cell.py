"""The cells of the pick-and-place experiment: variants of ``iiwa14_pick``, written as files of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from hil.campaigns.svdkl_tools import GRIPPERS, section
from hil.cell import Cell, load_cell

CELL = "iiwa14_pick"
KP_MAX = (1000.0, 1000.0, 600.0, 600.0, 200.0, 120.0, 40.0)
"""Stiffness where nothing is known, N·m/rad."""
KP_MIN = tuple(0.1 * kp for kp in KP_MAX)
EDGE = 0.06
"""Of the cube, m."""


def warmup_cell(folder: Path, gripper: str) -> Cell:
    """Without anything to grasp and with the rigid-body controller of the shipped cell."""
    content = _content(gripper, EDGE)
    del content["mock"]["object"]
    content["motions"] = {name: motion for name, motion in content["motions"].items() if name == "home"}
    return _written(folder / f"warmup_{gripper}.yaml", content)


def task_cell(
    folder: Path, name: str, gripper: str, thing: dict[str, Any], mirrored: bool, learned: dict[str, Any], seed: int
) -> Cell:
    """With the object ``thing`` (keys of ``mock.object``; its place is added), and a learnt controller."""
    content = _content(gripper, EDGE)
    pick = content["motions"]["pick"]["pick"]["xyz"]
    # The TCP grasps the middle of the object, which lies on the table.
    height = content["mock"]["plate"]["xyz"][2] + 0.5 * thing["size"][2]
    side = -1.0 if mirrored else 1.0
    content["mock"]["object"] = {**thing, "xyz": [pick[0], side * pick[1], height]}
    for motion in ("pick", "mirrored"):
        for station in ("pick", "place"):
            content["motions"][motion][station]["xyz"][2] = height
    content["mock"]["seed"] = seed
    content["controller"]["joint"]["learned"] = {"kp_min": list(KP_MIN), "kp_max": list(KP_MAX), **learned}
    return _written(folder / f"{name}.yaml", content)


def _content(gripper: str, width: float) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(load_cell(CELL).dump())
    content["tool"].update(section(GRIPPERS[gripper], width))
    return content


def _written(path: Path, content: dict[str, Any]) -> Cell:
    path.parent.mkdir(parents=True, exist_ok=True)
    content["name"] = path.stem
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_cell(path)

"""The grippers of the pick-and-place experiment: a parallel one and a tong, as tools of an arm.

Their URDFs hold bodies and joints; what the arm carries is their composite inertia with the jaws as far apart as the
object is wide. (An arm's model knows one tool: the few millimetres by which the centre of mass moves while the jaws
close are not in it.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import pinocchio as pin

from estimators.inertia import BodyInertia, combined


@dataclass(frozen=True, slots=True)
class Gripper:
    """One gripper: ``tcp`` m from the mounting face, ``opening`` m, the widest object that fits between its jaws."""

    name: str
    tcp: float
    opening: float


PARALLEL = Gripper("parallel", 0.15, 0.09)
TONG = Gripper("tong", 0.19, 0.13)
GRIPPERS = {each.name: each for each in (PARALLEL, TONG)}


def inertia(gripper: Gripper, width: float) -> BodyInertia:
    """Of all its bodies, in the frame of its mounting face, with an object of ``width`` m between the jaws.

    Raises ValueError for an object that does not fit.
    """
    if not 0.0 <= width <= gripper.opening:
        raise ValueError(f"an object {width} m wide; the {gripper.name} gripper opens 0 to {gripper.opening} m")
    model = pin.buildModelFromXML(_text(gripper))
    data = model.createData()
    pin.forwardKinematics(model, data, np.full(model.nq, _jaw(gripper, width)))
    whole = _body(model.inertias[0])
    for joint in range(1, model.njoints):
        whole = combined(whole, _body(data.oMi[joint].act(model.inertias[joint])))
    return whole


def section(gripper: Gripper, width: float) -> dict[str, Any]:
    """The ``tool`` section of a cell file. Raises ValueError as :func:`inertia`."""
    body = inertia(gripper, width)
    I = body.inertia  # noqa: E741 - the inertia's own letter
    six = (I[0, 0], I[0, 1], I[1, 1], I[0, 2], I[1, 2], I[2, 2])
    return {
        "mass": round(body.mass, 6),
        "com": [round(float(x), 6) for x in body.com],
        "inertia": [round(float(x), 8) for x in six],
        "tcp": {"xyz": [0.0, 0.0, gripper.tcp]},
    }


def _jaw(gripper: Gripper, width: float) -> float:
    """Position of each jaw's joint: m of the parallel gripper, rad of the tong, whose tips are ``width`` apart."""
    if gripper is PARALLEL:
        return 0.5 * width
    pivot, length = 0.015, gripper.tcp - 0.07
    return math.asin(max(0.0, 0.5 * width - pivot) / length)


def _text(gripper: Gripper) -> str:
    return files("hil").joinpath(f"models/grippers/{gripper.name}.urdf").read_text(encoding="utf-8")


def _body(inertia: pin.Inertia) -> BodyInertia:
    return BodyInertia(float(inertia.mass), np.array(inertia.lever), np.array(inertia.inertia))

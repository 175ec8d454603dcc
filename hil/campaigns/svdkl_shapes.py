"""Objects of random shape for the pick-and-place experiment: the thousand that come with PyBullet.

Their files state a mass of 0.1 kg, an inertia of 1 kg·m² about one axis and none about the others, of which nothing is
used. Mass, centre of mass and inertia are those of the mesh, a set of convex pieces, in solid tungsten: that makes 1 to
5 kg of most of what fits between the jaws. In the mock such an object is its bounding box to the touch.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import coal
import numpy as np
import numpy.typing as npt

from hil.campaigns.svdkl_tools import Gripper

Array = npt.NDArray[np.float64]

COUNT = 1000
DENSITY = 19_300.0
"""Of tungsten, kg/m³."""
LIGHTEST = 1.0
"""Chips among the shapes, lighter than that, are left out, kg."""
_SCALE = 0.015
"""Metres of one unit of the mesh, from its URDF."""


def draw(gripper: Gripper, count: int, seed: int) -> list[tuple[int, float]]:
    """``count`` shapes that fit between the jaws, and the mass (kg) of each; the same for the same ``seed``."""
    rng = np.random.default_rng([seed, COUNT])
    found: list[tuple[int, float]] = []
    for number in rng.permutation(COUNT).tolist():
        if len(found) == count:
            break
        volume, _, _, size = _properties(number)
        mass = round(DENSITY * volume, 2)
        if mass >= LIGHTEST and min(size[:2]) <= gripper.opening:
            found.append((number, mass))
    return found


def described(number: int, mass: float) -> dict[str, Any]:
    """Keys of ``mock.object`` but for its place, ``mass`` in kg. Raises ValueError for a shape that there is not."""
    volume, com, I, size = _properties(number)  # noqa: E741 - the inertia's own letter
    six = mass / volume * np.array([I[0, 0], I[0, 1], I[1, 1], I[0, 2], I[1, 2], I[2, 2]])
    return {
        "mass": mass, "size": [round(float(x), 4) for x in size], "com": [round(float(x), 5) for x in com],
        "inertia": [round(float(x), 9) for x in six],
    }  # fmt: skip


@cache
def _properties(number: int) -> tuple[float, Array, Array, Array]:
    """Volume m³, centre of mass from the middle of the bounding box (3,) m, integral inertia about it (3, 3) m⁵, edge
    lengths (3,) m."""
    if not 0 <= number < COUNT:
        raise ValueError(f"shape {number}; PyBullet has 0 to {COUNT - 1}")
    path = files("pybullet_data").joinpath(f"random_urdfs/{number:03d}/{number:03d}.obj")
    mesh = coal.MeshLoader().load(str(path), np.full(3, _SCALE))
    points = np.array(mesh.vertices())
    low, high = points.min(axis=0), points.max(axis=0)
    com = np.array(mesh.computeCOM()) - 0.5 * (low + high)
    return float(mesh.computeVolume()), com, np.array(mesh.computeMomentofInertiaRelatedToCOM()), high - low

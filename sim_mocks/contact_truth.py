"""What the environment really does to the robot: contact points and push, as one wrench and as joint torque."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivers.contract import Array


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Contact and push of one tick, means over its sub-steps."""

    wrench: Array
    """On the robot about the TCP, base axes, (6,)."""
    tau: Array
    """As joint torque, (n,) N·m."""
    on_tool: Array
    """The part that acts on the tool, about the world's origin, base axes, (6,)."""


class ContactTruth:
    """Sums contact forces over the sub-steps of a tick.

    Forces are kept about the world's origin and apart by link, so that a touch on the forearm loads the joints
    below it and no others, and not the wrench sensor.
    """

    def __init__(self, joints_below: Mapping[int, int], tool: int) -> None:
        """``joints_below``: number of joints that move a link, by link; ``tool``: the link beyond the sensor."""
        self._joints_below = joints_below
        self._tool = tool
        self._sums: dict[int, Array] = {}

    @property
    def touched(self) -> bool:
        """A contact point was added."""
        return bool(self._sums)

    def add(self, points: Iterable[Any]) -> None:
        """Add PyBullet's contact points, the arm being body A. The normal points from the plate to the arm."""
        for point in points:
            x, y, z = point[5]
            (nx, ny, nz), normal = point[7], point[9]
            a, (ax, ay, az), b, (bx, by, bz) = point[10], point[11], point[12], point[13]
            fx = normal * nx + a * ax + b * bx
            fy = normal * ny + a * ay + b * by
            fz = normal * nz + a * az + b * bz
            if fx == 0.0 and fy == 0.0 and fz == 0.0:
                continue
            wrench = (fx, fy, fz, y * fz - z * fy, z * fx - x * fz, x * fy - y * fx)
            link = point[3]
            if link in self._sums:
                self._sums[link] += wrench
            else:
                self._sums[link] = np.array(wrench)

    def total(self) -> Array:
        """Sum over all links so far, about the world's origin, (6,); a fresh array."""
        return np.sum(list(self._sums.values()), axis=0) if self._sums else np.zeros(6)

    def pass_on(self, summed: Array) -> None:
        """What the tool holds is touched: ``summed`` (6,), as :meth:`total` of its own contacts, acts on the tool."""
        if summed.any():
            self._sums[self._tool] = self._sums.get(self._tool, 0.0) + summed

    def evaluate(self, scale: float, J: Array, tcp: Array, push: Array | None) -> Truth:
        """What all of it amounts to in a posture.

        ``scale`` is one over the number of sub-steps; ``J`` (6, n) the spatial Jacobian of the last link about the
        world's origin, linear rows first; ``tcp`` (3,) its position; ``push`` a wrench at the TCP, base axes.
        """
        total, tool, tau = np.zeros(6), np.zeros(6), np.zeros(J.shape[1])
        for link, summed in self._sums.items():
            wrench = summed * scale
            below = self._joints_below[link]
            total += wrench
            tau[:below] += J[:, :below].T @ wrench
            if link == self._tool:
                tool += wrench
        total[3:] -= _cross(tcp, total)
        if push is not None:
            about_origin = push.copy()
            about_origin[3:] += _cross(tcp, push)
            tau += J.T @ about_origin
            total += push
            tool += about_origin
        return Truth(total, tau, tool)


def _cross(lever: Array, wrench: Array) -> list[float]:
    """Moment of the wrench's force at ``lever``; np.cross takes ten times as long."""
    (x, y, z), (fx, fy, fz, *_) = lever.tolist(), wrench.tolist()
    return [y * fz - z * fy, z * fx - x * fz, x * fy - y * fx]

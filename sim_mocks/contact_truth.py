"""What the environment really does to the robot: contact points and push, as one wrench and as joint torque."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from drivers.contract import Array


class ContactTruth:
    """Sums contact forces over the sub-steps of a tick.

    Forces are kept about the world's origin and apart by the number of joints that move their link, so that a
    touch on the forearm loads the joints below it and no others.
    """

    def __init__(self, joints_below: Mapping[int, int]) -> None:
        self._joints_below = joints_below
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
            below = self._joints_below[point[3]]
            if below in self._sums:
                self._sums[below] += wrench
            else:
                self._sums[below] = np.array(wrench)

    def wrench_and_torque(self, scale: float, J: Array, tcp: Array, push: Array | None) -> tuple[Array, Array]:
        """Wrench on the robot about the TCP (6,), base axes, and its joint torque (n,).

        ``scale`` is one over the number of sub-steps; ``J`` (6, n) the spatial Jacobian of the last link about the
        world's origin, linear rows first; ``push`` a wrench at the TCP, base axes.
        """
        total, tau = np.zeros(6), np.zeros(J.shape[1])
        for below, summed in self._sums.items():
            wrench = summed * scale
            total += wrench
            tau[:below] += J[:, :below].T @ wrench
        total[3:] -= np.cross(tcp, total[:3])
        if push is not None:
            about_origin = push.copy()
            about_origin[3:] += np.cross(tcp, push[:3])
            tau += J.T @ about_origin
            total += push
        return total, tau

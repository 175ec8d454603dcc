"""References in joint and Cartesian space, and what a motion is.

A motion is a pure function of the time since its start: ``start`` fixes it to the pose the arm stands in, then
``at(t)`` may be asked for any t, in any order. Before 0 and after ``duration`` it holds its first and last pose at
rest. Every motion begins and ends at rest with continuous acceleration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from drivers.contract import Array

Kind = Literal["joint", "cartesian"]


class MotionError(ValueError):
    """A motion that cannot be made as asked: the message names the parameter, what was read and what is allowed."""


@dataclass(slots=True, eq=False)
class JointReference:
    """Where the joints should be: ``q`` rad, ``qd`` rad/s, ``qdd`` rad/s², each (n,)."""

    q: Array
    qd: Array
    qdd: Array


@dataclass(slots=True, eq=False)
class CartesianReference:
    """Where the TCP should be, in base axes, and how hard it should press."""

    x: Array
    """Position, (3,) m."""
    R: Array
    """Orientation base ← TCP, (3, 3)."""
    v: Array
    """Twist [linear; angular], (6,) m/s, rad/s."""
    a: Array
    """Its derivative, (6,)."""
    force: Array
    """Wrench that the robot exerts on the environment, (6,) N, N·m. While its force part is not zero, that direction
    is controlled by force: position along it is free."""


Reference = JointReference | CartesianReference


class Motion(Protocol):
    """One reference motion."""

    name: str
    kind: Kind

    @property
    def duration(self) -> float:
        """Seconds from start to standstill; ``inf`` for a hold. Raises MotionError before ``start`` if unknown."""
        ...

    def start(self, q: Array, x: Array, R: Array) -> None:
        """Fix the motion to the pose of the arm: joints ``q`` (n,), TCP position ``x`` (3,), orientation ``R`` (3, 3).

        The arrays are copied. Raises MotionError if the motion cannot be made from there.
        """
        ...

    def at(self, t: float) -> Reference:
        """The reference ``t`` seconds after the start; fresh arrays. Raises MotionError before ``start``."""
        ...

    def phase(self, t: float) -> str:
        """Name of what happens at ``t``."""
        ...


@runtime_checkable
class GrippingMotion(Protocol):
    """A motion that also moves the cell's jaws. They must be open when it begins."""

    def jaws(self, t: float) -> bool | None:
        """What the jaws are told ``t`` s after the start: True closed, False open, None nothing yet.

        A change is a command; the arm should stand until the jaws have arrived. A motion that is stopped tells them
        nothing more: they stay as they are.
        """
        ...


def positive(name: str, value: float) -> float:
    """``value`` if it is finite and above zero. Raises MotionError with its name."""
    if not (math.isfinite(value) and value > 0.0):
        raise MotionError(f"{name} is {value}; expected a finite value > 0")
    return value


def not_started(name: str) -> MotionError:
    """The error of a motion asked for a reference before ``start``."""
    return MotionError(f"motion {name!r} has not been started: call start(q, x, R) with the arm's pose first")

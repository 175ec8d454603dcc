"""Damped lowering under power: how an arm without brakes comes to rest before its power goes.

With a part ``share`` of the gravity torque given to the motors,

    tau = share g − damping M qd,      d share/dt = −rate (1 − v / speed)

the arm sinks; ``v`` is the speed of its fastest joint, positive while the potential energy falls (``g · qd < 0``) and
negative while it rises. Slower than ``speed``, it gets less help; faster, more. So it needs no figure of friction: what
sticks is let go of until it moves or carries itself. With no share left and no speed the motors do nothing: the arm
rests on its limits, on what lies below, or hangs, and taking the power away changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivers.contract import Array


@dataclass(frozen=True)
class LoweringParams:
    """How an arm is let down."""

    speed: float = 0.2
    """Of the fastest joint, rad/s: 0.2 m/s at a reach of 1 m, below the 0.25 m/s that ISO 10218-1 allows while people
    are near."""
    rate: float = 0.4
    """Part of the gravity torque that is given up each second while nothing moves, 1/s."""
    damping: float = 15.0
    """1/s; it is multiplied by the inertia."""
    share_max: float = 1.5
    """Largest part of the modelled gravity: a tool that nobody told of may weigh more than the model knows."""
    timeout: float = 20.0
    """Longest lowering, s; then the power goes."""


class Lowering:
    """One lowering; :meth:`restart` begins another."""

    def __init__(self, params: LoweringParams | None = None) -> None:
        self.params = params or LoweringParams()
        self.restart()

    def restart(self) -> None:
        """All of the gravity torque is given, no time has passed."""
        self.share = 1.0
        """Part of the gravity torque that the motors carry."""
        self.elapsed = 0.0
        """s."""

    @property
    def released(self) -> bool:
        """The motors carry nothing any more."""
        return self.share == 0.0

    @property
    def overdue(self) -> bool:
        """It lasts longer than it may."""
        return self.elapsed > self.params.timeout

    def torque(self, qd: Array, M: Array, g: Array, dt: float) -> Array:
        """Torque (n,), N·m, gravity included: joint speeds ``qd`` (n,) rad/s, inertia matrix ``M`` (n, n), gravity
        torque ``g`` (n,) N·m, ``dt`` s since the last call. All finite."""
        p = self.params
        self.elapsed += dt
        sinking = float(g @ qd) <= 0.0
        speed = float(np.abs(qd).max()) * (1.0 if sinking else -1.0)
        self.share = min(max(self.share - p.rate * dt * (1.0 - speed / p.speed), 0.0), p.share_max)
        tau: Array = self.share * g - p.damping * (M @ qd)
        return tau

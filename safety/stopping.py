"""How far and how long an arm still moves once a stop has begun: the braking law of :mod:`safety.stops` in closed form.

The law has one gain for all joints, so that the speeds shrink together, ``qd(t) = s(t) qd(0)`` with ``s`` from 1 to 0,
and with the momentum ``p = M qd(0)``

    ds/dt = −min(damping · s, a √s, b),   a = min √(2 · rate_share · tau_rate_max / |p|),   b = min tau_max / |p|

which has three pieces: torque at its limit (large s), torque that can be back at zero at its limited rate, damping.
Before that pass the reaction time (an old sample, cycles) and the time that the torque takes to rise at its limited
rate; the arm is taken to move on at full speed for both. M is taken as constant, which holds within a few centimetres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import mul, truediv

from drivers.contract import Array

STANDING = 0.02
"""Part of the first speed at which the arm counts as stopped, for the time; the distance runs on to zero."""


@dataclass(frozen=True)
class BrakingLaw:
    """What bounds a controlled stop; vectors of n joints, N·m and N·m/s."""

    damping: float
    """1/s."""
    rate_share: float
    tau_rate_max: Sequence[float]
    tau_max: Sequence[float]
    """Torque that is left for braking: what may be commanded, less what carries the arm where that is ours."""
    reaction: float
    """From the cause to the first braking command, s."""
    sound: bool = field(init=False)
    """All numbers are finite and leave something to brake with."""
    per_rate: list[float] = field(init=False)
    """1 / tau_rate_max."""

    def __post_init__(self) -> None:
        numbers = (*self.tau_rate_max, self.damping, self.rate_share, self.reaction)
        sound = all(map(math.isfinite, numbers)) and min(*self.tau_rate_max, self.damping, self.rate_share) > 0.0
        object.__setattr__(self, "sound", sound)
        object.__setattr__(self, "per_rate", [1.0 / rate for rate in self.tau_rate_max] if sound else [])


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop from one speed. Multiplied by the joint speeds, ``path`` gives the distances."""

    duration: float
    """s, infinite where it cannot be braked."""
    path: float
    """Distance over first speed, s: ``|qd_j| · path`` is how far joint j still moves."""


_NEVER = Stop(math.inf, math.inf)


def stop_from(law: BrakingLaw, momentum: Sequence[float], left: Sequence[float] | None = None) -> Stop:
    """The stop of an arm with joint ``momentum`` M qd (n,) N·m·s; infinite where a number is not finite or a joint has
    no torque left. ``left`` (n,) N·m takes the place of the law's ``tau_max``."""
    torque = law.tau_max if left is None else left
    sizes = [abs(p) for p in momentum]
    # A finite sum has finite parts; one of finite parts that is not is beyond any arm.
    if not (law.sound and math.isfinite(sum(sizes) + sum(torque)) and min(torque) > 0.0):
        return _NEVER
    # p over what the rate allows, s², and over what the torque allows, s: the joint that is worst off binds all.
    at_rate = max(map(mul, sizes, law.per_rate))
    at_most = max(map(truediv, sizes, torque))
    root = math.sqrt(2.0 * law.rate_share / at_rate) if at_rate > 0.0 else math.inf
    steady = 1.0 / at_most if at_most > 0.0 else math.inf
    gain = min(law.damping, root, steady)
    rise = gain * at_rate
    # Above `high` the torque limit binds, below `low` the damping, in between what the rate allows.
    high = min(1.0, max(steady / law.damping, (steady / root) ** 2)) if math.isfinite(steady) else 1.0
    low = min(high, steady / law.damping, (root / law.damping) ** 2)
    duration = path = law.reaction + rise
    if high < 1.0:
        duration += (1.0 - high) / steady
        path += (1.0 - high * high) / (2.0 * steady)
    if low < high:
        duration += 2.0 * (math.sqrt(high) - math.sqrt(low)) / root
        path += 2.0 * (high**1.5 - low**1.5) / (3.0 * root)
    duration += math.log(max(1.0, low / STANDING)) / law.damping
    path += low / law.damping
    return Stop(duration, path)


def stop_of(law: BrakingLaw, M: Array, qd: Array) -> Stop:
    """:func:`stop_from` with inertia matrix ``M`` (n, n) kg·m² and speeds ``qd`` (n,) rad/s."""
    momentum: list[float] = (M @ qd).tolist()
    return stop_from(law, momentum)


def worst_stop_of(law: BrakingLaw, M: Array, qd_max: Array) -> Stop:
    """The longest stop with ``|qd| ≤ qd_max``: momenta as if all joints' contributions added up."""
    momentum: list[float] = (abs(M) @ qd_max).tolist()
    return stop_from(law, momentum)

"""From the stiffness that is wanted to the stiffness that may be had: slew limit, passivity, energy tank.

A spring that stiffens while it is stretched puts energy into the arm. With ``V = ½ ėᵀ M ė + ½ eᵀ K e`` the tracking
error obeys ``V̇ = −ėᵀ D ė + ½ eᵀ K̇ e``: falling stiffness is harmless, rising stiffness is bounded twice over.

- Kronander & Billard (2016), joint by joint with α = D / I: ``K̇ + α Ḋ ≤ 2 α K``. With D = 2 ζ sqrt(I K) this is a bound
  on K̇ alone.
- An energy tank: dissipation fills it, a rising spring under tension empties it; what it does not hold is not spent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators.errors import ParameterError
from estimators.gains.law import damping

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PassivityParams:
    """Raises ParameterError for values out of range."""

    slew: float = 5.0
    """Largest rate of the stiffness, (kp_max − kp_min) per second, up and down."""
    ratio: float = 1.0
    """ζ of the damping."""
    tank: float = 2.0
    """What the tank holds at most, and at start, J."""
    reserve: float = 0.05
    """What stays in it, J."""
    max_error: float = math.inf
    """The spring is linear up to this error and of constant torque beyond, rad."""

    def __post_init__(self) -> None:
        for name, low in (("slew", 0.0), ("ratio", 0.0), ("tank", 0.0), ("max_error", 0.0)):
            value = getattr(self, name)
            if not value > low:
                raise ParameterError(f"{name} is {value}; expected a number above {low:g}")
        if not 0.0 <= self.reserve < self.tank:
            raise ParameterError(f"reserve is {self.reserve} J; expected 0 or more, less than the tank's {self.tank} J")


@dataclass(frozen=True, slots=True, eq=False)
class Gains:
    """What one step gives."""

    kp: Array
    """(n,) N·m/rad."""
    kd: Array
    """(n,) N·m·s/rad."""
    energy: float
    """Left in the tank, J."""
    clamped: bool
    """The Kronander–Billard bound held a joint back in this step."""
    starved: bool
    """The tank did."""


class PassiveGains:
    """Keeps the stiffness of ``n`` joints; :meth:`step` moves it towards what is wanted, as far as may be."""

    def __init__(self, kp_min: Array, kp_max: Array, params: PassivityParams | None = None) -> None:
        self.params = params or PassivityParams()
        self._low, self._high = kp_min.copy(), kp_max.copy()
        self.reset()

    def reset(self, kp: Array | None = None) -> None:
        """Begin with a full tank and stiffness ``kp`` (n,) (None: the highest), at most that."""
        start = self._high if kp is None else np.where(np.isfinite(kp), kp, self._high)
        self.kp: Array = np.minimum(np.maximum(start, 0.0), self._high)
        """The stiffness now, (n,) N·m/rad."""
        self.energy = self.params.tank
        self.injected = 0.0
        """Energy that rising stiffness has put in since the reset, J."""
        self.dissipated = 0.0
        """Energy that damping has taken out since the reset, J."""

    def step(
        self, wanted: Array, e: Array, ed: Array, inertia: Array, dt: float, ceiling: Array | None = None
    ) -> Gains:
        """Gains for the next ``dt`` s.

        ``wanted`` (n,) N·m/rad (NaN: the highest); ``e`` rad and ``ed`` rad/s, the tracking errors (n,); ``inertia``
        (n,) kg·m², effective; ``ceiling`` (n,) N·m/rad: what the loop can bear, which goes before ``kp_min`` and the
        slew limit. If anything but ``wanted`` is not finite the stiffness stays and the tank gets nothing.
        """
        p, low, high = self.params, self._low, self._high
        span = high - low
        if ceiling is not None:
            low, high = np.fmin(low, ceiling), np.fmin(high, ceiling)
        fit = dt > 0.0 and math.isfinite(float(e.dot(e) + ed.dot(ed) + inertia.sum() + dt)) and (inertia > 0.0).all()
        if not fit:
            kd = damping(self.kp, np.where(np.isfinite(inertia) & (inertia > 0.0), inertia, 0.0), p.ratio)
            return Gains(self.kp.copy(), kd, self.energy, False, False)
        kp = self.kp
        target = np.minimum(np.maximum(np.where(np.isfinite(wanted), wanted, high), low), high)
        most = p.slew * span * dt
        change = np.minimum(np.maximum(target - kp, -most), most)
        kd = damping(kp, inertia, p.ratio)
        alpha = kd / inertia
        # Ḋ = D K̇ / 2K, put into K̇ + α Ḋ ≤ 2 α K.
        bound = 2.0 * alpha * kp / (1.0 + alpha * kd / (2.0 * kp)) * dt
        clamped = bool((change > bound).any())
        change = np.minimum(change, bound)
        gained = float((kd * ed).dot(ed)) * dt
        self.dissipated += gained
        self.energy = min(p.tank, self.energy + gained)
        stretch = np.minimum(np.abs(e), p.max_error)
        # Of a spring whose torque saturates at max_error, the energy at e for a stiffness of one.
        unit = stretch * (np.abs(e) - 0.5 * stretch)
        cost = float(np.maximum(change, 0.0).dot(unit))
        held = max(self.energy - p.reserve, 0.0)
        starved = cost > held
        if starved:
            change = np.where(change > 0.0, change * (held / cost), change)
            cost = held
        self.energy -= cost
        self.injected += cost
        self.kp = kp = np.minimum(kp + change, high)
        return Gains(kp.copy(), damping(kp, inertia, p.ratio), self.energy, clamped, starved)

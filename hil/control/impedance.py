"""Cartesian impedance at the TCP with operational-space inertia and force feed-forward.

::

    tau = Jᵀ (Λ (a_ref + 2ζω ė + ω² e − J̇qd) + F_ref + z) + N^T M (ω_n² (q_posture − q) − 2 ω_n qd) + C qd + g

with Λ = (J M⁻¹ Jᵀ)⁻¹ and N^T = I − Jᵀ Λ J M⁻¹, without the terms that the robot adds itself. e is the pose error
(position, then rotation vector, base axes). In the model every direction obeys ë + 2ζω ė + ω² e = 0; the stiffness
felt is Λω². Motion in the null space does not accelerate the TCP.

While the reference's force is not zero its direction n is controlled by force: the spring along n is taken away, the
damping stays, and a bounded integral on the measured force (:mod:`hil.control.force`) corrects the feed-forward. What
the spring along n carried at that moment goes on as a constant force: it is the disturbance (gravity error) that
would otherwise drive the free direction. When the force is zero again, the spring returns without a jump.

In the other directions a slow bounded integral z takes out friction and gravity error. Near a singularity the
inertia of the lost direction is bounded by damping the inverse.
"""

from __future__ import annotations

import math
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg.lapack import dposv, dpotrf, dpotrs

from drivers.contract import Array, RobotSample
from estimators.rigid_body import Dynamics
from hil.control.base import ControlError, Takeover, number
from hil.control.force import ForceLoop, ForceParams
from hil.motion.base import CartesianReference, Kind, Reference


@dataclass(frozen=True, slots=True)
class ImpedanceParams:
    """Gains of :class:`CartesianImpedance`. Raises ControlError if out of range."""

    bandwidth: float = 40.0
    """ω of position, rad/s. An inertia of 1 to 6 kg at the tip of a 14 kg arm makes 1.6 to 10 kN/m of it."""
    rotational_bandwidth: float = 45.0
    """ω of orientation, rad/s."""
    damping_ratio: float = 1.0
    """ζ of position and orientation."""
    posture_bandwidth: float = 6.0
    """ω_n of the posture in the null space, rad/s; the posture is the one at ``reset``."""
    integral_time: float = 0.3
    """T_i, s, of the integral on the pose error; inf: none."""
    integral_force: float = 20.0
    """Largest integral force, N."""
    integral_moment: float = 2.0
    """Largest integral moment, N·m."""
    max_error: float = 0.05
    """Position errors are taken for no larger than this, m; so large that the spring outweighs the integral."""
    max_rotation: float = 0.3
    """Rotation errors are taken for no larger than this, rad."""
    max_mass: float = 60.0
    """Largest inertia of the TCP that the controller accepts along a direction, kg: beyond it is a singularity."""
    max_inertia: float = 5.0
    """The same for rotation, kg m²."""
    blend_time: float = 0.5
    """Time over which the torque found at takeover, and the spring's step after pressing, fade out, s."""
    press_travel: float = 0.01
    """How far from the reference, m, the surface may lie that a motion presses on; beyond, the spring acts again, so
    that a tool whose surface has gone away comes to rest there and does not follow its force into the void."""
    force: ForceParams = field(default_factory=ForceParams)

    def __post_init__(self) -> None:
        for name in ("bandwidth", "rotational_bandwidth", "damping_ratio", "integral_time", "max_error",
                     "max_rotation", "max_mass", "max_inertia", "blend_time"):  # fmt: skip
            number(name, getattr(self, name), above=True)
        for name in ("posture_bandwidth", "integral_force", "integral_moment"):
            number(name, getattr(self, name))


class CartesianImpedance:
    """Follows Cartesian references, pressing where they ask for it, on an arm of ``n`` joints.

    ``adds``: terms that the robot adds to our torque (``ArmTraits.adds``).
    """

    kind: Kind = "cartesian"

    def __init__(self, n: int, adds: AbstractSet[str] = frozenset(), params: ImpedanceParams | None = None) -> None:
        self.n = n
        self.params = p = ImpedanceParams() if params is None else params
        omega = np.repeat([p.bandwidth, p.rotational_bandwidth], 3)
        self._kp = omega * omega
        self._kd = 2.0 * p.damping_ratio * omega
        self._posture_kp = p.posture_bandwidth**2
        self._posture_kd = 2.0 * p.posture_bandwidth
        self._least = np.repeat([1.0 / p.max_mass, 1.0 / p.max_inertia], 3)
        self._most = 1.0 / self._least
        self._integrate = math.isfinite(p.integral_time)
        self._coriolis = "coriolis" not in adds
        self._gravity = "gravity" not in adds
        self._takeover = Takeover(n, p.blend_time, "gravity" in adds)
        self.force_loop = ForceLoop(p.force)
        self._posture = np.zeros(n)
        self._clear()

    def _clear(self) -> None:
        self._z = np.zeros(6)
        self._step = np.zeros(6)
        self._before = np.zeros(6)
        self._normal: Array | None = None
        self.force_loop.begin(0.0)

    def reset(self, sample: RobotSample, dyn: Dynamics, tau_initial: Array | None = None) -> None:
        self._posture = sample.q.copy()
        self._clear()
        self._takeover.reset(sample, tau_initial)

    def torque(
        self, sample: RobotSample, dyn: Dynamics, reference: Reference, wrench_measured: Array | None, dt: float
    ) -> Array:
        if not isinstance(reference, CartesianReference):
            raise ControlError("the Cartesian impedance follows Cartesian references; the motion gave a joint one")
        J, qd = dyn.J, sample.qd
        spring = self._kp * self._error(reference, dyn)
        pressed = reference.force[:3]
        wanted = math.sqrt(float(pressed.dot(pressed)))
        normal = None
        if wanted > 0.0:
            normal = pressed / wanted
            spring[:3] -= normal.dot(spring[:3]) * normal
        null = self._posture_kp * (self._posture - sample.q) - self._posture_kd * qd
        command = self._kd * (reference.v - J.dot(qd))
        command += reference.a
        command -= dyn.Jdot_qd
        command -= J.dot(null)

        # Λ applied to the spring alone (integral and force transitions need it) and to the rest, in one solve.
        _, weighted, _ = dposv(dyn.M, J.T)
        rhs = np.empty((6, 2), order="F")
        rhs[:, 0] = command
        rhs[:, 1] = spring
        mobility = J.dot(weighted)
        forces = self._operational(mobility, rhs)
        felt = math.nan
        if normal is not None and wrench_measured is not None:
            felt = -float(normal.dot(wrench_measured[:3]))
        wrench = forces[:, 0] + reference.force
        wrench += self._spring_force(forces[:, 1].copy(), normal, wanted, felt, dt)
        if normal is not None:
            wrench[:3] += self._wall(float(normal.dot(reference.x - dyn.x)), normal, mobility) * normal

        tau: Array = J.T.dot(wrench)
        tau += dyn.M.dot(null)
        if self._coriolis:
            tau += dyn.Cqd
        if self._gravity:
            tau += dyn.g
        found = self._takeover.difference(tau)
        if found is not None:
            self._takeover.fade(found)
        return self._takeover.apply(tau, dt)

    def _error(self, reference: CartesianReference, dyn: Dynamics) -> Array:
        """Pose error (6,), bounded in length; rotation as 2 sin(θ/2) along its axis, monotone up to half a turn."""
        p = self.params
        error = np.empty(6)
        dx, dy, dz = (reference.x - dyn.x).tolist()
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        scale = p.max_error / length if length > p.max_error else 1.0
        error[0], error[1], error[2] = dx * scale, dy * scale, dz * scale
        (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = reference.R.dot(dyn.R.T).tolist()
        rx, ry, rz = 0.5 * (zy - yz), 0.5 * (xz - zx), 0.5 * (yx - xy)
        scale = 2.0 / math.sqrt(max(1.0 + xx + yy + zz, 1e-6))
        length = scale * math.sqrt(rx * rx + ry * ry + rz * rz)
        if length > p.max_rotation:
            scale *= p.max_rotation / length
        error[3], error[4], error[5] = rx * scale, ry * scale, rz * scale
        return error

    def _wall(self, error: float, normal: Array, mobility: Array) -> float:
        """Force along the free direction, N, of a spring that begins ``press_travel`` from the reference."""
        p = self.params
        excess = error - min(max(error, -p.press_travel), p.press_travel)
        if excess == 0.0:
            return 0.0
        mass = 1.0 / max(float(normal.dot(mobility[:3, :3].dot(normal))), 1.0 / p.max_mass)
        return float(self._kp[0]) * mass * excess

    def _operational(self, mobility: Array, rhs: Array) -> Array:
        """Λ times the columns of ``rhs``; where the arm can hardly move, Λ is bounded by damping its inverse."""
        factor, failed = dpotrf(mobility, lower=1)
        pivots = factor.diagonal()
        # A pivot is the mobility left in a direction once those before it are fixed: small near a singularity.
        lowest = 0.0 if failed else min((pivots * pivots * self._most).tolist())
        if lowest < 1.0:
            damped = mobility.copy()
            damped.flat[::7] += (1.0 - lowest) ** 2 * self._least
            factor, failed = dpotrf(damped, lower=1)
            if failed:
                return np.full(rhs.shape, math.nan)
        solution: Array = dpotrs(factor, rhs, lower=1)[0]
        return solution

    def _spring_force(self, elastic: Array, normal: Array | None, wanted: float, felt: float, dt: float) -> Array:
        """Spring, integrals and force feedback as one wrench (6,), continuous when pressing begins and ends."""
        if not (math.isfinite(float(elastic.dot(elastic))) and math.isfinite(wanted) and dt > 0.0):
            # Into the torque with it, but not into the memory.
            return np.full(6, math.nan)
        p, z, before = self.params, self._z, self._before
        turned = (normal is None) is not (self._normal is None)
        self._normal = normal
        if normal is not None:
            if turned:
                self.force_loop.begin(float(normal.dot(before[:3])))
            # No normal force from tangential errors through the coupling in Λ, and z along n is the force loop's.
            elastic[:3] -= normal.dot(elastic[:3]) * normal
            correction = self.force_loop.update(wanted, felt, dt)
            z[:3] += (correction - normal.dot(z[:3])) * normal
        self._integral(elastic, normal, dt)
        total = elastic + z
        if turned:
            self._step = before - total
        total += self._step
        self._before = total
        self._step = self._step * math.exp(-3.0 * dt / p.blend_time)
        return total

    def _integral(self, elastic: Array, normal: Array | None, dt: float) -> None:
        """Advance z and bound it, all but its part along the pressing direction."""
        p, z = self.params, self._z
        if self._integrate:
            z += elastic * (dt / p.integral_time)
        elif normal is None:
            z *= math.exp(-3.0 * dt / p.blend_time)
        if normal is None:
            _bound(z[:3], p.integral_force)
        else:
            along = float(normal.dot(z[:3])) * normal
            free = z[:3] - along
            _bound(free, p.integral_force)
            z[:3] = free + along
        _bound(z[3:], p.integral_moment)


def _bound(v: Array, limit: float) -> None:
    """Shorten ``v`` in place to ``limit``."""
    x, y, z = v.tolist()
    length = math.sqrt(x * x + y * y + z * z)
    if length > limit:
        v *= limit / length

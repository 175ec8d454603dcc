"""Wrenches moved between points, frames and polarities; the contact wrench from a wrist sensor.

A wrench is ``[Fx Fy Fz Mx My Mz]`` in N and N·m, the moment about a reference point. All comparisons are made at one
point (the TCP), in one frame (base axes) and with one polarity (environment on robot).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from estimators.errors import ParameterError
from estimators.inertia import BodyInertia, combined
from estimators.pose import checked_pose
from estimators.rigid_body import Dynamics

Array = npt.NDArray[np.float64]


def skew(r: Array) -> Array:
    """Matrix of the cross product: ``skew(r) @ v = r × v``, (3, 3)."""
    x, y, z = r
    return np.array(((0.0, -z, y), (z, 0.0, -x), (-y, x, 0.0)))


def shift(wrench: Array, r: Array) -> Array:
    """The same load about another reference point, displaced by ``r`` (3,) m from the old one, same axes."""
    moved = np.array(wrench)
    moved[3:] -= _cross(r, wrench[:3])
    return moved


def rotate(wrench: Array, R: Array) -> Array:
    """The same load in other axes: ``R`` (3, 3) maps old components to new ones (new ← old)."""
    return np.concatenate((R @ wrench[:3], R @ wrench[3:]))


def wrench_transform(R: Array, r: Array) -> Array:
    """``X`` (6, 6): rotates by ``R`` (new ← old), shifts by ``r`` (3,) m in *new* axes. Covariances: X P Xᵀ."""
    X = np.zeros((6, 6))
    X[:3, :3] = X[3:, 3:] = R
    X[3:, :3] = -skew(r) @ R
    return X


def _cross(a: Array, b: Array) -> Array:
    """a × b; np.cross costs ten times as much for one pair."""
    ax, ay, az = a.tolist()
    bx, by, bz = b.tolist()
    return np.array((ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx))


class WristWrench:
    """Contact wrench at the TCP from the reading of a sensor between flange and tool.

    The sensor feels what tool and environment exert on it; Newton's law of the tool gives the environment's share::

        F_env = reading − bias − tool_load,   tool_load = (m (g − a_com), com × … − I α − ω × I ω)

    so that environment-on-robot has the *same* sign as the reading. ``tool`` is in flange axes (None: no tool behind
    the sensor), ``sensor_pos``/``sensor_R`` and ``tcp_pos``/``tcp_R`` are the poses of sensor and TCP in the flange
    frame. Raises ModelError for anything that is not a pose.
    """

    def __init__(
        self,
        tool: BodyInertia | None,
        sensor_pos: Array | None = None,
        sensor_R: Array | None = None,
        tcp_pos: Array | None = None,
        tcp_R: Array | None = None,
        gravity: float = 9.81,
    ) -> None:
        p_s, R_s = checked_pose(sensor_pos, sensor_R, "sensor")
        p_t, R_t = checked_pose(tcp_pos, tcp_R, "TCP")
        # Everything is computed in TCP axes about the TCP, where tool and sensor stand still, and turned at the end.
        self._R = R_t.T @ R_s
        self._X = wrench_transform(self._R, R_t.T @ (p_t - p_s))
        self._X_inv = np.linalg.inv(self._X)
        self._tcp = (p_t, R_t)
        self._tool = BodyInertia(0.0, np.zeros(3), np.zeros((3, 3))) if tool is None else tool
        self._gravity = gravity
        self.set_payload(None)
        self.bias = np.zeros(6)
        """What the unloaded sensor reads, sensor frame, (6,) N, N·m; subtracted from each reading."""

    def set_payload(self, payload: BodyInertia | None) -> None:
        """Count ``payload`` (flange frame), held by the tool, as part of it; None: the tool alone."""
        p_t, R_t = self._tcp
        body = self._tool if payload is None else combined(self._tool, payload)
        self._mass, self._com, self._inertia = body.mass, R_t.T @ (body.com - p_t), R_t.T @ body.inertia @ R_t

    def tool_load(self, dyn: Dynamics, qdd: Array | None = None) -> Array:
        """Load of the tool's weight and inertia about the TCP in *TCP* axes, (6,); ``qdd`` None: standing still."""
        if self._mass == 0.0:
            return np.zeros(6)
        Rt = dyn.R.T
        m, c = self._mass, self._com.tolist()
        g = self._gravity
        if qdd is None:
            ax, ay, az = (g * Rt[:, 2]).tolist()
            return np.array(_force_moment(m, c, (-ax, -ay, -az), (0.0, 0.0, 0.0)))
        motion = dyn.J.dot(qdd)
        motion += dyn.Jdot_qd
        motion[2] += g
        omega = Rt.dot(dyn.J[3:].dot(dyn.qd))
        a, alpha = Rt.dot(motion[:3]).tolist(), Rt.dot(motion[3:])
        h = self._inertia.dot(omega)
        rate = self._inertia.dot(alpha)
        wx, wy, wz = omega.tolist()
        hx, hy, hz = h.tolist()
        lx, ly, lz = alpha.tolist()
        # Acceleration of the centre of mass: a + α × c + ω × (ω × c).
        ux, uy, uz = wy * c[2] - wz * c[1], wz * c[0] - wx * c[2], wx * c[1] - wy * c[0]
        acom = (
            -(a[0] + ly * c[2] - lz * c[1] + wy * uz - wz * uy),
            -(a[1] + lz * c[0] - lx * c[2] + wz * ux - wx * uz),
            -(a[2] + lx * c[1] - ly * c[0] + wx * uy - wy * ux),
        )
        rx, ry, rz = rate.tolist()
        spin = (-(rx + wy * hz - wz * hy), -(ry + wz * hx - wx * hz), -(rz + wx * hy - wy * hx))
        return np.array(_force_moment(m, c, acom, spin))

    def contact(self, reading: Array, dyn: Dynamics, qdd: Array | None = None) -> Array:
        """Environment on robot at the TCP, base axes, (6,) N, N·m, from a reading in the sensor frame.

        ``dyn`` of the same tick; ``qdd`` (n,) rad/s² takes the tool's inertia off, None leaves it in.
        """
        local = self._X.dot(reading - self.bias)
        local -= self.tool_load(dyn, qdd)
        out = np.empty(6)
        np.dot(dyn.R, local[:3], out=out[:3])
        np.dot(dyn.R, local[3:], out=out[3:])
        return out

    def tare(self, reading: Array, dyn: Dynamics) -> Array:
        """Set the bias so that ``reading`` (a mean at standstill, nothing touching) means no contact; returns it.

        Raises ParameterError if the reading is not finite.
        """
        bias = np.asarray(reading, dtype=np.float64) - self._X_inv @ self.tool_load(dyn)
        if bias.shape != (6,) or not np.isfinite(bias).all():
            raise ParameterError(f"reading is {reading}; expected 6 finite values in N, N·m to tare with")
        self.bias = bias
        return bias.copy()


def _force_moment(
    m: float, c: list[float], a: tuple[float, float, float], spin: tuple[float, float, float]
) -> tuple[float, ...]:
    """Force m·a acting at c, and its moment about the origin plus ``spin``."""
    fx, fy, fz = m * a[0], m * a[1], m * a[2]
    return (
        fx,
        fy,
        fz,
        c[1] * fz - c[2] * fy + spin[0],
        c[2] * fx - c[0] * fz + spin[1],
        c[0] * fy - c[1] * fx + spin[2],
    )

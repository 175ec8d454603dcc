"""What an exciting motion must keep: ranges, speeds, accelerations, torques, distances, a box for the TCP."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators.collision import CollisionModel
from estimators.errors import ParameterError
from estimators.rigid_body import RigidBodyModel
from estimators.wrench import contact_wrench

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """Limits of every joint, (n,) each, with all margins already taken off. Raises ParameterError."""

    q_min: Array
    q_max: Array
    """rad"""
    qd_max: Array
    """rad/s"""
    qdd_max: Array
    """rad/s²"""
    tau_max: Array
    """Largest torque of a joint by the model, weight included, N·m."""
    tau_cmd_max: Array
    """Largest torque that we command, N·m."""
    adds_gravity: bool = False
    """The robot carries its weight by itself: what we command is without it."""
    box_min: Array | None = None
    box_max: Array | None = None
    """Where the TCP may be, base frame, (3,) m; None: anywhere."""
    tau_sigma: Array | None = None
    """Slow error of the joint torques, N·m; None: nobody compares the force they show with that of a sensor."""
    force_sigma_max: float = math.inf
    """Largest standard deviation that this error may mean for a force at the TCP, N: in a nearly singular posture any
    small error of torque looks like a large force, and whoever compares it with a sensor stops the arm."""

    def __post_init__(self) -> None:
        n = self.q_min.shape
        vectors = (self.q_min, self.q_max, self.qd_max, self.qdd_max, self.tau_max, self.tau_cmd_max)
        if any(v.shape != n or not np.isfinite(v).all() for v in vectors):
            raise ParameterError(f"limits must be finite and of shape {n}: {[v.tolist() for v in vectors]}")
        if not (self.q_min < self.q_max).all() or not all((v > 0.0).all() for v in vectors[2:]):
            raise ParameterError("limits leave nothing: q_min must lie below q_max, all other limits above zero")
        if self.tau_sigma is not None and (self.tau_sigma.shape != n or not (self.tau_sigma > 0.0).all()):
            raise ParameterError(f"tau_sigma is {self.tau_sigma}; expected {n} values > 0")
        if (self.box_min is None) != (self.box_max is None):
            raise ParameterError("a box needs both its corners")
        if self.box_min is not None and self.box_max is not None:
            corners = (self.box_min, self.box_max)
            if any(c.shape != (3,) or not np.isfinite(c).all() for c in corners) or not (corners[0] < corners[1]).all():
                raise ParameterError(f"the box {corners[0]} … {corners[1]} m is none: the first corner lies below")


@dataclass(frozen=True, slots=True)
class Violation:
    """The first limit that a motion breaks, in words, and how much of it there is (0 … 1, for a search)."""

    what: str
    kind: str
    share: float


@dataclass(frozen=True, slots=True, eq=False)
class Arena:
    """An arm, its limits and what stands around it. ``margin``: least distance of anything to anything else, m."""

    model: RigidBodyModel
    collision: CollisionModel
    bounds: Bounds
    margin: float

    def __post_init__(self) -> None:
        if self.model.n != self.collision.n or self.bounds.q_min.size != self.model.n:
            raise ParameterError(
                f"limits for {self.bounds.q_min.size} joints, shapes for {self.collision.n}, a model of {self.model.n}"
            )
        if not (math.isfinite(self.margin) and self.margin >= 0.0):
            raise ParameterError(f"margin is {self.margin}; expected metres >= 0")

    @property
    def n(self) -> int:
        """Number of joints."""
        return self.model.n

    def torques(self, q: Array, qd: Array, qdd: Array) -> tuple[Array, Array]:
        """Torque of the joints, weight included, and what of it we command, (m, n) each, N·m."""
        model = self.model
        total = np.array([model.rnea(*row) for row in zip(q, qd, qdd, strict=True)])
        if not self.bounds.adds_gravity:
            return total, total
        return total, total - np.array([model.gravity(row) for row in q])

    def kinematic(self, q: Array, qd: Array, qdd: Array) -> Violation | None:
        """Ranges, speeds and accelerations of samples (m, n)."""
        b = self.bounds
        middle, half = 0.5 * (b.q_min + b.q_max), 0.5 * (b.q_max - b.q_min)
        for kind, unit, value, limit in (
            ("position", "rad from the middle of its range", q - middle, half),
            ("velocity", "rad/s", qd, b.qd_max),
            ("acceleration", "rad/s²", qdd, b.qdd_max),
        ):
            if found := _beyond(kind, unit, value, limit):
                return found
        return None

    def dynamic(self, q: Array, qd: Array, qdd: Array) -> Violation | None:
        """Torques of samples (m, n)."""
        total, commanded = self.torques(q, qd, qdd)
        return _beyond("torque", "N·m", total, self.bounds.tau_max) or _beyond(
            "commanded torque", "N·m", commanded, self.bounds.tau_cmd_max
        )

    def boxed(self, q: Array) -> Violation | None:
        """Whether the TCP leaves its box."""
        b = self.bounds
        if b.box_min is None or b.box_max is None:
            return None
        x = np.array([self.model.fk(row)[0] for row in q])
        out = ~((x >= b.box_min) & (x <= b.box_max)).all(axis=1)
        if not out.any():
            return None
        where = x[int(np.argmax(out))]
        what = f"the TCP comes to {np.round(where, 3).tolist()} m, outside of the box {b.box_min.tolist()} … "
        return Violation(f"{what}{b.box_max.tolist()} m", "workspace box", float(out.mean()))

    def stands(self, q: Array) -> Violation | None:
        """What postures (m, n) alone break, distances aside."""
        return self.boxed(q) or self.clear_sighted(q)

    def clear_sighted(self, q: Array) -> Violation | None:
        """Whether the joint torques still show forces at the TCP, at samples (m, n)."""
        b = self.bounds
        if b.tau_sigma is None:
            return None
        P, nothing = np.diag(b.tau_sigma**2), np.zeros(self.n)
        variance = np.array(
            [np.linalg.eigvalsh(contact_wrench(self.model.jacobian(row), nothing, P)[1][:3, :3])[-1] for row in q]
        )
        beyond = ~(variance <= b.force_sigma_max**2)
        if not beyond.any():
            return None
        what = (
            f"so near a singular posture that joint torques show a force at the TCP only to "
            f"±{np.sqrt(variance.max()):.0f} N, allowed ±{b.force_sigma_max:.0f} N (safety.force_agreement)"
        )
        return Violation(what, "singularity", float(beyond.mean()))

    def near(self, q: Array) -> Violation | None:
        """Whether anything is nearer than the margin at samples (m, n); between them, see :meth:`way`."""
        hits = [k for k, row in enumerate(q) if not self.collision.free(row, self.margin)]
        if not hits:
            return None
        found = self.collision.clearance(q[hits[0]])
        return Violation(f"{found}; allowed are {self.margin * 1e3:.0f} mm", "distance", len(hits) / len(q))

    def way(self, q: Array, bulge: Array | float = 0.0) -> Violation | None:
        """The same on the way through ``q`` (m, n), between the samples too."""
        found = self.collision.check_path(q, self.margin, bulge)
        if found.distance >= self.margin:
            return None
        return Violation(f"{found}; allowed are {self.margin * 1e3:.0f} mm", "distance", 1.0)

    def move(self, start: Array, end: Array) -> Violation | None:
        """A straight line of the joints from rest to rest, slowly: range, weight, box and distances."""
        q = start + np.linspace(0.0, 1.0, 21)[:, None] * (end - start)
        still = np.zeros_like(q)
        return self.kinematic(q, still, still) or self.stands(q) or self.dynamic(q, still, still) or self.way(q)


def _beyond(kind: str, unit: str, value: Array, limit: Array) -> Violation | None:
    inside = np.abs(value) <= limit
    if inside.all():
        return None
    with np.errstate(invalid="ignore"):
        ratio = np.where(np.isfinite(value), np.abs(value) / limit, np.inf)
    row, j = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
    share = float(min(1.0, np.mean(~inside) + 0.1 * min(ratio[row, j] - 1.0, 1.0)))
    return Violation(f"A{j + 1}: {kind} {abs(value[row, j]):.4g} {unit}, allowed {limit[j]:.4g}", kind, share)

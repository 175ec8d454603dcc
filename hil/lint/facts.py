"""What the rules compare: the cell's numbers, and those that follow from them with the robot's model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from drivers.contract import Array
from estimators.rigid_body import RigidBodyModel
from estimators.wrench import contact_wrench, point_contact_wrench
from hil.build import build_model
from hil.cell import Cell
from hil.cell.motions import Move
from hil.cell.source import Loc
from safety.limits import JointLimits
from safety.stopping import BrakingLaw, Stop, stop_of
from safety.stops import StopParams

_AXES = np.vstack([np.eye(3), -np.eye(3)])


class Facts:
    """Numbers of one cell, computed when first asked for. Vectors are lists of n floats."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.limits: JointLimits = cell.robot.joint_limits
        self.n = self.limits.n
        self.period = cell.robot.period
        self.speed: list[float] = (self.limits.qd_max * cell.safety.speed_fraction).tolist()
        """Speeds at which the arm is stopped, rad/s."""

    def limit(self, name: str) -> list[float]:
        """A limit of all joints, by its name in JointLimits."""
        values: list[float] = getattr(self.limits, name).tolist()
        return values

    def at(self, name: str) -> Loc:
        """Where a limit stands: among the overrides, or the preset as a whole."""
        overridden = getattr(self.cell.robot.limits.overrides, name) is not None
        return ("robot", "limits", "overrides", name) if overridden else ("robot", "limits", "preset")

    @cached_property
    def model(self) -> RigidBodyModel:
        return build_model(self.cell)

    @cached_property
    def postures(self) -> Mapping[str, Array]:
        """The postures that the file names: home and the targets of moves."""
        named = {"robot.home": np.array(self.cell.robot.home)}
        for name, motion in self.cell.motions.items():
            if isinstance(motion, Move):
                named[f"motions.{name}.target"] = np.array(motion.target)
        return named

    @cached_property
    def weights(self) -> Mapping[str, list[float]]:
        """Gravity torque (n,) N·m in each posture."""
        return {name: self.model.gravity(q).tolist() for name, q in self.postures.items()}

    @property
    def weight(self) -> list[float]:
        """Gravity torque at home, N·m."""
        return self.weights["robot.home"]

    @cached_property
    def own_weight(self) -> bool:
        """Gravity is carried by the torque that we command."""
        return "gravity" not in self.cell.robot.terms

    @cached_property
    def home(self) -> tuple[Array, Array]:
        """Position (3,) m of the TCP at home and Jacobian (6, n) there."""
        dyn = self.model.update(np.array(self.cell.robot.home), np.zeros(self.n))
        return dyn.x.copy(), dyn.J.copy()

    @cached_property
    def stop_params(self) -> StopParams:
        return self.cell.safety.stop_params()

    @property
    def oldest(self) -> float:
        """Age of the oldest sample that the state checks accept, s."""
        p = self.stop_params
        return max(p.max_age_ticks * self.period, p.max_age)

    @cached_property
    def stops(self) -> list[Stop]:
        """For each joint the longest stop from its speed limit, alone, over the named postures."""
        return [max((self._stop(q, j) for q in self.postures.values()), key=lambda s: s.path) for j in range(self.n)]

    def _stop(self, q: Array, joint: int) -> Stop:
        dyn = self.model.update(q, np.zeros(self.n))
        qd = np.zeros(self.n)
        qd[joint] = self.speed[joint]
        carried = np.abs(dyn.g) if self.own_weight else np.zeros(self.n)
        law = BrakingLaw(
            self.stop_params.damping,
            self.stop_params.rate_share,
            self.limit("tau_rate_max"),
            (self.limits.tau_cmd_max - carried).tolist(),
            self.oldest + 2.0 * self.period,
        )
        return stop_of(law, dyn.M, qd)

    @property
    def distances(self) -> list[float]:
        """How far each joint moves on in that stop, rad."""
        return [stop.path * speed for stop, speed in zip(self.stops, self.speed, strict=True)]

    @cached_property
    def force_sigma(self) -> float:
        """Largest standard deviation of the observed force in any direction at home, tared, N."""
        observer = self.cell.observer
        variance = np.square(observer.tau_sigma) + np.square(0.5 * np.array(observer.model_sigma))
        contact = contact_wrench if observer.contact == "wrench" else point_contact_wrench
        _, covariance = contact(self.home[1], np.zeros(self.n), np.diag(variance))
        return float(np.sqrt(np.linalg.eigvalsh(covariance[:3, :3])[-1]))

    @cached_property
    def force_reach(self) -> float:
        """Largest force along a base axis that the arm's joints can bear at home, N."""
        _, J = self.home
        torques = np.abs(_AXES @ J[:3])  # per newton
        with np.errstate(divide="ignore"):
            return float((self.limits.tau_max / torques).min(axis=1).max())

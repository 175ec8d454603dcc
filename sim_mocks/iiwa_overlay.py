"""What an overlay of each client command mode demands of a command, and what the command means for the joints."""

from __future__ import annotations

import numpy as np

from drivers.contract import Array
from drivers.fri.codec import CommandMsg
from drivers.fri.wire import ClientCommandMode, ControlMode, OverlayType, Redundancy
from sim_mocks.iiwa_cartesian import Kinematics, joints_at, pose_distance

_MIRROR_ANGLE = 1e-3
"""rad by which a mirrored orientation may be off."""
_NEEDS = {
    ClientCommandMode.POSITION: ("jointPosition",),
    ClientCommandMode.TORQUE: ("jointPosition", "jointTorque"),
    ClientCommandMode.WRENCH: ("jointPosition", "cartesianWrenchFeedForward"),
    ClientCommandMode.CARTESIAN_POSE: ("cartesianPose", "redundancyInformation"),
}
_ORDER = {"xyz": [0, 1, 2, 3, 4, 5], "zyx": [0, 1, 2, 5, 4, 3]}
_ZERO = np.zeros(7)


class Overlay:
    """One client command mode over one kind of the robot's own control."""

    def __init__(
        self, mode: ClientCommandMode, stiff: bool, kinematics: Kinematics | None, moment_order: str | None
    ) -> None:
        """``stiff``: position control instead of impedance control (POSITION mode; a pose always has it)."""
        self.mode = mode
        self.stiff = stiff or mode == ClientCommandMode.CARTESIAN_POSE
        self._kinematics = kinematics
        self._order = moment_order

    @property
    def type(self) -> OverlayType:
        return OverlayType.CARTESIAN if self.mode == ClientCommandMode.CARTESIAN_POSE else OverlayType.JOINT

    @property
    def control(self) -> ControlMode:
        """The control mode that the controller reports."""
        if self.mode == ClientCommandMode.WRENCH:
            return ControlMode.CARTESIAN_IMPEDANCE
        return ControlMode.POSITION if self.stiff else ControlMode.JOINT_IMPEDANCE

    def form(self, command: CommandMsg) -> str | None:
        """All that the mode needs is there and finite, in COMMANDING_WAIT as in COMMANDING_ACTIVE."""
        parts = {
            "jointPosition": command.q,
            "jointTorque": command.tau,
            "cartesianWrenchFeedForward": command.wrench,
            "cartesianPose": command.pose,
            "redundancyInformation": command.redundancy,
        }
        needs = _NEEDS[self.mode]
        lacking = [name for name in needs if parts[name] is None]
        if lacking:
            both = " and ".join(needs)
            return f"inconsistent command: {self.mode.name} mode needs {both}, {lacking[0]} is missing"
        for name in needs:
            values = np.array(parts[name], dtype=np.float64)
            if not np.isfinite(values).all():
                return f"{name} is not finite: {values.tolist()}"
        if command.pose is not None and self.mode == ClientCommandMode.CARTESIAN_POSE:
            if abs(float(np.linalg.norm(command.pose[3:])) - 1.0) > 1e-3:
                return f"cartesianPose has no unit quaternion: {command.pose[3:].tolist()}"
            if command.redundancy is not None and command.redundancy[0] != Redundancy.E1:
                return f"redundancy strategy {command.redundancy[0]} came, E1 (0) is expected"
        return None

    def mirrors(self, command: CommandMsg, q_hold: Array, pose_hold: Array | None, tolerance: float) -> bool:
        """A command of good form repeats the interpolator's set-point to within ``tolerance`` (rad; m of a pose)."""
        if self.mode != ClientCommandMode.CARTESIAN_POSE:
            return command.q is not None and bool(np.abs(command.q - q_hold).max() <= tolerance)
        if command.pose is None or pose_hold is None or command.redundancy is None:
            return False
        distance, angle = pose_distance(command.pose, pose_hold)
        return distance <= tolerance and angle <= _MIRROR_ANGLE and abs(command.redundancy[1] - q_hold[2]) <= tolerance

    def meaning(self, command: CommandMsg, q: Array, q_ref: Array) -> tuple[Array, Array] | str:
        """Position reference and overlay torque, both (7,), of a command of good form; or why it has none.

        ``q`` is where the arm is, ``q_ref`` the reference before.
        """
        if self.mode == ClientCommandMode.CARTESIAN_POSE:
            assert command.pose is not None
            assert command.redundancy is not None
            assert self._kinematics is not None
            found = joints_at(self._kinematics, command.pose, command.redundancy[1], q_ref)
            return "cartesianPose cannot be reached from here" if found is None else (found, _ZERO)
        assert command.q is not None
        if self.mode == ClientCommandMode.WRENCH:
            assert command.wrench is not None
            assert self._kinematics is not None
            wrench = command.wrench
            if self._order is None and wrench[3:].any():
                return f"the order of moments is not decided (moment_order), moments came: {wrench[3:].tolist()}"
            tau: Array = self._kinematics.jacobian(q).T @ wrench[_ORDER[self._order or "xyz"]]
            return command.q, tau
        if self.mode == ClientCommandMode.TORQUE:
            assert command.tau is not None
            return command.q, command.tau
        return command.q, _ZERO

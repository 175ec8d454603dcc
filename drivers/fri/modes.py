"""The client command modes that the driver commands in: which command each takes and what goes onto the wire.

Each has a set-point, which is mirrored, and which the first command must lie near: joint positions (7,) rad, or on
FRI 2 in the mode ``pose`` a pose with its redundancy (8,), see :mod:`drivers.fri.poses`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from drivers.contract import ArmTraits, Array, Command, PoseCommand, PositionCommand, TorqueCommand, WrenchCommand
from drivers.errors import RefusedError
from drivers.fri.poses import SET_POINT, entry_problem, set_point, to_wire
from drivers.fri.records import Monitoring
from drivers.fri.wire import JOINTS, ClientCommandMode, ControlMode, Redundancy

ENTRY_STEP = 0.1
"""rad; the first position reference of a stay in COMMANDED may be this far from the set-point mirrored before."""
MOMENT_ORDERS = {"xyz": (3, 4, 5), "zyx": (5, 4, 3)}
"""How moments travel: as Mx My Mz, or as those about the axes of KUKA's angles A, B, C, which are z, y, x."""
_NONE = np.full(JOINTS, np.nan)
_ZERO = np.zeros(JOINTS)


@dataclass(frozen=True, slots=True)
class CommandMode:
    """One client command mode."""

    name: str
    """Its name in a cell file."""
    wire: ClientCommandMode
    command: type
    """The kind of command it takes."""
    control: frozenset[int]
    """The controller's own control modes that it can be laid over."""

    @property
    def by_pose(self) -> bool:
        """Set-point and command are poses."""
        return self.wire == ClientCommandMode.CARTESIAN_POSE

    @property
    def size(self) -> int:
        """Numbers of a set-point."""
        return SET_POINT if self.by_pose else JOINTS

    def set_point(self, m: Monitoring) -> Array | None:
        """The interpolator's set-point in a frame; None where there is none that could be mirrored."""
        return set_point(m.pose_ipo, m.redundancy_ipo) if self.by_pose else m.q_ipo

    def parts(self, reference: Array) -> dict[str, Any]:
        """The codec's arguments for a set-point."""
        if self.by_pose:
            return {"pose": reference[:7], "redundancy": (int(Redundancy.E1), float(reference[7]))}
        return {"q": reference}

    @property
    def at_rest(self) -> dict[str, Any]:
        """What accompanies the mirrored position while the controller synchronises: its absence would be an error."""
        if self.wire == ClientCommandMode.TORQUE:
            return {"tau": [0.0] * JOINTS}
        return {"wrench": [0.0] * 6} if self.wire == ClientCommandMode.WRENCH else {}


_IMPEDANCE = frozenset({ControlMode.JOINT_IMPEDANCE, ControlMode.CARTESIAN_IMPEDANCE})
MODES = {
    mode.name: mode
    for mode in (
        CommandMode("torque", ClientCommandMode.TORQUE, TorqueCommand, frozenset({ControlMode.JOINT_IMPEDANCE})),
        CommandMode("position", ClientCommandMode.POSITION, PositionCommand, _IMPEDANCE | {ControlMode.POSITION}),
        CommandMode("pose", ClientCommandMode.CARTESIAN_POSE, PoseCommand, _IMPEDANCE | {ControlMode.POSITION}),
        CommandMode("wrench", ClientCommandMode.WRENCH, WrenchCommand, frozenset({ControlMode.CARTESIAN_IMPEDANCE})),
    )
}


def mode_of(traits: ArmTraits) -> CommandMode:
    """The mode whose command ``traits`` name. Raises ValueError unless they name exactly one that FRI has."""
    for mode in MODES.values():
        if traits.commands == (mode.command,):
            return mode
    kinds = ", ".join(kind.__name__ for kind in traits.commands)
    raise ValueError(f"an FRI session takes one kind of command, the traits name: {kinds or 'none'}")


def wire_wrench(wrench: Array, moment_order: str | None) -> Array:
    """``wrench`` (6,) in the order of the wire. Raises RefusedError for moments whose order nobody has declared."""
    if moment_order is None:
        if wrench[3:].any():
            raise RefusedError(
                f"moments {wrench[3:].tolist()} N·m: whether they travel as Mx My Mz or in KUKA's order A B C is not "
                "published; measure it on the robot and declare robot.fri.moment_order in the cell file"
            )
        return wrench
    return wrench[[0, 1, 2, *MOMENT_ORDERS[moment_order]]]


def payload(command: Command, mode: CommandMode, moment_order: str | None) -> tuple[dict[str, Any], Array, Array]:
    """Of a command of ``mode``: the codec's arguments, the overlay torque that acts with it ((7,), NaN where only the
    controller knows it) and the set-point. All are copies. Raises RefusedError, TypeError, ValueError."""
    if isinstance(command, PoseCommand):
        reference = to_wire(command)
        return mode.parts(reference), _ZERO, reference
    reference = np.array(command.q_ref, dtype=float)
    parts = mode.parts(reference)
    if isinstance(command, TorqueCommand):
        tau = np.array(command.tau, dtype=float)
        return {**parts, "tau": tau}, tau, reference
    if isinstance(command, WrenchCommand):
        wrench = wire_wrench(np.array(command.wrench, dtype=float), moment_order)
        return {**parts, "wrench": wrench}, _NONE if wrench.any() else _ZERO, reference
    return parts, _ZERO, reference


def check_entry(mode: CommandMode, reference: Array, entry: Array) -> None:
    """Raises RefusedError for a first reference too far from the mirrored set-point ``entry``."""
    if mode.by_pose:
        if problem := entry_problem(reference, entry):
            raise RefusedError(problem)
        return
    step = float(np.abs(reference - entry).max())
    if not step <= ENTRY_STEP:
        raise RefusedError(
            f"the first position reference lies {step:.3f} rad from the robot's set-point, {ENTRY_STEP} rad are "
            "allowed: begin at RobotSample.q_ref_accepted"
        )

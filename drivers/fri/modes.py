"""The client command modes that the driver commands in: which command each takes and what goes onto the wire.

``CARTESIAN_POSE`` of FRI 2 is not among them. Nothing here can judge a pose before the controller's own inverse
kinematics has turned it into joint motion, so a pose cannot pass the gate as joint positions, torques and wrenches do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from drivers.contract import ArmTraits, Array, Command, PositionCommand, TorqueCommand, WrenchCommand
from drivers.errors import RefusedError
from drivers.fri.wire import JOINTS, ClientCommandMode, ControlMode

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


def payload(command: Command, moment_order: str | None) -> tuple[dict[str, Any], Array, Array]:
    """Of a command: the codec's arguments, the overlay torque that acts with it ((7,), NaN where only the controller
    knows it) and the position reference (7,). All are copies. Raises RefusedError, TypeError, ValueError."""
    q_ref = np.array(getattr(command, "q_ref"), dtype=float)  # noqa: B009  # each kind has one, their union has none
    if isinstance(command, TorqueCommand):
        tau = np.array(command.tau, dtype=float)
        return {"q": q_ref, "tau": tau}, tau, q_ref
    if isinstance(command, WrenchCommand):
        wrench = wire_wrench(np.array(command.wrench, dtype=float), moment_order)
        return {"q": q_ref, "wrench": wrench}, _NONE if wrench.any() else _ZERO, q_ref
    return {"q": q_ref}, _ZERO, q_ref


def check_entry(q_ref: Array, entry: Array) -> None:
    """Raises RefusedError for a first reference too far from the mirrored set-point ``entry``."""
    step = float(np.abs(q_ref - entry).max())
    if not step <= ENTRY_STEP:
        raise RefusedError(
            f"the first position reference lies {step:.3f} rad from the robot's set-point, {ENTRY_STEP} rad are "
            "allowed: begin at RobotSample.q_ref_accepted"
        )

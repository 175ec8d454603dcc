"""What is fixed about a PiPER-type arm."""

from __future__ import annotations

from drivers.contract import ArmTraits, MitCommand, StopAction, StopCategory, TorqueCommand
from drivers.piper.codec import N
from drivers.piper.config import PERIOD


def piper_traits(name: str) -> ArmTraits:
    """Traits of the arm. It adds nothing to a torque in an MIT frame (its stiffness and damping are zero), and it has
    no brakes: :meth:`drivers.piper.arm.PiperArm.off` leaves it held by its own controller, so that nothing drops."""
    return ArmTraits(
        name=name,
        n=N,
        period=PERIOD,
        torque_side="motor",
        adds=frozenset(),
        commands=(TorqueCommand, MitCommand),
        brakes=False,
        stops={
            StopCategory.OFF_NOW: StopAction.OFF,
            StopCategory.STOP_THEN_OFF: StopAction.BRAKE_THEN_OFF,
            StopCategory.STOP_AND_HOLD: StopAction.BRAKE_AND_HOLD,
        },
    )

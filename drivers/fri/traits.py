"""What is fixed about an LBR iiwa on FRI."""

from __future__ import annotations

from drivers.contract import ArmTraits, StopAction, StopCategory, TorqueCommand
from drivers.fri.wire import JOINTS


def iiwa_traits(name: str, period: float, adds: frozenset[str] = frozenset({"gravity", "stiffness"})) -> ArmTraits:
    """Traits of an iiwa whose controller sends every ``period`` seconds.

    ``adds``: whether the controller also compensates Coriolis terms and friction is not published; name them here
    once they have been measured on the robot.
    """
    return ArmTraits(
        name=name,
        n=JOINTS,
        period=period,
        torque_side="link",
        adds=adds,
        commands=(TorqueCommand,),
        brakes=True,
        stops={
            StopCategory.OFF_NOW: StopAction.OFF,
            StopCategory.STOP_THEN_OFF: StopAction.BRAKE_THEN_OFF,
            StopCategory.STOP_AND_HOLD: StopAction.BRAKE_AND_HOLD,
        },
    )

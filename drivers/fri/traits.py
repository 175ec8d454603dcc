"""What is fixed about an LBR iiwa on FRI."""

from __future__ import annotations

from drivers.contract import ArmTraits, StopAction, StopCategory
from drivers.fri.modes import MODES
from drivers.fri.wire import JOINTS


def iiwa_traits(
    name: str,
    period: float,
    adds: frozenset[str] = frozenset({"gravity", "stiffness"}),
    command_mode: str = "torque",
) -> ArmTraits:
    """Traits of an iiwa whose controller awaits an answer every ``period`` seconds (send period × receive multiplier).

    ``command_mode``: a key of :data:`drivers.fri.modes.MODES`. Only with torques can this side brake the arm itself; in
    the other modes every stop is silence, upon which the controller ends the motion and brakes.

    ``adds``: whether the controller also compensates Coriolis terms and friction is not published; name them here
    once they have been measured on the robot.
    """
    torque = command_mode == "torque"
    return ArmTraits(
        name=name,
        n=JOINTS,
        period=period,
        torque_side="link",
        adds=adds,
        commands=(MODES[command_mode].command,),
        brakes=True,
        stops={
            StopCategory.OFF_NOW: StopAction.OFF,
            StopCategory.STOP_THEN_OFF: StopAction.BRAKE_THEN_OFF if torque else StopAction.OFF,
            StopCategory.STOP_AND_HOLD: StopAction.BRAKE_AND_HOLD if torque else StopAction.OFF,
        },
        redundant_joint=2,
    )

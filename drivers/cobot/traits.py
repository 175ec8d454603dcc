"""What is fixed about an arm of CiA 402 drives."""

from __future__ import annotations

from drivers.contract import ArmTraits, StopAction, StopCategory, TorqueCommand


def cobot_traits(name: str, n: int, period: float, *, brakes: bool = True) -> ArmTraits:
    """Traits of an arm of ``n`` joints that is sent torques every ``period`` s.

    The drives add nothing to the torque that they are sent: gravity is ours. An arm without brakes is lowered where
    one with brakes would be switched off.
    """
    off = StopAction.OFF if brakes else StopAction.LOWER
    return ArmTraits(
        name=name,
        n=n,
        period=period,
        torque_side="motor",
        adds=frozenset(),
        commands=(TorqueCommand,),
        brakes=brakes,
        stops={
            StopCategory.OFF_NOW: off,
            StopCategory.STOP_THEN_OFF: StopAction.BRAKE_THEN_OFF if brakes else StopAction.LOWER,
            StopCategory.STOP_AND_HOLD: StopAction.BRAKE_AND_HOLD,
        },
    )

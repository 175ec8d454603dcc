"""What the mock devices do by themselves when a fault of the device begins or ends."""

from __future__ import annotations

from drivers.contract import OperationMode
from sim_mocks.faults import Fault
from sim_mocks.fri_quality import EXCELLENT
from sim_mocks.ft import BotaDevice
from sim_mocks.iiwa import FriController


def act_iiwa(controller: FriController, fault: Fault, begins: bool, t_ns: int, *, reopens: bool = False) -> None:
    """Begin or end ``fault``. At its end the cause is gone; a motion that it ended stays ended.

    ``reopens``: the robot application opens a session that the fault closed anew, after the controller's delay.
    """
    parameter = int(fault.parameter) if fault.kind != "session_close" else 0
    if fault.kind == "quality_loss":
        controller.quality.bound = parameter if begins else EXCELLENT
    elif fault.kind == "safety_stop":
        controller.safety_stop(t_ns, parameter if begins else 0)
    elif fault.kind == "mode_change":
        controller.set_mode(t_ns, parameter if begins else OperationMode.AUTOMATIC)
    elif begins:
        controller.close_session(t_ns, reopens=reopens)


def act_ft(sensor: BotaDevice, fault: Fault, begins: bool) -> None:
    """Begin or end ``fault``; a sensor that has left its run mode stays silent until it is opened anew."""
    if fault.kind == "quality_loss":
        sensor.flagged_invalid = begins
    elif begins:
        sensor.on_bytes(b"C")

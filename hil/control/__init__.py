"""Controllers: from a sample and a reference to the joint torque that we have to command."""

from hil.control.base import ControlError, Controller
from hil.control.computed_torque import ComputedTorque, ComputedTorqueParams
from hil.control.force import ForceParams
from hil.control.free_drive import FreeDrive, FreeDriveParams
from hil.control.impedance import CartesianImpedance, ImpedanceParams

__all__ = [
    "CartesianImpedance",
    "ComputedTorque",
    "ComputedTorqueParams",
    "ControlError",
    "Controller",
    "ForceParams",
    "FreeDrive",
    "FreeDriveParams",
    "ImpedanceParams",
]

"""Driver of an AgileX PiPER-type arm (experimental): its CAN protocol V2, torque by MIT frames."""

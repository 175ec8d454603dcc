"""Reference motions: what the arm should do as a function of time, each starting from where the arm stands."""

from hil.motion.base import CartesianReference, GrippingMotion, JointReference, Motion, MotionError, Reference
from hil.motion.cartesian import CartesianHold, CartesianMove
from hil.motion.check import check_joint_motion
from hil.motion.joint import JointHold, JointMove, JointSinusoids
from hil.motion.pick_place import PickPlace, Place, Waypoints, waypoints
from hil.motion.polish import PolishSquare
from hil.motion.sequence import Sequence

__all__ = [
    "CartesianHold",
    "CartesianMove",
    "CartesianReference",
    "GrippingMotion",
    "JointHold",
    "JointMove",
    "JointReference",
    "JointSinusoids",
    "Motion",
    "MotionError",
    "PickPlace",
    "Place",
    "PolishSquare",
    "Reference",
    "Sequence",
    "Waypoints",
    "check_joint_motion",
    "waypoints",
]

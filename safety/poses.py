"""What the gate bounds of a Cartesian pose command.

For a pose ``x``, ``R`` with redundancy parameter ``r`` (``T`` is the tick; the reference is the one that acts on the
robot now, the measured pose the robot's own):

- ``R`` is a rotation: ``RᵀR = I`` to within ``ROTATION_TOLERANCE``, and no reflection;
- ``|x| ≤ reach_max``;
- ``|x − x_reference| ≤ pose_speed_max T``, angle between ``R`` and ``R_reference`` ``≤ pose_turn_max T``;
- ``|x − x_measured| ≤ pose_distance_max``, angle between ``R`` and ``R_measured`` ``≤ pose_angle_max``;
- ``r`` as a position reference of the joint that it stands for: range, step, distance.

How fast the joints follow is the business of the robot's own inverse kinematics and of its own limits: close to a
singular posture a slow pose is a fast joint.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from drivers.contract import ArmTraits, Array, PoseCommand, RobotSample
from safety.faults import FaultCode, Findings
from safety.limits import JointLimits, LimitsError, all_finite, exceeds, vector

ROTATION_TOLERANCE = 1e-6
"""Largest element of ``RᵀR − I``: matrices that went through quaternions and back differ by 1e-15."""


@dataclass(frozen=True)
class PoseLimits:
    """Bounds of a pose command; the defaults refuse every pose."""

    reach_max: float = 0.0
    """Largest distance of the commanded point from the origin of its frame, m."""
    speed_max: float = 0.0
    """Largest speed of the pose reference, m/s."""
    turn_max: float = 0.0
    """Largest angular speed of the pose reference, rad/s."""
    distance_max: float = 0.05
    """Largest distance of the commanded from the measured point, m."""
    angle_max: float = 0.2
    """Largest angle between commanded and measured orientation, rad."""


class _Pose(NamedTuple):
    """A pose as plain numbers."""

    x: list[float]
    R: list[float]
    """Row by row."""
    redundancy: float


class PoseGate:
    """Judges pose commands for one arm."""

    def __init__(self, limits: JointLimits, traits: ArmTraits, bounds: PoseLimits) -> None:
        """Raises LimitsError for a redundant joint that the arm does not have."""
        joint = traits.redundant_joint
        if joint is not None and not 0 <= joint < limits.n:
            raise LimitsError([f"redundant_joint: read {joint}, {traits.name} has the joints 0 to {limits.n - 1}"])
        self._bounds = bounds
        self._joint = joint
        self._step_max = bounds.speed_max * traits.period
        self._turn_max = bounds.turn_max * traits.period
        row = 0 if joint is None else joint
        self._range = (float(limits.q_min[row]), float(limits.q_max[row]))
        self._redundancy_step = float(limits.q_ref_rate_max[row]) * traits.period
        self._redundancy_distance = float(limits.q_ref_distance_max[row])

    def judge(
        self, command: PoseCommand, sample: RobotSample, q: Sequence[float] | None, found: Findings
    ) -> PoseCommand | None:
        """A frozen copy of ``command``, or None where it cannot be judged; adds what is wrong to ``found``.

        ``q``: measured joint positions of ``sample``, rad; None where they are not known.
        """
        pose = _read(command)
        if isinstance(pose, str):
            found.add(FaultCode.COMMAND_SHAPE, detail=pose)
            return None
        place, turn = all_finite(pose.x), all_finite(pose.R)
        for values, name in ((pose.x, "x"), (pose.R, "R"), ([pose.redundancy], "redundancy")):
            if not all_finite(values):
                found.add(FaultCode.COMMAND_NOT_FINITE, detail=f"{name} is {values}")
        if turn:
            deviation = _deviation(pose.R)
            turn = not deviation > ROTATION_TOLERANCE
            if not turn:
                found.add(FaultCode.POSE_ROTATION, deviation, ROTATION_TOLERANCE)
        bounds = self._bounds
        if place:
            distance = math.hypot(*pose.x)
            if exceeds(distance, bounds.reach_max):
                found.add(FaultCode.POSE_REACH, distance, bounds.reach_max)
        reference, measured = _known(sample.pose_ref_accepted), _known(sample.pose)
        if reference is None:
            found.add(FaultCode.REFERENCE_UNKNOWN)
        else:
            self._compare(pose, reference, place, turn, _STEP, (self._step_max, self._turn_max), found)
        if measured is None:
            found.add(FaultCode.SAMPLE_INVALID, detail="the robot reports no pose")
        else:
            self._compare(pose, measured, place, turn, _AWAY, (bounds.distance_max, bounds.angle_max), found)
        if math.isfinite(pose.redundancy):
            self._judge_redundancy(pose.redundancy, reference, q, found)
        return PoseCommand(_frozen(pose.x), _frozen(pose.R, (3, 3)), pose.redundancy)

    def _compare(
        self,
        pose: _Pose,
        other: _Pose,
        place: bool,
        turn: bool,
        codes: tuple[FaultCode, FaultCode],
        bounds: tuple[float, float],
        found: Findings,
    ) -> None:
        if place:
            distance = math.dist(pose.x, other.x)
            if exceeds(distance, bounds[0]):
                found.add(codes[0], distance, bounds[0])
        if turn:
            angle = _angle(pose.R, other.R)
            if exceeds(angle, bounds[1]):
                found.add(codes[1], angle, bounds[1])

    def _judge_redundancy(
        self, redundancy: float, reference: _Pose | None, q: Sequence[float] | None, found: Findings
    ) -> None:
        joint = self._joint
        if joint is None:
            if redundancy != 0.0:
                found.add(FaultCode.REFERENCE_RANGE, redundancy, 0.0, detail="the arm has no redundancy")
            return
        low, high = self._range
        if not low <= redundancy <= high:
            found.add(FaultCode.REFERENCE_RANGE, redundancy, low if redundancy < low else high, joint)
        if reference is not None and exceeds(redundancy - reference.redundancy, self._redundancy_step):
            step = redundancy - reference.redundancy
            found.add(FaultCode.REFERENCE_STEP, step, self._redundancy_step, joint)
        if q is not None and exceeds(redundancy - q[joint], self._redundancy_distance):
            found.add(FaultCode.REFERENCE_DISTANCE, redundancy - q[joint], self._redundancy_distance, joint)


_STEP = (FaultCode.POSE_STEP, FaultCode.POSE_TURN)
_AWAY = (FaultCode.POSE_DISTANCE, FaultCode.POSE_ANGLE)


def _read(pose: PoseCommand) -> _Pose | str:
    """The numbers of a pose, copied; or which of them has another form."""
    x = vector(pose.x, 3)
    if x is None:
        return "x: expected float64 of shape (3,)"
    R = vector(pose.R.reshape(9), 9) if type(pose.R) is np.ndarray and pose.R.shape == (3, 3) else None
    if R is None:
        return "R: expected float64 of shape (3, 3)"
    redundancy: object = pose.redundancy
    if not isinstance(redundancy, float):
        return f"redundancy: read {type(redundancy).__name__}, expected float"
    return _Pose(x, R, float(redundancy))


def _known(pose: PoseCommand | None) -> _Pose | None:
    """A pose of a sample if it is one: finite, and its matrix a rotation."""
    read = None if pose is None else _read(pose)
    if not isinstance(read, _Pose) or not all_finite([*read.x, *read.R, read.redundancy]):
        return None
    return None if _deviation(read.R) > ROTATION_TOLERANCE else read


def _deviation(R: list[float]) -> float:
    """Largest element of ``RᵀR − I``; 2 for a reflection, which is as far from a rotation as it gets."""
    rows = (R[0:3], R[3:6], R[6:9])
    worst = 0.0
    for i in range(3):
        for j in range(i, 3):
            product = sum(row[i] * row[j] for row in rows)
            worst = max(worst, abs(product - (1.0 if i == j else 0.0)))
    (a, b, c), (d, e, f), (g, h, i_) = rows
    determinant = a * (e * i_ - f * h) - b * (d * i_ - f * g) + c * (d * h - e * g)
    return max(worst, 2.0) if determinant < 0.0 else worst


def _angle(R: list[float], S: list[float]) -> float:
    """Angle between two rotations, rad: ``‖R − S‖ = 2√2 sin(θ/2)``, exact for small angles where a trace is not."""
    return 2.0 * math.asin(min(1.0, math.dist(R, S) / math.sqrt(8.0)))


def _frozen(values: list[float], shape: tuple[int, ...] = (3,)) -> Array:
    """A read-only array: nobody changes a command after it was judged."""
    array = np.array(values).reshape(shape)
    array.setflags(write=False)
    return array

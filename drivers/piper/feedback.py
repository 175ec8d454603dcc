"""The newest complete set of feedback: three frames of joint positions and six of motors make one tick.

The arm sends by time, without a counter, and no document states the order within a period. So the newest frame of each
identifier is kept, and a set is complete when all nine are new since the last one *and* lie within
:data:`SPAN_NS` of one another: a doubled or lost frame cannot shift the sets for good.
"""

from __future__ import annotations

import math

import numpy as np

from drivers.can.bus import DATA, Frame
from drivers.contract import Array
from drivers.errors import ProtocolError
from drivers.piper import codec
from drivers.piper.codec import DriverFeedback, GripperFeedback, Status
from drivers.piper.config import PERIOD

SPAN_NS = int(0.6e9 * PERIOD)
"""Longest time between the first and the last frame of one set, ns."""
_SET = (*range(codec.JOINTS, codec.JOINTS + 3), *range(codec.HIGH_SPEED, codec.HIGH_SPEED + codec.N))
_JOINT_PAIRS = 3


class Feedback:
    """What the arm has said, newest first."""

    def __init__(self) -> None:
        n = codec.N
        self.q: list[float] = [math.nan] * n
        """rad."""
        self.qd: list[float] = [math.nan] * n
        """rad/s."""
        self.current: list[float] = [math.nan] * n
        """A."""
        self.status: Status | None = None
        self.drivers: list[DriverFeedback | None] = [None] * n
        self.gripper: GripperFeedback | None = None
        self.gripper_ns = -1
        """When the gripper was heard last, ns; −1: never."""
        self.status_ns = -1
        self.text = bytearray()
        """Chunks of 0x4AF."""
        self.frames = self.duplicates = self.late = self.foreign = 0
        self.commands_seen = 0
        """Frames that only one program may send, heard on the bus."""
        self.rejected: dict[str, int] = {}
        self.set_ns = -1
        """When the newest complete set arrived, ns; −1: none yet."""
        self.driver_ns = [-1] * n
        self._count = [0] * len(_SET)
        self.heard_ns = [-1] * len(_SET)
        """When each frame of a set was heard last: joint pairs, then motors."""

    def take(self, frames: list[Frame], now_ns: int) -> bool:
        """Read frames that have just arrived; True when a set became complete."""
        for can_id, data, kind in frames:
            if kind != DATA:
                self._reject(("", "remote", "error_frame", "extended_id")[kind])
                continue
            try:
                self._read(can_id, data, now_ns)
            except ProtocolError as error:
                self._reject(error.reason)
        counts = self._count
        if min(counts) == 0 or max(self.heard_ns) - min(self.heard_ns) > SPAN_NS:
            return False
        superseded = min(counts) - 1
        self.late += superseded
        self.duplicates += sum(counts) - len(counts) * (1 + superseded)
        self._count = [0] * len(_SET)
        self.set_ns = now_ns
        return True

    def _read(self, can_id: int, data: bytes | bytearray, now_ns: int) -> None:
        if codec.JOINTS <= can_id < codec.JOINTS + _JOINT_PAIRS:
            pair = can_id - codec.JOINTS
            self.q[2 * pair : 2 * pair + 2] = codec.decode_joints(data)
            self._heard(pair, now_ns)
        elif codec.HIGH_SPEED <= can_id < codec.HIGH_SPEED + codec.N:
            joint = can_id - codec.HIGH_SPEED
            motor = codec.decode_motor(data)
            self.qd[joint], self.current[joint] = motor.speed, motor.current
            self._heard(_JOINT_PAIRS + joint, now_ns)
        elif codec.LOW_SPEED <= can_id < codec.LOW_SPEED + codec.N:
            self.drivers[can_id - codec.LOW_SPEED] = codec.decode_driver(data)
            self.driver_ns[can_id - codec.LOW_SPEED] = now_ns
            self.frames += 1
        elif can_id == codec.STATUS:
            self.status, self.status_ns = codec.decode_status(data), now_ns
            self.frames += 1
        elif can_id == codec.GRIPPER:
            self.gripper, self.gripper_ns = codec.decode_gripper(data), now_ns
            self.frames += 1
        elif can_id == codec.FIRMWARE:
            self.text += data
            del self.text[:-256]
        elif codec.POSE <= can_id < codec.JOINTS:
            self.frames += 1  # the pose of the flange, which the model gives as well
        elif can_id in codec.COMMANDS:
            self.commands_seen += 1
        else:
            self.foreign += 1

    def _heard(self, index: int, now_ns: int) -> None:
        self._count[index] += 1
        self.heard_ns[index] = now_ns
        self.frames += 1

    def _reject(self, reason: str) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1

    @property
    def missing(self) -> int:
        """Frames that a set lacks which is due, 1 at least."""
        return max(1, self._count.count(0))

    @property
    def enabled(self) -> list[bool]:
        """Which joints say that they are enabled."""
        return [driver is not None and driver.enabled for driver in self.drivers]

    def arrays(self) -> tuple[Array, Array, Array]:
        """Fresh q (rad), qd (rad/s) and current (A), (6,) each."""
        return np.array(self.q), np.array(self.qd), np.array(self.current)

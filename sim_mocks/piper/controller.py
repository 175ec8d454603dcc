"""The controller of a mock PiPER-type arm: frames in, frames out, no I/O, time handed in.

What is ours, where the documents are silent:

* Feedback leaves at 200 Hz (status, pose, joints, gripper, motors: 14 frames) and 40 Hz (drivers: 6 frames), which are
  the 3040 frames a second that the SDK's documents speak of. It needs no request.
* A joint that is enabled in no commanded mode holds where it was enabled. In joint mode the reference runs to the
  target at the ordered share of 3 rad/s, and the arm's own position control follows with gravity compensation.
* In MIT mode the torque is kp (p − q) + kd (v − qd) + t, t times a factor of the firmware (:attr:`torque_factor`: 4 for
  the first three joints up to firmware 1.8-2 by one document). Gravity is not compensated. The last frame holds: there
  is no time-out.
* There are no brakes. A joint that is not enabled is free; an emergency stop holds with damping, and the "resume" that
  ends it disables all joints: the arm drops.
* Commands act in control mode CAN (0x151, first byte 1) only; frames of wrong length or check are counted.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable

import numpy as np

from drivers.contract import Array
from sim_mocks.cobot.frames import Frame
from sim_mocks.piper import wire

N = 6
Q_MIN = (-2.6179, 0.0, -2.967, -1.745, -1.22, -2.09439)
Q_MAX = (2.6179, 3.14, 0.0, 1.745, 1.22, 2.09439)
QD_MAX, QDD_MAX = 3.0, 5.0
TORQUE_PER_AMPERE = (1.18125, 1.18125, 1.18125, 0.95844, 0.95844, 0.95844)
"""N·m/A, as the SDK converts its effort."""
TAU_MAX = (40.0, 40.0, 40.0, 12.0, 12.0, 12.0)
"""Bound of what a joint's motor gives, N·m; ours."""
FAST_NS, SLOW_NS = 5_000_000, 25_000_000
_STIFFNESS = np.array([400.0, 400.0, 300.0, 60.0, 60.0, 40.0])
_DAMPING = np.array([40.0, 40.0, 30.0, 6.0, 6.0, 4.0])
_REACHED = 0.01
_GRIPPER_SPEED, _GRIPPER_MAX = 0.1, 0.07
"""m/s and m."""


class Move(enum.IntEnum):
    """Second byte of 0x151."""

    P = 0
    J = 1
    L = 2
    C = 3
    MIT = 4
    CPV = 5


class PiperController:
    """One arm on its bus; a :class:`sim_mocks.cobot.bus.Station`."""

    def __init__(self, gravity: Callable[[Array], Array], dt: float, firmware: str = "1.8-5") -> None:
        """``gravity``: torque (6,) that holds the arm at q (6,), of the controller's own model."""
        self.id = 0
        self._gravity, self._dt = gravity, dt
        self._firmware = f"H-V1.2-1S-V{firmware}"
        old = tuple(int(part) for part in firmware.replace("-", ".").split(".")) <= (1, 8, 2)
        self.torque_factor: Array = np.array([4.0] * 3 + [1.0] * 3) if old else np.ones(N)
        self.enabled = [False] * N
        self.can_mode = False
        self.move = Move.P
        self.stopped = False
        """By an emergency stop."""
        self.rejected = 0
        """Frames that were no command of this protocol."""
        self._share = 1.0
        self._target: Array | None = None
        self._reference = self._q = self._qd = np.zeros(N)
        self._mit: list[wire.MitFrame | None] = [None] * N
        self._limited = [False] * N
        self.tau: Array = np.zeros(N)
        """Motor torque of the last tick, N·m."""
        self._pose: tuple[list[float], list[float]] = ([0.0] * 3, [0.0] * 3)
        self._gripper = self._gripper_target = 0.0
        self._gripper_on = False
        self._fast_at = self._slow_at = 0
        self._say: list[Frame] = []

    def hold(self, q: Array) -> None:
        """Enable all joints and hold them at ``q`` (6,) rad, as somebody did before the run."""
        self.enabled = [True] * N
        self._reference = self._q = q

    @property
    def holds_itself(self) -> bool:
        """No torque of a client moves it."""
        return self.stopped or self.move is not Move.MIT

    # -- the bus ---------------------------------------------------------------------------------------------------

    @property
    def talkative(self) -> bool:
        """It has something to send."""
        return bool(self._say)

    def collect(self, t_ns: int) -> list[Frame]:
        """What it wants to send since it was asked last."""
        out, self._say = self._say, []
        return out

    def tick(self, t_ns: int) -> None:
        """Feedback that is due."""
        if t_ns >= self._fast_at:
            self._fast_at += FAST_NS
            self._feedback()
        if t_ns >= self._slow_at:
            self._slow_at += SLOW_NS
            for joint in range(N):
                current = self.tau[joint] / TORQUE_PER_AMPERE[joint]
                self._say.append(wire.encode_driver(joint, self.enabled[joint], self.stopped, current))

    def hear(self, frame: Frame, t_ns: int) -> None:
        """A frame of the host."""
        can_id, data = frame
        if len(data) != 8:
            self.rejected += 1
        elif can_id == wire.MOTION_1:
            self._emergency(data[0])
        elif can_id == wire.MOTION_2:
            self._mode(data)
        elif wire.JOINT_TARGETS <= can_id < wire.JOINT_TARGETS + 3:
            self._joint_targets(can_id - wire.JOINT_TARGETS, data)
        elif can_id == wire.GRIPPER_COMMAND:
            self._grip(data)
        elif wire.MIT <= can_id < wire.MIT + N:
            command = wire.decode_mit(data)
            if command is None:
                self.rejected += 1
            elif self.can_mode:
                self._mit[can_id - wire.MIT] = command
        elif can_id == wire.ENABLE:
            self._enable(data[0], data[1])
        elif can_id == wire.QUERY:
            self._query(data[0], data[1])
        elif can_id == wire.FIRMWARE:
            text = self._firmware.encode("ascii")
            self._say += [(wire.FIRMWARE, text[k : k + 8].ljust(8, b"\0")) for k in range(0, len(text), 8)]

    # -- the tick --------------------------------------------------------------------------------------------------

    def sense(self, q: Array, qd: Array, position: list[float], rpy: list[float]) -> None:
        """Joint positions and speeds (6,) and the pose of the flange, as of this tick."""
        self._q, self._qd, self._pose = q, qd, (position, rpy)

    def control(self) -> Array:
        """Motor torque (6,), N·m, of the coming tick."""
        q, qd = self._q, self._qd
        step = self._share * QD_MAX * self._dt
        if self.stopped:
            self._reference = np.where(np.abs(qd) > 0.02, q, self._reference)
        elif self._target is not None and self.move is not Move.MIT:
            self._reference = self._reference + np.clip(self._target - self._reference, -step, step)
        servo = self._gravity(q) + _STIFFNESS * (self._reference - q) - _DAMPING * qd
        tau = np.zeros(N)
        for joint in range(N):
            if not self.enabled[joint]:
                continue
            command = self._mit[joint]
            if self.move is Move.MIT and command is not None and not self.stopped:
                tau[joint] = (
                    command.kp * (command.p - q[joint])
                    + command.kd * (command.v - qd[joint])
                    + command.t * self.torque_factor[joint]
                )
            else:
                tau[joint] = servo[joint]
        self.tau = np.clip(tau, np.negative(TAU_MAX), TAU_MAX)
        way = self._gripper_target - self._gripper
        self._gripper += min(max(way, -_GRIPPER_SPEED * self._dt), _GRIPPER_SPEED * self._dt)
        return self.tau

    # -- commands --------------------------------------------------------------------------------------------------

    def _emergency(self, code: int) -> None:
        if code == 1:
            self.stopped = True
            self._reference = self._q
        elif code == 2:
            self.stopped = self.can_mode = False
            self.enabled = [False] * N
            self._target, self._mit = None, [None] * N

    def _mode(self, data: bytes) -> None:
        if data[0] > 7 or data[1] > 5 or data[2] > 100:
            self.rejected += 1
            return
        self.can_mode = data[0] == 1
        move = Move.MIT if data[3] == 0xAD else Move(data[1])
        if move is not self.move:
            self.move = move
            self._target, self._mit, self._reference = None, [None] * N, self._q
        self._share = data[2] / 100.0

    def _joint_targets(self, pair: int, data: bytes) -> None:
        if not self.can_mode or self.stopped:
            return
        target = (self._reference if self._target is None else self._target).copy()
        for joint, angle in zip((2 * pair, 2 * pair + 1), wire.decode_angles(data), strict=True):
            target[joint] = min(max(angle, Q_MIN[joint]), Q_MAX[joint])
            self._limited[joint] = bool(target[joint] != angle)
        self._target = target

    def _grip(self, data: bytes) -> None:
        stroke, _, order = struct.unpack(">iHB", data[:7])
        self._gripper_on = order in (1, 3)
        if self._gripper_on:
            self._gripper_target = min(max(stroke * 1e-6, 0.0), _GRIPPER_MAX)

    def _enable(self, motor: int, order: int) -> None:
        if order not in (1, 2) or not (1 <= motor <= 7 or motor == 0xFF):
            self.rejected += 1
            return
        if self.stopped:
            return
        for joint in range(N) if motor in (7, 0xFF) else [motor - 1]:
            if order == 2 and not self.enabled[joint]:
                self._reference = np.where(np.arange(N) == joint, self._q, self._reference)
                if self._target is not None:
                    self._target[joint] = self._q[joint]
            self.enabled[joint] = order == 2

    def _query(self, motor: int, what: int) -> None:
        joint = motor - 1
        if not 0 <= joint < N or what not in (1, 2):
            self.rejected += 1
        elif what == 1:
            self._say.append(wire.encode_limits(joint, Q_MIN[joint], Q_MAX[joint], QD_MAX))
        else:
            self._say.append(wire.encode_acceleration(joint, QDD_MAX))

    def _feedback(self) -> None:
        reached = self._target is None or bool(np.abs(self._target - self._q).max() < _REACHED)
        limits = sum(on << joint for joint, on in enumerate(self._limited))
        status = bytes((self.can_mode, self.stopped, self.move, 0, not reached, 0, limits, 0))
        self._say.append((wire.STATUS, status))
        self._say += wire.encode_pose(*self._pose)
        self._say += wire.encode_joints(self._q.tolist())
        flags = 0x40 * self._gripper_on | 0x80
        self._say.append((wire.GRIPPER, struct.pack(">ihBx", round(self._gripper * 1e6), 0, flags)))
        for joint in range(N):
            current = self.tau[joint] / TORQUE_PER_AMPERE[joint]
            self._say.append(wire.encode_motor(joint, self._qd[joint], current, self._q[joint]))

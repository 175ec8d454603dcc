"""The PiPER-type arm's own gripper as one with two positions. Experimental, as the arm."""

from __future__ import annotations

from typing import Protocol

from drivers.contract import Ticks
from drivers.errors import RefusedError
from drivers.gripper import GripSample, GripState
from drivers.piper.feedback import Feedback

TOLERANCE = 0.002
"""m; openings that differ by less are the same."""
SILENT_NS = 100_000_000
"""After so long without its feedback nothing is known of the gripper."""


class GripperPort(Protocol):
    """What :class:`drivers.piper.arm.PiperArm` gives a gripper."""

    heard: Feedback

    def send_gripper(self, stroke: float, torque: float) -> None: ...


class PiperGripper:
    """:class:`drivers.gripper.Gripper` on 0x159 and 0x2A8.

    ``opened``, ``closed``: openings (m) for the two positions; ``torque``: bound on what it grips with, N·m (0 … 5);
    ``travel_time`` (s): the jaws take no longer than that. Jaws that stop before ``closed`` hold something. Raises
    ValueError for figures that cannot be.
    """

    def __init__(
        self, name: str, port: GripperPort, ticks: Ticks, *, opened: float = 0.07, closed: float = 0.0,
        torque: float = 1.0, travel_time: float = 1.5,
    ) -> None:  # fmt: skip
        if not 0.0 <= closed < opened - 2 * TOLERANCE <= 0.2:
            raise ValueError(f"gripper from {closed} to {opened} m: expected 0 <= closed < opened <= 0.2 m")
        if not 0.0 < torque <= 5.0 or not 0.0 < travel_time < 60.0:
            raise ValueError(f"gripper with {torque} N·m in {travel_time} s: expected up to 5 N·m and 60 s")
        self.name = name
        self._port, self._ticks = port, ticks
        self._opened, self._closed, self._torque = opened, closed, torque
        self._travel_ns = int(travel_time * 1e9)
        self._wanted: float | None = None
        self._since_ns = 0

    def grasp(self) -> None:
        """Close the jaws. Raises RefusedError if that cannot be commanded now."""
        self._command(self._closed)

    def let_go(self) -> None:
        """Open the jaws. Raises RefusedError if that cannot be commanded now."""
        self._command(self._opened)

    def read(self) -> GripSample:
        """Where the jaws are. Never raises."""
        now = self._ticks.now_ns()
        state = self._state(now)
        return GripSample(now, state, state is GripState.HOLDING)

    def _state(self, now: int) -> GripState:
        heard = self._port.heard
        feedback = heard.gripper
        if feedback is None or now - heard.gripper_ns > SILENT_NS or feedback.fault or self._wanted is None:
            return GripState.UNKNOWN
        late = now - self._since_ns > self._travel_ns
        there = abs(feedback.stroke - self._wanted) <= TOLERANCE
        if self._wanted == self._opened:
            return GripState.OPEN if there else GripState.STUCK if late else GripState.MOVING
        if there:
            return GripState.EMPTY
        if not late:
            return GripState.MOVING
        # It was told to close, is enabled and stands before the end: something is between the jaws.
        between = feedback.enabled and feedback.stroke < self._opened - TOLERANCE
        return GripState.HOLDING if between else GripState.STUCK

    def _command(self, stroke: float) -> None:
        now, heard = self._ticks.now_ns(), self._port.heard
        if heard.gripper is None or now - heard.gripper_ns > SILENT_NS:
            raise RefusedError(f"gripper {self.name!r}: no feedback on 0x2A8; check that one is mounted and supplied")
        self._port.send_gripper(stroke, self._torque)
        self._wanted, self._since_ns = stroke, now

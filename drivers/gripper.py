"""What a two-position gripper is to the rest of the toolkit, and one that hangs on a robot's inputs and outputs.

A gripper takes no part in stops: whatever happens to the arm, the jaws stay as they were last told, because letting go
of a load is as dangerous as any motion. Opening them is a decision of a person or of a program, never of a fault.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from drivers.contract import Ticks
from drivers.errors import RefusedError


class GripState(enum.Enum):
    """Where the jaws are, as far as the sensors tell."""

    UNKNOWN = "nothing was commanded yet, or the sensors are silent or contradict each other"
    MOVING = "on their way"
    OPEN = "open"
    HOLDING = "closed on an object"
    EMPTY = "closed, and nothing between them"
    STUCK = "not where they were told to be after the travel time"


@dataclass(frozen=True, slots=True)
class GripSample:
    """One reading of a gripper."""

    t_ns: int
    """Monotonic (virtual in lockstep) time of the reading, ns."""
    state: GripState
    holding: bool
    """An object is held: its mass belongs to the load of the arm."""


class Gripper(Protocol):
    """A gripper with two positions. Commands return at once; :meth:`read` tells when they are done."""

    name: str

    def grasp(self) -> None:
        """Close the jaws. Raises RefusedError if that cannot be commanded now."""
        ...

    def let_go(self) -> None:
        """Open the jaws. Raises RefusedError if that cannot be commanded now."""
        ...

    def read(self) -> GripSample:
        """Where the jaws are. Never raises."""
        ...


class IoPort(Protocol):
    """The inputs and outputs of a robot controller, as :class:`drivers.fri.arm.FriArm` has them."""

    def ios(self) -> Mapping[str, bool | int | float]: ...

    def write_output(self, name: str, value: bool) -> None: ...


class IoGripper:
    """:class:`Gripper` on one output (true closes) and two inputs of a robot controller.

    ``opened`` is true while the jaws are open, ``holding`` while an object is between them. ``travel_time`` (s): the
    jaws take no longer than that. Raises ValueError for names that are not three or a time that is not positive.
    """

    def __init__(
        self, name: str, port: IoPort, ticks: Ticks, *, close: str, opened: str, holding: str, travel_time: float
    ) -> None:
        if len({close, opened, holding}) != 3:
            raise ValueError(f"a gripper needs three IOs, read {close!r}, {opened!r} and {holding!r}")
        if not 0.0 < travel_time < 60.0:
            raise ValueError(f"travel time {travel_time} s: more than 0 and less than 60 s are allowed")
        self.name = name
        self._port, self._ticks = port, ticks
        self._close, self._opened, self._holding = close, opened, holding
        self._travel_ns = int(travel_time * 1e9)
        self._wanted: bool | None = None
        self._since_ns = 0

    def grasp(self) -> None:
        self._command(True)

    def let_go(self) -> None:
        self._command(False)

    def read(self) -> GripSample:
        now = self._ticks.now_ns()
        ios = self._port.ios()
        opened, holding, closing = ios.get(self._opened), ios.get(self._holding), ios.get(self._close)
        state = self._state(opened, holding, closing, now)
        # Jaws that were told to open and have not yet, or never do, still hold what they held.
        return GripSample(now, state, state is not GripState.UNKNOWN and holding is True)

    def _state(self, opened: object, holding: object, closing: object, now: int) -> GripState:
        if not all(isinstance(value, bool) for value in (opened, holding, closing)) or (opened and holding):
            return GripState.UNKNOWN
        late = self._wanted is not None and now - self._since_ns > self._travel_ns
        # The output itself tells what acts; what was asked for here may not have got there yet.
        wanted = closing if self._wanted is None else self._wanted
        if wanted:
            if holding:
                return GripState.HOLDING
            if self._wanted is None:
                return GripState.UNKNOWN
            if not late:
                return GripState.MOVING
            # Still open, or the output was never taken: nothing is known to be held.
            return GripState.STUCK if opened or not closing else GripState.EMPTY
        if opened:
            return GripState.OPEN
        if self._wanted is None:
            return GripState.UNKNOWN
        return GripState.STUCK if late else GripState.MOVING

    def _command(self, closed: bool) -> None:
        missing = [name for name in (self._close, self._opened, self._holding) if name not in self._port.ios()]
        if missing:
            raise RefusedError(
                f"gripper {self.name!r}: the robot does not report {', '.join(missing)}; register them in the robot "
                "application and check their names in the cell file"
            )
        self._port.write_output(self._close, closed)
        self._wanted, self._since_ns = closed, self._ticks.now_ns()

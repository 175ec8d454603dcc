"""Whether the arm may be and is commanded: from its own position hold to torque, and back.

::

    REST ── enable() ──▶ ENABLING ── all joints hold ──▶ MIRRORING ── mode MIT is reported ──▶ COMMANDED
     ▲                                                                                        │
     └── person has resumed ── STOPPED ◀── moving, or nothing is known ── withdrawn ── stands ──▶ HOLDING (like REST)

ENABLING lets the arm's own position control hold the posture in which it is; MIRRORING sends the torque with which it
held, so that nothing sags before the first command. There are no brakes: a withdrawn permission hands the arm back to
its own position control where it stands, and is its emergency stop where it moves. Only :meth:`Session.enable` gives
the permission.
"""

from __future__ import annotations

import enum

from drivers.contract import ArmState, Array
from drivers.piper import codec
from drivers.piper.feedback import Feedback
from drivers.piper.supervision import EMERGENCY_STOP

HOLD_TICKS = 20
"""Ticks for which the arm's own position control holds before torque takes over: its torque settles."""
MIRROR_TICKS = 2
REPEAT_TICKS = 20
"""Commands of bring-up are repeated so often, in ticks."""
ENABLE_TICKS = 400
"""Ticks after which an arm that did not come to COMMANDED is handed back."""
INSIST_TICKS = 10
"""For so many ticks at least, and until the arm reports it, the hand-back or the emergency stop is sent anew."""
UNCOMMANDED_TICKS = 3
"""Ticks in a row without a command after which the arm is handed back: it has no time-out of its own."""
STANDING = 0.05
"""rad/s below which the arm can be handed to its own position control."""


class Phase(enum.Enum):
    """See the module."""

    REST = "not ours"
    ENABLING = "its own position control takes hold"
    MIRRORING = "torque takes over"
    COMMANDED = "does what is commanded"
    HOLDING = "held by its own position control"
    STOPPED = "emergency stop"


class Session:
    """Decides; what it wants sent, the arm sends."""

    def __init__(self, hold_speed_percent: int) -> None:
        self.phase = Phase.REST
        self.off = False
        self.refusal = ""
        """Why the last enable came to nothing; empty if it did not."""
        self._speed = hold_speed_percent
        self._ticks = self._held = self._insist = self._idle = 0
        self._since_ns, self._obeyed = -1, True
        self._hold: list[float] = []

    @property
    def enabled(self) -> bool:
        """The permission to command was given and not withdrawn."""
        return self.phase in (Phase.ENABLING, Phase.MIRRORING, Phase.COMMANDED)

    @property
    def torque(self) -> bool:
        """The arm is under torque by MIT frames."""
        return self.phase is Phase.COMMANDED

    @property
    def unsettled(self) -> bool:
        """The arm may still do what it was last commanded: it has not reported that it took hold or stopped."""
        return self.enabled or not self._obeyed

    def enable(self, q: Array) -> None:
        """Begin, at posture ``q`` (6,) rad."""
        self.phase, self.refusal = Phase.ENABLING, ""
        self._ticks = self._held = 0
        self._hold = q.tolist()

    def withdraw(self, standing: bool, now_ns: int, why: str = "") -> list[codec.Outgoing]:
        """End the permission; what to send now. ``standing``: fresh feedback says that the arm stands."""
        was = self.phase
        self.refusal = why or self.refusal
        if was in (Phase.HOLDING, Phase.REST, Phase.STOPPED) and (standing or was is Phase.STOPPED):
            return []
        self._insist, self._since_ns, self._obeyed = INSIST_TICKS, now_ns, False
        self.phase = Phase.HOLDING if standing else Phase.STOPPED
        return self._insisted()

    def at(self, q: Array) -> None:
        """Where the arm is to be held by its own control, (6,) rad."""
        self._hold = q.tolist()

    def commanded(self) -> None:
        """A command was sent in this tick."""
        self._idle = 0

    def advance(self, heard: Feedback) -> list[codec.Outgoing]:
        """One tick: what to send besides torques."""
        phase = self.phase
        if phase in (Phase.HOLDING, Phase.STOPPED):
            self._insist = max(0, self._insist - 1)
            self._obeyed = self._obeyed or (heard.status_ns > self._since_ns and self._obeys(heard))
            if self._insist or not self._obeyed:
                return self._insisted()
            if phase is Phase.STOPPED and not self.off and heard.status is not None and heard.status.arm == 0:
                self.phase = Phase.REST
            return []
        if phase not in (Phase.ENABLING, Phase.MIRRORING):
            return []
        self._ticks += 1
        status = heard.status
        by_can = status is not None and status.control == codec.CONTROL_CAN
        move = -1 if status is None else status.move
        if phase is Phase.MIRRORING:
            self._held = self._held + 1 if by_can and move == codec.MOVE_MIT else 0
            if self._held >= MIRROR_TICKS:
                self.phase, self._idle = Phase.COMMANDED, 0
            return []
        self._held = self._held + 1 if by_can and move == codec.MOVE_JOINTS and all(heard.enabled) else 0
        if self._held >= HOLD_TICKS:
            self.phase, self._held = Phase.MIRRORING, 0
            return [codec.encode_mode(codec.MOVE_MIT)]
        if self._ticks % REPEAT_TICKS == 1:
            return [*self._own_hold(), codec.encode_enable(codec.ALL_JOINTS, True)]
        return []

    def overdue(self, fresh: bool) -> str:
        """Count a tick; why the permission must be withdrawn, or ''."""
        if self.phase is Phase.COMMANDED:
            self._idle += fresh
            if self._idle > UNCOMMANDED_TICKS:
                return f"no command for {UNCOMMANDED_TICKS} ticks: the arm was handed back to its own control"
        elif self.phase in (Phase.ENABLING, Phase.MIRRORING) and self._ticks > ENABLE_TICKS:
            return f"not under torque {ENABLE_TICKS} ticks after enable(), while it was in: {self.phase.value}"
        return ""

    def state(self, fit: bool) -> ArmState:
        """For the sample; ``fit``: the arm is heard, and nothing is wrong with it."""
        if self.phase is Phase.COMMANDED:
            return ArmState.COMMANDED
        if self.enabled:
            return ArmState.SYNCHRONISING
        if self.off or not fit or self.phase is Phase.STOPPED or not self._obeyed:
            return ArmState.MONITORING
        return ArmState.READY

    def _own_hold(self) -> list[codec.Outgoing]:
        return [codec.encode_mode(codec.MOVE_JOINTS, self._speed), *codec.encode_joint_targets(self._hold)]

    def _obeys(self, heard: Feedback) -> bool:
        status = heard.status
        if status is None:
            return False
        if self.phase is Phase.STOPPED:
            return status.arm == EMERGENCY_STOP
        return status.control == codec.CONTROL_CAN and status.move == codec.MOVE_JOINTS

    def _insisted(self) -> list[codec.Outgoing]:
        return self._own_hold() if self.phase is Phase.HOLDING else [codec.encode_emergency_stop()]

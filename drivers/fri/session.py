"""The session as this side lives it: what the controller says, and whether we may and do command."""

from __future__ import annotations

from drivers.contract import ArmState, Array
from drivers.fri.accepted import AcceptedCommands
from drivers.fri.modes import CommandMode
from drivers.fri.records import Monitoring
from drivers.fri.wire import SessionState

MAX_GAP = 50
"""Frames missing while commanded after which the robot may have left and entered commanding unseen."""


class Session:
    """State of the link and the permission to command; the permission is only ever withdrawn here, never given."""

    def __init__(self, n: int, mode: CommandMode, multiplier: int, send_period: float) -> None:
        """``mode`` and ``multiplier`` (packets for each answer) are those that the cell states, and so is
        ``send_period``, s: limits per tick were made for it, so at another one nothing is commanded."""
        self.mode = mode
        self.multiplier = multiplier
        self._period_ms = round(send_period * 1e3)
        self.accepted = AcceptedCommands(n, mode.size)
        self.reported = -1
        """The controller's own session state; -1 before the first frame."""
        self.state = ArmState.DISCONNECTED
        self.enabled = False
        self.off = False
        self.mirrored: Array | None = None
        """The set-point last mirrored in this synchronisation."""
        self.entry: Array | None = None
        """Where COMMANDED began; None once a command was sent."""

    def advance(self, m: Monitoring, step: int, last_sent: int) -> bool:
        """Follow one frame, ``step`` counts after the one before (0: the first of a sender); ``last_sent`` is the
        counter of our last answer.

        Must see every frame in order, superseded ones too: a state that was left is left. False if the frame
        reflects an answer that we never gave.
        """
        if step == 0:
            self.reported = -1
            self._withdraw()
        before = self.reported
        self.reported = m.session_state
        active = m.session_state == SessionState.COMMANDING_ACTIVE
        if step > MAX_GAP and before == SessionState.COMMANDING_ACTIVE:
            self._withdraw()
        if m.session_state < SessionState.COMMANDING_WAIT:
            self.mirrored = None
        state = self._judge(m)
        if state is ArmState.DISCONNECTED or (state < self.state and self.state >= ArmState.SYNCHRONISING):
            self._withdraw()
            state = self._judge(m)
        self.state = state
        if not active:
            self.accepted.nothing_acts()
        elif before == SessionState.COMMANDING_ACTIVE:
            return self.accepted.reflected(m.reflected_seq)
        elif before < 0:
            self.accepted.unknown()
        elif self.mirrored is not None:
            self.accepted.enter(last_sent, self.mirrored)
            self.entry = self.mirrored
        return True

    def lost(self) -> None:
        """Nothing was heard for long."""
        self._withdraw()
        self.state = ArmState.DISCONNECTED
        self.reported = -1
        self.accepted.unknown()

    def switch_off(self) -> None:
        """Silence until ``off`` is cleared; what was sent before may act on while the controller bridges."""
        self.off = True
        self.enabled = False
        if self.state is not ArmState.DISCONNECTED:
            self.state = ArmState.MONITORING

    def _withdraw(self) -> None:
        self.enabled = False
        self.mirrored = None

    def _judge(self, m: Monitoring) -> ArmState:
        """COMMANDED takes more than the controller's word: commands were enabled, the controller wants the kind we
        send, and
        its set-point was mirrored while it synchronised, so that there is a place to start from."""
        session = m.session_state
        if session == SessionState.IDLE:
            return ArmState.DISCONNECTED
        if self.off or max(1, m.receive_multiplier) != self.multiplier or session == SessionState.MONITORING_WAIT:
            return ArmState.MONITORING
        if m.send_period_ms != self._period_ms:
            return ArmState.MONITORING
        if session == SessionState.MONITORING_READY:
            return ArmState.READY
        if m.client_command_mode != self.mode.wire:
            return ArmState.MONITORING
        if session == SessionState.COMMANDING_WAIT:
            return ArmState.SYNCHRONISING
        return ArmState.COMMANDED if self.enabled and self.mirrored is not None else ArmState.MONITORING

"""The power drive state machine of CiA 402 (IEC 61800-7-201), the drive's side: controlword in, statusword out."""

from __future__ import annotations

import enum


class Pds(enum.IntEnum):
    """States of the power drive system; the value is the statusword's state bits (0 … 3, 5, 6)."""

    NOT_READY = 0x00
    SWITCH_ON_DISABLED = 0x40
    READY = 0x21
    SWITCHED_ON = 0x23
    ENABLED = 0x27
    QUICK_STOP = 0x07
    FAULT_REACTION = 0x0F
    FAULT = 0x08


class Stop(enum.Enum):
    """How power goes away, by the option codes 0x605A … 0x605E."""

    COAST = "power off at once, brake follows"
    SLOW = "slow-down ramp"
    QUICK = "quick-stop ramp"
    HARD = "at the current limit"


_STOPS = {0: Stop.COAST, 1: Stop.SLOW, 2: Stop.QUICK, 3: Stop.HARD, 4: Stop.HARD}
_AT_ONCE = frozenset({0x2, 0x3, 0x5, 0x7})
"""First digit of faults (current, voltage, hardware, sensor) after which the drive cannot brake by its motor."""


class PowerMachine:
    """State and transitions. The torque stage asks :attr:`powered` and :attr:`stopping` and reports :meth:`stopped`."""

    def __init__(self) -> None:
        self.state = Pds.NOT_READY
        self.stopping: Stop | None = None
        """A ramp is under way; the motor is under the drive's own speed control."""
        self.holding = False
        """Stopped, and held with power (quick-stop options 5 … 8)."""
        self.fault_code = 0
        self._after = Pds.SWITCH_ON_DISABLED
        self._stay = False
        self._reset_seen = False

    @property
    def powered(self) -> bool:
        """The motor has current."""
        return self.state in (Pds.ENABLED, Pds.QUICK_STOP) or self.stopping is not None

    def tick(self) -> None:
        """Transitions 0 and 1, by itself."""
        if self.state is Pds.NOT_READY:
            self.state = Pds.SWITCH_ON_DISABLED

    def control(self, word: int, options: dict[str, int]) -> bool:
        """Act on a controlword with the option codes ``quick``, ``shutdown``, ``disable``; True where it resets a
        fault, which :meth:`acknowledge` then does if the cause is gone."""
        rising = bool(word & 0x80) and not self._reset_seen
        self._reset_seen = bool(word & 0x80)
        state = self.state
        if state is Pds.FAULT:
            return rising
        if state in (Pds.NOT_READY, Pds.FAULT_REACTION) or word & 0x80:
            return False
        if not word & 0x02:
            self._off(Pds.SWITCH_ON_DISABLED)
        elif not word & 0x04:
            self._quick_stop(options["quick"])
        elif self.stopping is not None and state is not Pds.QUICK_STOP:
            pass  # a ramp down is not interrupted
        elif word & 0x07 == 0x06:
            if state is Pds.SWITCH_ON_DISABLED or state is Pds.SWITCHED_ON:
                self.state = Pds.READY
            elif state is Pds.ENABLED:
                self._ramp(options["shutdown"], Pds.READY)
        elif word & 0x0F == 0x07:
            if state is Pds.READY:
                self.state = Pds.SWITCHED_ON
            elif state is Pds.ENABLED:
                self._ramp(options["disable"], Pds.SWITCHED_ON)
        elif word & 0x0F == 0x0F:
            if state is Pds.READY or state is Pds.SWITCHED_ON:
                self.state = Pds.ENABLED
            elif state is Pds.QUICK_STOP and self._stay:
                self.state, self.stopping, self.holding = Pds.ENABLED, None, False
        return False

    def fault(self, code: int, option: int) -> None:
        """Transition 13: fault ``code`` (u16), reaction by ``option`` (0x605E)."""
        if self.state in (Pds.FAULT, Pds.FAULT_REACTION):
            return
        self.fault_code = code
        kind = _STOPS.get(option, Stop.COAST)
        if not self.powered or kind is Stop.COAST or code >> 12 in _AT_ONCE:
            self._off(Pds.FAULT)
            return
        self.state, self.stopping, self.holding = Pds.FAULT_REACTION, kind, False
        self._after, self._stay = Pds.FAULT, False

    def acknowledge(self) -> None:
        """Transition 15."""
        if self.state is Pds.FAULT:
            self.state, self.fault_code = Pds.SWITCH_ON_DISABLED, 0

    def disable(self) -> None:
        """Power off at once, by the drive itself."""
        if self.state not in (Pds.FAULT, Pds.NOT_READY):
            self._off(Pds.FAULT if self.state is Pds.FAULT_REACTION else Pds.SWITCH_ON_DISABLED)

    def quick_stop(self, option: int) -> None:
        """Quick stop by the drive itself (communication lost)."""
        if self.state not in (Pds.FAULT, Pds.FAULT_REACTION, Pds.NOT_READY):
            self._quick_stop(option)

    def stopped(self) -> None:
        """The ramp is over and the brake holds, or the drive has no brake."""
        if self.stopping is None:
            return
        if self._stay:
            self.holding = True
            return
        self._off(self._after)

    def coast(self) -> None:
        """A drive that cannot brake by itself: a ramp is over before it began."""
        if self.stopping is not None:
            self._off(self._after)

    @property
    def stays(self) -> bool:
        """The ramp under way ends in quick stop active with power."""
        return self.stopping is not None and self._stay

    def _off(self, state: Pds) -> None:
        self.state, self.stopping, self.holding, self._stay = state, None, False, False

    def _quick_stop(self, option: int) -> None:
        if self.state is Pds.ENABLED or (self.stopping is not None and self.state is not Pds.QUICK_STOP):
            kind = _STOPS.get(option - 4 if option > 4 else option, Stop.QUICK)
            if kind is Stop.COAST:
                self._off(Pds.SWITCH_ON_DISABLED)
                return
            self.state, self.stopping, self.holding = Pds.QUICK_STOP, kind, False
            self._after, self._stay = Pds.SWITCH_ON_DISABLED, option > 4
        elif self.state in (Pds.READY, Pds.SWITCHED_ON):
            self._off(Pds.SWITCH_ON_DISABLED)

    def _ramp(self, option: int, after: Pds) -> None:
        """Shut down or disable operation: the statusword shows the new state, the motor is ramped down first."""
        kind = Stop.SLOW if option == 1 else Stop.COAST
        self.state = after
        self.stopping = None if kind is Stop.COAST else kind
        self._after, self._stay, self.holding = after, False, False

"""Whether the arm may be and is commanded, and which controlword each drive gets meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivers.cobot.cia402 import CW_FAULT_RESET, DriveState, Mode, Want, controlword, state_of
from drivers.cobot.model import Scales
from drivers.cobot.pdo import ProcessData
from drivers.contract import ArmState, Array, DeviceProblem, ProblemKind

HOLD_SYNCS = 2
"""SYNCs with zero torque in OPERATION ENABLED before the arm takes commands."""
ENABLE_SYNCS = 1000
"""SYNCs after which drives that did not come to OPERATION ENABLED are led back."""
SILENT_SYNCS = 20
"""SYNCs without any answer after which the arm counts as disconnected."""
RESET_SYNCS = 3
"""A fault reset is a rising edge; that many SYNCs it stays."""
_FATAL = frozenset(
    {ProblemKind.NODE_LOST, ProblemKind.NODE_RESTARTED, ProblemKind.NODE_STATE, ProblemKind.ADAPTER_LOST}
)
"""Problems under which nothing can be braked by torque: the permission to command ends with them."""


class Session:
    """The permission to command is only ever withdrawn here, never given: that is :meth:`enable`."""

    def __init__(self, scales: Scales, modes: Sequence[Mode]) -> None:
        n = len(modes)
        self.n = n
        self.state = ArmState.DISCONNECTED
        self.states = [DriveState.UNKNOWN] * n
        self.want = Want.REST
        self.enabled = False
        self.off = False
        self.refusal = ""
        """Why the last enable came to nothing; empty if it did not."""
        self.lo: Array = np.zeros(n)
        """Lower bound of the torque that acts, N·m."""
        self.hi: Array = self.lo
        self._zero = np.zeros(n)
        self._scales = scales
        self._modes = [int(mode) for mode in modes]
        self._zeros = [0] * n
        self._sent = self._zeros
        self._latched = self._zeros
        self._held = 0
        self._enabling = 0
        self._silent = 0
        self._reset = [0] * n

    def enable(self) -> None:
        """The drives are led to OPERATION ENABLED with zero torque, then commands are taken."""
        self.enabled = True
        self.want = Want.OPERATE
        self.refusal = ""
        self._held = self._enabling = 0

    def switch_off(self) -> None:
        """Power away; stays so until ``off`` is cleared."""
        self.off = True
        self._withdraw(Want.OFF)
        if self.state is not ArmState.DISCONNECTED:
            self.state = ArmState.MONITORING

    def reset_faults(self) -> None:
        """Drives that are in FAULT get one rising edge of the reset bit."""
        self._reset = [RESET_SYNCS if state is DriveState.FAULT else 0 for state in self.states]

    def _withdraw(self, want: Want) -> None:
        self.enabled = False
        self.want = want

    # Around a SYNC

    def sent(self, targets: list[int]) -> None:
        """Targets (‰) have left; they act from the next SYNC on."""
        self._sent = targets

    def latch(self) -> None:
        """A SYNC leaves."""
        self._latched = self._sent

    def look(self, data: ProcessData) -> list[DriveState]:
        """The states that the drives answered with."""
        self.states = [state_of(word) for word in data.statusword]
        return self.states

    def advance(self, data: ProcessData, problems: Sequence[DeviceProblem]) -> None:
        """Judge what the drives answered to the SYNC, after :meth:`look`."""
        states = self.states
        self._accept(data, states)
        self._silent = self._silent + 1 if data.missing == self.n else 0
        kinds = {problem.kind for problem in problems}
        operating = all(state is DriveState.OPERATION_ENABLED for state in states)
        if self._silent >= SILENT_SYNCS or ProblemKind.ADAPTER_LOST in kinds:
            self._withdraw(self.want if self.off else Want.QUICK_STOP)
            self.state = ArmState.DISCONNECTED
            return
        if self.enabled:
            if kinds & _FATAL:
                self._withdraw(Want.QUICK_STOP)
            elif self.state is ArmState.COMMANDED:
                if not operating:
                    self.refusal = "left operation by itself: " + ", ".join(
                        f"the drive of A{k + 1} is {state.name.lower().replace('_', ' ')}"
                        for k, state in enumerate(states)
                        if state is not DriveState.OPERATION_ENABLED
                    )
                    self._withdraw(Want.QUICK_STOP)
            else:
                self._enter(data, states, operating)
        self.state = self._judge(states, bool(problems))

    def _enter(self, data: ProcessData, states: Sequence[DriveState], operating: bool) -> None:
        self._enabling += 1
        self._held = self._held + 1 if operating and data.mode == self._modes and data.missing == 0 else 0
        if DriveState.FAULT in states or DriveState.FAULT_REACTION_ACTIVE in states:
            self.refusal = "a drive reports a fault"
            self._withdraw(Want.QUICK_STOP)
        elif self._enabling > ENABLE_SYNCS:
            shown = ", ".join(
                f"joint {k + 1} {state.name.lower().replace('_', ' ')} in mode {data.mode[k]}"
                for k, state in enumerate(states)
                if state is not DriveState.OPERATION_ENABLED or data.mode[k] != self._modes[k]
            )
            self.refusal = f"not operating {ENABLE_SYNCS} SYNCs after enable(): {shown}"
            self._withdraw(Want.REST)

    def _judge(self, states: Sequence[DriveState], problems: bool) -> ArmState:
        if self.off:
            return ArmState.MONITORING
        if self.enabled:
            return ArmState.COMMANDED if self._held >= HOLD_SYNCS else ArmState.SYNCHRONISING
        if problems or not all(state in _AT_REST for state in states):
            return ArmState.MONITORING
        return ArmState.READY

    def _accept(self, data: ProcessData, states: Sequence[DriveState]) -> None:
        """A drive that answered has latched what was sent before the SYNC; of one that did not, both may act."""
        latched = self._latched
        if latched is self._zeros and data.missing == 0:
            self.lo = self.hi = self._zero
            return
        tau = self._scales.tau(latched)
        if DriveState.OPERATION_ENABLED not in states:
            tau = self._zero
        if data.missing == 0:
            self.lo = self.hi = tau
        else:
            answered = np.array(data.answered)
            self.lo = np.where(answered, tau, np.minimum(self.lo, tau))
            self.hi = np.where(answered, tau, np.maximum(self.hi, tau))

    def words(self) -> list[int]:
        """The controlword of each drive while the arm is not commanded."""
        reset, want = self._reset, self.want
        words = [controlword(state, want) for state in self.states]
        if any(reset):
            for joint, left in enumerate(reset):
                if left:
                    reset[joint] = left - 1 if self.states[joint] is DriveState.FAULT else 0
                    # The edge needs a cycle without the bit on each side: the first of the three has none.
                    if left < RESET_SYNCS and self.states[joint] is DriveState.FAULT:
                        words[joint] = CW_FAULT_RESET
        return words

    @property
    def zeros(self) -> list[int]:
        """Targets of no torque."""
        return self._zeros


_AT_REST = (DriveState.READY_TO_SWITCH_ON, DriveState.SWITCHED_ON)

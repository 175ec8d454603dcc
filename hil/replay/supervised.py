"""Today's supervisor on the rows of a log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from drivers.contract import ArmState, Array, RobotSample, StopCategory
from hil.build_safety import build_checks
from hil.cell import Cell
from hil.control.base import Controller
from hil.cycle import CycleView, Decision
from hil.motion import Motion
from hil.recording import STATE_NUMBERS
from hil.replay.devices import Recorded, payload_of, recorded_parts
from hil.replay.inputs import Inputs, reports
from hil.supervisor import Supervisor
from safety.faults import FaultReport
from safety.states import State

STATES = {number: state for state, number in STATE_NUMBERS.items()}


class RecordedError(RuntimeError):
    """An exception that a part raised in the recorded run."""


@dataclass
class Decided:
    """What one cycle decided, in the terms of a row."""

    state: int = -1
    stop_category: int = -1
    tau_wanted: Array = field(default_factory=lambda: np.zeros(0))
    tau_cmd: Array = field(default_factory=lambda: np.zeros(0))
    """NaN where nothing was sent."""
    q_ref_cmd: Array = field(default_factory=lambda: np.zeros(0))
    limited: Any = None
    faults: list[FaultReport] = field(default_factory=list)
    """Latched in this cycle, or between it and the next."""


class _Taken:
    """A :class:`hil.cycle.RowWriter` that keeps the decision of the last cycle."""

    def __init__(self) -> None:
        self.decided = Decided()

    def begin(self, tick: int, t_ns: int) -> None: ...

    def event(self, kind: str, text: str, **data: Any) -> None: ...

    def write(self, cycle: CycleView, decision: Decision, woke: int, read_ns: int, write_ns: int) -> None:
        unknown = np.full(len(decision.wanted), np.nan)
        self.decided = Decided(
            STATE_NUMBERS[cycle.machine.state],
            cycle.stop_category,
            decision.wanted,
            decision.tau if decision.sent else unknown,
            decision.q_ref if decision.sent else unknown,
            decision.limited,
        )


class Replayed(Supervisor):
    """A supervisor whose every input comes from a log: :meth:`play` one row after the other."""

    def __init__(self, cell: Cell, inputs: Inputs) -> None:
        """Raises ModelError, LimitsError for a cell whose checks cannot be built."""
        self._recorded = Recorded(inputs)
        self._taken = _Taken()
        self._cell = cell
        self._inputs = inputs
        self._mass = 0.0
        super().__init__(recorded_parts(cell, self._recorded), self._taken)

    def play(self, k: int) -> Decided:
        """The cycle of row ``k``, and what was asked for between it and the next."""
        inputs, recorded = self._inputs, self._recorded
        recorded.k, recorded.now = k, int(inputs.t_ns[k])
        self._touched = "" if inputs["compared"][k] != 0 else "as recorded"
        self._carry(float(inputs["payload"][k]))
        known = len(self.machine.faults)
        self.step()
        self.ask(int(inputs.tick[k]))
        decided = self._taken.decided
        # An acknowledgement clears what was latched before this cycle and nothing else.
        faults = self.machine.faults
        decided.faults = faults[known:] if len(faults) >= known else list(faults)
        return decided

    def ask(self, tick: int) -> None:
        """Ask for what was asked for between the cycle ``tick`` and the next."""
        for event in self._inputs.asks(tick):
            data = event.data
            verb = data.get("verb")
            if verb in ("enable", "resume"):
                self.checked = bool(data.get("checked"))
                self.enable() if verb == "enable" else self.resume()
            elif verb == "stop":
                self.stop(StopCategory(int(data["category"])))
            elif verb == "acknowledge":
                self.acknowledge()
            elif verb == "trip":
                self.trip(reports(data.get("faults", []), tick, event.t_ns))

    def adopt(self, k: int, *, afresh: bool) -> None:
        """Go on from the state that the recorded supervisor was in after row ``k``; ``afresh``: row ``k`` itself was
        not played, so what the checks remember is of another time."""
        inputs, machine = self._inputs, self.machine
        tick = int(inputs.tick[k])
        machine.state = STATES[int(inputs["safety_state"][k])]
        machine.faults = inputs.latched(tick)
        self.parts.stops = build_checks(self._cell, self.parts.arm.traits).stops
        self.stop_category, self._off, self.standing, self.checked = -1, False, False, True
        self._was_commanded = machine.permitted and int(inputs["arm_state"][k]) == ArmState.COMMANDED
        if afresh:
            self.sample, self.dyn = inputs.sample(k), None
            self.wrench = inputs.wrench(k) if self.parts.sensor is not None else None
            self._last_ns = int(inputs.t_ns[k])
            self._recorded.k, self._recorded.now = k, int(inputs.t_ns[k])
        self.ask(tick)

    def _decide(self, sample: RobotSample, now_ns: int) -> Decision:
        inputs, k = self._inputs, self._recorded.k
        if error := inputs.error(int(inputs.tick[k])):
            raise RecordedError(error)
        judged = int(inputs["judged_ns"][k])
        if judged >= 0:
            self._recorded.now = judged
        self.gains = inputs.shown(k)
        if self.machine.state is State.ENABLED:
            self._own = inputs.asked(k)
            if self._own is None:
                return self._none
        return super()._decide(sample, now_ns)

    def _begin(self, motion: Motion, controller: Controller | None = None, touched: str = "") -> None:
        """Motions are the log's."""

    def _carry(self, mass: float) -> None:
        if mass != self._mass:
            self._mass = mass
            self.parts.model.set_payload(payload_of(self._cell, mass))

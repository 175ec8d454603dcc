"""Replays a log, and says which decisions are others than they were.

The rows are played open loop: the arm's samples are those of the log, whatever today's supervisor commands. Where it
decides to stop and did not then (or the other way round), that is a difference; it then takes over what was recorded
and goes on, so that one difference does not hide the next. A stop that it takes over in the middle is not judged: what
the stop controller remembered is not in the rows.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hil.cell import Cell, load_cell
from hil.job import CELL_NAME
from hil.recording import STATE_NUMBERS
from hil.replay.inputs import Inputs, ReplayError
from hil.replay.supervised import STATES, Decided, Replayed
from hil.telemetry.launch import versions
from hil.telemetry.log import Log, read_log
from safety.faults import FaultReport
from safety.states import State

WARM_UP = 0.1
"""s after which the checks remember nothing from before the first row: windows, counters of what repeats."""
_JUDGED_FROM = tuple(STATE_NUMBERS[s] for s in (State.OFFLINE, State.READY, State.ENABLED))
_VECTORS = (("tau_wanted", "N·m"), ("tau_cmd", "N·m"), ("q_ref_cmd", "rad"))


@dataclass(slots=True)
class Difference:
    """One decision that differs, over one cycle or several in a row."""

    check: str
    """What was decided: ``fault``, ``state``, ``stop``, ``tau_cmd``, ``limited`` …"""
    tick: int
    """The first cycle."""
    seconds: float
    """Its time since the log's first row."""
    then: str
    now: str
    count: int = 1
    """Cycles."""
    largest: float = math.nan
    """Largest amount by which a number differs, in its unit; NaN for what is no number."""


Key = tuple[int, str, int | None]
"""Tick, fault code, joint."""


@dataclass(slots=True)
class Replay:
    """What came of a replay."""

    rows: int
    judged: int
    """Rows whose decisions were compared."""
    differences: list[Difference] = field(default_factory=list)
    tripped_then: list[Key] = field(default_factory=list)
    """Of the judged rows, in the order in which they were latched."""
    tripped_now: list[Key] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a person should know about how far this can be trusted."""

    @property
    def same(self) -> bool:
        """Every decision that was compared is what it was, to the last bit."""
        return not self.differences


def replay_file(path: Path | str, cell: Cell | Path | str | None = None) -> Replay:
    """Replay a log file, with the cell that travels in it or with ``cell``. Raises LogError, CellError, ReplayError,
    ModelError."""
    return replay(read_log(path), cell)


def replay(
    log: Log, cell: Cell | Path | str | None = None, progress: Callable[[int], None] = lambda rows: None
) -> Replay:
    """Replay ``log``; ``progress`` is told of rows that are done, now and then. Raises as :func:`replay_file`."""
    inputs = Inputs(log)
    chosen = cell if isinstance(cell, Cell) else (load_cell(cell) if cell is not None else recorded_cell(log))
    if chosen.robot.joint_limits.n != inputs.n:
        raise ReplayError(
            f"cell {chosen.name!r} has {chosen.robot.joint_limits.n} joints, the log {log.path} has {inputs.n}: "
            "name the cell file of the same arm"
        )
    return _Player(inputs, chosen, progress).play()


def recorded_cell(log: Log) -> Cell:
    """The cell that travels in ``log``. Raises ReplayError, CellError."""
    text = log.attachments.get(CELL_NAME)
    if text is None:
        raise ReplayError(f"{log.path} holds no cell file: name one with --cell")
    with tempfile.TemporaryDirectory(prefix="hil-replay-") as folder:
        path = Path(folder) / CELL_NAME
        path.write_bytes(text)
        return load_cell(path)


def _notes(log: Log, cell: Cell) -> list[str]:
    found = []
    digest = log.meta("run", "digest")
    if digest != cell.digest():
        found.append("the cell, or its robot description, is another than that of the log")
    today = versions()
    for name, then in log.metadata.get("versions", {}).items():
        if name in ("hil-lab", "numpy", "pin") and today.get(name) != then:
            found.append(f"recorded with {name} {then}, replayed with {today.get(name, 'none')}: last bits may differ")
    if log.truncated or log.damaged:
        found.append(f"the log is not whole: {log.note}")
    return found


class _Player:
    def __init__(self, inputs: Inputs, cell: Cell, progress: Callable[[int], None]) -> None:
        self._in = inputs
        self._supervisor = Replayed(cell, inputs)
        self._progress = progress
        self._result = Replay(inputs.count, 0, notes=_notes(inputs.log, cell))
        self._open: dict[str, tuple[Difference, int]] = {}
        """The last difference of each check, with its last row."""
        self._warm = 0
        """Row from which on the decisions are compared."""

    def play(self) -> Replay:
        inputs, supervisor = self._in, self._supervisor
        k = 0
        if int(inputs.tick[0]) == 0:
            supervisor.ask(-1)
        else:
            k = self._resume(0)
        while k < inputs.count:
            if k and int(inputs.tick[k]) != int(inputs.tick[k - 1]) + 1:
                self._result.notes.append(f"rows are missing before tick {int(inputs.tick[k])}")
                k = self._resume(k)
                continue
            decided = supervisor.play(k)
            if self._compare(k, decided):
                k += 1
            elif int(inputs["safety_state"][k]) in _JUDGED_FROM:
                supervisor.adopt(k, afresh=False)
                k += 1
            else:
                k = self._resume(k + 1)
            if k % 500 == 0:
                self._progress(500)
        return self._result

    def _resume(self, k: int) -> int:
        """Take over what was recorded, at the first row from ``k`` on that is no part of a stop; the row to play."""
        inputs = self._in
        while k < inputs.count and (int(inputs["safety_state"][k]) not in _JUDGED_FROM or int(inputs["fault"][k]) != 0):
            k += 1
        if k < inputs.count:
            self._supervisor.adopt(k, afresh=True)
            period = self._supervisor.parts.arm.traits.period
            self._warm = k + 1 + math.ceil(WARM_UP / period)
        return k + 1

    def _compare(self, k: int, now: Decided) -> bool:
        """Compare the decisions of row ``k``; False where the two supervisors are in different states from here on."""
        inputs, result = self._in, self._result
        tick = int(inputs.tick[k])
        then = inputs.faults(tick)
        same = _keys(then) == _keys(now.faults) and inputs["safety_state"][k] == now.state
        same = same and inputs["stop_category"][k] == now.stop_category
        if k < self._warm:
            return bool(same)
        result.judged += 1
        result.tripped_then += [(tick, *key) for key in _keys(then)]
        result.tripped_now += [(tick, *key) for key in _keys(now.faults)]
        if not same:
            if _keys(then) != _keys(now.faults):
                self._differ("fault", k, _said(then), _said(now.faults))
            else:
                self._differ("state", k, _state(int(inputs["safety_state"][k])), _state(now.state))
                if inputs["stop_category"][k] != now.stop_category:
                    self._differ("stop", k, f"category {inputs['stop_category'][k]}", f"category {now.stop_category}")
            return False
        for name, unit in _VECTORS:
            self._compare_vector(name, unit, k, inputs[name][k], getattr(now, name))
        if not np.array_equal(inputs["limited"][k], now.limited):
            self._differ("limited", k, str(inputs["limited"][k].tolist()), str(np.asarray(now.limited).tolist()))
        return True

    def _compare_vector(
        self, name: str, unit: str, k: int, then: npt.NDArray[np.float64], now: npt.NDArray[np.float64]
    ) -> None:
        if np.array_equal(then, now, equal_nan=True):
            return
        sent_then, sent_now = bool(np.isfinite(then).all()), bool(np.isfinite(now).all())
        if sent_then != sent_now:
            words = {True: "sent", False: "nothing"}
            self._differ(name, k, words[sent_then], words[sent_now])
            return
        apart = np.abs(then - now)
        joint = int(np.nanargmax(apart))
        was, is_now = (f"{x[joint]:.9g} {unit} on A{joint + 1}" for x in (then, now))
        self._differ(name, k, was, is_now, float(apart[joint]))

    def _differ(self, check: str, k: int, then: str, now: str, largest: float = math.nan) -> None:
        last = self._open.get(check)
        if last is not None and last[1] == k - 1 and (check != "fault" or last[0].now == now or _numbers(last[0], now)):
            difference = last[0]
            difference.count += 1
            difference.largest = max(difference.largest, largest) if largest == largest else difference.largest
        else:
            seconds = (int(self._in.t_ns[k]) - int(self._in.t_ns[0])) * 1e-9
            difference = Difference(check, int(self._in.tick[k]), seconds, then, now, largest=largest)
            self._result.differences.append(difference)
        self._open[check] = (difference, k)


def _keys(faults: list[FaultReport]) -> list[tuple[str, int | None]]:
    return [(fault.code.value, fault.joint) for fault in faults]


def _numbers(last: Difference, now: str) -> bool:
    """The same faults with other figures."""
    return last.now.split(":")[0] == now.split(":")[0]


def _said(faults: list[FaultReport]) -> str:
    return "; ".join(fault.headline() for fault in faults) or "nothing"


def _state(number: int) -> str:
    state = STATES.get(number)
    return "unknown" if state is None else state.value

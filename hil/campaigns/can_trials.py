"""One trial on the CAN cell: the arm moves at full speed, something fails, and what follows is recorded."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from drivers.cobot.arm import CobotArm
from drivers.cobot.codes import emcy_text
from drivers.contract import Array
from hil.build import build_motion
from hil.campaigns.can_catalogue import Case
from hil.campaigns.can_rig import TOP_SPEED, SharedWire, anonymous, cobot
from hil.campaigns.forked import Forked
from hil.campaigns.rig import Rig
from hil.cell import Cell
from hil.procedure import (
    AFTER_STOP,
    Procedure,
    RunResult,
    check_and_tare,
    connect,
    enable,
    procedure_cycles,
    wait,
    why_not_ready,
)
from safety.states import State

WATCH = 0.6
"""How long a trial is watched for a fault to be found, s."""
ALONE = 1.5
"""How long the drives are left alone after this program died, s."""
CALM = 0.4
"""How long the arm is watched after a stop, and again after a person has acknowledged, s."""
_ARRAYS = ("q", "tau", "force")


@dataclass(frozen=True, eq=False)
class Trial:
    """What happened. Cycles are SYNC periods, counted from the beginning of the fault; 1: the first one.

    Arrays begin with the tick (1 ms) of the fault (T ticks).
    """

    codes: tuple[str, ...]
    """All faults of the first cycle that found any."""
    headline: str
    """The first of them, as a person reads it; of a dead supervisor: what the drives reported."""
    cycles: int | None
    """Cycle that found it. None: never."""
    category: int | None
    """The most severe stop that ran."""
    gone: int | None
    """First cycle in which no drive obeyed us any more."""
    braked: int | None
    """First cycle with all brakes closed, drives without power."""
    standing: bool
    """At the end the brakes are closed, the drives have no power and every joint stands."""
    returned: bool
    """A drive came back into operation after the stop, or the supervisor's permission did."""
    crash: str
    """Exception that left the cycle; empty, or this program has shown a traceback."""
    ticks_per_cycle: int
    """Milliseconds of a SYNC period."""
    speed: float
    """Speed of A1 when it began, rad/s."""
    reach: float
    """Largest distance of the tool centre point from where it was when the fault began, up to rest, m."""
    counters: dict[str, int]
    """Counters of the driver since the fault began."""
    activations: int
    """Entries of the ground truth."""
    reconnected: str
    """What came of connecting again: ``ready``, or why not; empty where nobody tried."""
    q: Array
    """True joint positions (T, 6), rad."""
    tau: Array
    """Torque of the motors as the drives believe it (T, 6), N·m."""
    force: Array
    """True contact force on the robot, base axes (T, 3), N."""

    def to_bytes(self) -> bytes:
        """For a pipe; :meth:`from_bytes` gives the equal trial back."""
        plain = {name: value for name, value in vars(self).items() if name not in _ARRAYS}
        out = io.BytesIO()
        np.savez(out, plain=np.array(json.dumps(plain)), **{name: getattr(self, name) for name in _ARRAYS})
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Trial:
        """See :meth:`to_bytes`."""
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            plain: dict[str, Any] = json.loads(str(archive["plain"]))
            arrays = {name: archive[name] for name in _ARRAYS}
        plain["codes"] = tuple(plain["codes"])
        return cls(**plain, **arrays)

    @property
    def travel(self) -> float:
        """Largest way of a joint from the beginning of the fault to rest, rad."""
        return float(np.abs(self.q - self.q[0]).max())


def run_trial(cell: Cell, case: Case, seed: int = 0) -> Trial:
    """One trial with a cell of its own. Raises RuntimeError where the cell cannot even be brought into motion."""
    with Rig(cell, seed) as rig:
        _reach(rig)
        return _go_on(rig, case)


def run_trials(cell: Cell, cases: Iterable[Case], seed: int = 0) -> Iterator[Trial]:
    """One trial for each case, as :func:`run_trial` gives them: the motion is reached once, and each goes on from there
    in a forked copy of this process, but for those whose case needs a serial line of its own."""
    with Rig(cell, seed) as rig:
        _reach(rig)
        wire = SharedWire(rig)
        wire.hold()

        def work(case: Case) -> bytes:
            wire.restore()
            return _go_on(rig, case).to_bytes()

        for case in cases:
            if case.own_line:
                yield run_trial(cell, case, seed)
            else:
                trial = Trial.from_bytes(Forked(functools.partial(work, case)).result())
                wire.flush()
                yield trial


def _reach(rig: Rig) -> None:
    supervisor = rig.supervisor

    def approach() -> Procedure:
        yield from connect(supervisor)
        yield from check_and_tare(supervisor, rig.cell, RunResult())
        yield from enable(supervisor, rig.cell)
        supervisor.start(build_motion("sweep", rig.cell))
        yield from wait(supervisor, TOP_SPEED)

    for _ in procedure_cycles(supervisor, approach()):
        supervisor.step()
    if supervisor.machine.faults or not supervisor.commanded:
        found = [fault.headline() for fault in supervisor.machine.faults]
        raise RuntimeError(f"the motion was not reached: {supervisor.state.value}, {found}")


class _Course:
    """The cycles of one trial."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.supervisor, self.mock = rig.supervisor, rig.mock
        self.mark = self.mock.ticks
        self.codes: tuple[str, ...] = ()
        self.headline = ""
        self.cycles: int | None = None
        self.category: int | None = None
        self.returned = False
        self._stopped = False

    def cycles_of(self, ticks: int) -> int:
        """SYNC periods since the fault began, the present one included."""
        each = self.mock.arm.ticks_per_cycle
        return (ticks - self.mark + each - 1) // each

    def step(self) -> None:
        supervisor = self.supervisor
        known = len(supervisor.machine.faults)
        supervisor.step()
        if supervisor.stop_category >= 0:
            ran = supervisor.stop_category
            self.category = ran if self.category is None else min(self.category, ran)
        if not self.codes and len(supervisor.machine.faults) > known:
            found = supervisor.machine.faults[known:]
            self.codes = tuple(dict.fromkeys(report.code.value for report in found))
            self.headline = found[0].headline()
            self.cycles = self.cycles_of(self.mock.ticks)
        self._stopped = self._stopped or supervisor.state is not State.ENABLED
        self.returned = self.returned or (self._stopped and supervisor.state is State.ENABLED)

    def rest(self) -> Procedure:
        supervisor = self.supervisor
        yield from wait(supervisor, WATCH)
        # What has not been found by now is stopped in the ordinary way, and that too must end at rest.
        supervisor.stop()
        while supervisor.state is State.STOPPING:
            yield
        yield from wait(supervisor, AFTER_STOP)

    def watch(self, seconds: float) -> None:
        for _ in wait(self.supervisor, seconds):
            self.step()


def _go_on(rig: Rig, case: Case) -> Trial:
    mock, course, device = rig.mock, _Course(rig), cobot(rig)
    arm = rig.parts.arm
    assert isinstance(arm, CobotArm)
    before = _counters(arm)
    for fault in case.faults:
        mock.faults.add(replace(fault, at_tick=course.mark + fault.at_tick), course.mark)
    crash = reconnected = ""
    activations = 0
    end = course.mark
    try:
        if case.killed:
            for _ in range(round(ALONE * 1e9 / mock.cycle_ns)):
                mock.cycle()
            activations, end = 1, mock.ticks
            course.headline = "; ".join(
                dict.fromkeys(
                    emcy_text(code) for drive in device.drives for code in sorted(drive.node.emergencies.active)
                )
            )
        else:
            for _ in procedure_cycles(course.supervisor, course.rest()):
                course.step()
            end = mock.ticks
            activations = len(mock.faults.log)
            course.watch(CALM)
            course.supervisor.acknowledge()
            course.watch(CALM)
            if case.reconnects:
                reconnected = _reconnect(course, arm)
    except Exception as error:  # whatever leaves the cycle is a result of the trial
        crash = f"{type(error).__name__}: {error}"
    truth = mock.log.truth()
    obeying = truth["session_state"][course.mark :] > 0
    stops = np.flatnonzero(~obeying)
    braked = np.flatnonzero(truth["braked"][course.mark : end])
    q = truth["q"][course.mark : max(end, course.mark + 1)].copy()
    return Trial(
        codes=course.codes,
        headline=anonymous(course.headline, device),
        cycles=course.cycles,
        category=course.category,
        gone=course.cycles_of(course.mark + int(stops[0]) + 1) if stops.size else None,
        braked=course.cycles_of(course.mark + int(braked[0]) + 1) if braked.size else None,
        standing=mock.standing(),
        returned=course.returned or bool(stops.size and obeying[stops[0] :].any()),
        crash=crash,
        ticks_per_cycle=mock.arm.ticks_per_cycle,
        speed=float(truth["qd"][course.mark - 1, 0]),
        reach=_reach_of(rig, q),
        counters={k: v - before.get(k, 0) for k, v in _counters(arm).items() if v != before.get(k, 0)},
        activations=activations,
        reconnected=anonymous(reconnected, device),
        q=q,
        tau=truth["overlay"][course.mark : end].copy(),
        force=truth["wrench_contact"][course.mark : end, :3].copy(),
    )


def _reconnect(course: _Course, arm: CobotArm) -> str:
    """What a person does: connect again. The drives must be set up anew and stay without power."""
    supervisor, parts = course.supervisor, course.supervisor.parts
    parts.ticks.meanwhile = None if parts.sensor is None else parts.sensor.poll
    arm.reopen()
    course.step()
    parts.ticks.meanwhile = None
    course.watch(CALM)
    if arm.trouble:
        return arm.trouble
    supervisor.acknowledge()
    course.watch(CALM)
    return "ready" if supervisor.state is State.READY else f"{supervisor.state.value}: {why_not_ready(supervisor)}"


def _reach_of(rig: Rig, q: Array) -> float:
    model = rig.parts.model
    begin = model.fk(q[0])[0].copy()
    return max(float(np.linalg.norm(model.fk(row)[0] - begin)) for row in q)


def _counters(arm: CobotArm) -> dict[str, int]:
    health = arm.health()
    found = {name: int(getattr(health, name)) for name in ("gaps", "late", "duplicates", "unanswered")}
    return {**found, **health.rejected}

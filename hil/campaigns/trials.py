"""One trial: a cell is brought into a phase, a fault happens there, and what follows is recorded."""

from __future__ import annotations

import enum
import functools
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from drivers.contract import Array, LinkHealth
from hil.build import build_motion
from hil.campaigns.forked import Forked
from hil.campaigns.rig import Rig
from hil.cell import Cell
from hil.procedure import AFTER_STOP, Procedure, RunResult, check_and_tare, connect, enable, procedure_cycles, wait
from safety.faults import FaultCode
from safety.states import State
from sim_mocks.faults import Fault

WATCH = 1.0
"""How long a trial is watched after the fault began, s."""
_BRAKING = 0.01
"""How long the stop is under way when the fault of the phase ``stopping`` comes, s."""
_TOUCH = 15.0
"""Force from which there is contact, N."""


_ARRAYS = ("q", "tau", "force")
_PLAIN = ("mark", "cycles", "category", "off_cycles", "standing", "counters", "activations")


class Phase(enum.Enum):
    """What the arm does when the fault comes."""

    HOLDING = "holding"
    MOVING = "moving"
    CONTACT = "in contact"
    STOPPING = "stopping"


@dataclass(frozen=True, eq=False)
class Trial:
    """What happened. Arrays begin with the tick of the fault (T ticks)."""

    mark: int
    """Tick of the mock in which the fault began."""
    latched: tuple[FaultCode, ...]
    """All faults of the first cycle that found any."""
    cycles: int | None
    """Cycles from the first faulty one to the one that latched; 1: the first one. None: never."""
    category: int | None
    """The most severe stop that ran, ordered ones included."""
    off_cycles: int | None
    """Cycles until the brakes were closed, where they closed."""
    standing: bool
    """At the end the brakes are closed and every joint stands."""
    q: Array
    """True joint positions (T, 7), rad."""
    tau: Array
    """Our torque as it acts (T, 7), N·m."""
    force: Array
    """True contact force on the robot, base axes (T, 3), N."""
    counters: dict[str, int]
    """Counters of the drivers, by ``device.name``, since the fault began."""
    activations: int
    """Entries of the ground truth."""

    def to_bytes(self) -> bytes:
        """For a pipe; :meth:`from_bytes` gives the equal trial back."""
        plain = {name: getattr(self, name) for name in _PLAIN} | {"latched": [code.value for code in self.latched]}
        out = io.BytesIO()
        np.savez(out, plain=np.array(json.dumps(plain)), **{name: getattr(self, name) for name in _ARRAYS})
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Trial:
        """See :meth:`to_bytes`."""
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            plain = json.loads(str(archive["plain"]))
            arrays = {name: archive[name] for name in _ARRAYS}
        plain["latched"] = tuple(FaultCode(value) for value in plain["latched"])
        return cls(**plain, **arrays)


def run_trial(cell: Cell, phase: Phase, faults: Sequence[Fault] = (), seed: int = 0) -> Trial:
    """Run ``faults`` (their ``at_tick`` counts from the beginning of the trial's fault) in ``phase``.

    Raises RuntimeError where the cell cannot even be brought into the phase: that is no result of the fault.
    """
    with Rig(cell, seed) as rig:
        _reach(rig, phase)
        return _go_on(rig, phase, faults)


def run_trials(cell: Cell, phase: Phase, plans: Iterable[Sequence[Fault]], seed: int = 0) -> Iterator[Trial]:
    """One trial for each list of faults, as :func:`run_trial` gives them, but for a fraction of its time.

    The phase is reached once; each trial goes on from there in a forked copy of this process.
    """
    with Rig(cell, seed) as rig:
        _reach(rig, phase)
        # The one thing under way between two cycles, our answer, lies in a socket that all copies share.
        answers = rig.mock.udp.receive()

        def work(faults: Sequence[Fault]) -> bytes:
            rig.mock.udp.unread(answers)
            return _go_on(rig, phase, faults).to_bytes()

        for faults in plans:
            trial = Trial.from_bytes(Forked(functools.partial(work, faults)).result())
            rig.mock.udp.receive()  # the last answer of that copy
            yield trial


def _reach(rig: Rig, phase: Phase) -> None:
    supervisor = rig.supervisor
    for _ in procedure_cycles(supervisor, _approach(rig, phase)):
        supervisor.step()
    if supervisor.machine.faults or not supervisor.commanded:
        raise RuntimeError(f"phase {phase.value} was not reached: {rig.writer.events[-5:]}")


def _go_on(rig: Rig, phase: Phase, faults: Sequence[Fault]) -> Trial:
    supervisor, mock = rig.supervisor, rig.mock
    mark = mock.ticks
    before = _counters(rig)
    for fault in faults:
        mock.faults.add(replace(fault, at_tick=mark + fault.at_tick), mark)
    latched: tuple[FaultCode, ...] = ()
    cycles = category = None
    for _ in procedure_cycles(supervisor, _rest(rig, phase)):
        known = len(supervisor.machine.faults)
        supervisor.step()
        if supervisor.stop_category >= 0:
            category = supervisor.stop_category if category is None else min(category, supervisor.stop_category)
        if not latched and len(supervisor.machine.faults) > known:
            latched = tuple(dict.fromkeys(report.code for report in supervisor.machine.faults[known:]))
            cycles = mock.ticks - mark
    truth, after = mock.log.truth(), _counters(rig)
    braked = np.flatnonzero(truth["braked"][mark:])
    return Trial(
        mark=mark,
        latched=latched,
        cycles=cycles,
        category=category,
        off_cycles=int(braked[0]) if braked.size else None,
        standing=mock.standing(),
        q=truth["q"][mark:].copy(),
        tau=truth["overlay"][mark:].copy(),
        force=truth["wrench_contact"][mark:, :3].copy(),
        counters={name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)},
        activations=len(mock.faults.log),
    )


def _approach(rig: Rig, phase: Phase) -> Procedure:
    """Up to the moment of the fault."""
    supervisor, cell = rig.supervisor, rig.cell
    yield from connect(supervisor)
    yield from check_and_tare(supervisor, cell, RunResult())
    yield from enable(supervisor, cell)
    if phase is Phase.CONTACT:
        supervisor.start(build_motion("polish", cell))
        while not float(np.linalg.norm(supervisor.estimate.wrench_ft[:3])) > _TOUCH:
            yield
        yield from wait(supervisor, 0.4)
    elif phase is not Phase.HOLDING:
        supervisor.start(build_motion("swing", cell))
        yield from wait(supervisor, 0.7)
    if phase is Phase.STOPPING:
        supervisor.stop()
        yield from wait(supervisor, _BRAKING)


def _rest(rig: Rig, phase: Phase) -> Procedure:
    """From there to the end."""
    supervisor = rig.supervisor
    if phase is not Phase.STOPPING:
        yield from wait(supervisor, WATCH)
        # What has not been found by now is stopped in the ordinary way, and that too must end at rest.
        supervisor.stop()
    while supervisor.state is State.STOPPING:
        yield
    yield from wait(supervisor, AFTER_STOP)


def _counters(rig: Rig) -> dict[str, int]:
    found: dict[str, int] = {}
    devices: list[tuple[str, LinkHealth]] = [("iiwa", rig.parts.arm.health())]
    if rig.parts.sensor is not None:
        devices.append(("ft", rig.parts.sensor.health()))
    for device, health in devices:
        for name in ("gaps", "late", "duplicates", "reordered", "unanswered"):
            found[f"{device}.{name}"] = getattr(health, name)
        for reason, count in health.rejected.items():
            found[f"{device}.{reason}"] = count
    return found

"""A list of faults with a seed, asked by the host in each tick, and the record of all that it did."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drivers.contract import Array
from sim_mocks.faults.fault import Fault, FaultError
from sim_mocks.faults.kinds import Family
from sim_mocks.faults.values import distort
from sim_mocks.faults.wire import Wire


@dataclass(frozen=True, slots=True)
class Activation:
    """Ground truth: in ``tick`` fault number ``index`` of the plan did ``what``."""

    tick: int
    index: int
    what: str


class FaultPlan:
    """Faults with their seed. It depends on nothing else, so the same run has the same faults.

    Each tick the host asks for the processes to hit (:meth:`processes`, :meth:`suspensions`), what the devices do by
    themselves (:meth:`actions`), how their clocks run (:meth:`clock_offset`, :meth:`rate_error`), what they measure
    (:meth:`values`) and what their wires carry (:meth:`incoming`, :meth:`outgoing`). :attr:`log` is the ground truth
    against which detectors are scored.
    """

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 0) -> None:
        self.seed = seed
        self.faults: list[Fault] = []
        self.log: list[Activation] = []
        self._wires: dict[tuple[str, str], Wire] = {}
        self._kept: dict[int, Array] = {}
        self._noted: set[int] = set()
        self._first = self._last = -1
        for fault in faults:
            self.add(fault)

    @classmethod
    def load(cls, path: Path, seed: int = 0) -> FaultPlan:
        """Read a YAML or JSON list of faults. Raises :class:`FaultError`, ``OSError``."""
        text = path.read_text(encoding="utf-8")
        try:
            if path.suffix == ".json":
                entries = json.loads(text)
            else:
                import yaml  # type: ignore[import-untyped, unused-ignore]

                entries = yaml.safe_load(text)
        except Exception as error:
            raise FaultError(f"{path}: cannot be read as {path.suffix or 'YAML'}: {error}") from error
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise FaultError(f"{path}: expected a list of faults, each a mapping with kind, device and at_tick")
        return cls((Fault.from_mapping(entry) for entry in entries), seed)

    def add(self, fault: Fault, now: int = 0) -> int:
        """Add a fault and return its index. Raises :class:`FaultError` if tick ``now`` is already past it."""
        if fault.at_tick < now:
            raise FaultError(f"{fault.kind} fault: at_tick {fault.at_tick} is past, the next tick is {now}")
        self.faults.append(fault)
        self._first = fault.at_tick if self._first < 0 else min(self._first, fault.at_tick)
        self._last = max(self._last, fault.end_tick)
        return len(self.faults) - 1

    def idle(self, tick: int) -> bool:
        """True when nothing can happen in this tick: the host's cheap way past all the hooks."""
        return not self._first <= tick <= self._last and all(wire.empty for wire in self._wires.values())

    # Wires

    def outgoing(self, device: str, tick: int, data: bytes | None) -> list[bytes]:
        """What leaves ``device`` in this tick when it wanted to send ``data`` (``None``: nothing). Once per tick."""
        return self._carry(device, "out", tick, [data] if data is not None else [])

    def outgoing_all(self, device: str, tick: int, data: Sequence[bytes]) -> list[bytes]:
        """What leaves ``device`` of the packets that it wanted to send; as often in a tick as it sends."""
        return self._carry(device, "out", tick, list(data))

    def incoming(self, device: str, tick: int, data: Sequence[bytes]) -> list[bytes]:
        """What ``device`` hears in this tick of the datagrams ``data`` that arrived. Once per tick."""
        return self._carry(device, "in", tick, list(data))

    def _carry(self, device: str, way: str, tick: int, data: list[bytes]) -> list[bytes]:
        acting = [
            (index, fault, self._generator(index, tick, 1))
            for index, fault in self._acting(device, tick, Family.WIRE)
            if (fault.field or "out") == way
        ]
        wire = self._wires.setdefault((device, way), Wire())
        arrived, notes = wire.carry(tick, data, acting)
        for index, what in notes:
            self._note(tick, index, f"{what} ({way}) of {device}")
        return arrived

    # Values and clocks

    def values(self, device: str, tick: int, name: str, array: Array) -> Array:
        """``array`` as ``device`` measures it in this tick: the same object, or a corrupted copy."""
        for index, fault in self._acting(device, tick, Family.VALUE):
            if fault.field == name:
                kept = self._kept.setdefault(index, array.copy()) if fault.kind == "stuck" else None
                array, what = distort(fault, tick, array, kept)
                self._note(tick, index, f"{name} of {device} {what}")
        return array

    def clock_jump(self, device: str, tick: int) -> float:
        """How far the time stamps of ``device`` jumped; back at 0 when the faults are over, s."""
        jump = 0.0
        for index, fault in self._acting(device, tick, Family.CLOCK):
            if fault.kind == "clock_jump":
                jump += fault.parameter
                self._note_first(tick, index, f"time stamps of {device} are off by {fault.parameter:g} s")
        return jump

    def clock_offset(self, device: str, tick: int, dt: float) -> float:
        """Jump and drift of the time stamps of ``device`` in this tick of ``dt`` s, s. Drift stays, a jump ends."""
        drift = 0.0
        for fault in self.faults:
            if fault.device == device and fault.kind == "rate_error" and tick >= fault.at_tick:
                drift += fault.parameter * dt * min(tick - fault.at_tick + 1, fault.ticks)
        self.rate_error(device, tick)
        return self.clock_jump(device, tick) + drift

    def rate_error(self, device: str, tick: int) -> float:
        """Relative error of the clock of ``device`` in this tick."""
        error = 0.0
        for index, fault in self._acting(device, tick, Family.CLOCK):
            if fault.kind == "rate_error":
                error += fault.parameter
                self._note_first(tick, index, f"clock of {device} runs off by {fault.parameter:+.3%}")
        return error

    # Devices and processes

    def actions(self, device: str, tick: int) -> list[tuple[Fault, bool]]:
        """Faults of the device itself that begin (True) or end (False) with this tick. Ask once per tick."""
        found = []
        for index, fault in enumerate(self.faults):
            if fault.device == device and fault.family is Family.DEVICE and tick in (fault.at_tick, fault.end_tick):
                begins = tick == fault.at_tick
                found.append((fault, begins))
                self._note(tick, index, f"{fault.kind} of {device} {'begins' if begins else 'ends'}")
        return found

    def processes(self, tick: int) -> list[str]:
        """Names of the processes to kill at the beginning of this tick; each fault kills once."""
        return [fault.device for fault in self._hits(tick, "kill", "killed")]

    def suspensions(self, tick: int) -> list[tuple[str, float]]:
        """Names of the processes to suspend at the beginning of this tick, and for how many s of the wall clock."""
        return [(fault.device, fault.parameter) for fault in self._hits(tick, "suspend", "suspended")]

    def _hits(self, tick: int, kind: str, verb: str) -> list[Fault]:
        found = []
        for index, fault in enumerate(self.faults):
            if fault.kind == kind and fault.at_tick == tick:
                found.append(fault)
                self._note(tick, index, f"{verb} {fault.device}")
        return found

    # Small things

    def _acting(self, device: str, tick: int, family: Family) -> list[tuple[int, Fault]]:
        return [
            (index, fault)
            for index, fault in enumerate(self.faults)
            if fault.device == device and fault.family is family and self._on(index, fault, tick)
        ]

    def _on(self, index: int, fault: Fault, tick: int) -> bool:
        if not fault.at_tick <= tick < fault.end_tick:
            return False
        return fault.probability >= 1.0 or bool(self._generator(index, tick).random() < fault.probability)

    def _generator(self, index: int, tick: int, *purpose: int) -> np.random.Generator:
        """One for each fault and tick: a draw cannot depend on how often or in which order hooks are called."""
        return np.random.default_rng([self.seed, index, tick, *purpose])

    def _note(self, tick: int, index: int, what: str) -> None:
        self.log.append(Activation(tick, index, what))

    def _note_first(self, tick: int, index: int, what: str) -> None:
        if index not in self._noted:
            self._noted.add(index)
            self._note(tick, index, what)

"""The one fault API of all mocks: what goes wrong, where, at which tick, and the record that it did.

A :class:`FaultPlan` is asked by the host at three places in each tick — bytes on their way out of or into a device
(:meth:`FaultPlan.outgoing`, :meth:`FaultPlan.incoming`), values before a device encodes them
(:meth:`FaultPlan.values`) and processes to be killed (:meth:`FaultPlan.processes`). Whatever it does it writes to
:attr:`FaultPlan.log`: the ground truth against which detectors are scored. A plan depends on nothing but its faults
and its seed, so the same run has the same faults.

Kinds, and the meaning of the other fields for each:

``drop``   a datagram or a tick's bytes are lost. ``field`` ``"out"`` (default, device to client) or ``"in"``.
``stall``  the device sends nothing (``"out"``) or hears nothing (``"in"``) for ``ticks`` ticks; what it held comes
           out at once afterwards, in order and late.
``nan``    a quantity that the device measures reads NaN. ``field`` names it (``q``, ``tau``, ``tau_ext``,
           ``q_set`` of an arm, ``wrench`` of a sensor); ``joint`` picks one element, ``None`` all. ``value`` puts
           another number in its place (``inf`` for instance).
``kill``   SIGKILL for the process registered under the name ``device`` (``supervisor``, ``recorder``), or for the
           mock itself (``mock``), at the beginning of the tick.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from drivers.contract import Array
from sim_mocks.errors import MockError

KINDS = ("drop", "stall", "nan", "kill")


class FaultError(MockError):
    """A fault that makes no sense; the message says which, what was read and what is allowed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong from tick ``at_tick`` on for ``ticks`` ticks. Raises :class:`FaultError`."""

    kind: str
    device: str
    at_tick: int
    ticks: int = 1
    field: str = ""
    joint: int | None = None
    probability: float = 1.0
    """Chance in each tick that it happens (drawn from the plan's seed); a stall and a kill are certain."""
    value: float = math.nan

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise FaultError(f"fault kind {self.kind!r}: allowed are {', '.join(KINDS)}")
        if not self.device:
            raise FaultError(f"{self.kind} fault: 'device' is empty; name a device (iiwa, ft) or a process (mock, …)")
        if self.at_tick < 0 or self.ticks < 1:
            raise FaultError(f"{self.kind} fault: at_tick {self.at_tick} and ticks {self.ticks} must be >= 0 and >= 1")
        if not (math.isfinite(self.probability) and 0.0 < self.probability <= 1.0):
            raise FaultError(f"{self.kind} fault: probability {self.probability} is not in (0, 1]")
        if self.kind in ("drop", "stall") and self.field not in ("", "out", "in"):
            raise FaultError(f"{self.kind} fault: field {self.field!r} must be 'out' (default) or 'in'")
        if self.kind == "nan" and not self.field:
            raise FaultError("nan fault: 'field' is empty; name the quantity (q, tau, tau_ext, q_set, wrench)")
        if self.kind in ("stall", "kill") and self.probability != 1.0:
            raise FaultError(f"{self.kind} fault: probability must be 1, got {self.probability}")

    @property
    def end_tick(self) -> int:
        """First tick in which the fault is over."""
        return self.at_tick + self.ticks

    @classmethod
    def from_mapping(cls, entry: Mapping[str, Any]) -> Fault:
        """Read one entry of a fault list. Raises :class:`FaultError` for unknown or missing keys and wrong types."""
        known = {f.name for f in fields(cls)}
        unknown, missing = sorted(set(entry) - known), sorted({"kind", "device", "at_tick"} - set(entry))
        if unknown or missing:
            raise FaultError(f"fault {dict(entry)!r}: unknown keys {unknown}, missing {missing}; known {sorted(known)}")
        try:
            joint = entry.get("joint")
            return cls(
                kind=str(entry["kind"]),
                device=str(entry["device"]),
                at_tick=int(entry["at_tick"]),
                ticks=int(entry.get("ticks", 1)),
                field=str(entry.get("field", "")),
                joint=None if joint is None else int(joint),
                probability=float(entry.get("probability", 1.0)),
                value=float(entry.get("value", math.nan)),
            )
        except (TypeError, ValueError) as error:
            text = f"fault {dict(entry)!r}: {error}; ticks and joint are integers, value is a number"
            raise FaultError(text) from error

    def to_mapping(self) -> dict[str, Any]:
        """The entry that :meth:`from_mapping` reads; JSON-safe (a non-finite ``value`` becomes its name)."""
        entry = asdict(self)
        if not math.isfinite(self.value):
            entry["value"] = str(self.value)
        return entry


@dataclass(frozen=True, slots=True)
class Activation:
    """Ground truth: in ``tick`` fault number ``index`` of the plan did ``what``."""

    tick: int
    index: int
    what: str


class FaultPlan:
    """Faults with their seed; see the module's docstring."""

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 0) -> None:
        self.seed = seed
        self.faults: list[Fault] = []
        self.log: list[Activation] = []
        self._held: dict[tuple[str, str], list[bytes]] = {}
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
        return not self._held and not self._first <= tick <= self._last

    def outgoing(self, device: str, tick: int, data: bytes | None) -> list[bytes]:
        """What leaves ``device`` in this tick when it wanted to send ``data`` (``None``: nothing). Once per tick."""
        return self._carry(device, "out", tick, [data] if data is not None else [])

    def incoming(self, device: str, tick: int, data: Sequence[bytes]) -> list[bytes]:
        """What ``device`` hears in this tick of the datagrams ``data`` that arrived. Once per tick."""
        return self._carry(device, "in", tick, list(data))

    def values(self, device: str, tick: int, name: str, array: Array) -> Array:
        """``array`` as ``device`` measures it in this tick: the same object, or a corrupted copy."""
        for index, fault in enumerate(self.faults):
            if fault.kind != "nan" or fault.device != device or fault.field != name or not self._on(index, fault, tick):
                continue
            array = array.copy()
            if fault.joint is None:
                array[:] = fault.value
            elif 0 <= fault.joint < len(array):
                array[fault.joint] = fault.value
            where = "all" if fault.joint is None else f"element {fault.joint}"
            self._note(tick, index, f"{name} of {device} reads {fault.value} ({where})")
        return array

    def processes(self, tick: int) -> list[str]:
        """Names of the processes to kill at the beginning of this tick; each fault kills once."""
        names = []
        for index, fault in enumerate(self.faults):
            if fault.kind == "kill" and fault.at_tick == tick:
                names.append(fault.device)
                self._note(tick, index, f"killed {fault.device}")
        return names

    def _carry(self, device: str, way: str, tick: int, data: list[bytes]) -> list[bytes]:
        key = (device, way)
        stalled = False
        for index, fault in enumerate(self.faults):
            if fault.kind not in ("drop", "stall") or fault.device != device or (fault.field or "out") != way:
                continue
            if not self._on(index, fault, tick):
                continue
            if fault.kind == "stall":
                stalled = True
                self._note(tick, index, f"held {len(data)} packets ({way}) of {device}")
            elif data:
                self._note(tick, index, f"dropped {len(data)} packets ({way}) of {device}")
                data = []
        if stalled:
            self._held.setdefault(key, []).extend(data)
            return []
        held = self._held.pop(key, None)
        return held + data if held else data

    def _on(self, index: int, fault: Fault, tick: int) -> bool:
        if not fault.at_tick <= tick < fault.end_tick:
            return False
        if fault.probability >= 1.0:
            return True
        # A generator per (fault, tick): the draw cannot depend on how often or in which order hooks are called.
        return bool(np.random.default_rng([self.seed, index, tick]).random() < fault.probability)

    def _note(self, tick: int, index: int, what: str) -> None:
        self.log.append(Activation(tick, index, what))

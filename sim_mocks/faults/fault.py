"""One entry of a fault plan, and the one place that says whether it makes sense."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from sim_mocks.errors import MockError
from sim_mocks.faults.kinds import KINDS, MENU, NEED_VALUE, QUANTITIES, Family, Kind, device_class


class FaultError(MockError):
    """A fault that makes no sense; the message says which, what was read and what is allowed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong from tick ``at_tick`` on for ``ticks`` ticks. Raises :class:`FaultError`."""

    kind: str
    """One of :data:`sim_mocks.faults.KINDS`."""
    device: str
    """A device (``iiwa``, ``ft``), or the name of a process (``mock``, ``supervisor``, ``recorder``)."""
    at_tick: int
    ticks: int = 1
    field: str = ""
    """Wire: ``out`` (from the device, default) or ``in``. Values: the quantity (``q``, ``tau``, ``tau_ext``,
    ``q_set`` of an arm in the driver's signs, ``wrench`` of a sensor). Nothing otherwise."""
    joint: int | None = None
    """Element of the quantity, counted from 0; None: all of them."""
    probability: float = 1.0
    """Chance in each tick that it happens, drawn from the plan's seed; many kinds are certain."""
    value: float = math.nan
    """Parameter of the kind; NaN: its default."""
    other: int | None = None
    """Second element of a ``swap``."""

    def __post_init__(self) -> None:
        kind = MENU.get(self.kind)
        if kind is None:
            raise FaultError(f"fault kind {self.kind!r}: allowed are {', '.join(KINDS)}")
        problem = self._timing() or self._place(kind) or self._parameter(kind)
        if problem:
            raise FaultError(f"{self.kind} fault: {problem}")

    def _timing(self) -> str:
        if not self.device:
            return "'device' is empty; name a device (iiwa, ft) or a process (mock, …)"
        if self.at_tick < 0 or self.ticks < 1:
            return f"at_tick {self.at_tick} and ticks {self.ticks} must be >= 0 and >= 1"
        if not (math.isfinite(self.probability) and 0.0 < self.probability <= 1.0):
            return f"probability {self.probability} is not in (0, 1]"
        return ""

    def _place(self, kind: Kind) -> str:
        device = device_class(self.device)
        if kind.family is Family.PROCESS and device in QUANTITIES:
            return f"device {self.device!r} is no process; name one (mock, supervisor, recorder)"
        if kind.family is not Family.PROCESS and device in QUANTITIES and device not in kind.devices:
            return f"device {self.device!r} has no such thing; allowed: {', '.join(kind.devices)}"
        if kind.family is Family.WIRE and self.field not in ("", "out", "in"):
            return f"field {self.field!r} must be 'out' (default) or 'in'"
        if kind.family is Family.VALUE:
            known = QUANTITIES.get(device, (self.field,))
            if not self.field or self.field not in known:
                allowed = ", ".join(filter(None, known))
                return f"field {self.field!r} names no quantity of {self.device}; allowed: {allowed}"
            if self.kind == "swap" and (self.joint is None or self.other is None or self.joint == self.other):
                return f"joint {self.joint} and other {self.other} must be two different elements"
            if any(j is not None and j < 0 for j in (self.joint, self.other)):
                return f"joint {self.joint} and other {self.other} count from 0"
        elif self.joint is not None or (kind.family is not Family.WIRE and self.field):
            return f"field {self.field!r} and joint {self.joint} have no meaning here; leave them out"
        if self.other is not None and self.kind != "swap":
            return f"other {self.other} belongs to swap; leave it out"
        return ""

    def _parameter(self, kind: Kind) -> str:
        if kind.certain and self.probability != 1.0:
            return f"probability must be 1, got {self.probability}: it is certain"
        value = self.value
        if math.isnan(value):
            return f"'value' is missing: {kind.value}" if self.kind in NEED_VALUE else ""
        if not kind.value:
            return f"value {value} has no meaning here; leave it out"
        if kind.infinite:
            return ""
        if not (math.isfinite(value) and kind.low <= value <= kind.high):
            return f"value {value} ({kind.value}) is not a finite number in {kind.low:g} … {kind.high:g}"
        if kind.whole and value != int(value):
            return f"value {value} ({kind.value}) must be a whole number"
        if kind.nonzero and value == 0.0:
            return f"value {value} ({kind.value}) must not be 0"
        return ""

    @property
    def family(self) -> Family:
        """Where it acts."""
        return MENU[self.kind].family

    @property
    def parameter(self) -> float:
        """``value``, or the default of the kind; NaN where there is neither."""
        return MENU[self.kind].default if math.isnan(self.value) else self.value

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
            joint, other, value = entry.get("joint"), entry.get("other"), entry.get("value")
            return cls(
                kind=str(entry["kind"]),
                device=str(entry["device"]),
                at_tick=int(entry["at_tick"]),
                ticks=int(entry.get("ticks", 1)),
                field=str(entry.get("field", "")),
                joint=None if joint is None else int(joint),
                probability=float(entry.get("probability", 1.0)),
                value=math.nan if value is None else float(value),
                other=None if other is None else int(other),
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

"""What a rule is, and what it finds."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from hil.cell.source import Loc
from hil.lint.facts import Facts


class Severity(enum.Enum):
    ERROR = "error"
    """A limit is impossible or contradicts another: the cell cannot work, or is less safe than it says."""
    WARNING = "warning"
    """A limit can never act, or a key has no effect."""


@dataclass(frozen=True, slots=True)
class Hit:
    """What one rule found at one place."""

    loc: Loc
    """Path of the key to change."""
    read: str
    expected: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must hold."""

    name: str
    severity: Severity
    about: str
    """One sentence for the page of rules."""
    check: Callable[[Facts], Iterable[Hit]]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A hit with its place in the file."""

    file: str
    line: int
    key: str
    rule: str
    severity: str
    read: str
    expected: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: {self.severity} {self.rule}: {self.key}"
        return f"{where}: read {self.read}; expected {self.expected}; {self.remedy}"


def named(joints: Iterable[int], values: Sequence[float], unit: str) -> str:
    """``A2 12.5 N·m, A4 … A6 3 N·m``: the values of some joints, counted from 0; neighbours that agree together."""
    runs: list[tuple[int, int, str]] = []
    for j in joints:
        text = f"{values[j]:.4g} {unit}"
        if runs and runs[-1][1] == j - 1 and runs[-1][2] == text:
            runs[-1] = (runs[-1][0], j, text)
        else:
            runs.append((j, j, text))
    return ", ".join(f"A{a + 1} {text}" if a == b else f"A{a + 1} … A{b + 1} {text}" for a, b, text in runs)


def where(bad: Iterable[bool]) -> list[int]:
    """The joints for which ``bad`` holds."""
    return [j for j, is_bad in enumerate(bad) if is_bad]


@dataclass(frozen=True, slots=True)
class Said:
    """The words of a comparison joint by joint."""

    loc: Loc
    unit: str
    what: str
    """Follows what was read."""
    expected: str
    """Comes before what was expected."""
    remedy: str


def above(said: Said, values: Sequence[float], bounds: Sequence[float]) -> Iterator[Hit]:
    """One hit with all joints whose value is not at most its bound."""
    return _compare(said, values, bounds, where(not a <= b for a, b in zip(values, bounds, strict=True)))


def below(said: Said, values: Sequence[float], bounds: Sequence[float]) -> Iterator[Hit]:
    """One hit with all joints whose value is not at least its bound."""
    return _compare(said, values, bounds, where(not a >= b for a, b in zip(values, bounds, strict=True)))


def not_below(said: Said, values: Sequence[float], bounds: Sequence[float]) -> Iterator[Hit]:
    """One hit with all joints whose value is not less than its bound."""
    return _compare(said, values, bounds, where(not a < b for a, b in zip(values, bounds, strict=True)))


def _compare(said: Said, values: Sequence[float], bounds: Sequence[float], bad: Sequence[int]) -> Iterator[Hit]:
    if bad:
        read = f"{named(bad, values, said.unit)} {said.what}".rstrip()
        yield Hit(said.loc, read, f"{said.expected} {named(bad, bounds, said.unit)}", said.remedy)

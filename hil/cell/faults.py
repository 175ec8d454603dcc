"""What can be wrong with a cell file, told in full: every fault at once, each with file, line and key.

::

    CellError      the file describes no cell that could run; `faults` holds everything that is wrong with it
    CellRefused    the file is fine, but it may not be run this way
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class CellFault:
    """One thing that is wrong in a cell file."""

    file: str
    line: int
    """Counted from 1; where a key is missing, the line of the section that lacks it."""
    key: str
    """Path of the key, as in ``sensors[0].mount.xyz``; empty for the file as a whole."""
    read: str
    """What stands there."""
    allowed: str
    """What may stand there, and what to do."""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:" + (f" {self.key}:" if self.key else "")
        return f"{where} read {self.read}; {self.allowed}"


class CellError(Exception):
    """A cell file with faults. Raised before anything is opened or started."""

    def __init__(self, faults: Iterable[CellFault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        count = "1 mistake" if len(self.faults) == 1 else f"{len(self.faults)} mistakes"
        super().__init__("\n".join([f"{count} in the cell file; nothing was started:", *map(str, self.faults)]))


class CellRefused(Exception):
    """A cell that may not be run this way; the message says why and what can be done instead."""

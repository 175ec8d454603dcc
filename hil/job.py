"""What one process tells another about a run: the job, the progress on the way, and the outcome."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOG_NAME = "run.mcap"
REPORT_NAME = "report.html"
CELL_NAME = "cell.yaml"
OUTCOME_NAME = "outcome.json"


@dataclass(frozen=True)
class Job:
    """One run of one cell, for the supervisor's process."""

    cell: str
    """Name or path of the cell file."""
    motions: tuple[str, ...]
    """Motions by name, in order."""
    run_dir: str
    control_dir: str
    """Directory of the mock cell's sockets."""
    seed: int | None = None
    """Seed of the mock, where it differs from the cell file's."""
    operated: bool = False
    """Keep the cell running and take verbs, instead of doing ``motions`` and ending."""
    recording: bool = True
    """Of an operated cell: record from the beginning."""
    parent: int = 0
    """Of an operated cell: process without which it goes down; 0 for none."""

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Job:
        data = json.loads(text)
        return cls(**{**data, "motions": tuple(data["motions"])})


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    finished: bool = False
    state: str = ""
    """State of the safety machine at the end."""
    motions: tuple[str, ...] = ()
    """Motions that were finished."""
    faults: tuple[str, ...] = ()
    """Headlines of the latched faults, the first one first."""
    explanation: str = ""
    """Causes and remedy of the first fault."""
    problems: tuple[str, ...] = ()
    """What went wrong without stopping the arm: the recorder died, for instance."""
    cycles: int = 0
    figures: dict[str, float] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write as JSON, in one step."""
        part = path.with_name(path.name + ".part")
        part.write_text(json.dumps(dataclasses.asdict(self), ensure_ascii=False, indent=1), encoding="utf-8")
        os.replace(part, path)

    @classmethod
    def read(cls, path: Path) -> Outcome | None:
        """The outcome in ``path``; None if the process died before it could write one."""
        try:
            data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        for key in ("motions", "faults", "problems"):
            data[key] = tuple(data[key])
        return cls(**data)


class ProgressPipe:
    """Writes one JSON line now and then to a pipe, and drops it where the reader is slow: never waits."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        os.set_blocking(fd, False)
        self._rest = b""

    def send(self, **progress: Any) -> None:
        """Say something. Half-written lines are finished first."""
        data = self._rest or json.dumps(progress).encode() + b"\n"
        try:
            self._rest = data[os.write(self._fd, data) :]
        except OSError:  # full, or nobody reads any more
            self._rest = b"" if not self._rest else self._rest

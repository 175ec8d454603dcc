"""What one process tells another about a run: the job, the progress on the way, and the outcome."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOG_NAME = "run.mcap"
CELL_NAME = "cell.yaml"
OUTCOME_NAME = "outcome.json"
META_NAME = "meta.json"
"""In the folder of the sockets: what the recorder is told about the run."""


@dataclass(frozen=True)
class Job:
    """One run of one cell, for the supervisor's process."""

    cell: str
    """Name or path of the cell file."""
    motions: tuple[str, ...]
    """Motions by name, in order."""
    run_dir: str
    control_dir: str
    """Directory of the sockets: the mock cell's, and the run's telemetry."""
    digest: str
    """What the cell file said when the run was started; another content is refused."""
    parent: int
    """Process whose end ends the run: the arm stops in order."""
    operated: bool = False
    """Keep the cell running and take verbs, instead of doing ``motions`` and ending."""
    realtime: bool = False
    """By the wall clock, as on a real robot, instead of in lockstep with the mock cell."""
    plan: str = ""
    """File of an excitation plan, whose motions are made instead of motions of the cell file."""
    recording: bool = True
    """Record from the beginning; an operated cell need not."""
    flight: int = -1
    """File descriptor of the flight recorder's memory (:mod:`hil.flight`), handed down; -1 without one."""

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
    stopped: str = ""
    """Who or what asked for a stop before the end; empty if nobody did."""
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
        part.write_text(json.dumps(self.to_mapping(), ensure_ascii=False, indent=1), encoding="utf-8")
        os.replace(part, path)

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON types; :meth:`from_mapping` gives the equal object back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_mapping(cls, data: dict[str, Any]) -> Outcome:
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return cls(**values)

    @classmethod
    def read(cls, path: Path) -> Outcome | None:
        """The outcome in ``path``; None if there is none."""
        try:
            return cls.from_mapping(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return None


class ProgressPipe:
    """Writes one JSON line now and then to a pipe, and drops it where the reader is slow: never waits."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        os.set_blocking(fd, False)
        self._rest = b""

    def send(self, **progress: Any) -> None:
        """Say something. Half-written lines are finished first."""
        data = self._rest or json.dumps(progress).encode() + b"\n"
        with contextlib.suppress(OSError):  # full, or nobody reads any more
            self._rest = data[os.write(self._fd, data) :]

    def last(self, **progress: Any) -> None:
        """Say the last thing, and wait until it is said (or nobody listens any more)."""
        os.set_blocking(self._fd, True)
        data = self._rest + json.dumps(progress).encode() + b"\n"
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._fd, data) :]

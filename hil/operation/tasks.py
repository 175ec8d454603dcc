"""What an operator's verb sets going: a procedure with a number, so that who asked can ask how it went."""

from __future__ import annotations

import enum
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from hil.motion import Motion
from hil.procedure import Procedure
from hil.supervisor import Supervisor


class Progress(enum.Enum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass
class Task:
    """One procedure under way, or how the last one ended."""

    number: int
    verb: str
    procedure: Procedure
    done_sentence: str
    progress: Progress = Progress.RUNNING
    sentence: str = ""

    def end(self, progress: Progress, sentence: str) -> None:
        self.procedure.close()
        self.progress, self.sentence = progress, sentence

    def describe(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "verb": self.verb,
            "progress": self.progress.value,
            "sentence": self.sentence,
        }


def until_finished(supervisor: Supervisor, motion: Motion) -> Generator[None, None, None]:
    """Wait for the end of a motion that has begun."""
    while supervisor.motion is motion:
        yield

"""Where frames come from: a running cell (:mod:`hil.monitor.live`), or anything else that can tell the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from hil.monitor.frame import Frame


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one verb."""

    verb: str
    ok: bool
    sentence: str
    heard: bool = True
    """The cell itself said so; False: it never came there, or no answer came back."""


class Source(Protocol):
    """Tells the newest frame; no method waits for anything."""

    def poll(self) -> Frame:
        """The newest frame; called some ten times a second."""
        ...

    def ask(self, verb: str, **arguments: Any) -> None:
        """Send a verb to the cell now; what becomes of it comes with :meth:`answers`."""
        ...

    def answers(self) -> list[Answer]:
        """What has come in since the last call, oldest first."""
        ...

    def close(self) -> None:
        """Detach; legal more than once."""
        ...

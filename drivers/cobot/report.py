"""What a person and the safety checks are told about the link to the arm."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.can.bus import Bus
from drivers.cobot.cia402 import DriveState
from drivers.cobot.exchange import Exchange
from drivers.cobot.pdo import ProcessData
from drivers.cobot.session import Session
from drivers.cobot.supervision import Supervision
from drivers.contract import LinkHealth

_QUALITY_SHARE = 0.02
"""Weight of one SYNC in the link quality."""
_STOPPED = (DriveState.FAULT, DriveState.FAULT_REACTION_ACTIVE, DriveState.QUICK_STOP_ACTIVE)


class Report:
    """The record of one opened link, updated in place. ``nodes``: node ids by joint."""

    def __init__(self, nodes: Sequence[int], data: ProcessData, session: Session) -> None:
        self._nodes, self._data, self._session = nodes, data, session
        self._health = LinkHealth()
        self._quality = float("nan")
        self._flags_key: tuple[object, ...] = ()
        self.gaps = 0
        """Answers that did not come."""
        self.implausible: dict[str, int] = {}
        """Measurements that cannot be true, by reason."""

    def rate(self, complete: bool) -> None:
        """One SYNC was answered by every drive, or not."""
        quality = self._quality
        if quality != quality:
            self._quality = 1.0 if complete else quality
        else:
            self._quality += _QUALITY_SHARE * (complete - quality)

    def reject(self, reason: str) -> None:
        """A measurement was refused."""
        self.implausible[reason] = self.implausible.get(reason, 0) + 1

    def health(
        self, watch: Supervision, exchange: Exchange | None, buses: Sequence[Bus], trouble: str, known: bool
    ) -> LinkHealth:
        """The record; ``known``: at least one SYNC was answered. ``exchange``: None while there is no line."""
        health, data, session = self._health, self._data, self._session
        health.frames = data.frames
        health.gaps = self.gaps
        health.late = data.late
        health.duplicates = data.duplicates
        health.quality = self._quality
        health.rejected = {**self.implausible, **watch.rejected}
        refused = 0
        if exchange is not None:
            health.late += exchange.late
            health.unanswered = exchange.unanswered
            refused = exchange.refused
        for reason, count in (
            ("send", refused),
            ("pdo_length", data.wrong_length),
            ("error_frame", watch.error_frames),
            ("foreign", watch.foreign),
            ("garbled", sum(bus.garbled for bus in buses)),
        ):
            if count:
                health.rejected[reason] = count
        states = session.states
        health.drives_on = all(state is DriveState.OPERATION_ENABLED for state in states) if known else None
        health.problems = tuple(watch.problems.values())
        key = (tuple(states), session.off, session.refusal, health.problems, trouble, session.enabled)
        if key != self._flags_key:
            self._flags_key = key
            health.flags = self._flags(health, trouble)
        return health

    def _flags(self, health: LinkHealth, trouble: str) -> frozenset[str]:
        session = self._session
        found = {f"{problem.part}: {problem.text}; {problem.remedy}" for problem in health.problems}
        if session.off:
            found.add("off: no power until release()")
        if session.refusal:
            found.add(session.refusal)
        if trouble:
            found.add(trouble)
        for node, state in zip(self._nodes, session.states, strict=True):
            if state in _STOPPED:
                found.add(f"node {node}: {state.name.lower().replace('_', ' ')}")
        return frozenset(found)

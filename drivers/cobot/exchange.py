"""SYNC, answers, commands: what one tick puts on an open line and takes from it."""

from __future__ import annotations

from drivers.can.bus import Frame
from drivers.cobot.config import CobotConfig
from drivers.cobot.line import Line
from drivers.cobot.pdo import SYNC_ID, ProcessData
from drivers.cobot.session import Session
from drivers.contract import Ticks

_SYNC = [(SYNC_ID, b"")]
STATE_NS = 250_000_000
"""How often each adapter is asked for its state."""


class Exchange:
    """The process data of one arm on ``line``. ``session`` is told what was sent and when a SYNC made it act."""

    def __init__(self, config: CobotConfig, line: Line, data: ProcessData, session: Session, ticks: Ticks) -> None:
        self._line = line
        self._data = data
        self._session = session
        self._ticks = ticks
        self._period_ns = round(1e9 * config.period)
        self._collect_ns = round(1e9 * config.period * config.collect)
        self._out = [
            [data.commands[k] for k, joint in enumerate(config.joints) if joint.channel == channel]
            for channel in range(len(config.buses))
        ]
        self._scratch: list[Frame] = []
        self._rest: list[Frame] = []
        self._synced = False
        self._due_ns = self._ask_ns = self.sync_ns = ticks.now_ns()
        self.syncs = -1
        """Number of the last SYNC, counted from 0."""
        self.late = 0
        """Answers that came after their deadline."""
        self.refused = 0
        """Times that an adapter did not take all frames of a tick."""
        self.unanswered = 0
        """Times that those were commands."""

    def write(self, words: list[int], targets: list[int]) -> bool:
        """One RPDO1 to each drive: controlwords and targets (‰ of rated), by joint; False if an adapter did not take
        them all."""
        self._data.command(words, targets)
        taken = True
        for channel, frames in enumerate(self._out):
            taken &= self._line.send(channel, frames)
        if not taken:
            self.unanswered += 1
            self.refused += 1
        self._session.sent(targets)
        return taken

    def repeat(self) -> None:
        """The RPDOs of the last :meth:`write` once more."""
        for channel, frames in enumerate(self._out):
            self._line.send(channel, frames)

    def sync_now(self) -> None:
        """SYNC ahead of its time; the next :meth:`await_sync` sends none."""
        self._send_sync(self._ticks.now_ns())
        self._synced = True

    def await_sync(self) -> None:
        """Receive until the next SYNC is due, and send it, unless :meth:`sync_now` has done so."""
        ticks, line = self._ticks, self._line
        while True:
            now = ticks.now_ns()
            missing = self._data.missing
            self._receive(now)
            self.late += missing - self._data.missing
            if self._synced:
                break
            if now >= self._due_ns:
                self._send_sync(now)
                break
            line.beat(now)
            ticks.wait(line.fd, min(self._due_ns - now, line.poll_ns))
        self._synced = False

    def collect(self) -> int:
        """Receive until every drive has answered, or the deadline has passed; the time, ns."""
        ticks, data, line = self._ticks, self._data, self._line
        deadline = self.sync_ns + self._collect_ns
        now = ticks.now_ns()
        while True:
            ticks.wait(line.fd, min(max(0, deadline - now), line.poll_ns))
            now = ticks.now_ns()
            self._receive(now)
            if not data.missing or now >= deadline:
                return ticks.now_ns()

    def states_due(self, now: int) -> bool:
        """Whether the adapters' states are due: they have then been asked, and what they last said may be read."""
        if now < self._ask_ns:
            return False
        self._ask_ns = now + STATE_NS
        for bus in self._line.buses:
            bus.ask_state()
        return True

    def _send_sync(self, now: int) -> None:
        self.syncs += 1
        self._data.expect()
        for channel in range(len(self._out)):
            self.refused += not self._line.send(channel, _SYNC)
        self._session.latch()
        self.sync_ns = now
        # Missed ticks are skipped, never caught up in a burst.
        self._due_ns += self._period_ns
        if self._due_ns <= now:
            self._due_ns = now + self._period_ns

    def _receive(self, now: int) -> None:
        frames, rest, line = self._scratch, self._rest, self._line
        for channel in range(len(self._out)):
            frames.clear()
            line.drain(channel, frames)
            if frames:
                self._data.take(frames, rest)
                if rest:
                    line.hand_on(channel, rest, now)
                    rest.clear()

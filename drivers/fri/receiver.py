"""Everything that has arrived, filtered and counted: from datagrams to frames in order."""

from __future__ import annotations

from drivers.contract import LinkHealth
from drivers.errors import ProtocolError
from drivers.fri.codec import FriCodec
from drivers.fri.records import Monitoring
from drivers.fri.sequence import Arrival, SequenceWindow
from drivers.fri.udp import PeerSocket
from drivers.fri.wire import SessionState

_MAX_DRAIN = 512
"""Datagrams read in one go: a flood must not keep the cycle from ending."""


class Receiver:
    """Drains the socket and writes what it meets into ``health``."""

    def __init__(self, link: PeerSocket, codec: FriCodec, health: LinkHealth) -> None:
        self._link = link
        self._codec = codec
        self._health = health
        self._window = SequenceWindow()
        self.strange: bytes | None = None
        """The last datagram, if it was of another version family than the cell's."""

    def restart(self) -> None:
        """The session is over: the next one counts anew and may come from another port."""
        self._window.restart()
        self._link.unlock()

    def reject(self, reason: str) -> None:
        """Count a refusal under ``reason``."""
        rejected = self._health.rejected
        rejected[reason] = rejected.get(reason, 0) + 1

    def drain(self) -> list[tuple[Monitoring, int]]:
        """The good frames that are newer than all before, oldest first, each with its number of counts since the one
        before it (0: it is the first of a sender)."""
        frames: list[tuple[Monitoring, int]] = []
        health = self._health
        for _ in range(_MAX_DRAIN):
            datagram = self._link.receive()
            if datagram is None:
                break
            data, sender = datagram
            if self._link.is_foreign(sender):
                self.reject("foreign")
                continue
            try:
                m = self._codec.decode_monitoring(data)
            except ProtocolError as error:
                self.reject(error.reason)
                if error.reason == "version":
                    self.strange = data
                continue
            self.strange = None
            self._link.lock(sender)
            arrival = self._window.judge(m.seq)
            if arrival is Arrival.JUMP:
                self.reject("sequence_jump")
            elif arrival is Arrival.DUPLICATE:
                health.duplicates += 1
            elif arrival is Arrival.REORDERED:
                health.frames += 1
                health.reordered += 1
                health.unanswered += 1
            else:
                health.frames += 1
                frames.append((m, self._window.step))
                if m.session_state == SessionState.IDLE:
                    self.restart()
        health.gaps = self._window.gaps
        return frames

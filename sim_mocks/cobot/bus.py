"""One classic CAN bus: arbitration among the drives, the time that frames take, load, error frames and bus-off.

The supervisor's frames pass in the order in which it sent them, as from an adapter with one queue; against them the
drives' frames compete by identifier. In each tick the bus carries as many bits as the bit rate allows; what does not
fit waits for the next one, and a process data frame that is still waiting is replaced by its successor. A frame is
heard at the time of the tick in which it ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from sim_mocks.cobot.frames import ERROR_BITS, ERROR_FLAG, Frame, bits


class Station(Protocol):
    """What hangs on the bus and is no supervisor."""

    id: int

    @property
    def talkative(self) -> bool:
        """It may have something to send."""
        ...

    def tick(self, t_ns: int) -> None:
        """A tick begins."""
        ...

    def hear(self, frame: Frame, t_ns: int) -> None:
        """A frame of the supervisor is complete on the bus."""
        ...

    def collect(self, t_ns: int) -> list[Frame]:
        """What it wants to send since it was asked last."""
        ...


Tamper = Callable[[Station, str, list[Frame]], list[Frame]]
"""What a node hears (``in``) or says (``out``) of some frames, faults considered."""
_SUPERVISOR_QUEUE = 1000
ERROR_WARNING, ERROR_PASSIVE, BUS_OFF = 96, 128, 256
"""Error counts of ISO 11898-1."""
_ERROR_CLASS_PROTOCOL = 0x08
_ERROR_CLASS_BUS_OFF = 0x40
"""Class bits of an error frame's identifier, as SocketCAN has them (linux/can/error.h)."""


class BusLoad:
    """Bits that the bus has carried, by identifier."""

    def __init__(self, bitrate: int) -> None:
        self.bitrate = bitrate
        self.bits = 0
        self.frames = 0
        self.ticks_ns = 0
        self.peak = 0.0
        """Largest share of one tick that was used."""
        self.by_id: dict[int, int] = {}

    def add(self, can_id: int, length: int) -> None:
        self.bits += length
        self.frames += 1
        self.by_id[can_id] = self.by_id.get(can_id, 0) + length

    @property
    def mean(self) -> float:
        """Share of the time in which the bus was busy."""
        return self.bits * 1e9 / (self.bitrate * self.ticks_ns) if self.ticks_ns else 0.0


class CanBus:
    """The drives' side of the wire. Once per tick: :meth:`exchange`."""

    def __init__(
        self,
        nodes: Sequence[Station],
        bitrate: int,
        limited: bool = True,
        overwritten: range = range(0x180, 0x580),
    ) -> None:
        """``limited``: frames take time; otherwise the bus is only counted. ``overwritten``: identifiers of which
        only the newest frame waits."""
        self._overwritten = overwritten
        self.nodes = list(nodes)
        self.bitrate, self._limited = bitrate, limited
        self.load = BusLoad(bitrate)
        self._up: deque[Frame] = deque()
        self._down: list[Frame] = []
        self.overflow = 0
        """Frames of the supervisor that found its adapter's queue full."""
        self.adapter_errors = 0
        """Transmit error count of the supervisor's adapter."""
        self.adapter_off = False
        """The supervisor's adapter is bus-off: it neither sends nor hears."""
        self.errors_left = 0
        """Frames that a disturbance on the bus is still going to destroy."""
        self._debt = 0
        self.tamper: Tamper | None = None

    def exchange(self, sent: Sequence[Frame], t_ns: int, dt_ns: int) -> list[Frame]:
        """What the supervisor's adapter hears in this tick, having ``sent`` these frames before it."""
        if not self.adapter_off:
            self._up.extend(sent)
            while len(self._up) > _SUPERVISOR_QUEUE:
                self._up.popleft()
                self.overflow += 1
        tamper = self.tamper
        for node in self.nodes:
            node.tick(t_ns)
            if tamper is not None:
                self._queue(tamper(node, "out", node.collect(t_ns)))
                for late in tamper(node, "in", []):
                    node.hear(late, t_ns)
            elif node.talkative:
                self._queue(node.collect(t_ns))
        load = self.load
        load.ticks_ns += dt_ns
        budget = dt_ns * self.bitrate // 1_000_000_000 if self._limited else 1 << 60
        whole = budget
        budget -= self._debt
        heard: list[Frame] = []
        down, up = self._down, self._up
        while (down or up) and budget > 0:
            ours = bool(up) and (not down or up[0][0] <= down[0][0])
            frame = up.popleft() if ours else down.pop(0)
            length = bits(frame)
            if self.errors_left:
                self.errors_left -= 1
                budget -= ERROR_BITS + length // 2
                load.add(ERROR_FLAG, ERROR_BITS + length // 2)
                self._destroyed(frame, ours, heard)
                continue
            budget -= length
            load.add(frame[0], length)
            if ours:
                self.adapter_errors = max(0, self.adapter_errors - 1)
                for node in self.nodes:
                    if tamper is None:
                        node.hear(frame, t_ns)
                    else:
                        for real in tamper(node, "in", [frame]):
                            node.hear(real, t_ns)
                    if node.talkative:
                        said = node.collect(t_ns)
                        self._queue(said if tamper is None else tamper(node, "out", said))
            elif not self.adapter_off:
                heard.append(frame)
        # the frame that crosses the end of the tick takes its remaining bits from the next one
        self._debt = max(0, -budget) if self._limited else 0
        load.peak = max(load.peak, (whole - max(budget, 0)) / whole)
        return heard

    def set_adapter_off(self, off: bool) -> list[Frame]:
        """The supervisor's adapter goes bus-off or recovers; the error frames it shows of that."""
        changed, self.adapter_off = off != self.adapter_off, off
        if off:
            self._up.clear()
            self.adapter_errors = BUS_OFF
            return [(ERROR_FLAG | _ERROR_CLASS_BUS_OFF, bytes(8))] if changed else []
        self.adapter_errors = 0
        return []

    def _destroyed(self, frame: Frame, ours: bool, heard: list[Frame]) -> None:
        """An error frame ends ``frame``, which its sender repeats."""
        if ours:
            self._up.appendleft(frame)
            self.adapter_errors += 8
        else:
            self._down.insert(0, frame)
        if self.adapter_off:
            return
        heard.append((ERROR_FLAG | _ERROR_CLASS_PROTOCOL, bytes(8)))
        if self.adapter_errors >= BUS_OFF:
            heard += self.set_adapter_off(True)

    def _queue(self, frames: Sequence[Frame]) -> None:
        """Put frames of the drives in order of priority; process data overwrites what has not been sent yet."""
        if not frames:
            return
        down = self._down
        waiting = {frame[0]: k for k, frame in enumerate(down) if frame[0] in self._overwritten}
        for frame in frames:
            k = waiting.pop(frame[0], -1)
            if k < 0:
                down.append(frame)
            else:
                down[k] = frame
        down.sort(key=_identifier)


def _identifier(frame: Frame) -> int:
    return frame[0]

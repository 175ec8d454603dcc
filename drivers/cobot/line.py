"""All CAN channels of one arm, in one thread: whoever waits also receives.

``canopen`` expects a thread that feeds its network. Here its network is fed while a request waits for its answer (in
bring-up and shut-down) or by the cycle (in operation), so that there is one receive loop at any time, nothing to lock,
and in lockstep each wait is one tick of the mock, as repeatable as everything else.
"""

from __future__ import annotations

import logging
import select
from collections.abc import Callable, Mapping, Sequence

import canopen

from drivers.can.bus import DATA, Bus, Frame, Outgoing
from drivers.can.log import FrameLog
from drivers.can.opening import open_bus
from drivers.cobot.codes import OPERATIONAL
from drivers.cobot.config import CobotConfig
from drivers.cobot.pdo import HEARTBEAT_BASE
from drivers.contract import Ticks
from drivers.errors import ConnectError

# What canopen would log is told in words by whoever asked; without a handler it lands on the terminal.
logging.getLogger("canopen").addHandler(logging.NullHandler())
SUPERVISOR_NODE = 127
"""Node id under which the driver produces its heartbeat."""
SDO_TIMEOUT_NS = 500_000_000
_SDO_REQUEST, _SDO_ABORT = 0x600, 0x80


class Line:
    """The open channels of an arm. ``channel_of``: channel of each node, by node id."""

    def __init__(
        self,
        buses: Sequence[Bus],
        channel_of: Mapping[int, int],
        ticks: Ticks,
        heartbeat_ns: int,
        log: FrameLog | None = None,
        idle_fd: int = -1,
    ) -> None:
        """``heartbeat_ns``: period of our heartbeat once ``beating`` is set. ``idle_fd``: never readable, for waiting
        where a channel is lost and would be readable for ever."""
        self.buses = list(buses)
        self.channel_of = dict(channel_of)
        self.network = FedNetwork(self)
        self.listener: Callable[[int, Frame, int], None] = lambda channel, frame, now: None
        """Is told every frame that goes to the network: channel, frame, time (ns)."""
        self._ticks = ticks
        self._beat = [(HEARTBEAT_BASE + SUPERVISOR_NODE, bytes([OPERATIONAL]))]
        self._beat_ns = heartbeat_ns
        self._next_beat_ns = -1
        self.beating = False
        """Our heartbeat is produced."""
        self.unreadable = 0
        """Frames that ``canopen`` could not read."""
        self.beats = 0
        """Heartbeats that every channel took."""
        self._log = log
        self._idle_fd = idle_fd
        self._epoll: select.epoll | None = None
        if len(self.buses) > 1:
            self._epoll = select.epoll()
            for bus in self.buses:
                self._epoll.register(bus.fileno(), select.EPOLLIN)
        self.poll_ns = min(bus.poll_ns for bus in self.buses)
        self.frames: list[Frame] = []
        self._scratch: list[Frame] = []

    @property
    def fd(self) -> int:
        """What becomes readable when a frame arrives on any channel."""
        if any(bus.lost for bus in self.buses):
            return self._idle_fd
        return self.buses[0].fileno() if self._epoll is None else self._epoll.fileno()

    def send(self, channel: int, frames: Sequence[Outgoing]) -> bool:
        """Hand frames to one channel."""
        if self._log is not None:
            self._log.sent(self._ticks.now_ns(), channel, frames)
        return self.buses[channel].send(frames)

    def beat(self, now_ns: int) -> None:
        """Produce our heartbeat on every channel if it is due."""
        if not self.beating or now_ns < self._next_beat_ns:
            return
        late = self._next_beat_ns < 0 or now_ns > self._next_beat_ns + self._beat_ns
        self._next_beat_ns = (now_ns if late else self._next_beat_ns) + self._beat_ns
        taken = True
        for channel in range(len(self.buses)):
            taken &= self.send(channel, self._beat)
        self.beats += taken

    def drain(self, channel: int, frames: list[Frame]) -> None:
        """Append all that has arrived on one channel."""
        if self._log is None:
            self.buses[channel].drain(frames)
            return
        before = len(frames)
        self.buses[channel].drain(frames)
        if len(frames) > before:
            self._log.received(self._ticks.now_ns(), channel, frames, before)

    def hand_on(self, channel: int, frames: Sequence[Frame], now_ns: int) -> None:
        """Give frames that are no process data to the listener and to ``canopen``."""
        for frame in frames:
            self.listener(channel, frame, now_ns)
            can_id, data, kind = frame
            # A node's services live on its own channel; the same identifier elsewhere is somebody else's.
            if kind == DATA and self.channel_of.get(can_id & 0x7F, channel) == channel:
                try:
                    self.network.notify(can_id, bytearray(data), now_ns * 1e-9)
                except Exception:  # canopen unpacks without looking at the length
                    self.unreadable += 1

    def pump(self, until: Callable[[], bool], timeout_ns: int) -> bool:
        """Receive until ``until()`` holds, ``timeout_ns`` at most; whether it held. For bring-up and shut-down."""
        ticks = self._ticks
        deadline = ticks.now_ns() + timeout_ns
        scratch = self._scratch
        while True:
            now = ticks.now_ns()
            for channel in range(len(self.buses)):
                scratch.clear()
                self.drain(channel, scratch)
                self.hand_on(channel, scratch, now)
            if until():
                return True
            if now >= deadline or all(bus.lost for bus in self.buses):
                return False
            self.beat(now)
            wait = min(deadline - now, self.poll_ns)
            if self.beating:
                wait = min(wait, max(0, self._next_beat_ns - now))
            ticks.wait(self.fd, wait)

    def pause(self, timeout_ns: int) -> None:
        """Receive for so long."""
        self.pump(lambda: False, timeout_ns)

    def close(self) -> None:
        """Close every channel; legal more than once."""
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None
        for bus in self.buses:
            bus.close()


def open_line(config: CobotConfig, ticks: Ticks, log: FrameLog | None, idle_fd: int) -> Line:
    """Open every channel of ``config``, all or none. Raises ConnectError, for a planned load that is too high as
    well."""
    for load in config.loads():
        if load.refused:
            raise ConnectError(f"the planned load of the bus is too high: {load.refused}")
    buses: list[Bus] = []
    try:
        for bus in config.buses:
            buses.append(open_bus(bus))
    except ConnectError:
        for opened in buses:
            opened.close()
        raise
    return Line(buses, config.channel_of, ticks, config.our_heartbeat_ms * 1_000_000, log, idle_fd)


class FedNetwork(canopen.Network):
    """A ``canopen`` network on a :class:`Line`: no notifier, no thread; a request feeds the answer to itself."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    def send_message(self, can_id: int, data: bytes, remote: bool = False) -> None:
        """Send one frame; after an SDO request, receive until the node has answered or its time is over."""
        line = self._line
        payload = bytes(data)
        node = payload[1] if can_id == 0 and len(payload) == 2 else can_id & 0x7F
        channels = range(len(line.buses)) if node not in line.channel_of else (line.channel_of[node],)
        for channel in channels:
            line.send(channel, [(can_id, payload)])
        if can_id & ~0x7F == _SDO_REQUEST and payload[:1] != bytes([_SDO_ABORT]):
            server = self.nodes.get(node)
            if isinstance(server, canopen.RemoteNode):
                responses = server.sdo.responses
                line.pump(lambda: not responses.empty(), SDO_TIMEOUT_NS)
                for channel in channels:
                    bus = line.buses[channel]
                    if bus.lost:
                        raise ConnectError(f"{bus.name}: {bus.lost}; plug the adapter in, then connect again")

"""The open CAN channel of an arm: frames out, sets of feedback in, everything into the log."""

from __future__ import annotations

from drivers.can.bus import Bus, Frame
from drivers.can.log import FrameLog
from drivers.contract import Ticks
from drivers.errors import ConnectError
from drivers.piper import codec
from drivers.piper.config import PERIOD
from drivers.piper.feedback import Feedback

PERIOD_NS = round(1e9 * PERIOD)
OPEN_NS = 2_000_000_000
"""How long the arm may take to tell its firmware and posture."""
_ASK_NS = 200_000_000


class Link:
    """One channel with one arm; ``idle_fd`` never becomes readable, for waiting where the adapter is gone."""

    def __init__(self, bus: Bus, ticks: Ticks, log: FrameLog | None, idle_fd: int) -> None:
        self.bus = bus
        self.heard = Feedback()
        self.refused = 0
        """Times that the adapter did not take all frames."""
        self._ticks, self._log, self._idle_fd = ticks, log, idle_fd
        self._scratch: list[Frame] = []

    def send(self, frames: list[codec.Outgoing]) -> bool:
        """Hand frames over; False, counted, if not all were taken."""
        if not frames:
            return True
        if self._log is not None:
            self._log.sent(self._ticks.now_ns(), 0, frames)
        taken = self.bus.send(frames)
        self.refused += not taken
        return taken

    def receive(self, now_ns: int) -> bool:
        """Read what has arrived; True when a set of feedback became complete."""
        frames = self._scratch
        frames.clear()
        self.bus.drain(frames)
        if not frames:
            return False
        if self._log is not None:
            self._log.received(now_ns, 0, frames)
        return self.heard.take(frames, now_ns)

    def await_set(self, since_ns: int) -> bool:
        """Wait until a set is complete, one and a half periods after ``since_ns`` at most; whether it is."""
        ticks, bus = self._ticks, self.bus
        deadline = since_ns + PERIOD_NS + PERIOD_NS // 2
        now = ticks.now_ns()
        while not self.receive(now):
            if bus.lost:
                ticks.wait(self._idle_fd, PERIOD_NS)
                return False
            if now >= deadline:
                return False
            before = now
            ticks.wait(bus.fileno(), min(deadline - now, bus.poll_ns))
            now = ticks.now_ns()
            if now - before >= PERIOD_NS:
                # A whole tick has passed in one wait: in lockstep that was it, whatever it brought.
                return self.receive(now)
        return True

    def identify(self) -> str:
        """Ask for the firmware, and wait until all that the arm says has been heard once; its version. Raises
        ConnectError."""
        heard, bus, ticks = self.heard, self.bus, self._ticks
        now = ask = ticks.now_ns()
        deadline = now + OPEN_NS
        while True:
            self.receive(now)
            version = codec.firmware_in(heard.text)
            complete = version is not None and heard.set_ns >= 0 and None not in heard.drivers
            if complete or now >= deadline or bus.lost:
                break
            if now >= ask and version is None:
                self.send([codec.encode_firmware_query()])
                ask += _ASK_NS
            ticks.wait(bus.fileno(), min(deadline - now, bus.poll_ns, PERIOD_NS))
            now = ticks.now_ns()
        if heard.set_ns < 0 or None in heard.drivers:
            raise ConnectError(
                f"CAN {bus.name}: no feedback of a PiPER-type arm within {OPEN_NS * 1e-9:g} s ({heard.frames} "
                "frames); check its supply, the cable and 1 Mbit/s; an arm that was made a master is silent"
            )
        if version is None:
            raise ConnectError(f"CAN {bus.name}: the arm does not state its firmware; expected an answer on 0x4AF")
        return version

    def flush(self, now_ns: int) -> None:
        """Let the log write, once in each cycle."""
        if self._log is not None:
            self._log.flush(now_ns)

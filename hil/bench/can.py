"""What the cobot's process data cost: the packed way beside ``canopen``'s PDO objects, and slcan's fast path beside
python-can's.

Each pair does the same work: six commands packed and handed to a bus that goes nowhere, SYNC, six answers taken in and
every value read. The two of a pair take turns, at least ten times, so that what the machine does meanwhile hits both.
"""

from __future__ import annotations

import itertools
import os
import pty
import time
import tty
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import can
import canopen
import numpy as np

from drivers.can.bus import DATA, Frame, Outgoing
from drivers.can.slcan import SlcanBus
from drivers.cobot.config import mock_eds
from drivers.cobot.objects import load_eds
from drivers.cobot.pdo import COMMAND, FEEDBACK, SYNC_ID, TPDO1, ProcessData

PDO_AIM, SLCAN_AIM = 8.0, 20.0
"""Aims for how many times cheaper ours is."""
TURNS, CYCLES, SLCAN_CYCLES = 12, 400, 60
_NODES = range(1, 7)
_ANSWER = bytes.fromhex("10270000e8033706")
_RESAMPLES = 2000


@dataclass(frozen=True)
class Pair:
    """CPU time of a cycle, µs, ours and theirs, turn by turn."""

    name: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    aim: float

    @property
    def ratio(self) -> float:
        """How many times cheaper ours is: median of the ratios of a turn."""
        return float(np.median(np.array(self.theirs) / np.array(self.ours)))

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the ratio, by bootstrap over the turns."""
        ratios = np.array(self.theirs) / np.array(self.ours)
        drawn = np.random.default_rng(0).choice(ratios, (_RESAMPLES, ratios.size))
        low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
        return float(low), float(high)


def bench_can(turns: int = TURNS) -> list[Pair]:
    """Both pairs. Raises OSError where there is no pseudo-terminal."""
    return [pdo_pair(turns), slcan_pair(turns)]


def pdo_pair(turns: int = TURNS, cycles: int = CYCLES) -> Pair:
    """The process data of a cycle, without a transport."""
    return _pair("process data of a cycle, packed / canopen", _packed(), _canopen(), turns, cycles, PDO_AIM)


def slcan_pair(turns: int = TURNS, cycles: int = SLCAN_CYCLES) -> Pair:
    """Thirteen frames over a pseudo-terminal, both ways; the far end writes what both read."""
    ours, theirs = _Terminal(), _Terminal()
    fast, slow = SlcanBus(ours.path), can.Bus(interface="slcan", channel=theirs.path, sleep_after_open=0.0)
    try:
        return _pair(
            "thirteen frames over slcan, ours / python-can",
            _fast_slcan(fast, ours),
            _slow_slcan(slow, theirs),
            turns,
            cycles,
            SLCAN_AIM,
        )
    finally:
        fast.close()
        slow.shutdown()
        ours.close()
        theirs.close()


def _pair(
    name: str, ours: Callable[[], float], theirs: Callable[[], float], turns: int, cycles: int, aim: float
) -> Pair:
    spent: tuple[list[float], list[float]] = ([], [])
    for work in (ours, theirs):
        work()
    for _ in range(turns):
        for kept, work in zip(spent, (ours, theirs), strict=True):
            kept.append(sum(work() for _ in range(cycles)) / cycles * 1e6)
    return Pair(name, tuple(spent[0]), tuple(spent[1]), aim)


class _Nowhere:
    """A bus of python-can's kind that takes everything and gives nothing."""

    def send(self, message: can.Message, timeout: float | None = None) -> None:
        self.last = message


def _packed() -> Callable[[], float]:
    data = ProcessData(list(_NODES))
    bus = _Nowhere()
    messages = {
        can_id: can.Message(arbitration_id=can_id, data=payload, is_extended_id=False)
        for can_id, payload in [*data.commands, (SYNC_ID, b"")]
    }
    frames: list[Frame] = [(TPDO1 + node, _ANSWER, DATA) for node in _NODES]
    words, targets, rest = [0x0F] * 6, [100] * 6, []  # type: list[int], list[int], list[Frame]
    sync = messages[SYNC_ID]

    def cycle() -> float:
        begin = time.process_time()
        data.command(words, targets)
        for can_id, payload in data.commands:
            message = messages[can_id]
            message.data[:] = payload
            bus.send(message)
        data.expect()
        bus.send(sync)
        data.take(frames, rest)
        return time.process_time() - begin

    return cycle


def _canopen() -> Callable[[], float]:
    network = canopen.Network()
    network.bus = _Nowhere()  # type: ignore[assignment]
    commands, feedbacks = [], []
    for node in _NODES:
        remote = canopen.RemoteNode(node, load_eds(mock_eds(), node))
        network[node] = remote
        for pdo, layout in ((remote.rpdo[1], COMMAND), (remote.tpdo[1], FEEDBACK)):
            pdo.clear()
            for obj in layout.objects:
                pdo.add_variable(obj.index, obj.sub)
            pdo.cob_id, pdo.enabled = layout.base + node, True
        network.subscribe(TPDO1 + node, remote.tpdo[1].on_message)
        commands.append((remote.rpdo[1], *remote.rpdo[1].map))
        feedbacks.append(tuple(remote.tpdo[1].map))
    answers = [(TPDO1 + node, bytearray(_ANSWER)) for node in _NODES]
    stamp = itertools.count(0.0, 0.002)

    def cycle() -> float:
        now = next(stamp)
        begin = time.process_time()
        for pdo, word, target in commands:
            word.raw = 0x0F
            target.raw = 100
            pdo.transmit()
        network.send_message(SYNC_ID, b"")
        for can_id, payload in answers:
            network.notify(can_id, payload, now)
        for position, torque, status in feedbacks:
            _ = position.raw, torque.raw, status.raw
        return time.process_time() - begin

    return cycle


class _Terminal:
    """Far end of a serial line."""

    def __init__(self) -> None:
        self.master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        self.path = os.ttyname(self._slave)

    def empty(self) -> None:
        """Drop what was written to the line."""
        try:
            while os.read(self.master, 65536):
                pass
        except BlockingIOError:
            return

    def answer(self) -> None:
        """Six answers, and a seventh frame for a round thirteen with the six commands."""
        text = b"".join(b"t%03X8%s\r" % (TPDO1 + node, _ANSWER.hex().upper().encode()) for node in _NODES)
        os.write(self.master, text)

    def close(self) -> None:
        for fd in (self.master, self._slave):
            os.close(fd)


_OUT: list[Outgoing] = [*((0x200 + node, b"\x0f\0d\0") for node in _NODES), (SYNC_ID, b"")]


def _fast_slcan(bus: SlcanBus, far: _Terminal) -> Callable[[], float]:
    frames: list[Frame] = []

    def cycle() -> float:
        far.answer()
        begin = time.process_time()
        bus.send(_OUT)
        frames.clear()
        bus.drain(frames)
        spent = time.process_time() - begin
        _check(len(frames))
        far.empty()
        return spent

    return cycle


def _slow_slcan(bus: Any, far: _Terminal) -> Callable[[], float]:
    def cycle() -> float:
        far.answer()
        begin = time.process_time()
        for can_id, data in _OUT:
            bus.send(can.Message(arbitration_id=can_id, data=data, is_extended_id=False))
        received = 0
        while received < len(_NODES) and bus.recv(0.1) is not None:
            received += 1
        spent = time.process_time() - begin
        _check(received)
        far.empty()
        return spent

    return cycle


def _check(received: int) -> None:
    if received != len(_NODES):
        raise OSError(f"{received} of {len(_NODES)} frames came over the pseudo-terminal")


def render(pairs: Sequence[Pair]) -> str:
    """The figures as text."""
    lines = [f"{'CPU time of a cycle, µs (median)':48}{'ours':>9}{'theirs':>9}{'ratio':>8}   95 %          aim"]
    for pair in pairs:
        low, high = pair.interval
        lines.append(
            f"{pair.name:48}{np.median(pair.ours):9.1f}{np.median(pair.theirs):9.1f}{pair.ratio:8.1f}"
            f"   {low:5.1f} … {high:5.1f}  {pair.aim:4.0f} {'reached' if pair.ratio >= pair.aim else 'missed'}"
        )
    return "\n".join(lines)

"""Rows of the telemetry as they come: the newest one, and how long the cycles took."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt
import zmq

from hil.monitor.frame import CycleTimes
from hil.telemetry.channel import HEADER, ROW
from hil.telemetry.row import row_layout

WINDOW = 10_000
"""Cycles that the quantiles are of: ten seconds at 1 kHz."""
_RATE_OVER = 2.0
_SUMMARY_EVERY = 500
_JOINTS_MAX = 15
_QUEUE = 1000
"""Rows that may wait here before ZeroMQ drops others, at the publisher and without a word to it: a second."""
_DRAIN_MAX = 20_000
"""Rows of one look, so that a cell that runs faster than we read does not keep us reading."""


def _with_header(n: int) -> np.dtype[Any]:
    """A whole message as a structured type."""
    row = row_layout(n).dtype
    fields = row.fields
    assert fields is not None
    names = list(row.names or ())
    offsets = [fields[name][1] + HEADER.size for name in names]
    size = row.itemsize + HEADER.size
    return np.dtype({"names": names, "formats": [fields[k][0] for k in names], "offsets": offsets, "itemsize": size})


_BY_SIZE = {dtype.itemsize: dtype for dtype in map(_with_header, range(1, _JOINTS_MAX + 1))}


class Rows:
    """A plain subscriber of a cell's rows; it reads what has come and waits for nothing.

    The cycle does not wait for it either: a publisher drops what a slow subscriber does not take.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        self.newest: np.void | None = None
        """The newest row, one value of :func:`hil.telemetry.row.row_dtype`; None before the first."""
        self.foreign = 0
        """Messages that are no row of ours: the cell is of another version."""
        self.timing = Timing()
        self._socket = context.socket(zmq.SUB)
        self._socket.linger = 0
        self._socket.rcvhwm = _QUEUE
        self._socket.subscribe(ROW)
        self._socket.connect(endpoint)

    def drain(self) -> int:
        """Take in everything that has come; how many rows that were."""
        messages: list[bytes] = []
        try:
            while len(messages) < _DRAIN_MAX:
                messages.append(self._socket.recv(zmq.DONTWAIT))
        except zmq.Again:
            pass
        if not messages:
            return 0
        size = len(messages[-1])
        dtype = _BY_SIZE.get(size)
        good = [] if dtype is None else [message for message in messages if len(message) == size]
        self.foreign += len(messages) - len(good)
        if dtype is None:
            return 0
        rows = np.frombuffer(b"".join(good), dtype=dtype)
        self.newest = rows[-1]
        self.timing.add(rows["tick"], rows["t_ns"], rows["wall_wake_ns"], rows["wall_cycle_ns"])
        return len(rows)

    def close(self) -> None:
        self._socket.close()


class Timing:
    """Durations of the newest cycles."""

    def __init__(self, window: int = WINDOW) -> None:
        self._durations = np.zeros(window, dtype=np.int64)
        self._filled = 0
        self._at = 0
        self._last_tick = -1
        self._period_ns = float("nan")
        self._marks: deque[tuple[int, int]] = deque()
        self._missed = self._seen = self._unseen = 0
        self._told = CycleTimes()

    def add(
        self,
        tick: npt.NDArray[np.int64],
        t_ns: npt.NDArray[np.int64],
        woke_ns: npt.NDArray[np.int64],
        took_ns: npt.NDArray[np.int64],
    ) -> None:
        """Rows in the order in which they came, at least one; (k,) each."""
        ticks, spans = np.diff(tick), np.diff(t_ns)
        steady = ticks > 0
        if steady.any():
            self._period_ns = float(np.median(spans[steady] / ticks[steady]))
        if self._last_tick >= 0:
            self._unseen += max(0, int(tick[0]) - self._last_tick - 1)
        self._unseen += int((ticks[steady] - 1).sum())
        self._last_tick = int(tick[-1])
        self._seen += len(tick)
        # 0 is the blank row's value: nothing was measured in that cycle.
        took = took_ns[took_ns > 0]
        self._missed += int((took > self._period_ns).sum())  # with a period not known yet (NaN) none is late
        self._keep(took)
        self._marks.append((int(woke_ns[-1]), int(tick[-1])))
        while self._marks[-1][0] - self._marks[0][0] > _RATE_OVER * 1e9 and len(self._marks) > 2:
            self._marks.popleft()

    def _keep(self, took: npt.NDArray[np.int64]) -> None:
        size = len(self._durations)
        took = took[-size:]
        places = (self._at + np.arange(len(took))) % size
        self._durations[places] = took
        self._at = (self._at + len(took)) % size
        self._filled = min(size, self._filled + len(took))

    def summary(self) -> CycleTimes:
        """Quantiles of the newest cycles, counts of all; made anew once for every 500 cycles or so."""
        if self._seen - self._told.seen >= _SUMMARY_EVERY or not self._told.count:
            self._told = self._summary()
        return self._told

    def _summary(self) -> CycleTimes:
        counts = {"missed": self._missed, "seen": self._seen, "unseen": self._unseen}
        period = self._period_ns * 1e-9
        if not self._filled:
            return CycleTimes(period=period, **counts)
        kept = self._durations[: self._filled]
        p50, p99, most = (np.quantile(kept, (0.5, 0.99, 1.0)) * 1e-9).tolist()
        (begin, first), (end, last) = self._marks[0], self._marks[-1]
        rate = (last - first) / ((end - begin) * 1e-9) if end > begin else float("nan")
        return CycleTimes(self._filled, p50, p99, most, period, rate, **counts)

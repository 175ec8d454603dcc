"""Measures each stop while it happens, and says at its end what the arm did: one event, a few numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from drivers.contract import Array
from hil.cycle import CycleView, Decision, RowWriter
from hil.explain.stops import STANDSTILL_SPEED


class StopMeter:
    """A :class:`hil.cycle.RowWriter` that passes everything on to ``inner``, and the event ``stopped`` after a stop.

    A cycle without a stop costs it one comparison.
    """

    def __init__(self, inner: RowWriter) -> None:
        self._inner = inner
        self._from: Array | None = None
        self._farthest: Array = np.zeros(0)
        self._begun = self._moved = 0
        self._category = -1

    def begin(self, tick: int, t_ns: int) -> None:
        self._inner.begin(tick, t_ns)

    def event(self, kind: str, text: str, **data: Any) -> None:
        self._inner.event(kind, text, **data)

    def write(self, cycle: CycleView, decision: Decision, woke: int, read_ns: int, write_ns: int) -> None:
        self._inner.write(cycle, decision, woke, read_ns, write_ns)
        category = cycle.stop_category
        if category >= 0 or self._category >= 0:
            self._measure(cycle, category)

    def _measure(self, cycle: CycleView, category: int) -> None:
        sample = cycle.sample
        assert sample is not None
        if self._category < 0:
            self._begun = self._moved = sample.t_ns
            self._from = None
        if sample.valid and np.isfinite(sample.q).all():
            if self._from is None:
                self._from, self._farthest = sample.q.copy(), np.zeros(len(sample.q))
            np.maximum(self._farthest, np.abs(sample.q - self._from), out=self._farthest)
            if not np.abs(sample.qd).max() <= STANDSTILL_SPEED:
                self._moved = sample.t_ns
        else:
            self._moved = sample.t_ns
        before, self._category = self._category, category
        if category < 0:
            self._tell(before)

    def _tell(self, category: int) -> None:
        seconds = (self._moved - self._begun) * 1e-9
        if self._from is None:
            text = f"stop of category {category}: the arm was not seen, its state was not valid"
            self._inner.event("stopped", text, category=category, time=math.nan, distance=[])
            return
        joint = int(self._farthest.argmax())
        text = f"stop of category {category}: the arm moved for {seconds:.3f} s more, farthest A{joint + 1} by "
        text += f"{math.degrees(self._farthest[joint]):.2f}°"
        self._inner.event("stopped", text, category=category, time=seconds, distance=self._farthest.tolist())

"""Which stage of the cycle takes how long, measured from outside: the cycle itself knows nothing of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from hil.parts import Parts

STAGES = (
    "read and decode",
    "wrench sensor",
    "model and observer",
    "monitor",
    "controller",
    "saturation and gate",
    "write",
    "telemetry",
    "the rest",
)
"""In the order of the cycle; the rest is the state machine and the bookkeeping between the stages."""


class StageClock:
    """Puts a clock before and after each stage of ``parts`` and keeps what ``cycles`` cycles took.

    A stage costs half a microsecond more than without its clock, which counts as part of the rest.
    """

    def __init__(self, parts: Parts, cycles: int) -> None:
        self._spent = dict.fromkeys(STAGES, 0)
        self._rows: npt.NDArray[np.int64] = np.zeros((cycles, len(STAGES)), dtype=np.int64)
        self._used = 0
        observer = "model and observer"
        self.watch("wrench sensor", parts.sensor, "poll")
        self.watch(observer, parts.model, "update")
        self.watch(observer, parts.observer, "step")
        self.watch(observer, parts, "contact")
        self.watch(observer, parts.wrist, "contact")
        self.watch("monitor", parts.monitor, "check")
        for controller in parts.controllers.values():
            self.watch("controller", controller, "torque")
        self.watch("saturation and gate", parts.saturation, "apply")
        self.watch("saturation and gate", parts.gate, "judge")
        self.watch("write", parts.arm, "command")

    def close(self, *, read: int, telemetry: int, total: int) -> None:
        """The cycle is over; what it took from awake to read, for its telemetry, and in all, ns."""
        spent = self._spent
        spent["read and decode"], spent["telemetry"] = read, telemetry
        spent["the rest"] = total - sum(spent.values())
        if self._used < len(self._rows):
            self._rows[self._used] = tuple(spent.values())
            self._used += 1
        self.discard()

    def discard(self) -> None:
        """The cycle is over and does not count."""
        self._spent.update(dict.fromkeys(STAGES, 0))

    def durations(self) -> dict[str, npt.NDArray[np.int64]]:
        """By stage, ns, (cycles,)."""
        return {name: self._rows[: self._used, k] for k, name in enumerate(STAGES)}

    def watch(self, stage: str, owner: Any, name: str) -> None:
        """Count the calls of ``owner.name`` to ``stage``; nothing happens for an ``owner`` that is None."""
        if owner is None:
            return
        inner: Callable[..., Any] = getattr(owner, name)
        spent, now = self._spent, time.perf_counter_ns

        def timed(*args: Any, **kwargs: Any) -> Any:
            begin = now()
            result = inner(*args, **kwargs)
            spent[stage] += now() - begin
            return result

        setattr(owner, name, timed)

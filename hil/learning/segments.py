"""Pieces of recorded runs from which residual torque can be learnt: under command, moving freely, without gaps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from drivers.contract import ArmState
from hil.telemetry.log import Log

Array = npt.NDArray[np.float64]

FREE_FORCE = 3.0
"""Force at the sensor, N, above which something touches the tool."""
AROUND = 0.25
"""Time around a contact that is left out too, s."""
SHORTEST = 2.0
"""Pieces shorter than this are left out, s: filters need their time."""
SETTLE = 0.3
"""Beginning of each piece that is left out, s: torque is being taken over from the brakes."""
LEAD = 10.0
"""How far back, s, a model with memory is told how the joints came to be where a piece begins."""


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """One piece: ``q`` rad, ``qd`` rad/s, ``tau`` N·m, each (m, n), every ``dt`` s; ``name`` says where it is from."""

    name: str
    q: Array
    qd: Array
    tau: Array
    dt: float
    before: tuple[Array, Array, Array] | None = None
    """q, qd, tau (k, n) of the samples right before the piece, whatever happened then; None: nothing is known."""
    tau_cmd: Array | None = None
    """Torque that we commanded, N·m (m, n); None: not known."""
    g: Array | None = None
    """Gravity torque of our model, N·m (m, n); None: not known."""
    acting: Array | None = None
    """Command that acted when the sample was taken, N·m (m, n), NaN where it was not certain; None: not known."""

    @property
    def seconds(self) -> float:
        return len(self.q) * self.dt

    @property
    def lead(self) -> int:
        """Samples before the piece."""
        return 0 if self.before is None else len(self.before[0])

    def with_lead(self) -> tuple[Array, Array, Array]:
        """q, qd, tau of what came before and of the piece, (k + m, n) each: for models with memory."""
        if self.before is None:
            return self.q, self.qd, self.tau
        q, qd, tau = (
            np.concatenate(pair) for pair in zip(self.before, (self.q, self.qd, self.tau), strict=True)
        )
        return q, qd, tau


def segments_of(log: Log) -> list[Segment]:
    """The usable pieces of one log, in order; a new one begins with each motion, too: pieces are trajectories."""
    rows = log.cycle
    if len(rows) < 2:
        return []
    dt = float(np.median(np.diff(rows["t_ns"]))) * 1e-9
    good = (rows["arm_state"] == int(ArmState.COMMANDED)) & (rows["arm_fresh"] == 1) & (rows["arm_valid"] == 1)
    # The brakes are open and the torque is ours only where one was sent.
    good &= np.isfinite(rows["tau_cmd"]).all(axis=1)
    known = (rows["arm_fresh"] == 1) & (rows["arm_valid"] == 1)
    for name in ("q", "qd", "tau"):
        known &= np.isfinite(rows[name]).all(axis=1)
    good &= known
    good &= ~touched(rows["wrench_ft"], dt)
    steady = np.abs(np.diff(rows["t_ns"]) * 1e-9 - dt) < 0.1 * dt
    # Where the samples that hang together without a gap begin, for each row.
    breaks = np.flatnonzero(np.concatenate(([True], ~steady)) | ~known)
    begins = np.flatnonzero(~steady) + 1
    motions = _motion_rows(log)
    cuts = np.unique(np.concatenate(([0, len(rows)], begins, motions))).astype(int)
    found = []
    for first, last in itertools.pairwise(cuts):
        for a, b in runs(good[first:last]):
            start, end = first + a + round(SETTLE / dt), first + b
            if (end - start) * dt >= SHORTEST:
                name = f"{log.path.name}, {(start * dt):.1f} to {(end * dt):.1f} s"
                last_break = int(breaks[np.searchsorted(breaks, start, side="right") - 1])
                unknown = not known[last_break]
                earlier = slice(max(last_break + unknown, start - round(LEAD / dt)), start)
                keys = ("tau_cmd", "g", "tau_accepted_lo", "tau_accepted_hi")
                *own, low, high = (np.array(rows[key][start:end], dtype=np.float64) for key in keys)
                own.append(0.5 * (low + high))
                found.append(Segment(name, *_signals(rows[start:end]), dt, _signals(rows[earlier]), *own))
    return found


def split(segments: Sequence[Segment], held_out: float = 0.25) -> tuple[list[Segment], list[Segment]]:
    """Whole pieces for training and for judging, about ``held_out`` of the time for the latter.

    Every fourth or so, beginning with the second, so that both see all kinds of motion.
    """
    train: list[Segment] = []
    judge: list[Segment] = []
    for segment in segments:
        seen = sum(each.seconds for each in train)
        kept = sum(each.seconds for each in judge)
        share = (kept + segment.seconds) / (seen + kept + segment.seconds)
        (judge if train and share <= 1.5 * held_out else train).append(segment)
    return train, judge


def _signals(part: npt.NDArray[np.void]) -> tuple[Array, Array, Array]:
    q, qd, tau = (np.array(part[key], dtype=np.float64) for key in ("q", "qd", "tau"))
    return q, qd, tau


def touched(wrench: Array, dt: float) -> npt.NDArray[np.bool_]:
    """Rows near which the sensor felt a contact; nowhere in a cell without a sensor."""
    force = np.linalg.norm(wrench[:, :3], axis=1)
    touched = np.nan_to_num(force) > FREE_FORCE
    reach = max(1, round(AROUND / dt))
    # Not mode="same": that is as long as the kernel where a run is shorter, e.g. one whose log was cut.
    near: npt.NDArray[np.bool_] = np.convolve(touched, np.ones(2 * reach + 1))[reach : reach + len(touched)] > 0.5
    return near


def _motion_rows(log: Log) -> Array:
    """Rows at which a motion begins."""
    ticks = [event.tick for event in log.events if event.kind == "motion"]
    rows: Array = np.searchsorted(log.cycle["tick"], ticks).astype(np.float64)
    return rows


def runs(good: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Stretches of True as (first, last + 1)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], good.astype(np.int8), [0]))))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]

"""Several motions of one kind, one after the other."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence as SequenceOf
from itertools import accumulate

from drivers.contract import Array
from hil.motion.base import GrippingMotion, JointReference, Kind, Motion, MotionError, Reference, not_started


class Sequence:
    """Runs ``motions`` in turn; each starts from the reference pose in which the one before it ends.

    All must be of one kind, since one controller follows the whole; only the last may be endless. Raises MotionError
    for an empty or mixed list.
    """

    def __init__(self, motions: SequenceOf[Motion], name: str = "sequence") -> None:
        if not motions:
            raise MotionError("a sequence needs at least one motion")
        kinds = sorted({m.kind for m in motions})
        if len(kinds) > 1:
            raise MotionError(f"a sequence mixes {' and '.join(kinds)} motions; run them as two motions instead")
        gripping = next((m.name for m in motions if isinstance(m, GrippingMotion)), None)
        if gripping is not None:
            raise MotionError(f"motion {gripping!r} moves the jaws: run it by itself instead of in a sequence")
        self.name = name
        self.kind: Kind = motions[0].kind
        self.motions = tuple(motions)
        self._ends: list[float] = []

    @property
    def duration(self) -> float:
        if not self._ends:
            raise not_started(self.name)
        return self._ends[-1]

    def start(self, q: Array, x: Array, R: Array) -> None:
        durations: list[float] = []
        for motion in self.motions:
            if durations and durations[-1] == float("inf"):
                raise MotionError(f"motion {motion.name!r} comes after an endless one and would never begin")
            motion.start(q, x, R)
            durations.append(motion.duration)
            end = motion.at(motion.duration)
            if isinstance(end, JointReference):
                q = end.q
            else:
                x, R = end.x, end.R
        self._ends = list(accumulate(durations))

    def at(self, t: float) -> Reference:
        motion, since = self._motion(t)
        return motion.at(since)

    def phase(self, t: float) -> str:
        motion, since = self._motion(t)
        return f"{motion.name}: {motion.phase(since)}"

    def _motion(self, t: float) -> tuple[Motion, float]:
        if not self._ends:
            raise not_started(self.name)
        i = min(bisect_right(self._ends, t), len(self.motions) - 1)
        return self.motions[i], t - (self._ends[i - 1] if i else 0.0)
